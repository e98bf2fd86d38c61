"""The JSON form of write ops: spool, command line, tests."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from metadatadb_core.errors import InvalidValueError
from metadatadb_core.keys import INT64_MAX, INT64_MIN, CanonicalKey, Json, stored_float
from metadatadb_core.ops.admission import admit
from metadatadb_core.ops.model import WRITE_OPS, Op


class _Object(dict[str, Any]):
    """A decoded JSON object that remembers whether a name stood in it twice."""

    repeated: str | None = None


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    decoded = _Object(pairs)
    if len(decoded) < len(pairs):
        times = Counter(name for name, _ in pairs)
        decoded.repeated = next(name for name in times if times[name] > 1)
    return decoded


_MINUS_ZERO = object()
"""What the token ``-0`` is read as: the int 0 where an int stands, and elsewhere the float that Go writes so."""


def _integer(token: str) -> object:
    if token == "-0":
        return _MINUS_ZERO
    # Python refuses to read ints of thousands of digits; none of more than these can be meant.
    number = int(token) if len(token) <= len("-") + 21 else INT64_MAX + 1
    if not INT64_MIN <= number <= INT64_MAX and stored_float(token) is None:
        raise InvalidValueError(f"an int must fit in int64 ({INT64_MIN} to {INT64_MAX}), got {token[:40]}")
    return number


def _number(token: str) -> float:
    number = float(token)
    if not math.isfinite(number):
        raise InvalidValueError(f"a number is out of range: {token[:40]}")
    return number


def _constant(token: str) -> float:
    raise InvalidValueError(f"{token} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
)

_BY_NAME: Final[dict[str, type[Op]]] = {kind.__name__: kind for kind in WRITE_OPS}
_JSON_FIELDS: Final = {
    kind: dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)) for kind in WRITE_OPS
}
_INT_FIELDS: Final = {
    (kind, field.encode_name) for kind in WRITE_OPS for field in msgspec.structs.fields(kind) if field.type is int
}


def _plain(value: Any) -> Json:
    if type(value) is _Object:
        return {name: _plain(item) for name, item in value.items()}
    if type(value) is list:
        return [_plain(item) for item in value]
    return -0.0 if value is _MINUS_ZERO else value


def _content(kind: type[Op], row: _Object, field: str) -> Json:
    if row[field] is _MINUS_ZERO and (kind, field) in _INT_FIELDS:
        return 0
    return _plain(row[field])


def _decode_op(row: object) -> Op:
    if type(row) is not _Object:
        raise InvalidValueError("an op must be a JSON object", row)
    if row.repeated is not None:
        raise InvalidValueError(f"field {row.repeated!r} stands twice", row)
    name = row.get("op")
    kind = _BY_NAME.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidValueError(f"unknown op {name!r}; known: {', '.join(_BY_NAME)}", name)
    fields = _JSON_FIELDS[kind]
    unknown = [field for field in row if field != "op" and field not in fields]
    missing = [field for field in fields if field not in row]
    if unknown or missing:
        wrong = [f"has no field {field!r}" for field in missing]
        wrong += [f"does not know field {field!r}" for field in unknown]
        raise InvalidValueError(f"{name} {' and '.join(wrong)}; its fields: {', '.join(fields)}", row)
    try:
        return admit(kind(**{attribute: _content(kind, row, field) for field, attribute in fields.items()}))
    except RecursionError:
        raise InvalidValueError(f"{name}: nested too deeply") from None
    except InvalidValueError as error:
        raise InvalidValueError(f"{name}: {error.reason}", error.value) from None


def decode_ops(text: str | bytes) -> list[Op]:
    """Read a JSON list of write ops.

    Raises:
        InvalidValueError: it is not a JSON list; an op or field is unknown, repeated or missing; a field has
            the wrong type; an int is out of int64. The message says which op, counted from 0.
    """
    try:
        rows = _DECODER.decode(text.decode() if isinstance(text, bytes) else text)
    except InvalidValueError:
        raise
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidValueError(f"not a JSON list of ops: {reason}") from error
    if type(rows) is not list:
        raise InvalidValueError("not a JSON list of ops, but another JSON value", rows)
    ops = []
    for index, row in enumerate(rows):
        try:
            ops.append(_decode_op(row))
        except InvalidValueError as error:
            raise InvalidValueError(f"op {index}: {error.reason}", error.value) from None
    return ops


def _raw_key(op: Op) -> Op:
    # A canonical text is JSON already, and goes out as it is.
    for field in ("map_key", "member"):
        key = getattr(op, field, None)
        if type(key) is CanonicalKey:
            return msgspec.structs.replace(op, **{field: msgspec.Raw(key.text.encode())})
    return op


def encode_ops(ops: Iterable[Op]) -> bytes:
    """Write ops as a JSON list that `decode_ops` reads back as they are.

    Raises:
        InvalidValueError: an op holds what cannot be stored.
    """
    return msgspec.json.encode([_raw_key(admit(op)) for op in ops])
