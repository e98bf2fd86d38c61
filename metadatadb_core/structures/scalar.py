"""One value, and one int64."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, final, overload

from metadatadb_core import ops
from metadatadb_core.forms import Form
from metadatadb_core.ops import MISSING
from metadatadb_core.store import Namespace
from metadatadb_core.structures.base import Structure

V = TypeVar("V")
D = TypeVar("D")


@final
class Scalar(Structure, Generic[V]):
    """One value.

    Args:
        namespace: where it lives.
        name: its name there.
        value_type: any type msgspec converts to JSON; the default is any JSON value.
    """

    __slots__ = ("_get", "_value_form")
    _shapes = frozenset({"absent", "number", "object", "array", "other"})

    @overload
    def __init__(self: Scalar[Any], namespace: Namespace, name: str) -> None: ...
    @overload
    def __init__(self, namespace: Namespace, name: str, value_type: type[V]) -> None: ...
    @overload
    def __init__(self: Scalar[Any], namespace: Namespace, name: str, value_type: Any) -> None: ...
    def __init__(self, namespace: Namespace, name: str, value_type: Any = Any) -> None:
        self._value_form: Form[V] = Form(value_type)
        super().__init__(namespace, name)
        self._get = namespace.reader(ops.ScalarGet, name)

    def set(self, value: V) -> None:
        """Store `value`.

        Raises:
            InvalidValueError: JSON cannot hold it, or it does not fit the declared type.
        """
        self._write(ops.ScalarSet(self.name, self._value_form.dump(value, self.name)))

    @overload
    def get(self) -> V | None: ...
    @overload
    def get(self, default: D) -> V | D: ...
    def get(self, default: Any = None) -> Any:
        """The value, or `default` if none is stored.

        Raises:
            InvalidValueError: what is stored does not fit the declared type.
        """
        stored = self._get()
        return default if stored is MISSING else self._value_form.load(stored, self.name)

    def delete(self) -> None:
        """Remove the value."""
        self._write(ops.ScalarDelete(self.name))

    def exists(self) -> bool:
        """Whether a value is stored; None is one."""
        return self._shape() != "absent"


@final
class Int(Structure):
    """One int64; absent, it is 0. Results wrap to int64, divisions truncate toward zero.

    Args:
        namespace: where it lives.
        name: its name there.
    """

    __slots__ = ("_get",)
    _shapes = frozenset({"absent", "number"})

    def __init__(self, namespace: Namespace, name: str) -> None:
        super().__init__(namespace, name)
        self._get = namespace.reader(ops.IntGet, name)

    def set(self, value: int) -> None:
        """Store `value`.

        Raises:
            InvalidValueError: it is no int within int64.
        """
        self._write(ops.IntSet(self.name, value))

    def add(self, delta: int = 1) -> None:
        """Add `delta`."""
        self._write(ops.IntAdd(self.name, delta))

    def mul(self, factor: int) -> None:
        """Multiply by `factor`."""
        self._write(ops.IntMul(self.name, factor))

    def div(self, divisor: int) -> None:
        """Divide by `divisor`; zero does nothing."""
        self._write(ops.IntDiv(self.name, divisor))

    def get(self) -> int:
        """The value; 0 if none is stored."""
        value = self._get()
        if value == 0:
            self._check_shape()
        return value

    def __int__(self) -> int:
        return self.get()
