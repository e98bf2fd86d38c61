"""What each read op answers, from what a namespace holds.

Each op is defined by a factory: given where state is held and a structure's name it returns the op as a
function of its other fields. A handle keeps that function and calls it; a query of a whole op makes it and
calls it once. A name that holds another kind than the op asks for is read as empty.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import msgspec

from metadatadb_core import ops
from metadatadb_core.codec import Names
from metadatadb_core.keys import ATOMS, CanonicalKey, Json, MemberKey, member_key, sort_keys
from metadatadb_core.members import Members
from metadatadb_core.ops import MISSING, Missing, Shape
from metadatadb_core.writes import as_int

__all__ = ["READERS", "Source"]


class Source(Protocol):
    """Where state is held.

    Attributes:
        names: what the namespace holds now.
        unsettled: whether a reader should `settle` before it looks.
        lock: held by who changes what is held, or looks at more than one value of it.
    """

    @property
    def names(self) -> Names: ...
    @property
    def unsettled(self) -> bool: ...
    @property
    def lock(self) -> AbstractContextManager[object]: ...
    def settle(self) -> None:
        """Wait until there is something to see that hangs together."""


# -- point reads -------------------------------------------------------------------------------------------
#
# They look once at one value, which is atomic (under the GIL, and on free-threaded builds, whose dicts lock
# themselves), and so take no lock. Only while ops that belong together are half applied do they wait, so
# that nobody sees the first of them and, afterwards, misses the second. Nothing is called between asking whether
# to wait and looking: under the GIL another thread gets its turn only at a call. After a wait, which is one, they
# look under the lock: the next ops may have begun by then.


_SHARED_SAFELY = ATOMS | {Missing}


def _int_get(source: Source, name: str) -> Callable[[], int]:
    def read(locked: bool = False) -> int:
        if source.unsettled and not locked:
            source.settle()
            with source.lock:
                return read(locked=True)
        return as_int(source.names.get(name))

    return read


def _int_map_get(source: Source, name: str) -> Callable[[Json], int]:
    def read(map_key: Json, locked: bool = False) -> int:
        key = map_key if type(map_key) is str else member_key(map_key)
        if source.unsettled and not locked:
            source.settle()
            with source.lock:
                return read(map_key, locked=True)
        try:
            return as_int(source.names[name].items[key])
        except (KeyError, AttributeError):  # no entry, or no Members
            return 0

    return read


def _map_get(source: Source, name: str) -> Callable[[Json], Json | Missing]:
    def read(map_key: Json, locked: bool = False) -> Json | Missing:
        key = map_key if type(map_key) is str else member_key(map_key)
        if source.unsettled and not locked:
            source.settle()
            with source.lock:
                return read(map_key, locked=True)
        try:
            value = source.names[name].items[key]
        except (KeyError, AttributeError):  # no entry, or no Members
            return MISSING
        return value if type(value) in ATOMS else msgspec.to_builtins(value)

    return read


def _contains(source: Source, name: str) -> Callable[[Json], bool]:
    def read(member: Json, locked: bool = False) -> bool:
        key = member if type(member) is str else member_key(member)
        if source.unsettled and not locked:
            source.settle()
            with source.lock:
                return read(member, locked=True)
        try:
            return key in source.names[name].items
        except (KeyError, AttributeError):  # nothing there, or no Members
            return False

    return read


def _len(source: Source, name: str) -> Callable[[], int]:
    def read() -> int:
        if source.unsettled:
            source.settle()
        with source.lock:
            stored = source.names.get(name)
            return len(stored.items) if type(stored) is Members else 0

    return read


def _list_len(source: Source, name: str) -> Callable[[], int]:
    def read() -> int:
        if source.unsettled:
            source.settle()
        with source.lock:
            stored = source.names.get(name)
            return len(stored) if type(stored) is list else 0

    return read


_SHAPES: Final[dict[type[Any], Shape]] = {
    Members: "object",
    int: "number",
    float: "number",
    list: "array",
    Missing: "absent",
    str: "other",
    bool: "other",
    type(None): "other",
}


def _shape_get(source: Source, name: str) -> Callable[[], Shape]:
    def read(locked: bool = False) -> Shape:
        if source.unsettled and not locked:
            source.settle()
            with source.lock:
                return read(locked=True)
        return _SHAPES[type(source.names.get(name, MISSING))]

    return read


# -- collection reads --------------------------------------------------------------------------------------
#
# They hold the lock for a shallow copy, which is quick, and shape the answer from it afterwards, which may
# take long. Values are never changed in place, so the copy stays what it is.


def _own(value: Json) -> Json:
    return value if type(value) in _SHARED_SAFELY else msgspec.to_builtins(value)


def _scalar_get(source: Source, name: str) -> Callable[[], Json | Missing]:
    def read() -> Json | Missing:
        if source.unsettled:
            source.settle()
        with source.lock:
            stored = source.names.get(name, MISSING)
            if type(stored) is Members or type(stored) is list:
                stored = stored.copy()
        return _own(stored.to_object() if type(stored) is Members else stored)

    return read


def _members(source: Source, name: str) -> Members:
    """A snapshot of what `name` holds, empty where that is no object."""
    if source.unsettled:
        source.settle()
    with source.lock:
        stored = source.names.get(name)
        return stored.copy() if type(stored) is Members else Members({})


def _sorted_keys(source: Source, name: str) -> Callable[[], list[Json]]:
    def read() -> list[Json]:
        keys = _members(source, name).items
        return sort_keys(key.value if type(key) is CanonicalKey else key for key in keys)

    return read


def _entry_key(key: MemberKey) -> Any:
    """A key as `dict` can hold it beside others: see `CanonicalKey`."""
    if type(key) is CanonicalKey and key.text != "-0":  # -0.0 is another key than 0, and equal to it
        value = key.value
        return value if value is None or type(value) in (int, float) else key
    return key


def _int_map_entries(source: Source, name: str) -> Callable[[], dict[Any, int]]:
    def read() -> dict[Any, int]:
        items = _members(source, name).items
        return {_entry_key(key): as_int(value) for key, value in items.items()}

    return read


def _map_entries(source: Source, name: str) -> Callable[[], dict[Any, Json]]:
    def read() -> dict[Any, Json]:
        members = _members(source, name)
        entries: dict[Any, Json] = members.items
        if not members.atomic:
            entries = {key: _own(value) for key, value in entries.items()}
        return entries if members.strings else {_entry_key(key): value for key, value in entries.items()}

    return read


def _list_entries(source: Source, name: str) -> Callable[[], list[Json]]:
    part = _list_slice(source, name)
    return lambda: part(None, None)


def _list_slice(source: Source, name: str) -> Callable[[int | None, int | None], list[Json]]:
    def read(start: int | None, stop: int | None) -> list[Json]:
        if source.unsettled:
            source.settle()
        with source.lock:
            stored = source.names.get(name)
            part = stored[start:stop] if type(stored) is list else []
        own: list[Json] = msgspec.to_builtins(part)
        return own

    return read


READERS: Final[dict[type[Any], Callable[[Source, str], Callable[..., Any]]]] = {
    ops.ScalarGet: _scalar_get,
    ops.IntGet: _int_get,
    ops.SetContains: _contains,
    ops.SetMembers: _sorted_keys,
    ops.SetLen: _len,
    ops.IntMapGet: _int_map_get,
    ops.IntMapContains: _contains,
    ops.IntMapKeys: _sorted_keys,
    ops.IntMapEntries: _int_map_entries,
    ops.IntMapLen: _len,
    ops.MapGet: _map_get,
    ops.MapKeys: _sorted_keys,
    ops.MapEntries: _map_entries,
    ops.MapLen: _len,
    ops.ListEntries: _list_entries,
    ops.ListSlice: _list_slice,
    ops.ListLen: _list_len,
    ops.ShapeGet: _shape_get,
}
"""Every read op's factory."""
