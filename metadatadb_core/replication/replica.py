"""One namespace as one process holds it: local state, what is not yet durable, and how the two meet the store's.

What readers see is the last known stored state, then the sealed batches, then the queue, at every instant. A write
is applied to local state and queued; it never touches the network. A replica knows nothing of objects or
locks: it is the `Participant` that a layout calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, final

from metadatadb_core.errors import CommitUnknownError
from metadatadb_core.ops import Op, ReadOp, admit
from metadatadb_core.replication.coalescing import CoalescingQueue
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.layout import Commit, Head, SealedBatch
from metadatadb_core.replication.object_store import ABSENT, Absent, Version
from metadatadb_core.replication.record import BatchId, Record, Verdict
from metadatadb_core.replication.spool import NO_SPOOL, Spool
from metadatadb_core.state import NamespaceState, SharedState

__all__ = ["Replica"]

_log = logging.getLogger("metadatadb")

R = TypeVar("R")


@final
class Replica:
    """See the module.

    All that changes is guarded by the lock of `state`, which is also held across a fork.

    Args:
        namespace: the namespace.
        environment: clocks and ids.
        wait_for_load: called by the first readers, until something was loaded; waits, but not for ever.
        spool: where what is pending is recorded, and what dead processes left of it.

    Attributes:
        namespace: the namespace.
        state: what readers see.
        reset: whether the round that was last begun found that somebody had removed the stored state.
        made_durable: how many ops that round has learnt to be in the store.
        spool: see above.
    """

    def __init__(
        self,
        namespace: str,
        environment: Environment,
        wait_for_load: Callable[[], object],
        spool: Spool = NO_SPOOL,
    ) -> None:
        self.namespace = namespace
        self.state = SharedState(load=wait_for_load)
        self._wait_for_load = wait_for_load
        self._loaded = False
        self._environment = environment
        self._version: Version | Absent | None = None
        self._record = Record()
        self._size: int | None = None
        self._highest_commit = 0
        self._writer = environment.new_id()
        self._sequence = 0
        self._sealed: list[SealedBatch] = []
        # The last queue takes new ops; those before it are only there because a replay outside the lock had
        # to know that they would not change any more.
        self._queues: list[CoalescingQueue] = [CoalescingQueue()]
        self._queued_since: float | None = None
        self._requested = 0
        self._serving = 0
        self.reset = False
        self.made_durable = 0
        self._closed: Callable[[], Exception] | None = None
        self.spool = spool
        self._recover()

    def _recover(self) -> None:
        """Take over what processes that died had not flushed: under their batches' own ids, before ours."""
        now = self._environment.monotonic()
        for left in self.spool.recover():
            queue = CoalescingQueue()
            for op in left.ops:
                queue.add(op)
            self._sealed.append(SealedBatch(left.id, queue.ops, now, left.base))
            self.state.apply_locked(queue.ops)

    # -- writes --------------------------------------------------------------------------------------------

    def apply(self, ops: Sequence[Op], *, limit: int) -> bool:
        """Apply `ops` and queue them, unless the queue is full.

        Args:
            ops: what to do.
            limit: how many ops may be pending.

        Returns:
            Whether there was room.

        Raises:
            InvalidValueError: an op holds what cannot be stored; none was applied.
            SpoolError: the spool cannot be written; `recorded` says whether they were applied all the same.
        """
        admitted = list(map(admit, ops))
        with self.state.lock:
            if self._closed is not None:
                raise self._closed()
            if self._count() >= limit and not self._absorbs(admitted):
                return False
            self.spool.append(admitted)
            self.state.apply_locked(admitted)
            queue = self._queues[-1]
            for op in admitted:
                queue.add(op)
            if self._queued_since is None:
                self._queued_since = self._environment.monotonic()
            if self.spool.outgrown:
                self.spool.rewrite(self._queued())
        self.spool.keep_pace()
        return True

    def _queued(self) -> list[Op]:
        return [op for queue in self._queues for op in queue.ops]

    def _absorbs(self, ops: Sequence[Op]) -> bool:
        """Whether a full queue takes `ops` without growing: they coalesce with what is in it."""
        queue = self._queues[-1]
        return all(queue.absorbs(op) for op in ops)

    def _count(self) -> int:
        return sum(len(batch.ops) for batch in self._sealed) + sum(map(len, self._queues))

    def refuse_writes(self, error: Callable[[], Exception]) -> None:
        """From now on every `apply` raises `error()`; what is pending stays pending."""
        with self.state.lock:
            self._closed = error

    @property
    def pending(self) -> int:
        """How many ops are not yet durable."""
        with self.state.lock:
            return self._count()

    def discard(self) -> list[Op]:
        """Forget what is pending, and return it. Local state is right again after the next read.

        Raises:
            SpoolError: it is still recorded, and would come back; nothing is forgotten.
        """
        with self.state.lock:
            dropped = [op for batch in self._sealed for op in batch.ops]
            dropped += self._queued()
            self.spool.discard()
            self._forget()
        return dropped

    def forget_pending(self) -> None:
        """In a forked child: what is pending is the parent's to flush, under the parent's id. Holds `state.lock`."""
        self.spool.abandon()
        self._forget()
        # Readers here have to see to it that somebody syncs, as the first ones in the parent did.
        self._loaded = False
        self.state.unload(self._wait_for_load)

    def _forget(self) -> None:
        # A batch of the old id may still land: the id is not used again.
        self._writer = self._environment.new_id()
        self._sequence = 0
        self._sealed = []
        self._queues = [CoalescingQueue()]
        self._queued_since = None
        self._version = None

    # -- what a layout calls -------------------------------------------------------------------------------

    @property
    def version(self) -> Version | Absent | None:
        """See `Participant.version`."""
        return self._version

    def reading(self) -> None:
        """See `Participant.reading`."""
        with self.state.lock:
            self._serving = self._requested

    def adopt(self, head: Head) -> None:
        """See `Participant.adopt`."""
        self._note_reset(head)
        with self.state.lock:
            left = [batch for batch in self._sealed if not self._is_in(batch, head.record)]
            known = self._queues
            # Replaying takes as long as there are ops, and nobody is to wait for it: what is queued until now is
            # replayed outside the lock, and only what came meanwhile inside.
            self._queues = [*known, CoalescingQueue()]
        fresh = NamespaceState(head.names)
        for ops in [*(batch.ops for batch in left), *(queue.ops for queue in known)]:
            for op in ops:
                fresh.apply(op)
        with self.state.lock:
            if self._queues[: len(known)] != known:
                return  # discarded meanwhile; the next read puts things right
            for op in self._queues[-1].ops:
                fresh.apply(op)
            for batch in left:
                batch.base = None  # resolved: what was sent of it builds on a version that is gone
            self.made_durable += sum(len(batch.ops) for batch in self._sealed) - sum(len(batch.ops) for batch in left)
            resolved = {batch.id for batch in self._sealed} - {batch.id for batch in left}
            self._sealed = left
            self._loaded = True
            self._version, self._record, self._size = head.version, head.record, head.size
            self._highest_commit = max(self._highest_commit, head.record.commits)
            self.state.names = fresh.names
            self.state.loaded()
            self._queues = [queue for queue in self._queues[:-1] if len(queue)] + [self._queues[-1]]
        self.spool.resolve(resolved)

    def _is_in(self, batch: SealedBatch, record: Record) -> bool:
        verdict = record.judge(batch.id, batch.base)
        if verdict is Verdict.IN_DOUBT:
            raise CommitUnknownError(
                self.namespace, ops=len(batch.ops), writer=batch.id.writer, sequence=batch.id.sequence
            )
        return verdict is Verdict.IN

    def _note_reset(self, head: Head) -> None:
        if head.version is ABSENT and self._version is not None and self._version is not ABSENT:
            self.reset = True
            _log.error(
                "namespace %r: the stored state is gone; somebody reset it. The empty state is adopted, "
                "and what is pending here will be written to it",
                self.namespace,
            )

    def seal(self) -> Commit | None:
        """See `Participant.seal`."""
        with self.state.lock:
            if self._version is None:
                return None  # discarded since the read
            self._seal_queue()
            if not self._sealed:
                return None
            for batch in self._sealed:
                if batch.base is None:
                    self.spool.attempt(batch.id, self._record.commits)
                    batch.base = self._record.commits
            record = self._record.after((batch.id for batch in self._sealed), at_least=self._highest_commit)
            names = NamespaceState(self.state.names).copy().names
            commit = Commit(self._version, tuple(self._sealed), names, record)
        # Were it sent before that, a machine that dies could forget under which id.
        self.spool.sync()
        return commit

    def _seal_queue(self) -> None:
        ops = self._queued()
        if not ops:
            return
        batch = BatchId(self._writer, self._sequence + 1)
        self.spool.seal(batch)
        self._sequence += 1
        self._sealed.append(SealedBatch(batch, ops, self._queued_since or self._environment.monotonic()))
        self._queues = [CoalescingQueue()]
        self._queued_since = None

    def committed(self, commit: Commit, version: Version, size: int) -> None:
        """See `Participant.committed`."""
        with self.state.lock:
            if self._version != commit.base:
                return  # discarded meanwhile
            done = {batch.id for batch in commit.batches}
            self.made_durable += sum(len(batch.ops) for batch in commit.batches)
            self._sealed = [batch for batch in self._sealed if batch.id not in done]
            self._version, self._record, self._size = version, commit.record, size
            self._highest_commit = max(self._highest_commit, commit.record.commits)
        self.spool.resolve(done)

    # -- barriers ------------------------------------------------------------------------------------------

    def request(self) -> int:
        """A ticket for a sync whose read begins after this call."""
        with self.state.lock:
            self._requested += 1
            return self._requested

    def begin(self) -> int:
        """A round begins: how many ops are pending.

        It serves the tickets drawn until now. If it goes on to write, what is sealed after a read is all that was
        queued before that read, and `reading` adds the tickets drawn until then.
        """
        with self.state.lock:
            self._serving = self._requested
            self.reset = False
            self.made_durable = 0
            return self._count()

    @property
    def serving(self) -> int:
        """The highest ticket that the round serves."""
        return self._serving

    # -- reads ---------------------------------------------------------------------------------------------

    def query(self, op: ReadOp[R]) -> R:
        """Answer `op` from local state."""
        return self.state.query(op)

    def reader(self, kind: type[ReadOp[R]], key: str) -> Callable[..., R]:
        """See `Backend.reader`."""
        return self.state.reader(kind, key)

    def describe(self) -> dict[str, Any]:
        """The part of `Status` that a replica knows."""
        with self.state.lock:
            return {
                "loaded": self._loaded,
                "pending_ops": self._count(),
                "unresolved_ops": sum(len(batch.ops) for batch in self._sealed if batch.base is not None),
                "oldest_pending_age": self._age(),
                "remote_version": self._version if isinstance(self._version, str) else None,
                "bytes": self._size,
            }

    def _age(self) -> float | None:
        """Seconds since the oldest op that is not yet durable was applied."""
        oldest = self._sealed[0].since if self._sealed else self._queued_since
        return None if oldest is None else self._environment.monotonic() - oldest
