"""What a replica asks of a spool, and the one that keeps nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

from metadatadb_core.ops import Op
from metadatadb_core.replication.record import BatchId

__all__ = ["NO_SPOOL", "Recovered", "Spool"]


@dataclass(frozen=True, slots=True)
class Recovered:
    """A batch that a dead process left behind.

    Attributes:
        id: what the record knows it by, if it is in the store.
        ops: what it does.
        base: see `SealedBatch.base`; None if it surely was never sent.
    """

    id: BatchId
    ops: Sequence[Op]
    base: int | None


class Spool(Protocol):
    """Keeps what is pending where the death of the process does not reach it.

    All but `sync` and `keep_pace` are called by one thread at a time.
    """

    def recover(self) -> Sequence[Recovered]:
        """Take over what dead processes left of this namespace, in the order in which it was written."""
        ...

    def append(self, ops: Sequence[Op]) -> None:
        """Record ops that are about to be applied and queued.

        Raises:
            SpoolError: they are not recorded.
        """
        ...

    @property
    def outgrown(self) -> bool:
        """Whether the record of what is queued has become much longer than the queue must be: `rewrite` it."""
        ...

    def rewrite(self, queued: Sequence[Op]) -> None:
        """Record `queued` in place of all that was appended since the last seal, to the same effect."""
        ...

    def keep_pace(self) -> None:
        """What was appended is about to be acknowledged: sync it to disk if that was asked for.

        Raises:
            SpoolError: it is recorded, but would not survive the death of the machine.
        """
        ...

    def seal(self, batch: BatchId) -> None:
        """Record that all that was appended since the last seal is `batch`.

        Raises:
            SpoolError: it is not recorded.
        """
        ...

    def attempt(self, batch: BatchId, base: int) -> None:
        """Record that `batch` is about to be sent, on a state whose commit counter is `base`.

        Raises:
            SpoolError: it is not recorded.
        """
        ...

    def sync(self) -> None:
        """Return once all that was recorded is on the disk.

        Raises:
            SpoolError: it may not be.
        """
        ...

    def resolve(self, batches: Collection[BatchId]) -> None:
        """Those batches are in the store, and need not be kept."""
        ...

    def discard(self) -> None:
        """Nothing that is pending is to be kept.

        Raises:
            SpoolError: some of it still is.
        """
        ...

    def abandon(self) -> None:
        """In a forked child: all that was recorded is the parent's."""
        ...


@final
class _NoSpool:
    """Keeps nothing: what a process had not flushed dies with it."""

    outgrown = False

    def recover(self) -> Sequence[Recovered]:
        return ()

    def append(self, ops: Sequence[Op]) -> None:
        pass

    def rewrite(self, queued: Sequence[Op]) -> None:
        pass

    def keep_pace(self) -> None:
        pass

    def seal(self, batch: BatchId) -> None:
        pass

    def attempt(self, batch: BatchId, base: int) -> None:
        pass

    def sync(self) -> None:
        pass

    def resolve(self, batches: Collection[BatchId]) -> None:
        pass

    def discard(self) -> None:
        pass

    def abandon(self) -> None:
        pass


NO_SPOOL: Final[Spool] = _NoSpool()
"""The spool of a backend that has none."""
