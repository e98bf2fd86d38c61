"""How a namespace lies in the store, as far as a replica needs to know: the seam between the two.

A replica knows ops, batches and what has become of them; a layout knows objects. A layout is handed a replica
as a `Participant` and calls it at the points where the protocol allows: after a read, before a write, and when
the outcome of a write is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from metadatadb_core.codec import Names
from metadatadb_core.ops import Op
from metadatadb_core.replication.object_store import Absent, Version
from metadatadb_core.replication.record import BatchId, Record
from metadatadb_core.replication.requests import Steps

__all__ = ["Commit", "Head", "Layout", "Participant", "SealedBatch"]


@dataclass(slots=True)
class SealedBatch:
    """Ops that go into the store together, once: which they are and under what id is fixed for ever.

    Attributes:
        id: what the record knows the batch by.
        ops: what it does.
        since: when the first of them was applied, on the monotonic clock.
        base: the commit counter of the state that its first put was conditional on; None until it is sent.
    """

    id: BatchId
    ops: Sequence[Op]
    since: float
    base: int | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """What a layout found in the store.

    Attributes:
        version: where in its history the namespace is, `ABSENT` if nothing was ever stored.
        names: what it holds, without the record; whoever gets it owns it.
        record: which batches that contains.
        size: bytes stored.
    """

    version: Version | Absent
    names: Names
    record: Record
    size: int


@dataclass(frozen=True, slots=True)
class Commit:
    """What a replica wants written.

    Attributes:
        base: the version it builds on.
        batches: what is new in it.
        names: all that the namespace then holds; a snapshot that does not change.
        record: which batches that contains.
    """

    base: Version | Absent
    batches: Sequence[SealedBatch]
    names: Names
    record: Record


class Participant(Protocol):
    """A replica, as a layout sees it."""

    namespace: str

    @property
    def version(self) -> Version | Absent | None:
        """The version the replica has adopted; None before the first."""
        ...

    def reading(self) -> None:
        """A read is about to begin, and what is queued by now will be sealed after it.

        Whoever waits for a flush that he asked for before this call is served by this one.
        """
        ...

    def adopt(self, head: Head) -> None:
        """The store holds something else than what was adopted: take it over, and keep what is not in it.

        Raises:
            CommitUnknownError: nobody can tell whether a batch of ours is in.
        """
        ...

    def seal(self) -> Commit | None:
        """Fix what is queued as a batch, and say what to write; None if everything is in already."""
        ...

    def committed(self, commit: Commit, version: Version, size: int) -> None:
        """`commit` is in the store, at `version`."""
        ...


class Layout(Protocol):
    """How a namespace lies in the store."""

    def refresh(self, replica: Participant) -> Steps[None]:
        """Have the replica see what is in the store; one request and no body if nothing is new."""
        ...

    def commit(self, replica: Participant) -> Steps[None]:
        """Have what the replica has pending put into the store, exactly once."""
        ...
