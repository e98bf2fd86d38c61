"""One connection that threads take turns with, and that no process shares with another.

A connection for each thread would leave open what ended threads left behind. A store has two channels instead, so
that reads do not wait while a write reaches the disk; SQLite lets only one write at a time through anyhow.

SQLite forbids to carry a connection across a fork: a child that closes one may remove the log its parent is using.
So connections are closed before a fork, and opened again on both sides when they are next used. A process that was
forked behind Python's back puts an inherited connection aside and never touches it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar, final

from metadatadb_core.replication.outcomes import PreconditionFailed, Unavailable
from metadatadb_sqlite.database import CREATING, FileId, file_id, open_database
from metadatadb_sqlite.failures import failed_commit, failed_file, failed_statement, is_busy

__all__ = ["Channel"]

T = TypeVar("T")


@final
class Channel:
    """A connection to a file, opened when it is first used, and again after trouble.

    Args:
        path: the file.
        synchronous: how durable a write is.
        busy_timeout: seconds a request waits for other threads, and again for other processes.
    """

    def __init__(self, path: Path, *, synchronous: str, busy_timeout: float) -> None:
        self._path = path
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._file: FileId | None = None
        self._process = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        _living[id(self)] = self

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Answer `query`, which leaves no statement unfinished.

        Raises:
            Unavailable, Denied, Rejected: it cannot be read.
        """
        with self._connected() as connection:
            try:
                return query(connection)
            except sqlite3.Error as error:
                self._recover(error)
                raise failed_statement(error, self._path) from error

    def write(self, change: Callable[[sqlite3.Connection], bool]) -> None:
        """Make `change` in a transaction, if it says that its condition held.

        Raises:
            PreconditionFailed: it did not hold; nothing was written.
            Unavailable, Denied, Rejected: nothing was written.
            OutcomeUnknown: perhaps it was written.
        """
        with self._connected() as connection:
            try:
                # At once for writing: a transaction that read first could find that it may not write any more.
                connection.execute("BEGIN IMMEDIATE")
                holds = change(connection)
                if not holds:
                    connection.execute("ROLLBACK")
            except (sqlite3.Error, OverflowError) as error:
                self._recover(error)
                raise failed_statement(error, self._path) from error
            if not holds:
                raise PreconditionFailed("the object is not at the expected version")
            try:
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._recover(error)
                raise failed_commit(error, self._path) from error

    def close(self) -> None:
        """Close the connection; requests are refused from now on."""
        with self._lock:
            self._closed = True
            self._forsake_inherited()
            self._disconnect()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        if not self._lock.acquire(timeout=self._busy_timeout):
            raise Unavailable(f"{self._path} is busy: another thread of this process is using it")
        try:
            yield self._connect()
        finally:
            # Whatever ended the request, an interrupt say: an open transaction would keep every other writer out.
            if self._connection is not None and self._connection.in_transaction:
                self._disconnect()
            self._lock.release()

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable("this store was closed; the request was not made")
        self._forsake_inherited()
        try:
            found = file_id(self._path)
            if self._connection is not None and found == self._file:
                return self._connection
            # First use, or the file was removed or replaced: a write to the old one would be lost.
            self._disconnect()
            connection = open_database(self._path, synchronous=self._synchronous, busy_timeout=self._busy_timeout)
            self._connection, self._file = connection, file_id(self._path)
        except OSError as error:
            raise failed_file(error, self._path) from error
        return connection

    def _recover(self, error: Exception) -> None:
        """Whatever may be wrong with the connection, a new one has not; only a lock that is held is no fault of it."""
        if not (isinstance(error, sqlite3.Error) and is_busy(error)):
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _forsake_inherited(self) -> None:
        if self._process != os.getpid():
            self._process = os.getpid()
            if self._connection is not None:
                _inherited.append(self._connection)
                self._connection = None

    # -- forks ---------------------------------------------------------------------------------------------

    def before_fork(self) -> bool:
        """Wait for whoever uses the connection, close it, and let nobody open it until after the fork.

        Returns:
            Whether that was possible. It is not where the fork happens in the middle of a request (in a signal handler,
            say); the child then finds an inherited connection.
        """
        if not self._lock.acquire(timeout=2 * self._busy_timeout):
            return False
        self._forsake_inherited()
        self._disconnect()
        return True

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Go on with a lock of our own: who held the inherited one may not exist here."""
        self._lock = threading.Lock()
        self._forsake_inherited()


# Read as one list at once: other threads may open and lose channels meanwhile.
_living: Final[weakref.WeakValueDictionary[int, Channel]] = weakref.WeakValueDictionary()
_held: Final[list[Channel]] = []
_inherited: Final[list[sqlite3.Connection]] = []
"""Kept, so that they are not closed by being forgotten."""


def _channels() -> list[Channel]:
    return [channel for reference in _living.valuerefs() if (channel := reference()) is not None]


def _before_fork() -> None:
    # Channels first: who has one may be waiting to make a file, and never the other way round.
    for channel in _channels():
        if channel.before_fork():
            _held.append(channel)
    CREATING.acquire()


def _after_fork_in_parent() -> None:
    CREATING.release()
    while _held:
        _held.pop().after_fork_in_parent()


def _after_fork_in_child() -> None:
    # A server that forks in C calls this hook and not the one before.
    if CREATING.locked():
        CREATING.release()
    _held.clear()
    for channel in _channels():
        channel.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
