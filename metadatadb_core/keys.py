"""JSON values as the store holds them, and the canonical text of a map key or set member.

A canonical key is the key's JSON text as Go's ``encoding/json`` writes it (the stored format shared with
the Go original): ``"a"`` is ``'"a"'``, ``42`` is ``'42'``; ``<``, ``>``, ``&``, U+2028 and U+2029 are
escaped, floats are in Go's shortest form, objects have sorted keys and no spaces.

In memory a key that is a `str` is held as it is, and every other one as a `CanonicalKey`, so that ``1``,
``"1"`` and ``True`` stay three keys while ``1`` and ``1.0`` are one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, TypeAlias, final

import msgspec

from metadatadb_core.errors import InvalidValueError

__all__ = [
    "ATOMS",
    "INT64_MAX",
    "INT64_MIN",
    "MAX_DEPTH",
    "CanonicalKey",
    "Json",
    "MemberKey",
    "canonical_key",
    "check_go_int",
    "check_int",
    "check_json",
    "check_text",
    "float_text",
    "from_member_key",
    "member_key",
    "member_text",
    "sort_keys",
    "stored_float",
    "to_json",
]

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

MAX_DEPTH = 64
"""How many arrays and objects may be nested in a value or key."""

Json: TypeAlias = Any
"""A value JSON can hold: None, bool, int, finite float, str, list, or dict with str keys."""


@final
class CanonicalKey(msgspec.Struct, frozen=True, gc=False):
    """A key that is not a `str`, by its canonical text; hashable whatever the key is.

    Ops take one wherever they take a key, and `Backend.query` returns one where Python's dict could not hold the
    key beside others: arrays and objects are not hashable, and ``True == 1``.
    """

    text: str

    @property
    def value(self) -> Json:
        """The key itself, which is a number, a bool, None, a list or a dict."""
        return _decode(self.text)


def _decode(text: str) -> Json:
    # msgspec reads the text of -0.0 as the int 0, which is another key, and that of 1e20 as an int.
    if not text.startswith('"') and ("-0" in text or len(text) >= len(str(INT64_MAX))):
        return json.loads(text, parse_int=_decode_number)
    return msgspec.json.decode(text)


def _decode_number(token: str) -> Json:
    number = int(token)
    if token != "-0" and INT64_MIN <= number <= INT64_MAX:
        return number
    exact = stored_float(token)
    return number if exact is None else exact


MemberKey: TypeAlias = str | CanonicalKey
"""A key as a namespace's state holds it."""


def check_text(text: object, what: str) -> None:
    """Refuse `text` unless it is a `str` that UTF-8 can hold.

    Raises:
        InvalidValueError: it is not a `str`, or holds a lone surrogate.
    """
    if not isinstance(text, str):
        raise InvalidValueError(f"{what} must be a str, not {type(text).__name__}", text)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidValueError(
                f"{what} holds a lone surrogate at index {error.start}, which UTF-8 cannot hold", text
            ) from None


def check_int(number: object, what: str) -> None:
    """Refuse `number` unless it is an `int` (and no `bool`) within int64.

    Raises:
        InvalidValueError: it is another type, or out of range.
    """
    if type(number) is not int:
        raise InvalidValueError(f"{what} must be an int, not {type(number).__name__}", number)
    if not INT64_MIN <= number <= INT64_MAX:
        got = number if number.bit_length() < 256 else f"one of {number.bit_length()} bits"
        raise InvalidValueError(f"{what} must fit in int64 ({INT64_MIN} to {INT64_MAX}), got {got}", number)


def check_go_int(number: int, what: str) -> None:
    """Refuse `number`, which is outside int64, unless it is exactly what Go writes for a float64."""
    if abs(number) >= 10**21 or stored_float(str(number)) is None:
        check_int(number, what)


def check_json(
    value: Json, what: str, check_large: Callable[[int, str], None] = check_int, depth: int = MAX_DEPTH
) -> None:
    """Refuse `value` unless JSON holds it exactly: see `Json`.

    Raises:
        InvalidValueError: another type, an int out of int64 (which `check_large` judges), NaN or infinity, a lone
            surrogate, an object key that is not a `str`, or nesting deeper than `MAX_DEPTH`.
    """
    kind = type(value)
    if kind is str:
        if not value.isascii():
            check_text(value, what)
    elif kind is int:
        if not INT64_MIN <= value <= INT64_MAX:
            check_large(value, what)
    elif kind is bool or value is None:
        pass
    elif kind is float:
        if not math.isfinite(value):
            raise InvalidValueError(f"{what} holds {value}, which JSON cannot hold", value)
    elif kind is list or kind is dict:
        if depth == 0:
            raise InvalidValueError(f"{what} is nested deeper than {MAX_DEPTH} levels")
        if kind is dict:
            for key in value:
                check_text(key, f"an object key in {what}")
            value = value.values()
        for item in value:
            check_json(item, what, check_large, depth - 1)
    else:
        raise InvalidValueError(
            f"{what} holds a {kind.__qualname__}, which is no JSON: use str, int, float, bool, None, list or dict",
            value,
        )


def float_text(number: float) -> str:
    """A finite float as Go's ``encoding/json`` writes it: shortest form, exponents below 1e-6 and from 1e21."""
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else "0"
    # repr gives the same shortest digits as Go's strconv; only their layout differs.
    digits = Decimal(repr(number))
    if 1e-6 <= abs(number) < 1e21:
        text = format(digits, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    sign, figures, exponent = digits.normalize().as_tuple()
    assert isinstance(exponent, int)
    mantissa = str(figures[0]) + ("." + "".join(map(str, figures[1:])) if len(figures) > 1 else "")
    power = exponent + len(figures) - 1
    return f"{'-' if sign else ''}{mantissa}e{'-' if power < 0 else '+'}{abs(power)}"


def stored_float(token: str) -> float | None:
    """The float64 that an integer token outside int64 stands for, or None where it stands for none.

    Go writes floats below 1e21 without an exponent (``100000000000000000000``). Such a token is a float
    when it is exactly what Go would write for one; otherwise it is an integer that int64 cannot hold.
    """
    if len(token) > len("-") + 21:
        return None
    number = float(token)
    return number if float_text(number) == token else None


_GO_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def _string_text(text: str) -> str:
    return msgspec.json.encode(text).decode().translate(_GO_ESCAPES)


def _text(value: Json) -> str:
    kind = type(value)
    if kind is str:
        return _string_text(value)
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return "null"
    if kind is int:
        return str(value)
    if kind is float:
        return float_text(value)
    if kind is list:
        return "[" + ",".join(map(_text, value)) + "]"
    rows = (f"{_string_text(name)}:{_text(value[name])}" for name in sorted(value))
    return "{" + ",".join(rows) + "}"


def canonical_key(value: object) -> str:
    """The canonical text of a map key or set member, by which it is stored.

    Args:
        value: anything msgspec converts to JSON; a `CanonicalKey` stands for itself.

    Raises:
        InvalidValueError: JSON cannot hold the value.
    """
    if type(value) is CanonicalKey:
        return value.text
    return _text(to_json(value, "a key", check_go_int))


def to_json(value: object, what: str, check_large: Callable[[int, str], None] = check_int) -> Json:
    """`value` as a JSON value of its own, sharing nothing that can change with what was passed.

    Raises:
        InvalidValueError: JSON cannot hold the value.
    """
    kind = type(value)
    if kind not in ATOMS:
        try:
            value = _plain(msgspec.to_builtins(value), MAX_DEPTH)
        except (TypeError, ValueError, RecursionError) as error:
            if isinstance(error, InvalidValueError):
                raise
            reason = f"nested deeper than {MAX_DEPTH} levels" if isinstance(error, RecursionError) else str(error)
            raise InvalidValueError(f"{what} cannot be held as JSON: {reason}", value) from error
    check_json(value, what, check_large)
    return value


def _plain(value: Any, depth: int) -> Json:
    """What msgspec makes of a value, with lists for tuples, and names for the keys of dicts."""
    kind = type(value)
    if depth < 0:
        return value  # deeper than allowed: `check_json` will say so
    if kind is tuple or kind is list:
        return [_plain(item, depth - 1) for item in value]
    if kind is dict:
        named = {_name_of(key): _plain(item, depth - 1) for key, item in value.items()}
        if len(named) < len(value):
            raise InvalidValueError("two keys of a dict become the same name in JSON", value)
        return named
    return value


def _name_of(key: Any) -> str:
    if type(key) is str:
        return key
    (name,) = msgspec.to_builtins({key: None}, str_keys=True)
    return str(name)


ATOMS = frozenset({str, int, float, bool, type(None)})
"""The types of JSON values that cannot change, and so need no copy."""


def member_key(value: object) -> MemberKey:
    """The form in which a state holds the key `value`: a `str` as it is, all else by its canonical text.

    Raises:
        InvalidValueError: JSON cannot hold the value.
    """
    if type(value) is str:
        return value
    text = canonical_key(value)
    if text[0] == '"':  # a str subclass, an enum, a UUID: JSON knows it as a string
        return str(msgspec.json.decode(text))
    return CanonicalKey(text)


def member_text(key: MemberKey) -> str:
    """The canonical text of a key as a state holds it."""
    return _string_text(key) if type(key) is str else key.text  # type: ignore[union-attr]


def from_member_key(text: str) -> MemberKey | None:
    """The key whose canonical text is `text`, or None: a text that is not canonical is nobody's key."""
    try:
        key = member_key(_decode(text))
    except (ValueError, RecursionError):
        return None
    return key if member_text(key) == text else None


def sort_keys(keys: Iterable[Json]) -> list[Json]:
    """Keys in order: strings by code point, numbers by value, mixed ones by their canonical text."""
    rows = list(keys)
    kinds = set(map(type, rows))
    if kinds <= {str} or kinds <= {int, float}:
        return sorted(rows)
    return sorted(rows, key=canonical_key)
