"""A list that grows."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar, final, overload

from metadatadb_core import ops
from metadatadb_core.errors import InvalidValueError
from metadatadb_core.forms import Form
from metadatadb_core.store import Namespace
from metadatadb_core.structures.base import Structure

V = TypeVar("V")


@final
class List(Structure, Generic[V]):
    """A list that grows at its end.

    Args:
        namespace: where it lives.
        name: its name there.
        value_type: any type msgspec converts to JSON; the default is any JSON value.
    """

    __slots__ = ("_len", "_slice", "_value_form")
    _shapes = frozenset({"absent", "array"})

    @overload
    def __init__(self: List[Any], namespace: Namespace, name: str) -> None: ...
    @overload
    def __init__(self, namespace: Namespace, name: str, value_type: type[V]) -> None: ...
    @overload
    def __init__(self: List[Any], namespace: Namespace, name: str, value_type: Any) -> None: ...
    def __init__(self, namespace: Namespace, name: str, value_type: Any = Any) -> None:
        self._value_form: Form[V] = Form(value_type)
        super().__init__(namespace, name)
        self._slice = namespace.reader(ops.ListSlice, name)
        self._len = namespace.reader(ops.ListLen, name)

    def append(self, value: V) -> None:
        """Append `value`.

        Raises:
            InvalidValueError: JSON cannot hold it, or it does not fit the declared type.
        """
        self._write(ops.ListAppend(self.name, self._value_form.dump(value, self.name)))

    def extend(self, values: Iterable[V]) -> None:
        """Append all of `values`, as one."""
        appended = [ops.ListAppend(self.name, self._value_form.dump(value, self.name)) for value in values]
        if appended:
            self._check_shape()
            try:
                self._namespace.apply(*appended)
            except InvalidValueError as error:
                raise self._refused(error) from error

    def entries(self) -> builtins.list[V]:
        """The whole list."""
        return self[:]

    def len(self) -> int:
        """How many values it holds."""
        self._check_shape()
        return self._len()

    def __len__(self) -> int:
        return self.len()

    def __iter__(self) -> Iterator[V]:
        return iter(self.entries())

    @overload
    def __getitem__(self, index: int) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> builtins.list[V]: ...
    def __getitem__(self, index: int | slice) -> V | builtins.list[V]:
        self._check_shape()
        if isinstance(index, slice):
            forward = index.step is None or index.step > 0
            part = self._slice(index.start, index.stop)[:: index.step] if forward else self._slice(None, None)[index]
            return part if self._value_form.any else [self._value_form.load(value, self.name) for value in part]
        index = operator.index(index)
        # -1 is the last: the slice that holds it has no end.
        part = self._slice(index, index + 1 if index != -1 else None)
        if len(part) != 1:
            raise IndexError(f"list {self.name!r} has no index {index}")
        return self._value_form.load(part[0], self.name)
