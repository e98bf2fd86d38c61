"""The configuration of the SQLite backend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from metadatadb_core.config import Duration
from metadatadb_core.errors import ConfigError, ConfigProblem
from metadatadb_core.replication.config import ReplicationConfig

__all__ = ["SQLiteBackendConfig", "Synchronous"]

Synchronous = Literal["full", "normal", "off"]


class SQLiteBackendConfig(ReplicationConfig, kw_only=True):
    """A ``metadata "sqlite" { path = "/var/lib/app/meta.db" }`` block."""

    path: Annotated[
        str,
        Meta(
            description="The database file, on a local disk; it is made if need be, its directory is not.", min_length=1
        ),
    ]
    synchronous: Annotated[
        Synchronous,
        Meta(
            description="full: a flush survives a power failure. normal: it survives the end of any process, and the "
            "last flushes before a power failure may be lost. off: a power failure may also damage the file."
        ),
    ] = "full"
    # A sync costs microseconds here, and a writer holds the lock for milliseconds.
    sync_interval: Annotated[
        Duration, Meta(description="How often a namespace is synced with the file, give or take a tenth.")
    ] = Duration("1s")
    lock_ttl: Annotated[
        Duration,
        Meta(
            description="How long a lock is honoured after its holder was last heard of. A request waits for the file "
            "for half of it, at most."
        ),
    ] = Duration("2s")

    def __post_init__(self) -> None:
        super().__post_init__()
        if Path(self.path).name == ":memory:" or "\0" in self.path:
            raise ConfigError(
                [
                    ConfigProblem(
                        f"wrong value for 'path': {self.path!r} is not a file",
                        attribute="path",
                        expected="the path of a file; for state that ends with the process, use the memory backend",
                    )
                ]
            )

    def absent(self) -> str | None:
        """See `ReplicationConfig.absent`: the database file, where it could be made."""
        path = Path(self.path).absolute()
        return str(path) if path.parent.is_dir() and not path.exists() else None
