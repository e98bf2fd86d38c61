"""What each write op does to what a namespace holds.

Writes are total: whatever is stored under a name, each has one defined result, the one the Go original has
(the golden cases record it). A value that an op cannot use is replaced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from metadatadb_core import ops
from metadatadb_core.codec import Names
from metadatadb_core.keys import ATOMS, INT64_MAX, INT64_MIN, Json, MemberKey, member_key
from metadatadb_core.members import Members

__all__ = ["WRITES", "as_int"]


# -- integers ----------------------------------------------------------------------------------------------


def as_int(value: object) -> int:
    """A stored value as the int ops read it: numbers truncated, out of int64 as its minimum, all else 0."""
    kind = type(value)
    if kind is int:
        return value if INT64_MIN <= value <= INT64_MAX else INT64_MIN  # type: ignore[operator, return-value]
    if kind is float:
        if not -(2.0**63) <= value < 2.0**63:  # type: ignore[operator]
            return INT64_MIN
        return math.trunc(value)  # type: ignore[arg-type]
    return 0


def wrap(number: int) -> int:
    if INT64_MIN <= number <= INT64_MAX:
        return number
    return ((number - INT64_MIN) & 0xFFFF_FFFF_FFFF_FFFF) + INT64_MIN


def divide(dividend: int, divisor: int) -> int:
    """Truncates toward zero; the caller has seen to it that `divisor` is not 0."""
    quotient = abs(dividend) // abs(divisor)
    return wrap(quotient if (dividend < 0) == (divisor < 0) else -quotient)


# -- what each write op does -------------------------------------------------------------------------------


def _key(key: Json) -> MemberKey:
    return key if type(key) is str else member_key(key)


def _put(names: Names, name: str, key: MemberKey, value: Json) -> None:
    members = names.get(name)
    if type(members) is Members:
        if members.atomic and type(value) not in ATOMS:
            members.atomic = False
        if members.strings and type(key) is not str:
            members.strings = False
        members.items[key] = value
    else:
        names[name] = Members({key: value})


def _drop(names: Names, name: str, key: Json) -> None:
    members = names.get(name)
    if type(members) is Members:
        members.items.pop(_key(key), None)


def _scalar_set(names: Names, op: ops.ScalarSet) -> None:
    value = op.value
    if type(value) is dict:
        value = Members.from_object(value)
    elif type(value) is list:
        value = value.copy()  # ListAppend appends in place, and must not reach the op
    names[op.key] = value


def _scalar_delete(names: Names, op: ops.ScalarDelete) -> None:
    names.pop(op.key, None)


def _int_set(names: Names, op: ops.IntSet) -> None:
    names[op.key] = op.value


def _int_add(names: Names, op: ops.IntAdd) -> None:
    total = as_int(names.get(op.key)) + op.delta
    names[op.key] = total if INT64_MIN <= total <= INT64_MAX else wrap(total)


def _int_mul(names: Names, op: ops.IntMul) -> None:
    names[op.key] = wrap(as_int(names.get(op.key)) * op.factor)


def _int_div(names: Names, op: ops.IntDiv) -> None:
    if op.divisor != 0:
        names[op.key] = divide(as_int(names.get(op.key)), op.divisor)


def _set_add(names: Names, op: ops.SetAdd) -> None:
    _put(names, op.key, _key(op.member), True)


def _set_remove(names: Names, op: ops.SetRemove) -> None:
    _drop(names, op.key, op.member)


def _entry(names: Names, name: str, key: MemberKey) -> int:
    members = names.get(name)
    return as_int(members.items.get(key)) if type(members) is Members else 0


def _int_map_set(names: Names, op: ops.IntMapSet) -> None:
    _put(names, op.key, _key(op.map_key), op.value)


def _int_map_add(names: Names, op: ops.IntMapAdd) -> None:
    key = _key(op.map_key)
    _put(names, op.key, key, wrap(_entry(names, op.key, key) + op.delta))


def _int_map_mul(names: Names, op: ops.IntMapMul) -> None:
    key = _key(op.map_key)
    _put(names, op.key, key, wrap(_entry(names, op.key, key) * op.factor))


def _int_map_div(names: Names, op: ops.IntMapDiv) -> None:
    # Unlike the other int ops it makes no map where there is none: so does the Go original.
    if op.divisor != 0 and type(names.get(op.key)) is Members:
        key = _key(op.map_key)
        _put(names, op.key, key, divide(_entry(names, op.key, key), op.divisor))


def _int_map_delete(names: Names, op: ops.IntMapDelete) -> None:
    _drop(names, op.key, op.map_key)


def _map_set(names: Names, op: ops.MapSet) -> None:
    _put(names, op.key, _key(op.map_key), op.value)


def _map_delete(names: Names, op: ops.MapDelete) -> None:
    _drop(names, op.key, op.map_key)


def _list_append(names: Names, op: ops.ListAppend) -> None:
    stored = names.get(op.key)
    if type(stored) is list:
        stored.append(op.value)
    else:
        names[op.key] = [op.value]


WRITES: Final[dict[type[ops.Op], Callable[[Names, Any], None]]] = {
    ops.ScalarSet: _scalar_set,
    ops.ScalarDelete: _scalar_delete,
    ops.IntSet: _int_set,
    ops.IntAdd: _int_add,
    ops.IntMul: _int_mul,
    ops.IntDiv: _int_div,
    ops.SetAdd: _set_add,
    ops.SetRemove: _set_remove,
    ops.IntMapSet: _int_map_set,
    ops.IntMapAdd: _int_map_add,
    ops.IntMapMul: _int_map_mul,
    ops.IntMapDiv: _int_map_div,
    ops.IntMapDelete: _int_map_delete,
    ops.MapSet: _map_set,
    ops.MapDelete: _map_delete,
    ops.ListAppend: _list_append,
}
"""What each write op does."""
