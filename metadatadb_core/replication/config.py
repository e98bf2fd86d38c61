"""What every replicated backend can be configured with."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from metadatadb_core.config import BackendConfig, Duration
from metadatadb_core.replication.spool import LOCKS_WORK

__all__ = ["ReplicationConfig"]


class ReplicationConfig(BackendConfig):
    """The options of the engine; a backend's own configuration derives from it."""

    prefix: Annotated[str, Meta(description="Put before the key of every object, as a folder: team-a/.")] = ""
    sync_interval: Annotated[
        Duration, Meta(description="How often a namespace is synced with the store, give or take a tenth.")
    ] = Duration("30s")
    lock_ttl: Annotated[
        Duration, Meta(description="How long a lock is honoured after its holder was last heard of.")
    ] = Duration("30s")
    write_mode: Annotated[
        Literal["queued", "through"],
        Meta(
            description="queued: a write returns at once and is synced later. through: it returns once it is durable."
        ),
    ] = "queued"
    load_timeout: Annotated[
        Duration, Meta(description="How long the first read of a namespace waits for its state to be loaded.")
    ] = Duration("5s")
    max_pending_ops: Annotated[
        int, Meta(ge=1, description="How many unflushed ops a namespace holds before writes are refused.")
    ] = 100_000
    spool: Annotated[
        str | None,
        Meta(description="A local directory that keeps unflushed ops, so that a process that is killed loses none."),
    ] = None
    spool_fsync: Annotated[
        Literal["always", "interval", "never"],
        Meta(description="When the spool is synced to disk: before a write returns, once a second, or by the system."),
    ] = "interval"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spool == "":
            raise ValueError("'spool' is empty; name a directory, or leave it out")
        if self.spool is not None and not LOCKS_WORK:
            raise ValueError("'spool' needs the file locks of a POSIX system, which this one does not have")

    def absent(self) -> str | None:
        """What is not there and would be made by opening the backend, a database file say; None if nothing is.

        Whoever merely wants to look at a store does not open it then.
        """
        return None
