"""What a namespace holds, as it is stored and without the engine's record: what moves from one store to another.

Numbers, and strings with their escapes, stay as they are written: an integer of any size, ``1.50`` and ``1e2`` arrive
as they left. Only whitespace between them may go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec

from metadatadb_core.codec import decode_names, encode_names
from metadatadb_core.errors import CorruptStateError
from metadatadb_core.ops import RECORD_NAME
from metadatadb_core.replication.record import Record

__all__ = ["Content"]

_NAMES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@final
@dataclass(frozen=True, slots=True)
class Content:
    """What a namespace holds.

    Attributes:
        body: one JSON object on one line, structure name to what is stored under it.
    """

    body: bytes

    @classmethod
    def of_state(cls, stored: bytes) -> Content:
        """What the state object `stored` holds besides the record.

        Raises:
            CorruptStateError: it is not a JSON object.
        """
        try:
            msgspec.json.decode(stored)
            names = _NAMES.decode(stored)
        except (ValueError, RecursionError):
            # JSON that only Go takes, a lone surrogate for one: moved as every replica reads it.
            lenient = decode_names(stored)
            lenient.pop(RECORD_NAME, None)
            return cls(encode_names(lenient))
        names.pop(RECORD_NAME, None)
        return cls(_on_one_line(msgspec.json.encode(names)))

    @classmethod
    def of_text(cls, text: bytes) -> Content:
        """The content whose body is `text`, which comes from outside.

        Raises:
            CorruptStateError: it is not a JSON object, or holds a record of the engine's.
        """
        decode_names(text)
        try:
            reserved = RECORD_NAME in msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            raise CorruptStateError(f"not JSON: {error}") from error
        if reserved:
            raise CorruptStateError(f"it holds {RECORD_NAME!r}, the record of some store's engine")
        return cls(text)

    def stored_with(self, record: Record) -> bytes:
        """The state object that holds this and `record`."""
        kept = b'"%s":%s}' % (RECORD_NAME.encode(), msgspec.json.encode(record.to_json()))
        inside = self.body.strip()[1:-1].strip()
        return b"{" + inside + b"," + kept if inside else b"{" + kept

    def same_as(self, other: Content) -> bool:
        """Whether both hold the same, in whatever order it is written."""
        if self.body == other.body:
            return True
        try:
            return bool(_as_written(self.body) == _as_written(other.body))
        except RecursionError:
            return False


def _on_one_line(body: bytes) -> bytes:
    # A string holds no raw newline, so that there is one only where somebody indented the state by hand.
    return msgspec.json.format(body, indent=-1) if b"\n" in body or b"\r" in body else body


def _as_written(body: bytes) -> Any:
    """`body` decoded, with numbers as they are written: 1 is not 1.0, nor True, and none loses a digit."""
    return json.loads(body, parse_int=_token, parse_float=_token)


def _token(text: str) -> tuple[str]:
    return (text,)
