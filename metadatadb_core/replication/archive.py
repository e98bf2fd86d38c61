"""Namespaces in one file of JSON lines, with checksums: what ``metadatadb export`` writes.

A header, a line for each namespace, and an end that counts them::

    {"kind":"header","format":1,"store":"s3://builds","prefix":"","exported":"2026-01-31T12:00:00Z"}
    {"kind":"namespace","namespace":"git","sha256":"…","state":{"clones":{"\\"repo-a\\"":3}}}
    {"kind":"end","namespaces":1,"sha256":"…"}

The checksum of a namespace is over its name, a newline and the bytes of its state as they stand in the line; that of
the end is over all bytes before its line. A file that was cut off has no end, and one that was changed fails a
checksum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Final, TypeAlias, final

import msgspec

from metadatadb_core.backend import check_namespace
from metadatadb_core.errors import CorruptStateError, InvalidNamespaceError
from metadatadb_core.replication.content import Content

__all__ = ["FORMAT", "ArchiveError", "ArchiveWriter", "Archived", "Header", "read_archive"]

FORMAT: Final = 1
"""The newest form of the file that this version writes and reads."""


class ArchiveError(ValueError):
    """A file cannot be imported: it is none of ours, was cut off, or was changed.

    Attributes:
        line: where, counted from 1.
        reason: what is wrong.
    """

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        self.reason = reason
        super().__init__(f"line {line}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.line, self.reason)


class Header(msgspec.Struct, frozen=True, tag_field="kind", tag="header"):
    """The first line.

    Attributes:
        format: the form of the file.
        store: where the namespaces come from, without credentials.
        prefix: what their keys began with there.
        exported: when.
    """

    format: int
    store: str
    prefix: str
    exported: datetime


class _Namespace(msgspec.Struct, frozen=True, tag_field="kind", tag="namespace"):
    namespace: str
    sha256: str
    state: msgspec.Raw


class _End(msgspec.Struct, frozen=True, tag_field="kind", tag="end"):
    namespaces: int
    sha256: str


_Line: TypeAlias = Header | _Namespace | _End

_LINE: Final = msgspec.json.Decoder(_Line)


@dataclass(frozen=True, slots=True)
class Archived:
    """A namespace in a file.

    Attributes:
        namespace: its name.
        sha256: its checksum.
        content: what it holds.
    """

    namespace: str
    sha256: str
    content: Content


@final
class ArchiveWriter:
    """Writes a file; the header at once.

    Args:
        stream: where to.
        header: its first line.
    """

    def __init__(self, stream: IO[bytes], header: Header) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._count = 0
        self._write(header)

    def add(self, namespace: str, content: Content) -> None:
        """Write what `namespace` holds."""
        self._count += 1
        self._write(_Namespace(namespace, _checksum(namespace, content.body), msgspec.Raw(content.body)))

    def finish(self) -> None:
        """Write the end, without which nobody takes the file for whole."""
        self._write(_End(self._count, self._digest.hexdigest()))

    def _write(self, line: _Line) -> None:
        text = msgspec.json.encode(line) + b"\n"
        self._digest.update(text)
        self._stream.write(text)


def read_archive(stream: IO[bytes]) -> Iterator[Archived]:
    """The namespaces in `stream`, one at a time; whoever has had the last knows that the file is whole.

    Raises:
        ArchiveError: it is not whole, or not as it was written.
    """
    digest = hashlib.sha256()
    seen: set[str] = set()
    end: _End | None = None
    number = 0
    for number, text in enumerate(stream, 1):
        if end is not None:
            raise ArchiveError(number, "something follows the end")
        line = _decode(number, text)
        if (number == 1) != isinstance(line, Header):
            raise ArchiveError(number, "not the beginning of a file that metadatadb export has written")
        match line:
            case Header():
                _check_format(line)
            case _Namespace():
                archived = _check_namespace(number, line)
                if archived.namespace in seen:
                    raise ArchiveError(number, f"the namespace {archived.namespace!r} comes twice")
                seen.add(archived.namespace)
                yield archived
            case _End():
                end = _check_end(number, line, len(seen), digest.hexdigest())
        digest.update(text)
    if end is None:
        raise ArchiveError(number + 1, "the file was cut off, its end is missing; export it again, or copy it anew")


def _decode(number: int, text: bytes) -> _Line:
    if not text.endswith(b"\n"):
        raise ArchiveError(number, "the file was cut off within this line; export it again, or copy it anew")
    try:
        line: _Line = _LINE.decode(text)
    except (ValueError, RecursionError) as error:
        what = "not a file that metadatadb export has written" if number == 1 else "the file was changed"
        raise ArchiveError(number, f"{what}: {error}") from error
    return line


def _check_format(header: Header) -> None:
    if header.format != FORMAT:
        raise ArchiveError(
            1, f"the file has format {header.format}, this version reads {FORMAT}; upgrade metadatadb-core here"
        )


def _check_namespace(number: int, line: _Namespace) -> Archived:
    state = bytes(line.state)
    if line.sha256 != _checksum(line.namespace, state):
        raise ArchiveError(number, f"the namespace {line.namespace!r} was changed: its checksum does not fit")
    try:
        check_namespace(line.namespace)
        return Archived(line.namespace, line.sha256, Content.of_text(state))
    except (InvalidNamespaceError, CorruptStateError) as error:
        reason = error.reason if isinstance(error, CorruptStateError) else str(error)
        raise ArchiveError(number, f"the namespace {line.namespace!r} cannot be stored: {reason}") from error


def _check_end(number: int, end: _End, namespaces: int, digest: str) -> _End:
    if end.namespaces != namespaces:
        raise ArchiveError(number, f"{end.namespaces} namespaces were written to the file, and {namespaces} are in it")
    if end.sha256 != digest:
        raise ArchiveError(number, "the file was changed: the checksum of the whole does not fit")
    return end


def _checksum(namespace: str, state: bytes) -> str:
    return hashlib.sha256(namespace.encode() + b"\n" + state).hexdigest()
