"""What the engine asks of a store: five calls, each put and delete under a condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NewType, Protocol, final

from metadatadb_core.replication.outcomes import Rejected

__all__ = [
    "ABSENT",
    "MAX_OBJECT_BYTES",
    "Absent",
    "ObjectInfo",
    "ObjectStore",
    "StoredObject",
    "Version",
    "check_size",
]

MAX_OBJECT_BYTES: Final = 256 * 2**20
"""The largest body that is read or written; what is in the store by accident or malice must not take all the memory of
every replica. While it is decoded, a body takes some ten times its size as a rule, and thirty at the worst."""

Version = NewType("Version", str)
"""What a store names one body of one key by: an S3 ETag, a GCS generation. Opaque.

A version never names two bodies of one key, across delete, restore and restart: a store that makes its own
draws them at random for each put, and does not count.
"""


@final
class Absent:
    """The condition that there is no object; use `ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a get found it.

    Attributes:
        body: its bytes, complete: a store that got fewer than were announced raises `OutcomeUnknown`.
        version: what to expect of it in a put or delete.
        metadata: user metadata; names compare without regard to case.
        modified: when it was written, by the store's clock, or None where the store does not say.
        server_date: the store's clock at the time of the answer, or None likewise.
    """

    body: bytes
    version: Version
    metadata: Mapping[str, str] = field(default_factory=dict)
    modified: datetime | None = None
    server_date: datetime | None = None


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as a listing shows it: its key, version, size in bytes, and when it was written."""

    key: str
    version: Version
    size: int
    modified: datetime | None = None


class ObjectStore(Protocol):
    """A store of bytes by key whose writes are conditional.

    Each method may be called from any thread. Each failure is raised as exactly one of the outcomes
    (`metadatadb_core.replication.outcomes`). A store never repeats a put or delete by itself: the repetition of
    one that was applied reports PreconditionFailed for its own success.
    """

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        """The object at `key`, or None if there is none.

        Args:
            key: the object's key.
            unless: the version the caller has.

        Raises:
            NotModified: the object is still at `unless`; no body was sent.
            Unavailable, OutcomeUnknown, Denied, Rejected: it could not be read. Only a missing key is absence.
                Rejected is also an object larger than `MAX_OBJECT_BYTES`, whose body is not read: see `check_size`.
        """
        ...

    def put(
        self,
        key: str,
        body: bytes,
        *,
        expect: Version | Absent,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] = {},
    ) -> Version:
        """Write `body` at `key` if what is there is what is expected, and return its version.

        Raises:
            PreconditionFailed: it is not; nothing was written.
            Unavailable, Denied, Rejected: nothing was written.
            OutcomeUnknown: perhaps it was written.
        """
        ...

    def delete(self, key: str, *, expect: Version) -> None:
        """Remove the object at `key` if it is at version `expect`.

        Raises:
            PreconditionFailed: it is at another version, or gone.
            Unavailable, Denied, Rejected: nothing was removed.
            OutcomeUnknown: perhaps it was removed.
        """
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects whose key begins with `prefix`, in the order of their keys.

        Raises:
            Unavailable, OutcomeUnknown, Denied, Rejected: it could not be listed.
        """
        ...

    def close(self) -> None:
        """Release connections and descriptors; closing twice does nothing."""
        ...


def check_size(key: str, size: int) -> None:
    """Refuse an object that is too large to be read; a store asks before it reads the body.

    Raises:
        Rejected: `size`, in bytes, is more than `MAX_OBJECT_BYTES`.
    """
    if size > MAX_OBJECT_BYTES:
        raise Rejected(
            f"{key} has {size} bytes, and more than {MAX_OBJECT_BYTES} are not read: make it smaller, restore it from "
            f"a backup, or remove it to start empty",
            status=413,
        )
