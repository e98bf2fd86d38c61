"""An object store in one table of a SQLite file, for the processes of one machine."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, final

import msgspec

from metadatadb_core.replication.object_store import (
    MAX_OBJECT_BYTES,
    Absent,
    ObjectInfo,
    StoredObject,
    Version,
    check_size,
)
from metadatadb_core.replication.outcomes import NotModified
from metadatadb_sqlite.channel import Channel
from metadatadb_sqlite.config import Synchronous

__all__ = ["SQLiteObjectStore"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_NO_METADATA: Final[Mapping[str, str]] = {}

# The body is not even read from the disk where the caller has it, or where it is too large to be read.
_GET: Final = """
SELECT version, modified, metadata, length(body), CASE WHEN version = ? OR length(body) > ? THEN NULL ELSE body END
FROM objects WHERE key = ?
"""
_INSERT: Final = """
INSERT OR IGNORE INTO objects (version, modified, content_type, metadata, body, key) VALUES (?, ?, ?, ?, ?, ?)
"""
_UPDATE: Final = """
UPDATE objects SET version = ?, modified = ?, content_type = ?, metadata = ?, body = ? WHERE key = ? AND version = ?
"""
_DELETE: Final = "DELETE FROM objects WHERE key = ? AND version = ?"
_LIST: Final = "SELECT key, version, length(body), modified FROM objects WHERE key >= ? ORDER BY key"


@final
class SQLiteObjectStore:
    """See `ObjectStore`. Its clock is this machine's, which all who share the file share as well.

    Nothing is opened before the first request.

    Args:
        path: the database file; it is made if need be, its directory is not.
        synchronous: "full": a put survives a power failure. "normal": it survives the end of any process.
            "off": a power failure may damage the file.
        busy_timeout: seconds a request waits for other threads, and again for other processes, before it is
            Unavailable.
    """

    def __init__(self, path: Path, *, synchronous: Synchronous = "full", busy_timeout: float = 5.0) -> None:
        absolute = path.absolute()
        self._reads = Channel(absolute, synchronous=synchronous, busy_timeout=busy_timeout)
        self._writes = Channel(absolute, synchronous=synchronous, busy_timeout=busy_timeout)

    def check(self) -> None:
        """Make the file if need be, and see whether it can be written and read.

        Raises:
            Unavailable, Denied, Rejected: it cannot.
        """
        self._writes.write(lambda connection: connection.execute(_DELETE, ("", "")).rowcount == 0)
        self._reads.read(lambda connection: connection.execute(_GET, ("", 0, "")).fetchall())

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        """See `ObjectStore.get`."""
        wanted = (unless, MAX_OBJECT_BYTES, key)
        rows = self._reads.read(lambda connection: connection.execute(_GET, wanted).fetchall())
        if not rows:
            return None
        ((version, modified, metadata, size, body),) = rows
        if version == unless:
            raise NotModified("the object has not changed")
        check_size(key, size)
        return StoredObject(
            body,
            Version(version),
            msgspec.json.decode(metadata, type=dict[str, str]),
            _EPOCH + modified * _MICROSECOND,
            datetime.now(UTC),
        )

    def put(
        self,
        key: str,
        body: bytes,
        *,
        expect: Version | Absent,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] = _NO_METADATA,
    ) -> Version:
        """See `ObjectStore.put`."""
        # Random: a counter would begin again when the file is removed, or go back when it is restored.
        version = Version(secrets.token_hex(16))
        encoded = msgspec.json.encode(dict(metadata)).decode()
        modified = (datetime.now(UTC) - _EPOCH) // _MICROSECOND
        row = (version, modified, content_type, encoded, body, key)

        def change(connection: sqlite3.Connection) -> bool:
            if isinstance(expect, Absent):
                return connection.execute(_INSERT, row).rowcount == 1
            return connection.execute(_UPDATE, (*row, expect)).rowcount == 1

        self._writes.write(change)
        return version

    def delete(self, key: str, *, expect: Version) -> None:
        """See `ObjectStore.delete`."""
        self._writes.write(lambda connection: connection.execute(_DELETE, (key, expect)).rowcount == 1)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`; what it yields was there at one moment."""

        def query(connection: sqlite3.Connection) -> tuple[ObjectInfo, ...]:
            with closing(connection.execute(_LIST, (prefix,))) as rows:
                return tuple(_until_outside(prefix, rows))

        return iter(self._reads.read(query))

    def close(self) -> None:
        """See `ObjectStore.close`."""
        self._reads.close()
        self._writes.close()


def _until_outside(prefix: str, rows: sqlite3.Cursor) -> Iterator[ObjectInfo]:
    for key, version, size, modified in rows:
        if not key.startswith(prefix):
            return
        yield ObjectInfo(key, Version(version), size, _EPOCH + modified * _MICROSECOND)
