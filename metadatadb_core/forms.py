"""From a declared type to JSON and back: what a handle does to the values and keys that pass through it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Generic, TypeVar, cast, final

import msgspec
import msgspec.inspect

from metadatadb_core.errors import InvalidValueError
from metadatadb_core.keys import ATOMS, INT64_MAX, INT64_MIN, CanonicalKey, Json, to_json

__all__ = ["Form"]

T = TypeVar("T")

# Where any JSON value is accepted: what cannot change, and keys as `entries` gives them. No floats: nan is one.
_AS_THEY_ARE = ATOMS - {float} | {CanonicalKey}


@final
class Form(Generic[T]):
    """A type as its values are stored: anything msgspec converts to JSON.

    Attributes:
        type: the declared type form.
        exact: the class whose instances are stored and read as they are, or None.
        any: whether every JSON value is accepted and comes back as it is.
    """

    __slots__ = ("_str_keys", "any", "exact", "type")

    def __init__(self, declared: Any) -> None:
        if declared is None:
            declared = type(None)
        try:
            msgspec.json.Decoder(declared)
        except (TypeError, ValueError) as error:
            raise InvalidValueError(f"values of {declared!r} cannot be held as JSON: {error}", declared) from error
        if (foreign := _foreign_class(declared)) is not None:
            raise InvalidValueError(
                f"values of {foreign!r} cannot be held as JSON: declare a dataclass, TypedDict or msgspec.Struct, or "
                f"declare dict and store what the value says of itself (a pydantic model's model_dump(mode='json'))",
                declared,
            )
        self.type = declared
        self.any = declared is Any or declared is object
        self.exact: type | None = declared if declared in (str, int, bool) else None
        self._str_keys = _has_other_keys(declared)

    def dump(self, value: T, structure: str) -> Json:
        """The JSON value to store for `value`; it shares nothing with it that can change.

        Raises:
            InvalidValueError: JSON cannot hold it, or it would not come back as the declared type.
        """
        kind: type[Any] = type(value)
        # What the backend admits, or refuses. But not its ints out of int64: it takes one that Go writes for a float.
        if (kind is self.exact or (self.any and kind in _AS_THEY_ARE)) and (
            kind is not int or INT64_MIN <= value <= INT64_MAX  # type: ignore[operator]
        ):
            return value
        if self.exact is str and not isinstance(value, str):
            # msgspec writes bytes, dates and UUIDs as text: they would come back as another str than anyone wrote.
            hint = (
                "; decode it first" if isinstance(value, (bytes, bytearray, memoryview)) else "; make a str of it first"
            )
            raise InvalidValueError(
                f"{kind.__name__} does not fit the declared type str{hint}", value, structure=structure
            )
        try:
            stored = to_json(value, "a value")
            if not self.any:
                self._convert(stored)
        except InvalidValueError as error:
            raise InvalidValueError(error.reason, value, structure=structure) from error
        except (msgspec.ValidationError, TypeError, NotImplementedError) as error:
            raise InvalidValueError(
                f"{type(value).__name__} does not fit the declared type {self._name()}: {error}",
                value,
                structure=structure,
            ) from error
        return stored

    def load(self, stored: Json, structure: str) -> T:
        """The value for what is stored; a key may come as a `CanonicalKey`.

        Raises:
            InvalidValueError: what is stored does not fit the declared type.
        """
        if type(stored) is self.exact or self.any:
            return cast(T, stored)
        if type(stored) is CanonicalKey:
            stored = stored.value
        try:
            return cast(T, self._convert(stored))
        except (msgspec.ValidationError, TypeError, NotImplementedError) as error:
            raise InvalidValueError(
                f"what is stored does not fit the declared type {self._name()}: {error}", stored, structure=structure
            ) from error

    def _convert(self, stored: Json) -> Any:
        # JSON has only strings for keys. To say so costs twice the conversion, so it is only said where it matters.
        return (
            msgspec.convert(stored, self.type, str_keys=True) if self._str_keys else msgspec.convert(stored, self.type)
        )

    def _name(self) -> str:
        return self.type.__qualname__ if isinstance(self.type, type) else repr(self.type)


def _foreign_class(declared: Any) -> type | None:
    """The class that `declared` is, if msgspec knows no way to write its instances."""
    if declared is object or not isinstance(declared, type):
        return None
    return _foreign_class_once(declared)


@lru_cache(maxsize=1024)
def _foreign_class_once(declared: type) -> type | None:
    info = msgspec.inspect.type_info(declared)
    return info.cls if isinstance(info, msgspec.inspect.CustomType) else None


def _has_other_keys(declared: Any) -> bool:
    """Whether a dict whose keys are no strings is anywhere in the type; true where that is hard to tell."""
    try:
        return _search_once(declared)
    except TypeError:  # not hashable, as an Annotated may be
        return True


@lru_cache(maxsize=1024)
def _search_once(declared: Any) -> bool:
    return _search(msgspec.inspect.type_info(declared), set())


def _search(part: Any, seen: set[int]) -> bool:
    if isinstance(part, msgspec.inspect.DictType) and not isinstance(part.key_type, msgspec.inspect.StrType):
        return True
    if isinstance(part, (tuple, list)):
        return any(_search(item, seen) for item in part)
    if not isinstance(part, (msgspec.inspect.Type, msgspec.inspect.Field)) or id(part) in seen:
        return False
    seen.add(id(part))  # types may contain themselves
    return any(_search(getattr(part, name), seen) for name in part.__struct_fields__)
