"""The stored form of a namespace: one JSON object, structure name to value.

The names inside maps and sets are canonical keys, that is JSON texts inside JSON strings. They are
translated in bulk: a key that needs no escaping, as most do, differs between memory and storage by a pair
of quotes only.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, TypeAlias, cast

import msgspec

from metadatadb_core.errors import CorruptStateError
from metadatadb_core.keys import Json, MemberKey
from metadatadb_core.members import Members
from metadatadb_core.quoting import GO_ESCAPES, quote_keys, unquote_keys

__all__ = ["MAX_STORED_DEPTH", "Names", "decode_names", "encode_names"]

Names: TypeAlias = dict[str, "Members | Json"]
"""What a namespace holds: `Members` for an object, and any other JSON value as it is."""

MAX_STORED_DEPTH: Final = 256
"""How many arrays and objects may be nested under a name: more than any op can store, and few enough that whatever
was decoded can be copied and encoded on any thread, however deep its stack is already."""

_RAW_NAMES = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder()
_LIST = msgspec.json.Decoder(list[Any])


# -- encoding ----------------------------------------------------------------------------------------------


def encode_names(names: Names) -> bytes:
    """The stored form of `names`, compact."""
    return msgspec.json.encode(
        {name: _encode_members(value) if type(value) is Members else value for name, value in names.items()}
    )


def _encode_members(members: Members) -> Any:
    items, foreign = members.items, members.foreign
    try:
        encoded = msgspec.json.encode(items)
    except TypeError:  # a CanonicalKey is among the keys
        return members.to_object()
    quoted = quote_keys(encoded, len(items)) if not foreign else None
    if quoted is not None:
        return msgspec.Raw(quoted)
    texts = _lines_of_texts(cast("list[str]", list(items))).decode()[len(_FIRST) : -len(_LAST)].split(_NEXT)
    return dict(zip(texts if items else (), items.values(), strict=True)) | foreign


# No JSON string holds a raw newline, so lines keep texts apart.
_FIRST, _NEXT, _LAST = "[\n ", ",\n ", "\n]"


def _lines_of_texts(keys: list[str]) -> bytes:
    """The canonical texts of string keys, as a JSON list with one on each line."""
    lines = msgspec.json.format(msgspec.json.encode(keys), indent=1)
    for char, escape in GO_ESCAPES:
        lines = lines.replace(char, escape)
    return lines


# -- decoding ----------------------------------------------------------------------------------------------


def decode_names(body: bytes) -> Names:
    """What the stored form `body` says.

    Raises:
        CorruptStateError: it is not a JSON object, or is nested deeper than `MAX_STORED_DEPTH`.
    """
    try:
        return {name: _decode_value(bytes(raw)) for name, raw in _RAW_NAMES.decode(body).items()}
    except (ValueError, RecursionError):
        # msgspec refuses some JSON that Go writes or reads: a lone surrogate escape, for one.
        return {
            name: Members.from_object(value) if type(value) is dict else value
            for name, value in _decode_leniently(body).items()
        }


def _decode_value(raw: bytes) -> Members | Json:
    if not raw.startswith(b"{"):
        return _shallow(_ANY.decode(raw), raw)
    unquoted = unquote_keys(raw)
    if unquoted is not None:
        plain, count, proved = unquoted
        items: dict[MemberKey, Json] = _ANY.decode(plain)
        if len(items) == count and (proved or msgspec.json.encode(items) == plain):
            return Members(items, atomic=True, strings=True)
    stored: dict[str, Json] = _shallow(_ANY.decode(raw), raw)
    keys = _string_keys(list(stored))
    if keys is not None:
        return Members(dict(zip(keys, stored.values(), strict=True)), strings=True)
    return Members.from_object(stored)


def _shallow(value: Json, raw: bytes, depth: int = MAX_STORED_DEPTH) -> Json:
    """`value`, which `raw` encodes, if it is not nested deeper than `depth`."""
    # Where there are no more brackets than that, nobody need look for them.
    layer = [value] if raw.count(b"[") + raw.count(b"{") > depth else []
    for _ in range(depth + 1):
        layer = [item for item in layer if type(item) is dict or type(item) is list]
        if not layer:
            return value
        layer = [item for holder in layer for item in (holder.values() if type(holder) is dict else holder)]
    raise CorruptStateError(f"nested deeper than {MAX_STORED_DEPTH} levels")


def _string_keys(texts: list[str]) -> list[str] | None:
    """The strings whose canonical texts `texts` are; None if one is no such text.

    Put on lines they are decoded as one list: as many values as texts means one in each, and what encodes to
    the same again is canonical.
    """
    lines = _FIRST + _NEXT.join(texts) + _LAST
    try:
        keys = _LIST.decode(lines)
    except (ValueError, RecursionError):
        return None
    if len(keys) != len(texts) or not {str}.issuperset(map(type, keys)):
        return None
    return keys if _lines_of_texts(keys) == lines.encode() else None


def _decode_leniently(body: bytes) -> dict[str, Json]:
    try:
        decoded = json.loads(body.decode(), parse_constant=_refuse, parse_float=_finite)
        decoded = _without_surrogates(_shallow(decoded, body, MAX_STORED_DEPTH + 1))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise CorruptStateError(f"not JSON: {reason}") from error
    if type(decoded) is not dict:
        raise CorruptStateError(f"JSON, but {type(decoded).__name__} instead of an object")
    return decoded


def _refuse(token: str) -> float:
    raise ValueError(f"{token} is not JSON")


def _finite(token: str) -> float:
    number = float(token)
    if not math.isfinite(number):
        raise ValueError(f"number out of range: {token[:40]}")
    return number


def _without_surrogates(value: Json) -> Json:
    """Lone surrogates become U+FFFD, as Go reads them."""
    if type(value) is str:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if type(value) is list:
        return [_without_surrogates(item) for item in value]
    if type(value) is dict:
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value
