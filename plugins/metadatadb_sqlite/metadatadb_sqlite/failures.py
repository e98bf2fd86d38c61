"""What an error of SQLite or of the file system means for the request that met it.

Before COMMIT nothing can have been applied: what is rolled back, or never ended, no reader and no recovery will ever
see. So such an error is Unavailable where trying again may help, and Denied or Rejected where somebody has to act. A
COMMIT that fails is another matter: the frame that completes the transaction may be in the log already, and whoever
recovers the log after a crash would find it. Only a COMMIT that was refused for want of a lock surely did nothing.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from metadatadb_core.replication.outcomes import Denied, OutcomeUnknown, Rejected, StoreFailure, Unavailable

__all__ = ["failed_commit", "failed_file", "failed_statement", "is_busy"]

# The module's own constants for these came with Python 3.11, all but the extended ones.
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_DENIED: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PASSING: Final = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_ABORT,
}

_NOT_ALLOWED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_SUCH_PLACE: Final = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else has the lock that was needed."""
    return _code(error) in _BUSY


def failed_statement(error: Exception, path: Path) -> StoreFailure:
    """The outcome of a request that failed before its COMMIT, or that only reads."""
    if isinstance(error, OverflowError):
        return Rejected(f"the body is larger than SQLite can store ({error})", status=413)
    code = _code(error)
    if code in _BUSY:
        return Unavailable(f"{path} is busy: another process is writing it or holds a lock on it ({error})")
    if code == sqlite3.SQLITE_FULL:
        # Nothing about the request is wrong: it will do once there is room.
        return Unavailable(f"there is no room for {path}: its disk or quota is full ({error})")
    if code in _DENIED:
        return Denied(f"{path} cannot be written: give this user write access to it and to its directory ({error})")
    if code in _DAMAGED:
        return Rejected(f"{path} is damaged, or is not a SQLite database: restore it from a backup ({error})")
    if code == sqlite3.SQLITE_CANTOPEN:
        return _cannot_open(error, path)
    if code == sqlite3.SQLITE_TOOBIG:
        return Rejected(f"the body is larger than SQLite can store ({error})", status=413)
    if code in _PASSING:
        return Unavailable(f"{path} could not be read or written ({_name(error)}: {error})")
    return Rejected(f"{path} cannot be used ({_name(error)}: {error})")


def failed_commit(error: sqlite3.Error, path: Path) -> StoreFailure:
    """The outcome of a write whose COMMIT failed."""
    if is_busy(error):
        return failed_statement(error, path)
    advice = "; its disk or quota is full, make room" if _code(error) == sqlite3.SQLITE_FULL else ""
    return OutcomeUnknown(f"{path}: a write could not be completed, perhaps it was ({_name(error)}: {error}){advice}")


def failed_file(error: OSError, path: Path) -> StoreFailure:
    """The outcome of a request for which the file could not be made or looked at."""
    reason = error.strerror or str(error)
    if error.errno in _NOT_ALLOWED:
        return Denied(f"{path} cannot be made: give this user write access to its directory ({reason})")
    if error.errno in _NO_SUCH_PLACE:
        if not path.parent.is_dir():
            return Rejected(f"{path} cannot be made: its directory does not exist; create it ({reason})")
        return Rejected(f"{path} cannot be made ({reason})")
    return Unavailable(f"{path} cannot be made ({reason})")


def _cannot_open(error: Exception, path: Path) -> StoreFailure:
    """SQLite has one code for all that keeps a file from being opened; the file system says more."""
    try:
        if path.is_dir():
            return Rejected(f"{path} is a directory; name a file in it")
        if not path.parent.is_dir():
            return Rejected(f"{path} cannot be opened: its directory does not exist; create it")
    except OSError as failure:
        return failed_file(failure, path)
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        return Denied(f"{path} cannot be opened: give this user write access to it and to its directory ({error})")
    return Unavailable(f"{path} cannot be opened, perhaps for want of file descriptors ({error})")


def _code(error: BaseException) -> int:
    # Errors of the module's own have none ("Cannot operate on a closed database").
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _name(error: BaseException) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__)
