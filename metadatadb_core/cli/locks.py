"""A lock in the store, as it is told."""

from __future__ import annotations

from datetime import datetime

import msgspec

from metadatadb_core.cli.wording import age_text, time_text
from metadatadb_core.replication.inspection import StoredLock

__all__ = ["LockDocument", "lock_document", "lock_text"]


class LockDocument(msgspec.Struct):
    """A lock, for programs.

    Attributes:
        holder: the nonce that tells it from every other; None for one of the Go original, which has none, and for
            one that cannot be read.
        ttl: seconds for which its holder claims it, or None likewise.
        taken: when, by the store's clock, or None where the store does not say.
        age: seconds since then, by the store's clock, or None likewise.
        expires_at: what it tells replicas of the original, by its holder's clock, or None.
        version: the lock object's version.
    """

    holder: str | None
    ttl: float | None
    taken: datetime | None
    age: float | None
    expires_at: str | None
    version: str


def lock_document(lock: StoredLock) -> LockDocument:
    """The same for programs."""
    return LockDocument(lock.nonce, lock.ttl, lock.modified, lock.age, lock.expires_at, lock.version)


def lock_text(lock: LockDocument | None) -> str:
    """The same for people."""
    if lock is None:
        return "free"
    parts = [f"held by {_holder(lock)}"]
    if lock.age is not None:
        parts.append(f"for {age_text(lock.age)} now")
    elif lock.taken is not None:
        parts.append(f"since {time_text(lock.taken)}")
    if lock.ttl is not None:
        parts.append(f"claimed for {age_text(lock.ttl)}")
    return ", ".join(parts)


def _holder(lock: LockDocument) -> str:
    if lock.holder is not None:
        return lock.holder
    # The original says it of each of its locks, which do not say anything else.
    return (
        "a replica of the Go original" if lock.expires_at is not None else "somebody unknown, since it cannot be read"
    )
