"""Namespaces in a SQLite file: the engine of the core over `SQLiteObjectStore`."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, final

from metadatadb_core.errors import BackendUnavailableError
from metadatadb_core.replication.backend import ReplicatedBackend
from metadatadb_core.replication.outcomes import Denied, Rejected, StoreFailure
from metadatadb_sqlite.config import SQLiteBackendConfig
from metadatadb_sqlite.store import SQLiteObjectStore

__all__ = ["SQLiteBackend"]

_LONGEST_WAIT_SECONDS: Final = 5.0


@final
class SQLiteBackend(ReplicatedBackend):
    """Replicas share their namespaces through a file.

    Args:
        config: which file, and how.

    Raises:
        BackendUnavailableError: the file cannot be made, read or written, or is not one of ours. One that is merely
            busy is no error: `Backend.status` then says that nothing is loaded.
    """

    def __init__(self, config: SQLiteBackendConfig) -> None:
        # Absolute from here on: a program may change its directory before it forks.
        path = Path(config.path).absolute()
        name = f"sqlite://{path.as_posix()}"
        # Within half the lock's TTL, so that a holder that had to wait still has its lock when it goes on.
        wait = min(config.lock_ttl.seconds / 2, _LONGEST_WAIT_SECONDS)
        open_store = partial(SQLiteObjectStore, path, synchronous=config.synchronous, busy_timeout=wait)
        with closing(open_store()) as store:
            try:
                store.check()
            except (Denied, Rejected) as failure:
                denied = isinstance(failure, Denied)
                raise BackendUnavailableError(f"{name}: {failure.reason}", cause=failure, denied=denied) from failure
            except StoreFailure:
                pass  # busy, perhaps only now: the engine goes on trying
        super().__init__(open_store, name=name, config=config)
