"""What is stored under a name, told as far as its shape tells: which structure it is, is known to who made it only.

A Set is stored as an object of ``true``, an IntMap as an object of ints, and either could be a Map as well. A scalar
may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from metadatadb_core.codec import encode_names
from metadatadb_core.keys import CanonicalKey, Json, member_key, sort_keys
from metadatadb_core.members import Members

__all__ = [
    "Content",
    "content_of",
    "items_of",
    "key_text",
    "lines_of",
    "members_of",
    "preview",
    "stored_form",
    "value_text",
]

_PREVIEW: Final = 40
"""Characters of a value that a table shows."""


class Content(msgspec.Struct):
    """What is stored under one name, without the value.

    Attributes:
        name: the structure's name.
        kinds: the structures it can be, the likeliest first.
        entries: how many entries, members or values it has; None for a scalar.
        bytes: the size of its stored form.
    """

    name: str
    kinds: list[str]
    entries: int | None
    bytes: int


def content_of(name: str, value: Members | Json) -> Content:
    """What is stored under `name`."""
    size = len(encode_names({"": value})) - len(b'{"":}')
    return Content(name, _kinds(value), _entries(value), size)


def _kinds(value: Members | Json) -> list[str]:
    if isinstance(value, Members):
        return _kinds_of_object(value)
    if isinstance(value, list):
        return ["List", "Scalar"]
    return ["Int", "Scalar"] if type(value) is int else ["Scalar"]


def _kinds_of_object(members: Members) -> list[str]:
    if members.foreign:
        return ["Scalar"]  # its names are no canonical keys: no structure has made it
    if not members.items:
        return ["Map", "IntMap", "Set", "Scalar"]
    values = members.items.values()
    kinds = ["Map"]
    if all(value is True for value in values):
        kinds = ["Set", "Map"]
    elif all(type(value) is int for value in values):
        kinds = ["IntMap", "Map"]
    # The stored text of a string key has quotes in it; that of a number, say, may be a name in a scalar as well.
    return kinds if members.strings else [*kinds, "Scalar"]


def _entries(value: Members | Json) -> int | None:
    if isinstance(value, Members):
        return None if value.foreign else len(value.items)
    return len(value) if isinstance(value, list) else None


def stored_form(value: Members | Json) -> Json:
    """The JSON that is stored: in objects, names are canonical keys."""
    return value.to_object() if isinstance(value, Members) else value


def items_of(value: Members | Json) -> list[tuple[Json, Json]] | None:
    """Keys, as they were before they became canonical, with their values, in order; None where there are none."""
    if not isinstance(value, Members) or value.foreign:
        return None
    keys = sort_keys(key.value if isinstance(key, CanonicalKey) else key for key in value.items)
    return [(key, value.items[member_key(key)]) for key in keys]


def key_text(key: Json) -> str:
    """A key or member for people: a string as it is, unless it could be taken for another key."""
    return key if isinstance(key, str) and _is_plain(key) else value_text(key)


def _is_plain(text: str) -> bool:
    if not text or text != text.strip():
        return False
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return True
    return False


def value_text(value: Any) -> str:
    """A value in one line of JSON, with spaces."""
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def preview(text: str, length: int = _PREVIEW) -> str:
    """As much of a text as a table has room for."""
    return text if len(text) <= length else f"{text[:length]}..."


def lines_of(value: Members | Json, width: int) -> Iterator[str]:
    """A value for people, one line for each entry where it fits into `width` columns."""
    items = items_of(value)
    if items is None:
        rows = value if isinstance(value, list) else [stored_form(value)]
        for row in rows:
            yield from _lines(row, width)
    elif "Set" in _kinds(value)[:1]:
        yield from (key_text(key) for key, _ in items)
    else:
        for key, entry in items:
            name = key_text(key)
            first, *rest = _lines(entry, width - len(name) - len(": "))
            yield f"{name}: {first}"
            yield from rest


def _lines(value: Json, width: int) -> list[str]:
    line = value_text(value)
    if len(line) <= width or not isinstance(value, (dict, list)):
        return [line]
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode().splitlines()


def members_of(stored: Json) -> Members | Json:
    """What a backend answers for a name, as a state holds it."""
    return Members.from_object(stored) if isinstance(stored, dict) else stored
