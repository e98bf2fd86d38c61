"""A set of members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast, final, overload

from metadatadb_core import ops
from metadatadb_core.errors import InvalidValueError
from metadatadb_core.forms import Form
from metadatadb_core.keys import sort_keys
from metadatadb_core.store import Namespace
from metadatadb_core.structures.base import Structure

V = TypeVar("V")


@final
class Set(Structure, Generic[V]):
    """A set of members.

    Args:
        namespace: where it lives.
        name: its name there.
        member_type: any type msgspec converts to JSON; the default is `str`.
    """

    __slots__ = ("_contains", "_len", "_member_form", "_members")
    _shapes = frozenset({"absent", "object"})

    @overload
    def __init__(self: Set[str], namespace: Namespace, name: str) -> None: ...
    @overload
    def __init__(self, namespace: Namespace, name: str, member_type: type[V]) -> None: ...
    @overload
    def __init__(self: Set[Any], namespace: Namespace, name: str, member_type: Any) -> None: ...
    def __init__(self, namespace: Namespace, name: str, member_type: Any = str) -> None:
        self._member_form: Form[V] = Form(member_type)
        super().__init__(namespace, name)
        self._contains = namespace.reader(ops.SetContains, name)
        self._members = namespace.reader(ops.SetMembers, name)
        self._len = namespace.reader(ops.SetLen, name)

    def add(self, member: V) -> None:
        """Put `member` in; one that is in already stays.

        Raises:
            InvalidValueError: JSON cannot hold it, or it does not fit the declared type.
        """
        self._write(ops.SetAdd(self.name, self._member_form.dump(member, self.name)))

    def remove(self, member: V) -> None:
        """Take `member` out; an absent one does nothing."""
        self._write(ops.SetRemove(self.name, self._member_form.dump(member, self.name)))

    def contains(self, member: object) -> bool:
        """Whether `member` is in; what could not be a member is not."""
        try:
            dumped = self._member_form.dump(cast(V, member), self.name)
        except InvalidValueError:
            return False
        if self._contains(dumped):
            return True
        self._check_shape()
        return False

    def members(self) -> list[V]:
        """All members, sorted: strings by code point, numbers by value, mixed ones by their canonical text."""
        self._check_shape()
        stored = sort_keys(self._members())
        return [self._member_form.load(member, self.name) for member in stored]

    __contains__ = contains

    def __len__(self) -> int:
        self._check_shape()
        return self._len()

    def __iter__(self) -> Iterator[V]:
        return iter(self.members())
