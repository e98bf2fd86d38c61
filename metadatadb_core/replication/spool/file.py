"""One spool file, held open and locked by the one process it belongs to."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, final

from metadatadb_core.errors import SpoolError

try:
    import fcntl
except ImportError:  # Windows, where an open file can be neither renamed nor removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["LOCKS_WORK", "SpoolFile", "claim", "is_held", "sync_directory"]

LOCKS_WORK: Final = fcntl is not None
"""Whether this platform has the locks by which the living are told from the dead."""

_MODE: Final = 0o600
_OPEN: Final = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_REWRITE_BYTES: Final = 2**20


@final
class SpoolFile:
    """A file that this process has locked.

    Appending and closing are for one thread at a time; `sync` is for any.

    Args:
        path: where it is.
        descriptor: the open file, locked.
        size: how much of it is good, in bytes; what comes next is written there.
    """

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        self._descriptor: int | None = descriptor
        self._synced = 0
        self._entry_synced = False
        self._sync_failed = False
        self._syncing = threading.Lock()

    @classmethod
    def create(cls, path: Path, start: bytes, *, replaces: bool = False) -> SpoolFile:
        """A new file that begins with `start`; it gets its name when that is written and the file is locked.

        So whoever looks for files of the dead never finds one that is not locked yet. If it replaces another of that
        name, it is on the disk before it does.

        Raises:
            SpoolError: the disk is full or cannot be written.
        """
        unfinished = path.with_suffix(".new")
        try:
            descriptor = os.open(unfinished, _OPEN | os.O_CREAT | os.O_EXCL, _MODE)
        except OSError as error:
            raise _failure(path, error) from error
        file = cls(path, descriptor, 0)
        try:
            _lock(descriptor)
            file.append(start)
            if replaces:
                os.fsync(descriptor)
            unfinished.replace(path)
        except OSError as error:
            file.abandon()
            unfinished.unlink(missing_ok=True)
            raise _failure(path, error) from error
        except SpoolError:
            file.abandon()
            unfinished.unlink(missing_ok=True)
            raise
        return file

    def append(self, record: bytes) -> None:
        """Write `record` at the end, whole or not at all.

        Raises:
            SpoolError: it was not written.
        """
        assert self._descriptor is not None
        end = self.size
        try:
            for start in range(0, len(record), _REWRITE_BYTES):
                chunk = memoryview(record)[start : start + _REWRITE_BYTES]
                while chunk:
                    written = os.pwrite(self._descriptor, chunk, end)
                    end, chunk = end + written, chunk[written:]
        except OSError as error:
            # The next record will be written over what there is of this one; so much for those who look before.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise _failure(self.path, error) from error
        self.size = end

    def sync(self) -> None:
        """Return once all that was appended before is on the disk; threads that come together share one fsync.

        Raises:
            SpoolError: it may not be.
        """
        size = self.size
        with self._syncing:
            if self._descriptor is None or (self._synced >= size and self._entry_synced):
                return
            size = self.size
            try:
                if self._sync_failed:
                    self._write_again(size)
                self._sync_failed = True
                os.fsync(self._descriptor)
                self._sync_failed = False
                if not self._entry_synced:
                    sync_directory(self.path.parent)
                    self._entry_synced = True
            except OSError as error:
                raise _failure(self.path, error, recorded=True) from error
            self._synced = size

    def _write_again(self, size: int) -> None:
        # After a failed fsync the kernel takes what it could not write for written, and another fsync would
        # succeed without having done anything (Rebello et al., "Can Applications Recover from fsync Failures?",
        # USENIX ATC 2020).
        assert self._descriptor is not None
        for start in range(0, size, _REWRITE_BYTES):
            again = os.pread(self._descriptor, min(_REWRITE_BYTES, size - start), start)
            os.pwrite(self._descriptor, again, start)

    @contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        """The file, from its beginning."""
        assert self._descriptor is not None
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            yield file

    def remove(self) -> None:
        """Unlink and close the file.

        Raises:
            SpoolError: it is still there.
        """
        try:
            # In this order: an unlocked file would be somebody else's to take.
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise _failure(self.path, error, recorded=True) from error
        self.close()

    def close(self) -> None:
        """Close the file, and with that unlock it."""
        with self._syncing:
            self.abandon()

    def abandon(self) -> None:
        """Close our descriptor of the file; in a forked child it stays locked, since the parent has its own."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def claim(path: Path) -> SpoolFile | None:
    """The file at `path`, if no living process has it; None if one has, or if it is gone.

    Raises:
        SpoolError: it is there and cannot be opened.
    """
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _failure(path, error) from error
    status = os.fstat(descriptor)
    file = SpoolFile(path, descriptor, status.st_size)
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise SpoolError(str(path), reason="it is no regular file")  # reading a pipe would never end
    try:
        _lock(descriptor)
        # Between the opening and the locking its owner may have removed it, or put another in its place.
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        file.close()
        raise _failure(path, error) from error
    file.close()
    return None


def is_held(path: Path) -> bool:
    """Whether a living process has the file at `path`."""
    file = claim(path)
    if file is None:
        return path.exists()
    file.close()
    return False


def _lock(descriptor: int) -> None:
    assert fcntl is not None, "spools are refused by the configuration where there is none"
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sync_directory(directory: Path) -> None:
    """Return once it is on the disk which files are in `directory`."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that does not sync directories
            raise
    finally:
        os.close(descriptor)


def _failure(path: Path, error: OSError, *, recorded: bool = False) -> SpoolError:
    return SpoolError(str(path), cause=error, recorded=recorded)
