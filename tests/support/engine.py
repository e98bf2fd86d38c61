"""The engine without threads: fake clocks, replicas whose rounds are driven request by request, scripted rounds."""

from __future__ import annotations

import itertools
import time as real_time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast, final

from metadatadb_core import ops
from metadatadb_core.codec import decode_names
from metadatadb_core.events import SyncFinished, subscribe
from metadatadb_core.members import Members
from metadatadb_core.ops import Op
from metadatadb_core.replication import ReplicatedBackend, ReplicationConfig
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.lock import Lock, lock_key
from metadatadb_core.replication.object_store import ObjectStore
from metadatadb_core.replication.outcomes import (
    OutcomeUnknown,
    PreconditionFailed,
    StoreFailure,
    Unavailable,
)
from metadatadb_core.replication.replica import Replica
from metadatadb_core.replication.requests import Delete, Get, Put, Request, Steps, Wait
from metadatadb_core.replication.snapshot import SnapshotLayout, state_key
from metadatadb_core.replication.spool import NO_SPOOL, Spool
from metadatadb_core.testing.object_store import Bucket, MemoryObjectStore

R = TypeVar("R")

NS = "ns"
STATE = state_key("", NS)
LOCK = lock_key("", NS)
RECORD = ".metadatadb"
TTL = 30.0
UNLIMITED = 10**9

_EPOCH = 1_790_000_000.0


@final
class FakeTime:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += seconds

    def monotonic(self) -> float:
        """The monotonic clock of every machine."""
        return self.now

    def wall(self, error: float = 0.0) -> float:
        """A wall clock that is `error` seconds wrong."""
        return _EPOCH + self.now + error

    def date(self, error: float = 0.0) -> datetime:
        """The same as a date; what a store's clock says."""
        return datetime.fromtimestamp(self.wall(error), UTC)


def environment(
    time: FakeTime,
    name: str = "a",
    *,
    wall_error: float = 0.0,
    uniform: Callable[[float, float], float] = lambda low, high: high,
) -> Environment:
    """Clocks that stand still until told otherwise, the longest of all waits, and ids that count from 1."""
    count = itertools.count(1)
    return Environment(
        monotonic=time.monotonic,
        wall=lambda: time.wall(wall_error),
        uniform=uniform,
        new_id=lambda: f"{name}-{next(count)}",
    )


@final
class Round(Generic[R]):
    """A generator of the engine, driven one request at a time against a store.

    Attributes:
        request: what it asks for next; None once it has ended.
        made: what it has asked for so far.
    """

    def __init__(self, steps: Steps[R], store: ObjectStore, time: FakeTime) -> None:
        self._steps = steps
        self._store = store
        self._time = time
        self._ended: list[R] = []
        self.made: list[Request] = []
        self.request: Request | None = None
        self._go_on(lambda: next(steps))

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.request is None

    @property
    def result(self) -> R:
        """What it ended with."""
        assert self.over, self.request
        return self._ended[0]

    def step(self) -> None:
        """Do what is asked for, and tell the generator; a wait passes at once."""
        assert self.request is not None
        request = self.request
        self.made.append(request)
        try:
            outcome = self._do(request)
        except StoreFailure as failure:
            self.throw(failure)
        else:
            self._go_on(lambda: self._steps.send(outcome))

    def send(self, outcome: object) -> None:
        """Say that this came of what is asked for, whatever the store would have said."""
        self._go_on(lambda: self._steps.send(outcome))

    def throw(self, failure: Exception) -> None:
        """Say that what is asked for failed so."""
        self._go_on(lambda: self._steps.throw(failure))

    def finish(self) -> R:
        """Go on to the end."""
        for _ in range(10_000):
            if self.over:
                return self.result
            self.step()
        raise AssertionError(f"a round that does not end: {self.made[-5:]}")

    def go_on_until(self, kind: type[Request], key: str) -> None:
        """Go on until a request of that kind, for that key, is what is asked for next."""
        for _ in range(10_000):
            assert not self.over, f"no {kind.__name__} of {key}: {self.made}"
            if isinstance(self.request, kind) and getattr(self.request, "key", None) == key:
                return
            self.step()
        raise AssertionError(f"a round that does not end: {self.made[-5:]}")

    def crash(self) -> None:
        """The process dies: nothing is asked for any more."""
        self._steps.close()
        self.request = None

    def _go_on(self, advance: Callable[[], Request]) -> None:
        self.request = None  # also if it raises
        try:
            self.request = advance()
        except StopIteration as end:
            self._ended.append(end.value)

    def _do(self, request: Request) -> object:
        match request:
            case Get(key, unless):
                return self._store.get(key, unless=unless)
            case Put(key, body, expect, content_type, metadata):
                return self._store.put(key, body, expect=expect, content_type=content_type, metadata=metadata)
            case Delete(key, expect):
                self._store.delete(key, expect=expect)
                return None
            case Wait(seconds):
                self._time.advance(seconds)
                return None


PASSING = (Unavailable, OutcomeUnknown, PreconditionFailed)
"""What a round may fail with that the next one may not."""


@final
class Peer:
    """One namespace of one process: replica, lock and layout over a client of its own, without any thread.

    Args:
        bucket: the storage.
        time: the clocks.
        name: what its ids begin with.
        ttl: its lock's, in seconds.
        wall_error: how wrong its wall clock is.
        lock: the key of its lock; peers with different ones do not see each other's.
        deletes_enforced: whether it believes that the store enforces conditions on deletes.
        spool: where it records what is pending.
    """

    def __init__(
        self,
        bucket: Bucket,
        time: FakeTime,
        name: str = "a",
        *,
        ttl: float = TTL,
        wall_error: float = 0.0,
        lock: str = LOCK,
        deletes_enforced: bool = True,
        spool: Spool = NO_SPOOL,
    ) -> None:
        self.name = name
        self.time = time
        self.store = MemoryObjectStore(bucket)
        self.environment = environment(time, name, wall_error=wall_error)
        self.replica = Replica(NS, self.environment, lambda: None, spool)
        self.lock = Lock(lock, ttl, self.environment, deletes_enforced=lambda: deletes_enforced)
        self.layout = SnapshotLayout("", NS, self.lock, self.environment)

    def apply(self, *batch: Op) -> None:
        """Apply ops that belong together."""
        assert self.replica.apply(batch, limit=UNLIMITED)

    def add(self, delta: int = 1) -> None:
        """Add to the counter that all peers share."""
        self.apply(ops.IntAdd("n", delta))

    def append(self, entry: str) -> None:
        """Append to the list that all peers share: it shows what is lost, doubled or out of order."""
        self.apply(ops.ListAppend("l", entry))

    @property
    def count(self) -> int:
        """The counter as this peer reads it."""
        return self.replica.query(ops.IntGet("n"))

    @property
    def entries(self) -> list[Any]:
        """The list as this peer reads it."""
        return self.replica.query(ops.ListEntries("l"))

    def commit(self) -> Round[None]:
        """A round that writes."""
        self.replica.begin()
        return Round(self.layout.commit(self.replica), self.store, self.time)

    def refresh(self) -> Round[None]:
        """A round that reads."""
        self.replica.begin()
        return Round(self.layout.refresh(self.replica), self.store, self.time)

    def round(self) -> Round[None]:
        """The round that a sync would run now."""
        return self.commit() if self.replica.pending else self.refresh()

    def sync(self, rounds: int = 50) -> None:
        """Rounds until one succeeds, as a flush does."""
        for _ in range(rounds):
            try:
                self.round().finish()
            except PASSING:
                self.time.advance(1.0)
            else:
                return
        raise AssertionError(f"{rounds} rounds failed")


def stored(bucket: Bucket, key: str = STATE) -> dict[str, Any]:
    """The stored state, without the record."""
    found = bucket.objects.get(key)
    names = {} if found is None else decode_names(found.body)
    return {
        name: value.to_object() if isinstance(value, Members) else value
        for name, value in names.items()
        if name != RECORD
    }


def stored_record(bucket: Bucket, key: str = STATE) -> dict[str, Any]:
    """The stored record."""
    value = decode_names(bucket.objects[key].body)[RECORD]
    return cast("dict[str, Any]", value.to_object() if isinstance(value, Members) else value)


NEVER_BY_ITSELF = "1h"


def backend_over(
    store: ObjectStore | Callable[[], ObjectStore],
    *,
    environment: Environment | None = None,
    **options: Any,
) -> ReplicatedBackend:
    """A backend that syncs once when a namespace is opened, and from then on only when told to."""
    options.setdefault("sync_interval", NEVER_BY_ITSELF)
    return ReplicatedBackend(
        store if callable(store) else lambda: store,
        name="memory store",
        config=ReplicationConfig(**options),
        environment=environment,
    )


@contextmanager
def recorded_syncs() -> Iterator[list[SyncFinished]]:
    """The events of the syncs that finish inside the block."""
    events: list[SyncFinished] = []
    unsubscribe = subscribe("test", events.append)
    try:
        yield events
    finally:
        unsubscribe()


@final
class TickingTime:
    """A monotonic clock on which half a second passes whenever somebody looks: whoever waits for an end, meets it."""

    def __init__(self, step: float = 0.5) -> None:
        self._ticks = itertools.count()
        self._step = step

    def monotonic(self) -> float:
        """Later than ever before."""
        return next(self._ticks) * self._step


def impatient() -> Environment:
    """Where deadlines pass in no time, and every pause is the shortest."""
    return Environment(monotonic=TickingTime().monotonic, uniform=lambda low, high: low)


def eager() -> Environment:
    """Real clocks, and every pause is the shortest."""
    return Environment(uniform=lambda low, high: low)


AWAIT_SECONDS = 30.0


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for `condition`, which comes true in another thread, with a deadline."""
    deadline = real_time.monotonic() + AWAIT_SECONDS
    while not condition():
        assert real_time.monotonic() < deadline, f"not within {AWAIT_SECONDS:g}s: {what}"
        real_time.sleep(0.001)


def opened(backend: ReplicatedBackend, namespace: str = NS) -> None:
    """Use a namespace for the first time, and wait until nothing runs in the background any more."""
    backend.flush(namespace)
    wait_until(lambda: backend._scheduler._idle, "the first sync is over")
