"""What ops change, place by place: told before they are applied, and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeAlias, assert_never

import msgspec

from metadatadb_core import ops
from metadatadb_core.backend import Backend
from metadatadb_core.cli.contents import key_text, members_of, preview, value_text
from metadatadb_core.cli.wording import structure_text
from metadatadb_core.errors import StructureMismatchError
from metadatadb_core.keys import Json, canonical_key
from metadatadb_core.ops import MISSING, Missing, Op, ReadOp, Shape
from metadatadb_core.state import NamespaceState

__all__ = ["Change", "Place", "check_kinds", "places_of", "value_at"]

_SHOWN: Final = 400
"""Characters of a value that people are shown, before and after."""

_Kind: TypeAlias = Literal["value", "entry", "member", "length"]


class Place(msgspec.Struct, frozen=True):
    """A place that an op changes.

    Attributes:
        name: the structure's name.
        what: what is looked at: its value, one entry of a map, whether a set has a member, or a list's length.
        key: the entry's key, or the member.
    """

    name: str
    what: _Kind
    key: Json | msgspec.UnsetType = msgspec.UNSET

    def __str__(self) -> str:
        name = structure_text(self.name)
        match self.what:
            case "value":
                return name
            case "length":
                return f"length of {name}"
            case "entry" | "member":
                return f"{name}[{key_text(self.key)}]"
            case _:
                assert_never(self.what)


class Change(msgspec.Struct):
    """A place before and after; a value is left out where nothing is stored."""

    name: str
    what: _Kind
    key: Json | msgspec.UnsetType
    before: Json | msgspec.UnsetType
    after: Json | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def beginning(cls, place: Place, before: Json | Missing) -> Change:
        """What will change at `place`."""
        return cls(place.name, place.what, place.key, _or_unset(before))

    def ended(self, after: Json | Missing) -> None:
        """What has become of it."""
        self.after = _or_unset(after)

    def row(self) -> tuple[str, str, str]:
        """The same for people."""
        place = Place(self.name, self.what, self.key)
        return str(place), _text(self.before), _text(self.after)


def _or_unset(value: Json | Missing) -> Json | msgspec.UnsetType:
    return msgspec.UNSET if value is MISSING else value


def _text(value: Any) -> str:
    return "-" if value is msgspec.UNSET else preview(value_text(value), _SHOWN)


def _place(op: Op) -> Place:
    match op:
        case ops.ScalarSet() | ops.ScalarDelete() | ops.IntSet() | ops.IntAdd() | ops.IntMul() | ops.IntDiv():
            return Place(op.key, "value")
        case ops.SetAdd() | ops.SetRemove():
            return Place(op.key, "member", op.member)
        case ops.ListAppend():
            return Place(op.key, "length")
        case (
            ops.IntMapSet()
            | ops.IntMapAdd()
            | ops.IntMapMul()
            | ops.IntMapDiv()
            | ops.IntMapDelete()
            | ops.MapSet()
            | ops.MapDelete()
        ):
            return Place(op.key, "entry", op.map_key)
        case _:
            assert_never(op)


def places_of(batch: Iterable[Op]) -> list[Place]:
    """The places that ops change, each once, in their order."""
    places: dict[tuple[str, str, str], Place] = {}
    for place in map(_place, batch):
        key = "" if place.key is msgspec.UNSET else canonical_key(place.key)
        places.setdefault((place.name, place.what, key), place)
    return list(places.values())


def value_at(backend: Backend, namespace: str, place: Place) -> Json | Missing:
    """What is at `place` now; for a member whether it is there, for a list its length."""
    question: ReadOp[Any]
    match place.what:
        case "value":
            question = ops.ScalarGet(place.name)
        case "entry":
            question = ops.MapGet(place.name, place.key)
        case "member":
            question = ops.SetContains(place.name, place.key)
        case "length":
            question = ops.ListLen(place.name)
        case _:
            assert_never(place.what)
    return backend.query(namespace, question)


_SHAPES: Final[dict[_Kind, Shape]] = {"entry": "object", "member": "object", "length": "array"}
_SHAPE_WORDS: Final[dict[Shape, str]] = {
    "number": "a number",
    "object": "an object",
    "array": "an array",
    "other": "a string, bool or null",
}


def check_kinds(backend: Backend, namespace: str, batch: Sequence[Op]) -> None:
    """Refuse ops that would destroy what is stored as another kind, as the handles of a program do.

    Raises:
        StructureMismatchError: one would; who means it deletes the name first, with scalar-delete.
    """
    stored = {op.key: backend.query(namespace, ops.ScalarGet(op.key)) for op in batch}
    state = NamespaceState({name: members_of(value) for name, value in stored.items() if value is not MISSING})
    for op in batch:
        shape = state.query(ops.ShapeGet(op.key))
        wanted = "number" if isinstance(op, _INT_OPS) else _SHAPES.get(_place(op).what, shape)
        if shape not in ("absent", wanted):
            kind = next(kind for kind in _KINDS if type(op).__name__.startswith(kind))
            raise StructureMismatchError(
                op.key, wanted=kind, found=f"stored as {_SHAPE_WORDS[shape]}", namespace=namespace
            )
        state.apply(op)


_INT_OPS: Final = (ops.IntSet, ops.IntAdd, ops.IntMul, ops.IntDiv)
_KINDS: Final = ("IntMap", "Int", "Map", "Set", "List", "Scalar")
