"""Files that are there as a whole or not at all, and files that can be read twice."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Final

from metadatadb_core.cli.failures import Misuse, Refusal

__all__ = ["STANDARD", "open_file", "write_file"]

STANDARD: Final = "-"
"""Standard input or output, where a file is asked for."""


@contextmanager
def write_file(name: str, *, replace: bool) -> Iterator[IO[bytes]]:
    """A file to write, which takes its place when the block ends well, and leaves nothing otherwise.

    Only its owner may read it. Standard output, a pipe or a device is written to as it is.

    Args:
        name: where it is to be.
        replace: whether it may take the place of another.

    Raises:
        Refusal: there is a file already, or the disk is full, say.
        Misuse: there can be no file of that name.
    """
    try:
        with _opened(name, replace=replace) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        # What has a file's name came of opening it, and would come again.
        kind = Refusal if error.filename is None else Misuse
        raise kind(f"cannot write {name}: {error.strerror}") from error


def _opened(name: str, *, replace: bool) -> AbstractContextManager[IO[bytes]]:
    if name == STANDARD:
        return nullcontext(sys.stdout.buffer)
    path = Path(name).resolve()  # so that a link stays one
    if path.exists() and not path.is_file():
        return path.open("wb")
    if path.exists() and not replace:
        raise Refusal(f"{name} exists; choose another name, or add --replace")
    return _taking_the_place_of(path)


@contextmanager
def _taking_the_place_of(path: Path) -> Iterator[IO[bytes]]:
    # Made with mode 0600, and in the same directory, since a rename does not cross file systems.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def open_file(name: str) -> Iterator[IO[bytes]]:
    """A file to read from its beginning as often as one likes; a pipe is kept in a temporary file for that.

    Raises:
        Misuse: it cannot be read.
    """
    with ExitStack() as stack:
        try:
            file = sys.stdin.buffer if name == STANDARD else stack.enter_context(Path(name).open("rb"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise Misuse(f"cannot read {name}: {reason}") from error
        if name == STANDARD or not file.seekable():
            kept = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(file, kept)
            yield kept
        else:
            yield file
