"""Admission: what comes from outside is checked before anything changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from metadatadb_core.errors import InvalidValueError
from metadatadb_core.keys import (
    ATOMS,
    INT64_MAX,
    INT64_MIN,
    CanonicalKey,
    Json,
    check_go_int,
    check_int,
    check_json,
    check_text,
    from_member_key,
)
from metadatadb_core.ops.model import (
    RECORD_NAME,
    IntAdd,
    IntDiv,
    IntMapAdd,
    IntMapDelete,
    IntMapDiv,
    IntMapMul,
    IntMapSet,
    IntMul,
    IntSet,
    ListAppend,
    MapDelete,
    MapSet,
    Op,
    ScalarDelete,
    ScalarSet,
    SetAdd,
    SetRemove,
)


def _check_name(name: str) -> None:
    if type(name) is not str or not name.isascii():
        check_text(name, "a structure name")
    if name == RECORD_NAME:
        raise InvalidValueError(f"the name {RECORD_NAME!r} is reserved for the store's own record", name)


def _own_key(key: Json) -> Json:
    if type(key) is str:
        if not key.isascii():
            check_text(key, "a key")
        return key
    if type(key) is CanonicalKey:
        if type(key.text) is not str or from_member_key(key.text) != key:
            raise InvalidValueError(f"{key.text!r} is not the canonical text of a key that is no string", key)
        return key
    check_json(key, "a key", check_go_int)
    return key if type(key) in ATOMS else msgspec.to_builtins(key)


def _own_value(value: Json) -> Json:
    if type(value) is str and value.isascii():
        return value
    check_json(value, "a value", check_go_int)
    return value if type(value) in ATOMS else msgspec.to_builtins(value)


# One function for each signature. What most ops hold is plain at a glance; whatever else goes to the functions above.


def _admit_name(op: ScalarDelete) -> Op:
    _check_name(op.key)
    return op


def _admit_value(op: ScalarSet | ListAppend) -> Op:
    name, value = op.key, op.value
    if type(name) is not str or not name.isascii() or name == RECORD_NAME:
        _check_name(name)
    own = value if type(value) is str and value.isascii() else _own_value(value)
    return op if own is value else type(op)(name, own)


def _admit_number(op: IntSet | IntAdd | IntMul | IntDiv) -> Op:
    name, number = astuple(op)
    if type(name) is not str or not name.isascii() or name == RECORD_NAME:
        _check_name(name)
    if type(number) is not int or not INT64_MIN <= number <= INT64_MAX:
        check_int(number, "a number")
    return op


def _admit_member(op: SetAdd | SetRemove) -> Op:
    name, member = op.key, op.member
    if type(name) is not str or not name.isascii() or name == RECORD_NAME:
        _check_name(name)
    own = member if type(member) is str and member.isascii() else _own_key(member)
    return op if own is member else type(op)(name, own)


def _admit_entry(op: IntMapDelete | MapDelete) -> Op:
    _check_name(op.key)
    own = _own_key(op.map_key)
    return op if own is op.map_key else type(op)(op.key, own)


def _admit_entry_number(op: IntMapSet | IntMapAdd | IntMapMul | IntMapDiv) -> Op:
    name, key, number = astuple(op)
    if type(name) is not str or not name.isascii() or name == RECORD_NAME:
        _check_name(name)
    own = key if type(key) is str and key.isascii() else _own_key(key)
    if type(number) is not int or not INT64_MIN <= number <= INT64_MAX:
        check_int(number, "a number")
    return op if own is key else type(op)(name, own, number)


def _admit_entry_value(op: MapSet) -> Op:
    name, key, value = op.key, op.map_key, op.value
    if type(name) is not str or not name.isascii() or name == RECORD_NAME:
        _check_name(name)
    own_key = key if type(key) is str and key.isascii() else _own_key(key)
    if type(value) is int and INT64_MIN <= value <= INT64_MAX:
        own_value: Json = value
    else:
        own_value = value if type(value) is str and value.isascii() else _own_value(value)
    return op if own_key is key and own_value is value else MapSet(name, own_key, own_value)


ADMISSIONS: Final[dict[type[Op], Callable[[Any], Op]]] = {
    ScalarSet: _admit_value,
    ScalarDelete: _admit_name,
    IntSet: _admit_number,
    IntAdd: _admit_number,
    IntMul: _admit_number,
    IntDiv: _admit_number,
    SetAdd: _admit_member,
    SetRemove: _admit_member,
    IntMapSet: _admit_entry_number,
    IntMapAdd: _admit_entry_number,
    IntMapMul: _admit_entry_number,
    IntMapDiv: _admit_entry_number,
    IntMapDelete: _admit_entry,
    MapSet: _admit_entry_value,
    MapDelete: _admit_entry,
    ListAppend: _admit_value,
}
"""How each write op is admitted."""


def admit(op: Op) -> Op:
    """The op as a backend may keep it: checked, and sharing nothing with the caller that can change.

    Raises:
        InvalidValueError: it is no write op, or holds what cannot be stored.
    """
    check = ADMISSIONS.get(type(op))
    if check is None:
        raise InvalidValueError(f"not a write op: {type(op).__name__}", op)
    return check(op)
