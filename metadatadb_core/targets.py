"""What `connect` is given, a URL or a configuration file, as the name of a backend and its attributes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec

from metadatadb_core.errors import BackendNotFoundError, ConfigError, ConfigProblem
from metadatadb_core.settings import Setting, Settings
from metadatadb_core.wording import without_credentials

if TYPE_CHECKING:
    from metadatadb_core.registration import FromUrl
    from metadatadb_core.registry import Registry

__all__ = ["read_target"]

_TARGET_FORM = "a URL such as memory:// or s3://bucket?sync-interval=5s, or the path of an HCL file"


def read_target(target: str | os.PathLike[str], registry: Registry) -> tuple[str, Settings]:
    """The backend that `target` names, and its attributes.

    Raises:
        ConfigError: it is neither a URL nor a file with one ``metadata`` block.
        BackendNotFoundError: no installed plugin provides that backend.
        PluginError: its plugin cannot be used.
    """
    if isinstance(target, str) and _is_url(target):
        return _from_url(target, registry)
    if not isinstance(target, str) or target.endswith(".hcl") or _is_file(target):
        return _from_file(target, registry)
    message = f"neither a URL nor a file that exists{_detail(target, repr(without_credentials(target)))}"
    raise ConfigError([ConfigProblem(message, expected=_TARGET_FORM)])


def _is_url(target: str) -> bool:
    scheme, found, _ = target.partition("://")
    return bool(found) and len(scheme) > 1 and scheme[0].isalpha() and scheme.isascii() and " " not in scheme


def _is_file(target: str) -> bool:
    try:
        return bool(target) and Path(target).exists()
    except PermissionError:  # what reads it says so
        return True
    except OSError:  # a name too long for any file
        return False


def _from_file(path: str | os.PathLike[str], registry: Registry) -> tuple[str, Settings]:
    from metadatadb_core import hcl

    block = hcl.the_block(hcl.parse_file(path))
    try:
        registry.registration(block.labels[0])
    except BackendNotFoundError as error:
        line, column = block.settings.at or (None, None)
        error.add_note(f"asked for at {block.settings.file}:{line}:{column}")
        raise
    return block.labels[0], block.settings


def _from_url(text: str, registry: Registry) -> tuple[str, Settings]:
    try:
        text.encode()
        url = urlsplit(text)
    except ValueError as error:  # UnicodeEncodeError is one: for a lone surrogate
        raise ConfigError([ConfigProblem(f"not a URL{_detail(text, error)}", expected=_TARGET_FORM)]) from None
    name = registry.name_for_scheme(url.scheme)
    source = f"{url.scheme}://***" if "@" in text else f"{url.scheme}://{url.netloc}{url.path}"
    problems: list[ConfigProblem] = []
    settings: list[Setting] = []
    try:
        located = _located(url, registry.registration(name).from_url)
        settings += [Setting(attribute, value, from_text=True) for attribute, value in located.items()]
    except ConfigError as error:
        problems += [msgspec.structs.replace(problem, file=source) for problem in error.problems]
    except ValueError as error:  # `url.port`, say
        reason = ", perhaps because of the user and password in it" if "@" in url.netloc else _detail(text, error)
        problems.append(ConfigProblem(f"its host or path cannot be used{reason}", source))
    complete = not problems
    if url.fragment:
        problems.append(ConfigProblem("a '#' ends the URL", source, expected="%23 for a '#' in a value"))
    try:
        settings += _parameters(url)
    except UnicodeDecodeError:
        problems.append(ConfigProblem("a parameter is not UTF-8", source, expected="percent-encoded UTF-8"))
    return name, Settings(settings, source, problems=problems, complete=complete)


def _located(url: SplitResult, from_url: FromUrl | None) -> Mapping[str, object]:
    if from_url is not None:
        return from_url(url)
    if url.netloc or url.path.strip("/"):
        raise ValueError(f"a {url.scheme}:// URL has no host or path; expected {url.scheme}://?name=value")
    return {}


def _parameters(url: SplitResult) -> Iterator[Setting]:
    # Not form encoding, in which "+" is a space: a URL's author may well mean a plus.
    query = url.query.replace("+", "%2B")
    for name, value in parse_qsl(query, keep_blank_values=True, errors="strict"):
        yield Setting(name, value, from_text=True)


def _detail(text: str, detail: object) -> str:
    # A password with a "/" or "#" in it may end up anywhere in the parts of a URL, and in what is said of them.
    return "" if "@" in text else f": {detail}"
