"""Rounds and who shares them: flush as a barrier, failures, warnings, events."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from metadatadb_core import ops
from metadatadb_core.errors import BackendUnavailableError, FlushTimeoutError
from metadatadb_core.events import SyncFinished, subscribe
from metadatadb_core.replication import ObjectStore, OutcomeUnknown, Version
from metadatadb_core.replication.driver import Traffic
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.lock import Lock
from metadatadb_core.replication.replica import Replica
from metadatadb_core.replication.snapshot import SnapshotLayout
from metadatadb_core.replication.syncer import Syncer
from metadatadb_core.testing.object_store import FAILURES, Bucket, Fault, Hold, MemoryObjectStore
from tests.support.engine import (
    LOCK,
    NS,
    STATE,
    TTL,
    UNLIMITED,
    FakeTime,
    backend_over,
    eager,
    environment,
    impatient,
    recorded_syncs,
    stored,
    wait_until,
)


def syncer_over(
    store: ObjectStore | Callable[[], ObjectStore], clocks: Environment | None = None, *, patience: float = 60.0
) -> Syncer:
    """A syncer that nothing drives but the test."""
    clocks = clocks or eager()
    replica = Replica(NS, clocks, lambda: None)
    return Syncer(
        replica,
        SnapshotLayout("", NS, Lock(LOCK, TTL, clocks), clocks),
        backend="memory store",
        open_store=store if callable(store) else lambda: store,
        before_write=lambda driver: None,
        environment=clocks,
        patience=patience,
        traffic=Traffic(),
    )


def apply(syncer: Syncer, *batch: ops.Op) -> None:
    """Apply ops that belong together."""
    assert syncer.replica.apply(batch, limit=UNLIMITED)


def tickets(syncer: Syncer) -> int:
    """How many flushes have been asked for."""
    return syncer.replica._requested


class TestBarrier:
    """On return from flush, what was applied before the call is durable, and what was durable before it is visible."""

    @pytest.fixture
    def store(self) -> MemoryObjectStore:
        """The store of the replica under test."""
        return MemoryObjectStore()

    @pytest.fixture
    def syncer(self, store: MemoryObjectStore) -> Syncer:
        """The replica under test, which has loaded an empty namespace."""
        syncer = syncer_over(store)
        syncer.flush(10)
        return syncer

    def write_elsewhere(self, store: MemoryObjectStore) -> None:
        """Another replica makes a write durable."""
        other = syncer_over(MemoryObjectStore(store.bucket))
        apply(other, ops.IntAdd("theirs", 1))
        other.flush(10)

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_flush_does_not_join_a_read_that_began_before_it(
        self, store: MemoryObjectStore, syncer: Syncer, when: str
    ) -> None:
        """A round that only reads writes nothing that is applied after it began, also before its request went out."""
        hold = Hold("get", when, key=STATE)  # type: ignore[arg-type]
        store.faults.append(hold)
        with ThreadPoolExecutor() as pool:
            reading = pool.submit(syncer.flush, 10)
            assert hold.reached.wait(10)
            apply(syncer, ops.IntAdd("n", 1))
            self.write_elsewhere(store)
            flush = pool.submit(syncer.flush, 10)
            wait_until(lambda: tickets(syncer) == 3, "the second flush has been asked for")
            hold.resume.set()
            flush.result(10)
            reading.result(10)

        assert {"n": 1, "theirs": 1} == stored(store.bucket)
        assert 1 == syncer.replica.query(ops.IntGet("theirs"))

    @pytest.mark.parametrize("key", [STATE, LOCK])
    def test_a_flush_does_not_join_a_write_whose_read_is_over(
        self, store: MemoryObjectStore, syncer: Syncer, key: str
    ) -> None:
        """What is applied after a batch was sealed is not in it."""
        hold = Hold("put", key=STATE) if key == STATE else Hold("delete", key=LOCK)
        store.faults.append(hold)
        apply(syncer, ops.IntAdd("n", 1))
        with ThreadPoolExecutor() as pool:
            first = pool.submit(syncer.flush, 10)
            assert hold.reached.wait(10)
            apply(syncer, ops.IntAdd("n", 1))
            second = pool.submit(syncer.flush, 10)
            wait_until(lambda: tickets(syncer) == 3, "the second flush has been asked for")
            hold.resume.set()
            second.result(10)
            first.result(10)

        assert {"n": 2} == stored(store.bucket)
        assert 0 == syncer.replica.pending

    def test_a_flush_joins_a_write_that_has_not_read_yet(self, store: MemoryObjectStore, syncer: Syncer) -> None:
        """While a round still waits for the lock, all who come are served by it."""
        hold = Hold("put", key=LOCK)
        store.faults.append(hold)
        apply(syncer, ops.IntAdd("n", 1))
        with recorded_syncs() as events, ThreadPoolExecutor(5) as pool:
            flushes = [pool.submit(syncer.flush, 10)]
            assert hold.reached.wait(10)
            for _ in range(4):
                apply(syncer, ops.IntAdd("n", 1))
                flushes.append(pool.submit(syncer.flush, 10))
            wait_until(lambda: tickets(syncer) == 6, "all have asked for a flush")
            hold.resume.set()
            for flush in flushes:
                flush.result(10)

        assert {"n": 5} == stored(store.bucket)
        assert 1 == len(events)

    def test_a_round_that_repeats_its_put_also_writes_what_came_meanwhile(
        self, store: MemoryObjectStore, syncer: Syncer
    ) -> None:
        """The same bytes go out again first; a flush that joined by then hears of success when its own ops are in."""
        put, under_way, go_on = store.put, threading.Event(), threading.Event()

        def lost(key: str, body: bytes, **options: Any) -> Version:
            if key == STATE and not go_on.is_set():
                under_way.set()
                assert go_on.wait(10)
                raise OutcomeUnknown("no answer in time")
            return put(key, body, **options)

        store.put = lost  # type: ignore[method-assign]
        apply(syncer, ops.IntAdd("n", 1))
        with ThreadPoolExecutor() as pool:
            first = pool.submit(syncer.flush, 10)
            assert under_way.wait(10)
            apply(syncer, ops.IntAdd("n", 1))
            late = pool.submit(syncer.flush, 10)
            wait_until(lambda: tickets(syncer) == 3, "the late flush has been asked for")
            go_on.set()
            late.result(10)
            assert {"n": 2} == stored(store.bucket)
            first.result(10)

    def test_a_round_that_fails_serves_nobody(self, store: MemoryObjectStore, syncer: Syncer) -> None:
        """Whoever waited for it runs one of his own."""
        hold = Hold("put", key=LOCK)
        store.faults += [hold, Fault("get", FAILURES["403"], key=STATE)]
        apply(syncer, ops.IntAdd("n", 1))
        with ThreadPoolExecutor() as pool:
            first = pool.submit(syncer.flush, 10)
            assert hold.reached.wait(10)
            second = pool.submit(syncer.flush, 10)
            wait_until(lambda: tickets(syncer) == 3, "the second flush has been asked for")
            hold.resume.set()
            with pytest.raises(BackendUnavailableError):
                first.result(10)
            second.result(10)

        assert {"n": 1} == stored(store.bucket)

    def test_a_flush_that_cannot_get_its_turn_gives_up_in_time(self, store: MemoryObjectStore, syncer: Syncer) -> None:
        """A round that hangs does not take others with it."""
        hold = Hold("get", key=STATE)
        store.faults.append(hold)
        with ThreadPoolExecutor() as pool:
            hanging = pool.submit(syncer.flush, 10)
            assert hold.reached.wait(10)
            apply(syncer, ops.IntAdd("n", 1))
            with pytest.raises(FlushTimeoutError, match="1 ops remain queued and visible, do not apply them again"):
                syncer.flush(0.01)
            hold.resume.set()
            hanging.result(10)

        assert 1 == syncer.replica.pending

    def test_reads_and_writes_do_not_wait_for_a_round(self, store: MemoryObjectStore, syncer: Syncer) -> None:
        """They are local, also while every request of a round hangs."""
        for kind, key in (("put", LOCK), ("get", STATE), ("put", STATE), ("delete", LOCK)):
            hold = Hold(kind, key=key)  # type: ignore[arg-type]
            store.faults.append(hold)
            apply(syncer, ops.IntAdd("n", 1))
            with ThreadPoolExecutor() as pool:
                flush = pool.submit(syncer.flush, 10)
                assert hold.reached.wait(10)
                before = syncer.replica.query(ops.IntGet("n"))
                apply(syncer, ops.IntAdd("n", 1))
                assert before + 1 == syncer.replica.query(ops.IntGet("n"))
                hold.resume.set()
                flush.result(10)
        syncer.flush(10)

        assert {"n": 8} == stored(store.bucket)


class TestFlushing:
    """How long a flush tries, and what it says when it gives up."""

    @pytest.mark.parametrize("failure", ["never sent", "409", "429", "503", "time-out", "500"])
    def test_what_passes_is_tried_again(self, failure: str) -> None:
        """A store that fails for a while delays a flush, and nothing else."""
        store = MemoryObjectStore()
        syncer = syncer_over(store)
        apply(syncer, ops.IntAdd("n", 1))
        for kind in ("get", "put", "delete"):
            store.faults.append(Fault(kind, FAILURES[failure], times=7))
        syncer.flush(30)

        assert {"n": 1} == stored(store.bucket)

    @pytest.mark.parametrize(
        ("method", "failure"),
        [
            *((method, name) for method in ("get", "put") for name in ("never sent", "409", "time-out", "500")),
            ("put", "412"),
        ],
    )
    def test_a_flush_ends_at_its_timeout_however_the_store_fails(self, method: str, failure: str) -> None:
        """It says why, and that the ops are still there."""
        store = MemoryObjectStore()
        syncer = syncer_over(store, impatient())
        apply(syncer, ops.IntAdd("n", 1))
        store.faults.append(Fault(method, FAILURES[failure], times=None))  # type: ignore[arg-type]
        with pytest.raises(FlushTimeoutError, match="1 ops remain queued and visible") as caught:
            syncer.flush(20)

        assert 1 == syncer.replica.pending
        assert failure == "412" or FAILURES[failure].reason in str(caught.value)
        assert len(store.log) < 500

    def test_a_lock_that_is_held_makes_a_flush_run_out_of_time(self) -> None:
        """Waiting for the lock ends at the caller's timeout; the lock is not taken from its holder."""
        store = MemoryObjectStore(Bucket())
        store.bucket.write(LOCK, b"locked")
        syncer = syncer_over(store, impatient())
        apply(syncer, ops.IntAdd("n", 1))
        with pytest.raises(FlushTimeoutError):
            syncer.flush(TTL / 2)

        assert b"locked" == store.bucket.objects[LOCK].body
        assert [] == [request for request in store.log if request.method == "put" and request.key == STATE]

    def test_a_flush_without_a_timeout_ends_as_well(self) -> None:
        """Its patience is the engine's."""
        store = MemoryObjectStore()
        store.faults.append(Fault("get", FAILURES["never sent"], times=None))
        syncer = syncer_over(store, impatient(), patience=20)
        apply(syncer, ops.IntAdd("n", 1))
        with pytest.raises(BackendUnavailableError, match="connection refused; 1 ops remain queued and visible"):
            syncer.flush(None)


class TestInTheBackground:
    """Rounds that nobody waits for."""

    def test_failures_are_counted_and_warnings_rate_limited(self, caplog: pytest.LogCaptureFixture) -> None:
        """One warning a minute for each namespace; the others are for those who debug."""
        time = FakeTime()
        store = MemoryObjectStore()
        store.faults.append(Fault("get", FAILURES["403"], times=None))
        syncer = syncer_over(store, environment(time))
        counted = []
        with caplog.at_level(logging.DEBUG, "metadatadb"):
            for _ in range(13):
                counted.append(syncer.sync(time.now + 100, threading.Event()))
                time.advance(10)
        levels = [record.levelno for record in caplog.records]

        assert list(range(1, 14)) == counted
        assert 13 == len(levels)
        assert [0, 6, 12] == [index for index, level in enumerate(levels) if level == logging.WARNING]
        assert "sync of namespace 'ns' with memory store failed (1 in a row; 0 ops pending)" in caplog.messages[0]
        assert "access denied" in caplog.messages[0]

    def test_a_success_ends_the_count(self) -> None:
        """And the error is no longer shown."""
        time = FakeTime()
        store = MemoryObjectStore()
        store.faults.append(Fault("get", FAILURES["403"], times=2))
        syncer = syncer_over(store, environment(time))
        counted = [syncer.sync(time.now + 100, threading.Event()) for _ in range(3)]

        assert [1, 2, 0] == counted
        assert (None, time.wall()) == (syncer.status().last_error, syncer.status().last_success)

    def test_errors_that_nobody_foresaw_count_as_failures(self, caplog: pytest.LogCaptureFixture) -> None:
        """They are logged with their traceback, once a minute, and end no thread."""

        def open_store() -> ObjectStore:
            raise ZeroDivisionError("a bug")

        time = FakeTime()
        syncer = syncer_over(open_store, environment(time))
        with recorded_syncs() as events, caplog.at_level(logging.WARNING, "metadatadb"):
            counted = [syncer.sync(time.now + 100, threading.Event()) for _ in range(3)]

        assert [1, 2, 3] == counted
        assert ["failed"] * 3 == [event.outcome for event in events]
        assert (None, "a bug") == (syncer.status().last_success, syncer.status().last_error)
        assert 1 == len(caplog.records)
        assert caplog.records[0].exc_info is not None

    def test_a_sync_does_not_wait_for_a_round_that_runs(self) -> None:
        """There is one, so there is nothing to do."""
        syncer = syncer_over(MemoryObjectStore())
        with syncer.exclusively():
            assert 0 == syncer.sync(1e9, threading.Event())

        assert [] == syncer._open_store().log  # type: ignore[attr-defined]

    def test_a_sync_that_is_told_to_stop_stops_waiting(self) -> None:
        """A round that waits for the lock ends when the backend closes."""
        store = MemoryObjectStore()
        store.bucket.write(LOCK, b"locked")
        syncer = syncer_over(store)
        apply(syncer, ops.IntAdd("n", 1))
        stop = threading.Event()
        stop.set()

        assert 1 == syncer.sync(1e9, stop)
        assert 1 == syncer.replica.pending

    def test_an_observer_that_fails_changes_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged."""

        def fail(event: object) -> None:
            raise RuntimeError("observer")

        unsubscribe = subscribe("failing", fail)
        store = MemoryObjectStore()
        syncer = syncer_over(store)
        apply(syncer, ops.IntAdd("n", 1))
        syncer.flush(10)
        unsubscribe()

        assert {"n": 1} == stored(store.bucket)
        assert "failing" in caplog.text

    def test_lock_waits_are_counted(self) -> None:
        """An event says how often somebody else held the lock."""
        time = FakeTime()
        clocks = environment(time)
        store = MemoryObjectStore()
        store.bucket.write(LOCK, b"locked")
        traffic = Traffic()

        def waited(seconds: float) -> None:
            traffic.lock_waits += 1

        replica = Replica(NS, clocks, lambda: None)
        lock = Lock(LOCK, TTL, clocks, waited=waited)
        syncer = Syncer(
            replica,
            SnapshotLayout("", NS, lock, clocks),
            backend="memory store",
            open_store=lambda: store,
            before_write=lambda driver: None,
            environment=clocks,
            patience=60,
            traffic=traffic,
        )
        apply(syncer, ops.IntAdd("n", 1))
        stop = _Passing(time)
        syncer.sync(time.now + 3 * TTL, stop)
        with recorded_syncs() as events:
            store.bucket.write(LOCK, b"locked")
            apply(syncer, ops.IntAdd("n", 1))
            syncer.sync(time.now + 3 * TTL, stop)

        assert {"n": 2} == stored(store.bucket)
        assert [60] == [event.lock_waits for event in events]


class _Passing(threading.Event):
    """An event that is never set, and for which waiting lets fake time pass."""

    def __init__(self, time: FakeTime) -> None:
        super().__init__()
        self._time = time

    def wait(self, timeout: float | None = None) -> bool:
        self._time.advance(timeout or 0.0)
        return False


@pytest.mark.parametrize("call", ["flush", "discard_pending"])
def test_an_observer_that_flushes_the_namespace_it_is_told_of_is_refused(call: str) -> None:
    """Or discards: it would wait for the very sync that waits for it."""
    refused: list[str] = []
    backend = backend_over(MemoryObjectStore())

    def call_within(event: SyncFinished) -> None:
        try:
            getattr(backend, call)(NS)
        except RuntimeError as error:
            refused.append(str(error))

    leave = subscribe("within", call_within)
    try:
        backend.flush(NS)
    finally:
        leave()
        backend.close()

    assert "would wait for itself; have another thread do it" in refused[0]
