"""The engine with one safeguard removed, for each safeguard: what the simulation must find out.

A mutation patches the engine's classes while it is entered. Where removing a safeguard takes changing what a round
asks for, its generator is wrapped: `_edited` stands between it and whoever drives it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias, final
from unittest.mock import patch

from metadatadb_core.codec import encode_names
from metadatadb_core.ops import RECORD_NAME, Op
from metadatadb_core.replication import lock as lock_module
from metadatadb_core.replication.coalescing import CoalescingQueue
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.layout import Commit, Head
from metadatadb_core.replication.lock import Lock
from metadatadb_core.replication.object_store import ABSENT, StoredObject
from metadatadb_core.replication.outcomes import OutcomeUnknown, PreconditionFailed, StoreFailure
from metadatadb_core.replication.record import BatchId, Record, Verdict
from metadatadb_core.replication.replica import Replica
from metadatadb_core.replication.requests import Delete, Get, Put, Request, Steps
from metadatadb_core.replication.snapshot import SnapshotLayout
from metadatadb_core.replication.spool import DirectorySpool
from metadatadb_core.replication.spool import file as file_module
from metadatadb_core.replication.spool.file import SpoolFile
from metadatadb_core.state import NamespaceState
from tests.simulation.store import LOCK, STATE, SimulatedStore

__all__ = ["MUTATIONS", "Mutation"]


@final
@dataclass(frozen=True, slots=True)
class Mutation:
    """A safeguard removed.

    Attributes:
        safeguard: what the engine does.
        without: what it does instead.
        within: within how many seeds, from 0, the simulation must find a violation.
        enter: removes it, until the end of the context.
        spooled: whether that takes histories with spools.
    """

    safeguard: str
    without: str
    within: int
    enter: Callable[[], AbstractContextManager[object]]
    spooled: bool


MUTATIONS: Final[list[Mutation]] = []

_Enter: TypeAlias = Callable[[], Iterator[None]]


def _mutation(safeguard: str, without: str, *, within: int, spooled: bool = False) -> Callable[[_Enter], _Enter]:
    def register(enter: _Enter) -> _Enter:
        MUTATIONS.append(Mutation(safeguard, without, within, contextmanager(enter), spooled))
        return enter

    return register


_Edit: TypeAlias = Callable[[Request], "Generator[Request, Any, Any] | None"]


def _edited(steps: Steps[Any], edit: _Edit) -> Steps[Any]:
    """`steps`, in which `edit` may do something else instead of a request."""
    value: Any = None
    failure: Exception | None = None
    try:
        while True:
            request = steps.send(value) if failure is None else steps.throw(failure)
            value = failure = None
            other = edit(request)
            try:
                value = (yield request) if other is None else (yield from other)
            except Exception as error:
                failure = error
    except StopIteration as end:
        return end.value


# -- exactly once ------------------------------------------------------------------------------------------


@_mutation("the put of the state has a condition", "it overwrites whatever is there", within=50)
def _put_condition() -> Iterator[None]:
    original = SimulatedStore.put

    def put(self: SimulatedStore, key: str, body: bytes, expect: Any, *rest: Any) -> Any:
        if key == STATE:
            found = self.objects.get(key)
            expect = ABSENT if found is None else found.version
        return original(self, key, body, expect, *rest)

    with patch.object(SimulatedStore, "put", put):
        yield


@_mutation("the record tells whether a batch is in", "a batch without an answer counts as not in", within=100)
def _record() -> Iterator[None]:
    with patch.object(Record, "judge", lambda *_: Verdict.NOT_IN):
        yield


@_mutation("after a 412 or a lost answer the state is read again", "a put that fails so counts as done", within=50)
def _read_again() -> Iterator[None]:
    original = SnapshotLayout._commit

    def assume(request: Request) -> Generator[Request, Any, Any]:
        try:
            return (yield request)
        except (PreconditionFailed, OutcomeUnknown):
            found = yield Get(STATE)
            if found is None:
                raise
            return found.version

    def edit(request: Request) -> Generator[Request, Any, Any] | None:
        return assume(request) if type(request) is Put else None

    with patch.object(SnapshotLayout, "_commit", lambda self, replica: _edited(original(self, replica), edit)):
        yield


@_mutation("all batches of a put are recorded", "only the first of them is", within=1000)
def _all_recorded() -> Iterator[None]:
    original = Record.after

    def after(self: Record, batches: Iterable[BatchId], **options: Any) -> Record:
        return original(self, list(batches)[:1], **options)

    with patch.object(Record, "after", after):
        yield


@_mutation("a sealed batch takes no more ops", "what is applied while it is under way joins it", within=50)
def _sealing() -> Iterator[None]:
    original = Replica.apply

    def apply(self: Replica, ops: Any, *, limit: int) -> bool:
        done = original(self, ops, limit=limit)
        with self.state.lock:
            _join_last_batch(self)
        return done

    with patch.object(Replica, "apply", apply):
        yield


def _join_last_batch(replica: Replica) -> None:
    """Queued ops go out with the last sealed batch, under its sequence."""
    if replica._sealed:
        batch = replica._sealed[-1]
        batch.ops = [*batch.ops, *(op for queue in replica._queues for op in queue.ops)]
        replica._queues = [CoalescingQueue()]


@_mutation(
    "a put without an answer is repeated byte for byte",
    "it is encoded anew, with what was applied since, as the same batch",
    within=1000,
)
def _kept_bytes() -> Iterator[None]:
    original = SnapshotLayout._commit

    def commit(self: SnapshotLayout, replica: Any) -> Steps[None]:
        sent: set[bytes] = set()

        def edit(request: Request) -> Generator[Request, Any, Any] | None:
            if type(request) is not Put:
                return None
            if request.body not in sent:
                sent.add(request.body)
                return None
            assert self._sent is not None
            commit = self._sent[0]
            with replica.state.lock:
                _join_last_batch(replica)
                body = encode_names({**replica.state.names, RECORD_NAME: commit.record.to_json()})
            sent.add(body)
            self._sent = commit, body
            return _one(replace(request, body=body))

        return _edited(original(self, replica), edit)

    with patch.object(SnapshotLayout, "_commit", commit):
        yield


def _one(request: Request) -> Generator[Request, Any, Any]:
    return (yield request)


@_mutation("bytes are only kept for the state they build on", "they are put on top of any later one", within=50)
def _kept_base() -> Iterator[None]:
    original = SnapshotLayout._commit

    def commit(self: SnapshotLayout, replica: Any) -> Steps[None]:
        first: list[bytes] = []

        def edit(request: Request) -> Generator[Request, Any, Any] | None:
            if type(request) is not Put:
                return None
            first.append(request.body)
            return _one(replace(request, body=first[0]))

        return _edited(original(self, replica), edit)

    with patch.object(SnapshotLayout, "_commit", commit):
        yield


@_mutation("what was sent is forgotten with a discard", "it is kept where the state is still the same", within=500)
def _sent_discarded() -> Iterator[None]:
    def adopt(self: SnapshotLayout, replica: Any, head: Head) -> None:
        replica.adopt(head)
        if self._sent is not None and self._sent[0].base != head.version:
            self._sent = None

    with patch.object(SnapshotLayout, "_adopt", adopt):
        yield


@_mutation("a forked child has a writer id of its own", "it goes on under its parent's", within=500)
def _fork() -> Iterator[None]:
    def forget(self: Replica) -> None:
        writer, sequence = self._writer, self._sequence
        self._forget()
        self._writer, self._sequence = writer, sequence

    with patch.object(Replica, "forget_pending", forget):
        yield


@_mutation("a discard ends the writer id", "its sequence begins anew under the same", within=1000)
def _discard() -> Iterator[None]:
    original = Replica.discard

    def discard(self: Replica) -> list[Op]:
        writer = self._writer
        dropped = original(self)
        self._writer = writer
        return dropped

    with patch.object(Replica, "discard", discard):
        yield


@_mutation("the floor tells that writers were pruned", "there is no floor", within=500)
def _floor() -> Iterator[None]:
    original = Record.judge

    def judge(self: Record, batch: BatchId, base: int | None) -> Verdict:
        return original(replace(self, floor=0), batch, base)

    with patch.object(Record, "judge", judge):
        yield


@_mutation("a batch notes what its first put built on", "it never does", within=500)
def _base() -> Iterator[None]:
    original = Replica.seal

    def seal(self: Replica) -> Commit | None:
        commit = original(self)
        for batch in self._sealed:
            batch.base = None
        return commit

    with patch.object(Replica, "seal", seal):
        yield


@_mutation("the commit counter outlives a reset", "it begins anew", within=500)
def _counter() -> Iterator[None]:
    original = Replica.adopt

    def adopt(self: Replica, head: Head) -> None:
        original(self, head)
        self._highest_commit = 0

    with patch.object(Replica, "adopt", adopt):
        yield


@_mutation("ops on a name end the coalescing of its members", "they are passed by", within=200)
def _barriers() -> Iterator[None]:
    original = CoalescingQueue._note

    def note(self: CoalescingQueue, op: Any) -> None:
        trace = self._traces.get(op.key)
        members = {} if trace is None else trace.members
        original(self, op)
        self._traces[op.key].members.update(
            {key: place for key, place in members.items() if place.index < len(self.ops)}
        )

    with patch.object(CoalescingQueue, "_note", note):
        yield


@_mutation("nothing is summed across a multiplication", "additions find each other", within=100)
def _sums() -> Iterator[None]:
    original = CoalescingQueue._note

    def note(self: CoalescingQueue, op: Any) -> None:
        trace = self._traces.get(op.key)
        original(self, op)
        if type(op).__name__ in ("IntMul", "IntDiv") and trace is not None:
            self._traces[op.key] = trace

    with patch.object(CoalescingQueue, "_note", note):
        yield


# -- what readers see --------------------------------------------------------------------------------------


@_mutation("sealed batches stay visible", "readers do not see them while their put is in doubt", within=50)
def _visibility() -> Iterator[None]:
    original = Replica.adopt

    def adopt(self: Replica, head: Head) -> None:
        batches = [(batch, batch.ops) for batch in self._sealed]
        for batch, _ in batches:
            batch.ops = ()
        try:
            original(self, head)
        finally:
            for batch, ops in batches:
                batch.ops = ops

    with patch.object(Replica, "adopt", adopt):
        yield


@_mutation("what is put is a snapshot, made with the seal", "it is what is there when it is encoded", within=50)
def _snapshot() -> Iterator[None]:
    original = Replica.seal

    def seal(self: Replica) -> Commit | None:
        commit = original(self)
        return None if commit is None else replace(commit, names=self.state.names)

    with patch.object(Replica, "seal", seal):
        yield


@_mutation("sealed batches keep their place at the head", "the last one sealed goes first", within=200)
def _order() -> Iterator[None]:
    original = Replica.seal

    def seal(self: Replica) -> Commit | None:
        before = len(self._sealed)
        commit = original(self)
        if len(self._sealed) > before > 0:
            self._sealed.insert(0, self._sealed.pop())
        return commit

    with patch.object(Replica, "seal", seal):
        yield


@_mutation(
    "what is applied during a replay is replayed too", "the queue is not watched while it is replayed", within=50
)
def _freeze() -> Iterator[None]:
    def adopt(self: Replica, head: Head) -> None:
        left = [batch for batch in self._sealed if not self._is_in(batch, head.record)]
        with self.state.lock:
            queued = [op for queue in self._queues for op in queue.ops]
        fresh = NamespaceState(head.names)
        for op in [*(op for batch in left for op in batch.ops), *queued]:
            fresh.apply(op)
        with self.state.lock:
            self._sealed = left
            self._version, self._record, self._size = head.version, head.record, head.size
            self._highest_commit = max(self._highest_commit, head.record.commits)
            self.state.names = fresh.names
            self.state.loaded()

    with patch.object(Replica, "adopt", adopt):
        yield


@_mutation("a flush waits for a round that reads after its call", "it takes any round that ends after it", within=50)
def _tickets() -> Iterator[None]:
    with patch.object(Replica, "serving", property(lambda self: self._requested)):
        yield


# -- the lock ----------------------------------------------------------------------------------------------


@_mutation("a lock carries a nonce", "all locks look the same", within=50)
def _nonce() -> Iterator[None]:
    original = Lock.__init__

    def init(self: Lock, key: str, ttl: float, environment: Environment, **options: Any) -> None:
        original(self, key, ttl, replace(environment, new_id=lambda: "nonce"), **options)

    with patch.object(Lock, "__init__", init):
        yield


@_mutation("a lock with our nonce is ours", "only an answer that says so makes it ours", within=100)
def _ours() -> Iterator[None]:
    with patch.object(lock_module, "_nonce_of", lambda found: None):
        yield


@_mutation("a lock is only released where it is still ours", "it is deleted whoever has it", within=50)
def _conditional_release() -> Iterator[None]:
    original = Lock.release

    def delete(request: Delete) -> Generator[Request, Any, Any]:
        found = yield Get(LOCK)
        if isinstance(found, StoredObject):
            yield replace(request, expect=found.version)

    def edit(request: Request) -> Generator[Request, Any, Any] | None:
        return delete(request) if type(request) is Delete else None

    with patch.object(Lock, "release", lambda self, held: _edited(original(self, held), edit)):
        yield


@_mutation("a TTL is measured on one's own clock", "`Expires-At` is compared with the wall clock", within=50)
def _own_clock() -> Iterator[None]:
    def may_take(self: Lock, found: StoredObject) -> bool:
        expires = datetime.fromisoformat(found.metadata["Expires-At"])
        return expires.timestamp() < self._environment.wall()

    with patch.object(Lock, "_may_take", may_take):
        yield


@_mutation("the time of a TTL begins anew with each lock", "it goes on from the first that was seen", within=50)
def _sighting() -> Iterator[None]:
    original = Lock._may_take

    def may_take(self: Lock, found: StoredObject) -> bool:
        seen = self._sighting
        if seen is not None:
            self._sighting = replace(seen, version=found.version, modified=found.modified)
        return original(self, found)

    with patch.object(Lock, "_may_take", may_take):
        yield


@_mutation("the longer TTL counts, ours or the lock's", "ours does", within=100)
def _longer_ttl() -> Iterator[None]:
    with patch.object(lock_module, "_ttl_of", lambda found: 0.0):
        yield


@_mutation("dates of whole seconds may be a second apart too much", "they are believed", within=50)
def _dates() -> Iterator[None]:
    with patch.object(lock_module, "_DATE_SECONDS", 0.0):
        yield


@_mutation("a stale lock is replaced under a condition", "it is deleted, and then there is none", within=50)
def _steal() -> Iterator[None]:
    original = Lock.acquire

    def take(request: Put) -> Generator[Request, Any, Any]:
        try:
            found = yield Get(LOCK)
            if isinstance(found, StoredObject):
                yield Delete(LOCK, found.version)
        except StoreFailure:
            pass
        return (yield replace(request, expect=ABSENT))

    def edit(request: Request) -> Generator[Request, Any, Any] | None:
        return take(request) if type(request) is Put and request.expect is not ABSENT else None

    with patch.object(Lock, "acquire", lambda self: _edited(original(self), edit)):
        yield


@_mutation(
    "without conditions on deletes a lock is only released within half its TTL",
    "it is released at any time",
    within=1000,
)
def _half_ttl() -> Iterator[None]:
    original = Lock.__init__

    def init(self: Lock, key: str, ttl: float, environment: Environment, **options: Any) -> None:
        original(self, key, ttl, environment, **{**options, "deletes_enforced": lambda: True})

    with patch.object(Lock, "__init__", init):
        yield


@_mutation(
    "half of a TTL counts from the first put that may have made the lock",
    "it counts from when the lock is known to be ours",
    within=2000,
)
def _since() -> Iterator[None]:
    original = Lock.acquire

    def acquire(self: Lock) -> Steps[Any]:
        held = yield from original(self)
        return replace(held, since=self._environment.monotonic())

    with patch.object(Lock, "acquire", acquire):
        yield


# -- spool -------------------------------------------------------------------------------------------------


@_mutation(
    "a batch's id is recorded before the batch is sent", "it gets one when it is recovered", within=100, spooled=True
)
def _seal_recorded() -> Iterator[None]:
    def seal(self: DirectorySpool, batch: BatchId) -> None:
        assert self._current is not None
        self._sealed[batch] = self._current
        self._current = None

    with patch.object(DirectorySpool, "seal", seal):
        yield


@_mutation("that id is on the disk before the batch is sent", "only what is acknowledged is", within=100, spooled=True)
def _seal_synced() -> Iterator[None]:
    original = DirectorySpool.sync

    def keep_pace(self: DirectorySpool) -> None:
        if self._fsync == "always":
            original(self)

    with patch.object(DirectorySpool, "sync", lambda self: None), patch.object(DirectorySpool, "keep_pace", keep_pace):
        yield


@_mutation(
    "what was never sealed gets its id before anything else happens",
    "its heir keeps that id to itself",
    within=100,
    spooled=True,
)
def _adopted_sealed() -> Iterator[None]:
    original = DirectorySpool._take_over

    def take_over(self: DirectorySpool, path: Path) -> Any:
        with patch.object(SpoolFile, "append", lambda file, record: None):
            return original(self, path)

    with patch.object(DirectorySpool, "_take_over", take_over):
        yield


@_mutation(
    "on which state a batch was first sent is recorded", "its heir takes it as never sent", within=100, spooled=True
)
def _attempt_recorded() -> Iterator[None]:
    with patch.object(DirectorySpool, "attempt", lambda self, batch, base: None):
        yield


@_mutation("a file goes once its batch is in the store", "it goes when the batch is sent", within=100, spooled=True)
def _resolved_removed() -> Iterator[None]:
    original = DirectorySpool.sync

    def sync(self: DirectorySpool) -> None:
        original(self)
        for file in self._sealed.values():
            file.path.unlink(missing_ok=True)

    with patch.object(DirectorySpool, "sync", sync), patch.object(DirectorySpool, "keep_pace", lambda self: None):
        yield


@_mutation("a file whose process lives is left alone", "whoever starts takes it over", within=100, spooled=True)
def _locked() -> Iterator[None]:
    with patch.object(file_module, "_lock", lambda descriptor: None):
        yield


@_mutation("a forked child lets go of its parent's files", "it keeps them open", within=100, spooled=True)
def _abandoned() -> Iterator[None]:
    original = Replica.forget_pending
    kept: list[Any] = []

    def forget_pending(self: Replica) -> None:
        with patch.object(SpoolFile, "abandon", lambda file: kept.append(file)):
            original(self)

    with patch.object(Replica, "forget_pending", forget_pending):
        yield
    for file in kept:
        file.abandon()


@_mutation(
    "what an heir writes comes after what it inherited", "it comes where its clock says", within=200, spooled=True
)
def _heirs_last() -> Iterator[None]:
    original = DirectorySpool._name_run
    with patch.object(DirectorySpool, "_name_run", lambda self, earliest: original(self, 0)):
        yield


@_mutation("a discard reaches the spool", "what was discarded comes back", within=100, spooled=True)
def _discarded() -> Iterator[None]:
    with patch.object(DirectorySpool, "discard", DirectorySpool.abandon):
        yield
