"""JSON as it is printed: valid UTF-8 without anything that a terminal might obey, whatever the document holds."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

__all__ = ["encoded"]

_OBEYED: Final = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]",
)
"""DEL, C1 controls, U+061C, U+200E, U+200F, U+2028 to U+202E and U+2066 to U+2069, in UTF-8: JSON lets all of them
stand, a terminal turns the direction of writing or worse, and some readers of lines take one for an end of line."""


def encoded(document: object) -> bytes:
    """`document` in one line of JSON, with escapes for control characters and marks of direction.

    A lone surrogate, which is how Python reads bytes of a file's name that are no UTF-8, has no JSON: it stands there
    as the text of an escape, ``\\\\udcff``.
    """
    try:
        body = msgspec.json.encode(document)
    except UnicodeEncodeError:
        body = msgspec.json.encode(_without_surrogates(msgspec.to_builtins(document)))
    return _OBEYED.sub(_escaped, body)  # all of them are in strings: what is around those is ASCII


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case list() | tuple():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
        case _:
            return value
