"""python-hcl2's grammar as a parser, built once per machine and user rather than at every start.

Building the parser takes seconds. python-hcl2 caches it beside its own source, where an ordinary user of a shared
installation cannot write, so it would be built at every start. The cache is a pickle: whoever can write it runs code
as whoever reads it. So it is kept in a directory that only this user can write to, and where there is none, nowhere.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

import hcl2
import lark
from hcl2.postlexer import PostLexer

__all__ = ["cache_directory", "parser"]

_GRAMMAR: Final = Path(hcl2.__file__).with_name("hcl2.lark")

_BLANK_LINES: Final = r"\s*(?P=heredoc"
_BLANKS: Final = r"[^\S\n]*(?P=heredoc"
_POSIX: Final = hasattr(os, "getuid")


@functools.lru_cache(maxsize=1)
def parser() -> lark.Lark:
    """The parser for HCL: from the user's cache if it is there, else built, and cached if it can be."""
    directory = cache_directory()
    if directory is None:
        return _build()
    path = directory / _cache_name()
    try:
        with path.open("rb") as file:
            return lark.Lark.load(file)
    except Exception:  # absent, cut short, or of another making: a cache that cannot be read is written anew
        built = _build()
        _save(built, path)
        return built


def cache_directory() -> Path | None:
    """This user's private cache directory, made if need be; None where there is none to be had.

    `$XDG_CACHE_HOME`, or the system's own place under the home directory. The directory in which it is made must
    be this user's already: under sudo the home is somebody else's, and a directory for all (/tmp) is nobody's.
    """
    base = _cache_base()
    if base is None:
        return None
    directory = base / "metadatadb"
    try:
        if not _is_mine(_nearest_existing(directory)):
            return None
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return directory if _is_private(directory) else None
    except OSError:
        return None


def _cache_base() -> Path | None:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else None
    # The XDG rules: a path that is not absolute is to be ignored.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if configured.is_absolute():
        return configured
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and no entry for this uid: usual in containers
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _nearest_existing(path: Path) -> Path:
    return path if path.exists() or path.parent == path else _nearest_existing(path.parent)


def _is_mine(path: Path) -> bool:
    return not _POSIX or path.stat().st_uid == os.getuid()


def _is_private(directory: Path) -> bool:
    # lstat: a link here could have been put by another user, to a directory of ours that others may write to.
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return False
    return not _POSIX or (found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077 == 0)


def _cache_name() -> str:
    # The grammar itself rather than the version of python-hcl2: nothing else of it goes into the parser.
    grammar = hashlib.sha256(_grammar().encode()).hexdigest()[:16]
    python = sys.implementation.cache_tag or "python"
    return f"hcl-{grammar}-lark-{lark.__version__}-{python}.pickle"


def _grammar() -> str:
    """python-hcl2's grammar, in which a heredoc takes time in proportion to its length.

    Before a heredoc's marker it looks for blank lines from every line on, though these are lines of the body as well:
    for n of them in a row that is n² steps.
    """
    return _GRAMMAR.read_text("utf-8").replace(_BLANK_LINES, _BLANKS)


def _build() -> lark.Lark:
    return lark.Lark(_grammar(), parser="lalr", propagate_positions=True, postlex=PostLexer())


def _save(built: lark.Lark, path: Path) -> None:
    # Written aside and renamed, so that nobody ever reads half of it. A full or read-only disk only costs time.
    with contextlib.suppress(OSError):
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                built.save(file)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
