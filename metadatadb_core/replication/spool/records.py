"""The form of a spool file: a line for each record, which begins with a checksum of the rest.

::

    5e1c9a07 spool {"format":1,"store":"s3://bucket","prefix":"","namespace":"jobs","process":4711,"created":"..."}
    0f3b2d11 ops [{"op":"IntAdd","Key":"runs","Delta":1}]
    9a62c4e8 seal {"writer":"4f1d...","sequence":7}
    77d0e1b2 attempt 41

The first line says whose file it is. Then come ops, a line for each `apply`; once they were sealed, the batch's id;
and before each time that it was sent first on a new state, that state's commit counter.

A line is whole or it is not there: one that the checksum does not fit ends the file (a write that a death cut
short), unless more follow, in which case the disk has lost it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, BinaryIO, Final

import msgspec

from metadatadb_core.errors import InvalidValueError, UnsupportedFormatError
from metadatadb_core.ops import Op, decode_ops, encode_ops
from metadatadb_core.replication.record import BatchId

__all__ = ["MAX_RECORD_BYTES", "Contents", "Header", "Target", "attempt", "opening", "operations", "read", "seal"]

FORMAT: Final = 1
"""The form that this version writes, and the only one it reads."""

MAX_RECORD_BYTES: Final = 64 * 2**20
"""The longest line that is written or read; all ops of one `apply` are one."""


class Target(msgspec.Struct, frozen=True):
    """Where the ops in a file belong.

    Attributes:
        store: the store, as the backend names it.
        prefix: the backend's prefix there.
        namespace: the namespace.
    """

    store: str
    prefix: str
    namespace: str


class Header(msgspec.Struct, frozen=True):
    """The first record.

    Attributes:
        format: the form of the file.
        store, prefix, namespace: see `Target`.
        process: the id of the process that made the file.
        created: when, RFC 3339 in UTC; for people.
    """

    format: int
    store: str
    prefix: str
    namespace: str
    process: int
    created: str

    @property
    def target(self) -> Target:
        """Where the ops belong."""
        return Target(self.store, self.prefix, self.namespace)


# Whatever says otherwise was not written by us, and could not go into the engine's record.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Seal(msgspec.Struct, frozen=True):
    writer: str
    sequence: _Count


@dataclass
class Contents:
    """What a file holds.

    Attributes:
        header: the first record.
        ops: what was appended, in order.
        batch: the id under which that was sealed, if it was.
        base: the commit counter of the state that the batch was last first sent on; None if it was never sent.
        lost: how many records are unreadable although others follow them.
        size: where the last whole record ends, in bytes; what a death cut short begins there.
    """

    header: Header
    ops: list[Op] = field(default_factory=list)
    batch: BatchId | None = None
    base: int | None = None
    lost: int = 0
    size: int = 0


# -- writing -------------------------------------------------------------------------------------------------


def opening(target: Target, process: int, created: str) -> bytes:
    """The first record of a file."""
    header = Header(FORMAT, target.store, target.prefix, target.namespace, process, created)
    return _line(b"spool", msgspec.json.encode(header))


def operations(ops: Sequence[Op]) -> bytes:
    """The record of ops that are applied together.

    Raises:
        InvalidValueError: they are too many for one record.
    """
    line = _line(b"ops", encode_ops(ops))
    if len(line) > MAX_RECORD_BYTES:
        raise InvalidValueError(
            f"ops that are applied together may take {MAX_RECORD_BYTES} bytes in a spool, not {len(line)}; "
            f"apply fewer at a time"
        )
    return line


def seal(batch: BatchId) -> bytes:
    """The record of a seal."""
    return _line(b"seal", msgspec.json.encode(_Seal(batch.writer, batch.sequence)))


def attempt(base: int) -> bytes:
    """The record of a batch's being sent."""
    return _line(b"attempt", b"%d" % base)


def _line(kind: bytes, payload: bytes) -> bytes:
    text = kind + b" " + payload
    return b"%08x %s\n" % (zlib.crc32(text), text)


# -- reading -------------------------------------------------------------------------------------------------


def read(file: BinaryIO) -> Contents | None:
    """All that can be read of a file; None if it does not begin as a spool file does.

    Raises:
        UnsupportedFormatError: a newer version wrote it.
    """
    lines = _lines(file)
    first, end = next(lines, (None, 0))
    header = _header(first)
    if header is None:
        return None
    contents = Contents(header, size=end)
    unreadable = 0
    for line, end in lines:
        if line is not None:
            contents.size = end
        if line is None or not _take(contents, *line):
            unreadable += 1
        else:
            contents.lost, unreadable = contents.lost + unreadable, 0
    return contents


def _lines(file: BinaryIO) -> Iterator[tuple[tuple[bytes, bytes] | None, int]]:
    """Kind and payload of each record, None for one that the checksum does not fit; and where it ends."""
    end = 0
    while line := file.readline(MAX_RECORD_BYTES):
        end += len(line)
        checksum, _, text = line.removesuffix(b"\n").partition(b" ")
        if line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(text):
            kind, _, payload = text.partition(b" ")
            yield (kind, payload), end
        else:
            yield None, end


def _header(line: tuple[bytes, bytes] | None) -> Header | None:
    if line is None or line[0] != b"spool":
        return None
    try:
        header = msgspec.json.decode(line[1], type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        header = None
    # A newer form may have other fields; of any form, this one is there.
    form = header.format if header is not None else _format(line[1])
    if form is not None and form != FORMAT:
        raise UnsupportedFormatError(
            f"a spool file of form {form} was written by a newer version of metadatadb (this one knows {FORMAT}); "
            f"upgrade metadatadb-core here, or replay the file with that version",
            found=form,
            supported=FORMAT,
        )
    return header


class _AnyForm(msgspec.Struct):
    format: int


def _format(payload: bytes) -> int | None:
    try:
        return msgspec.json.decode(payload, type=_AnyForm).format
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _take(contents: Contents, kind: bytes, payload: bytes) -> bool:
    """Add a record to what was read; whether it is one."""
    try:
        if kind == b"ops":
            contents.ops += decode_ops(payload)
        elif kind == b"seal":
            sealed = msgspec.json.decode(payload, type=_Seal)
            contents.batch = BatchId(sealed.writer, sealed.sequence)
        elif kind == b"attempt":
            contents.base = msgspec.json.decode(payload, type=_Count)
        else:
            return False
    except (InvalidValueError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
