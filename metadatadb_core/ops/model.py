"""The ops themselves: two closed sums of frozen structs.

Constructors check nothing (msgspec's never do): see `admission`.
"""

from __future__ import annotations

import enum
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, final, get_args

import msgspec

from metadatadb_core.keys import Json

RECORD_NAME: Final = ".metadatadb"
"""The one structure name that is the engine's own and that users may not take."""


class Missing(enum.Enum):
    """The type of `MISSING`."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> Literal[False]:
        return False


MISSING: Final = Missing.MISSING
"""What a query answers where nothing is stored; None is a value."""

Shape: TypeAlias = Literal["absent", "number", "object", "array", "other"]
"""The JSON shape of what is stored under a name."""


# -- write ops ---------------------------------------------------------------------------------------------


class _WriteOp(msgspec.Struct, frozen=True, gc=False, tag_field="op", tag=True, rename="pascal"):
    key: str


@final
class ScalarSet(_WriteOp, frozen=True, gc=False):
    """Store `value` under `key`, whatever was there."""

    value: Json


@final
class ScalarDelete(_WriteOp, frozen=True, gc=False):
    """Remove whatever is stored under `key`."""


@final
class IntSet(_WriteOp, frozen=True, gc=False):
    """Store the int64 `value` under `key`."""

    value: int


@final
class IntAdd(_WriteOp, frozen=True, gc=False):
    """Add `delta`; what is absent or no number counts as 0. Sums wrap to int64."""

    delta: int


@final
class IntMul(_WriteOp, frozen=True, gc=False):
    """Multiply by `factor`, wrapping to int64."""

    factor: int


@final
class IntDiv(_WriteOp, frozen=True, gc=False):
    """Divide by `divisor`, truncating toward zero; a zero divisor does nothing."""

    divisor: int


@final
class SetAdd(_WriteOp, frozen=True, gc=False):
    """Put `member` into the set."""

    member: Json


@final
class SetRemove(_WriteOp, frozen=True, gc=False):
    """Take `member` out of the set; an absent one does nothing."""

    member: Json


@final
class IntMapSet(_WriteOp, frozen=True, gc=False):
    """Store the int64 `value` under `map_key`."""

    map_key: Json
    value: int


@final
class IntMapAdd(_WriteOp, frozen=True, gc=False):
    """Add `delta` to the entry; what is absent or no number counts as 0. Sums wrap to int64."""

    map_key: Json
    delta: int


@final
class IntMapMul(_WriteOp, frozen=True, gc=False):
    """Multiply the entry by `factor`, wrapping to int64."""

    map_key: Json
    factor: int


@final
class IntMapDiv(_WriteOp, frozen=True, gc=False):
    """Divide the entry by `divisor`, truncating; a zero divisor, or no map there, does nothing."""

    map_key: Json
    divisor: int


@final
class IntMapDelete(_WriteOp, frozen=True, gc=False):
    """Remove the entry; an absent one does nothing."""

    map_key: Json


@final
class MapSet(_WriteOp, frozen=True, gc=False):
    """Store `value` under `map_key`."""

    map_key: Json
    value: Json


@final
class MapDelete(_WriteOp, frozen=True, gc=False):
    """Remove the entry; an absent one does nothing."""

    map_key: Json


@final
class ListAppend(_WriteOp, frozen=True, gc=False):
    """Append `value` to the list."""

    value: Json


Op: TypeAlias = (
    ScalarSet
    | ScalarDelete
    | IntSet
    | IntAdd
    | IntMul
    | IntDiv
    | SetAdd
    | SetRemove
    | IntMapSet
    | IntMapAdd
    | IntMapMul
    | IntMapDiv
    | IntMapDelete
    | MapSet
    | MapDelete
    | ListAppend
)
"""Any write op."""

WRITE_OPS: Final[tuple[type[Op], ...]] = get_args(Op)


# -- read ops ----------------------------------------------------------------------------------------------

R_co = TypeVar("R_co", covariant=True)


class ReadOp(msgspec.Struct, Generic[R_co], frozen=True, gc=False, tag_field="op", tag=True, rename="pascal"):
    """A question whose answer is an `R_co`; `AnyReadOp` is the closed sum of them."""

    key: str


@final
class ScalarGet(ReadOp[Json | Missing], frozen=True, gc=False):
    """The value under `key`, or `MISSING`."""


@final
class IntGet(ReadOp[int], frozen=True, gc=False):
    """The int under `key`; 0 if there is none."""


@final
class SetContains(ReadOp[bool], frozen=True, gc=False):
    """Whether `member` is in the set."""

    member: Json


@final
class SetMembers(ReadOp[list[Json]], frozen=True, gc=False):
    """The members, sorted: strings by code point, numbers by value, mixed ones by their canonical text."""


@final
class SetLen(ReadOp[int], frozen=True, gc=False):
    """How many members there are."""


@final
class IntMapGet(ReadOp[int], frozen=True, gc=False):
    """The int under `map_key`; 0 if there is none."""

    map_key: Json


@final
class IntMapContains(ReadOp[bool], frozen=True, gc=False):
    """Whether there is an entry under `map_key`."""

    map_key: Json


@final
class IntMapKeys(ReadOp[list[Json]], frozen=True, gc=False):
    """The keys, sorted."""


@final
class IntMapEntries(ReadOp[dict[Any, int]], frozen=True, gc=False):
    """All entries; a bool, array or object stands as a `CanonicalKey`."""


@final
class IntMapLen(ReadOp[int], frozen=True, gc=False):
    """How many entries there are."""


@final
class MapGet(ReadOp[Json | Missing], frozen=True, gc=False):
    """The value under `map_key`, or `MISSING`."""

    map_key: Json


@final
class MapKeys(ReadOp[list[Json]], frozen=True, gc=False):
    """The keys, sorted."""


@final
class MapEntries(ReadOp[dict[Any, Json]], frozen=True, gc=False):
    """All entries; a bool, array or object stands as a `CanonicalKey`."""


@final
class MapLen(ReadOp[int], frozen=True, gc=False):
    """How many entries there are."""


@final
class ListEntries(ReadOp[list[Json]], frozen=True, gc=False):
    """The whole list."""


@final
class ListSlice(ReadOp[list[Json]], frozen=True, gc=False):
    """The part ``[start:stop]`` of the list, as Python slices it."""

    start: int | None
    stop: int | None


@final
class ListLen(ReadOp[int], frozen=True, gc=False):
    """How many values the list holds."""


@final
class ShapeGet(ReadOp[Shape], frozen=True, gc=False):
    """The JSON shape of what is stored under `key`."""


AnyReadOp: TypeAlias = (
    ScalarGet
    | IntGet
    | SetContains
    | SetMembers
    | SetLen
    | IntMapGet
    | IntMapContains
    | IntMapKeys
    | IntMapEntries
    | IntMapLen
    | MapGet
    | MapKeys
    | MapEntries
    | MapLen
    | ListEntries
    | ListSlice
    | ListLen
    | ShapeGet
)
"""Any read op: the closed sum that dispatch matches."""

READ_OPS: Final[tuple[type[AnyReadOp], ...]] = get_args(AnyReadOp)
