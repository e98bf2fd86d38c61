"""Values, or int64s, by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast, final, overload

from metadatadb_core import ops
from metadatadb_core.errors import InvalidValueError
from metadatadb_core.forms import Form
from metadatadb_core.keys import sort_keys
from metadatadb_core.ops import MISSING
from metadatadb_core.store import Namespace
from metadatadb_core.structures.base import Structure

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
Key = TypeVar("Key")
Value = TypeVar("Value")


@final
class IntMap(Structure, Generic[K]):
    """Int64s by key; an absent one is 0. Results wrap to int64, divisions truncate toward zero.

    Args:
        namespace: where it lives.
        name: its name there.
        key_type: any type msgspec converts to JSON; the default is `str`.
    """

    __slots__ = ("_contains", "_entries", "_get", "_key_form", "_keys", "_len")
    _shapes = frozenset({"absent", "object"})

    @overload
    def __init__(self: IntMap[str], namespace: Namespace, name: str) -> None: ...
    @overload
    def __init__(self, namespace: Namespace, name: str, key_type: type[K]) -> None: ...
    @overload
    def __init__(self: IntMap[Any], namespace: Namespace, name: str, key_type: Any) -> None: ...
    def __init__(self, namespace: Namespace, name: str, key_type: Any = str) -> None:
        self._key_form: Form[K] = Form(key_type)
        super().__init__(namespace, name)
        self._get = namespace.reader(ops.IntMapGet, name)
        self._contains = namespace.reader(ops.IntMapContains, name)
        self._keys = namespace.reader(ops.IntMapKeys, name)
        self._entries = namespace.reader(ops.IntMapEntries, name)
        self._len = namespace.reader(ops.IntMapLen, name)

    def set(self, key: K, value: int) -> None:
        """Store `value` under `key`.

        Raises:
            InvalidValueError: the key does not fit its type, or the value is no int within int64.
        """
        self._write(ops.IntMapSet(self.name, self._key_form.dump(key, self.name), value))

    def add(self, key: K, delta: int = 1) -> None:
        """Add `delta` to the entry."""
        if type(key) is not str or self._key_form.exact is not str:
            key = self._key_form.dump(key, self.name)
        self._write(ops.IntMapAdd(self.name, key, delta))

    def mul(self, key: K, factor: int) -> None:
        """Multiply the entry by `factor`."""
        self._write(ops.IntMapMul(self.name, self._key_form.dump(key, self.name), factor))

    def div(self, key: K, divisor: int) -> None:
        """Divide the entry by `divisor`; zero does nothing."""
        self._write(ops.IntMapDiv(self.name, self._key_form.dump(key, self.name), divisor))

    def delete(self, key: K) -> None:
        """Remove the entry; an absent one does nothing."""
        self._write(ops.IntMapDelete(self.name, self._key_form.dump(key, self.name)))

    def get(self, key: K) -> int:
        """The entry's value; 0 if there is none."""
        if type(key) is not str or self._key_form.exact is not str:
            key = self._key_form.dump(key, self.name)
        value = self._get(key)
        if value == 0:
            self._check_shape()
        return value

    def keys(self) -> list[K]:
        """All keys, sorted: strings by code point, numbers by value, mixed ones by their canonical text."""
        self._check_shape()
        stored = sort_keys(self._keys())
        return [self._key_form.load(key, self.name) for key in stored]

    def entries(self) -> dict[K, int]:
        """All entries."""
        self._check_shape()
        return _load_entries(self._entries(), self._key_form, None, self.name)

    def __getitem__(self, key: K) -> int:
        return self.get(key)

    def __setitem__(self, key: K, value: int) -> None:
        self.set(key, value)

    def __delitem__(self, key: K) -> None:
        self.delete(key)

    def __contains__(self, key: object) -> bool:
        try:
            dumped = self._key_form.dump(cast(K, key), self.name)
        except InvalidValueError:
            return False
        if self._contains(dumped):
            return True
        self._check_shape()
        return False

    def __len__(self) -> int:
        self._check_shape()
        return self._len()

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


@final
class Map(Structure, Generic[K, V]):
    """Values by key.

    Args:
        namespace: where it lives.
        name: its name there.
        key_type: any type msgspec converts to JSON; the default is `str`.
        value_type: likewise; the default is any JSON value.
    """

    __slots__ = ("_entries", "_get", "_key_form", "_keys", "_len", "_value_form")
    _shapes = frozenset({"absent", "object"})

    @overload
    def __init__(self: Map[str, Any], namespace: Namespace, name: str) -> None: ...
    @overload
    def __init__(self: Map[Key, Any], namespace: Namespace, name: str, key_type: type[Key]) -> None: ...
    @overload
    def __init__(self, namespace: Namespace, name: str, key_type: type[K], value_type: type[V]) -> None: ...
    @overload
    def __init__(
        self: Map[Key, Any], namespace: Namespace, name: str, key_type: type[Key], value_type: Any
    ) -> None: ...
    @overload
    def __init__(
        self: Map[Any, Value], namespace: Namespace, name: str, key_type: Any, value_type: type[Value]
    ) -> None: ...
    @overload
    def __init__(
        self: Map[Any, Any], namespace: Namespace, name: str, key_type: Any, value_type: Any = ...
    ) -> None: ...
    def __init__(self, namespace: Namespace, name: str, key_type: Any = str, value_type: Any = Any) -> None:
        self._key_form: Form[K] = Form(key_type)
        self._value_form: Form[V] = Form(value_type)
        super().__init__(namespace, name)
        self._get = namespace.reader(ops.MapGet, name)
        self._keys = namespace.reader(ops.MapKeys, name)
        self._entries = namespace.reader(ops.MapEntries, name)
        self._len = namespace.reader(ops.MapLen, name)

    def set(self, key: K, value: V) -> None:
        """Store `value` under `key`.

        Raises:
            InvalidValueError: JSON cannot hold the key or value, or one does not fit its declared type.
        """
        if type(key) is not str or self._key_form.exact is not str:
            key = self._key_form.dump(key, self.name)
        self._write(ops.MapSet(self.name, key, self._value_form.dump(value, self.name)))

    def delete(self, key: K) -> None:
        """Remove the entry; an absent one does nothing."""
        self._write(ops.MapDelete(self.name, self._key_form.dump(key, self.name)))

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: Any = None) -> Any:
        """The value under `key`, or `default` if there is none.

        Raises:
            InvalidValueError: what is stored does not fit the declared type.
        """
        if type(key) is not str or self._key_form.exact is not str:
            key = self._key_form.dump(key, self.name)
        stored = self._get(key)
        if stored is MISSING:
            self._check_shape()
            return default
        return stored if self._value_form.any else self._value_form.load(stored, self.name)

    def keys(self) -> list[K]:
        """All keys, sorted: strings by code point, numbers by value, mixed ones by their canonical text."""
        self._check_shape()
        stored = sort_keys(self._keys())
        return [self._key_form.load(key, self.name) for key in stored]

    def entries(self) -> dict[K, V]:
        """All entries."""
        self._check_shape()
        return _load_entries(self._entries(), self._key_form, self._value_form, self.name)

    def __getitem__(self, key: K) -> V:
        found = self.get(key, MISSING)
        if found is MISSING:
            raise KeyError(key)
        return found

    def __setitem__(self, key: K, value: V) -> None:
        self.set(key, value)

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self.delete(key)

    def __contains__(self, key: object) -> bool:
        try:
            dumped = self._key_form.dump(cast(K, key), self.name)
        except InvalidValueError:
            return False
        if self._get(dumped) is not MISSING:
            return True
        self._check_shape()
        return False

    def __len__(self) -> int:
        self._check_shape()
        return self._len()

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


def _load_entries(
    entries: dict[Any, Any], key_form: Form[Any], value_form: Form[Any] | None, name: str
) -> dict[Any, Any]:
    if value_form is not None and not value_form.any:
        entries = {key: value_form.load(value, name) for key, value in entries.items()}
    if key_form.exact is str:
        try:
            "".join(entries)  # the quickest way to see that all keys are strings
        except TypeError:
            pass
        else:
            return entries
    try:
        loaded = {key_form.load(key, name): value for key, value in entries.items()}
    except TypeError as error:  # the key type is not hashable
        raise InvalidValueError(
            f"keys of {key_form.type!r} cannot be keys of a dict; use keys() and get()", structure=name
        ) from error
    if len(loaded) < len(entries):  # True == 1, say
        raise InvalidValueError(
            f"two different keys are equal as {key_form.type!r}, and a dict would lose one; use keys() and get()",
            structure=name,
        )
    return loaded
