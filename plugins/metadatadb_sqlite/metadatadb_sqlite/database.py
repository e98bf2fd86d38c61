"""The database file: how it is made, opened and recognised."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

from metadatadb_core.replication.outcomes import Rejected, Unavailable
from metadatadb_sqlite.failures import failed_file, failed_statement, is_busy

__all__ = ["CREATING", "FileId", "file_id", "open_database"]

_APPLICATION_ID: Final = 0x6D646462
"""Marks a file as ours: "mddb"."""

_SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE objects (
    key TEXT PRIMARY KEY NOT NULL,
    version TEXT NOT NULL,
    modified INTEGER NOT NULL, -- microseconds since the epoch
    content_type TEXT NOT NULL,
    metadata TEXT NOT NULL,    -- a JSON object
    body BLOB NOT NULL
)
"""

CREATING = threading.Lock()
"""Held while a file is made. Closing any descriptor of a file drops all locks that this process has on it (POSIX), so
nobody in this process may have the new file open when its maker closes it."""

_EVERY_CONNECTION: tuple[str, ...] = ()
"""More that every new connection executes; for tests."""


class FileId(NamedTuple):
    """Which file it is, whatever it is called."""

    device: int
    inode: int


def file_id(path: Path) -> FileId | None:
    """The file that is at `path` now, or None."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return FileId(status.st_dev, status.st_ino)


def open_database(path: Path, *, synchronous: str, busy_timeout: float) -> sqlite3.Connection:
    """A connection to the file, which is made if need be, readable and writable by its owner only.

    Raises:
        StoreFailure: it cannot be made or opened, or is not one of ours.
    """
    with CREATING:
        _make_file(path)
    # check_same_thread: a `Channel` lets one thread at a time use it.
    # isolation_level: transactions begin where we say so, on every version of Python.
    try:
        connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise failed_statement(error, path) from error
    try:
        _prepare(connection, path, synchronous, time.monotonic() + busy_timeout)
    except sqlite3.Error as error:
        connection.close()
        raise failed_statement(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _make_file(path: Path) -> None:
    """Make an empty file, which is an empty database; its companions -wal and -shm get its permissions."""
    try:
        if path.exists():
            return
        # Of a file that was removed while it was in use: SQLite would take them for the new file's.
        left = [companion for companion in (f"{path}-wal", f"{path}-shm") if os.path.lexists(companion)]
        if left and not path.exists():  # or else somebody has made both just now, the file first
            raise Unavailable(
                f"{path} is gone, but {' and '.join(left)} still there: put the file back; or, to begin with an empty "
                f"one, end every process that uses it and remove what is left"
            )
        # What a dangling link points to, or else the link would count as the file.
        target = os.path.realpath(path)
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600))
    except FileExistsError:
        pass  # another process was quicker
    except OSError as error:
        raise failed_file(error, path) from error


def _prepare(connection: sqlite3.Connection, path: Path, synchronous: str, deadline: float) -> None:
    made = _recognise(connection, path)
    # Before anything is written, so that what is written first is as durable as the rest.
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    # On macOS fsync alone does not reach the platter; elsewhere this does nothing.
    connection.execute(f"PRAGMA fullfsync = {int(synchronous == 'full')}")
    _use_log(connection, path, deadline)
    for statement in _EVERY_CONNECTION:
        connection.execute(statement)
    if not made:
        _make_table(connection)


def _recognise(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has our table; a file of somebody else's is refused before anything in it changes."""
    # In this order: the mark is made in one transaction with the table, perhaps just now.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if _pragma(connection, "application_id") == _APPLICATION_ID:
        if _pragma(connection, "user_version") > _SCHEMA_VERSION:
            raise Rejected(f"{path} was written by a newer release of metadatadb-sqlite; upgrade this one")
        return True
    if tables:
        raise Rejected(f"{path} is a database of another program; name another file")
    return False


def _use_log(connection: sqlite3.Connection, path: Path, deadline: float) -> None:
    """Turn the write-ahead log on, with which readers and the writer do not wait for each other."""
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            if mode != "wal":
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            # Where several processes do this at once, SQLite does not wait by itself.
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0, 0.01))
    if mode != "wal":
        raise Rejected(f"{path} cannot have a write-ahead log (it has {mode!r}): put it on a local disk")


def _make_table(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if _pragma(connection, "application_id") != _APPLICATION_ID:  # another process may have been quicker
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
