"""The backend: loading, writing through, limits, closing, status, and stores that cannot be used."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from metadatadb_core import Store, ops
from metadatadb_core.errors import (
    BackendClosedError,
    BackendUnavailableError,
    CorruptStateError,
    FlushTimeoutError,
    InvalidValueError,
    MetadataDBError,
    PendingLimitError,
    UnflushedOpsError,
    UnsafeStoreError,
    UnsupportedFormatError,
)
from metadatadb_core.replication import ReplicatedBackend
from metadatadb_core.testing.concurrency import run_together
from metadatadb_core.testing.object_store import FAILURES, Bucket, Fault, Hold, MemoryObjectStore, etag
from tests.support.engine import (
    LOCK,
    NS,
    STATE,
    FakeTime,
    backend_over,
    eager,
    environment,
    impatient,
    opened,
    recorded_syncs,
    stored,
    wait_until,
)
from tests.unit.replication.conftest import OpenBackend

DOWN = "never sent"


def down(kind: str = "*") -> list[Fault]:
    """Every request of that kind, or of all, fails without having been sent."""
    kinds: list[Any] = ["get", "put", "delete"] if kind == "*" else [kind]
    return [Fault(one, FAILURES[DOWN], times=None) for one in kinds]


# -- loading ------------------------------------------------------------------------------------------------


class TestLoading:
    """The state is loaded when a namespace is first used."""

    def test_the_first_read_waits_for_the_state(self, shared_bucket: Bucket, open_backend: OpenBackend) -> None:
        """Whoever reads first sees what is stored, not an empty state."""
        shared_bucket.write(STATE, b'{"n":7}')
        hold = Hold("get", key=STATE)
        backend, _ = open_backend(hold)
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(backend.query, NS, ops.IntGet("n"))
            assert hold.reached.wait(10)
            assert not answer.done()
            assert not backend.status(NS).loaded
            hold.resume.set()

            assert 7 == answer.result(10)
        assert backend.status(NS).loaded

    def test_prepared_reads_wait_too(self, shared_bucket: Bucket, open_backend: OpenBackend) -> None:
        """A handle's read, made before anything was loaded."""
        shared_bucket.write(STATE, b'{"n":7}')
        backend, _ = open_backend()

        assert 7 == Store(backend).namespace(NS).int("n").get()

    def test_writes_do_not_wait(self, shared_bucket: Bucket, open_backend: OpenBackend) -> None:
        """What is applied before the state is there is replayed on it."""
        shared_bucket.write(STATE, b'{"n":7}')
        hold = Hold("get", key=STATE)
        backend, _ = open_backend(hold)
        backend.apply(NS, ops.IntAdd("n", 1))
        hold.resume.set()

        assert 8 == backend.query(NS, ops.IntGet("n"))

    def test_a_first_read_waits_no_longer_than_the_load_timeout(self, open_backend: OpenBackend) -> None:
        """With the store unreachable it serves what is there, and the status says so."""
        backend, store = open_backend(*down(), load_timeout="50ms")
        backend.apply(NS, ops.IntAdd("n", 1))
        began = time.monotonic()

        assert 1 == backend.query(NS, ops.IntGet("n"))
        assert 0.01 <= time.monotonic() - began < 3
        wait_until(lambda: backend.status(NS).last_error, "a first sync that failed")
        status = backend.status(NS)
        assert (False, 1) == (status.loaded, status.pending_ops)
        assert "connection refused" in (status.last_error or "")
        assert 0 == backend.query(NS, ops.IntGet("other"))
        store.faults.clear()
        backend.flush(NS)
        assert backend.status(NS).loaded

    def test_only_the_first_reads_wait(self, open_backend: OpenBackend) -> None:
        """After the load timeout nobody waits again, although nothing was loaded."""
        backend, _ = open_backend(*down(), load_timeout="50ms")
        backend.query(NS, ops.IntGet("n"))
        began = time.monotonic()
        for _ in range(100):
            backend.query(NS, ops.IntGet("n"))

        assert time.monotonic() - began < 0.05

    @pytest.mark.parametrize("failure", ["403", "413"])
    def test_a_store_that_refuses_keeps_no_reader_waiting(self, open_backend: OpenBackend, failure: str) -> None:
        """What waiting does not help against ends it."""
        backend, _ = open_backend(Fault("get", FAILURES[failure], times=None), load_timeout="1h")

        assert 0 == backend.query(NS, ops.IntGet("n"))

    def test_a_store_that_comes_back_is_found_by_itself(self, shared_bucket: Bucket, open_backend: OpenBackend) -> None:
        """The load is tried again in the background, long before the next interval."""
        shared_bucket.write(STATE, b'{"n":7}')
        backend, _ = open_backend(Fault("get", FAILURES[DOWN], times=5), load_timeout="1h", sync_interval="100ms")

        assert 7 == backend.query(NS, ops.IntGet("n"))


# -- stores that cannot be used ----------------------------------------------------------------------------------


class TestBadStores:
    """Reads go on, nothing pending is lost, and the message tells what to do."""

    @pytest.mark.parametrize(
        ("failure", "denied", "says"),
        [
            ("403", True, "memory store denies access: access denied"),
            ("413", False, "cannot be used: entity too large"),
        ],
    )
    @pytest.mark.parametrize("method", ["get", "put"])
    def test_a_store_that_refuses_is_reported_at_once(
        self, open_backend: OpenBackend, failure: str, denied: bool, says: str, method: Any
    ) -> None:
        """There is no point in trying again until someone acts; the ops stay."""
        backend, store = open_backend()
        opened(backend)
        backend.apply(NS, ops.IntAdd("n", 1))
        store.faults.append(Fault(method, FAILURES[failure], times=None))
        with pytest.raises(BackendUnavailableError, match="do not apply them again") as caught:
            backend.flush(NS)

        assert says in str(caught.value)
        assert "1 ops remain queued and visible" in str(caught.value)
        assert (denied, NS) == (caught.value.denied, caught.value.namespace)
        assert FAILURES[failure].reason == getattr(caught.value.cause, "reason", None)
        assert (1, 1) == (backend.query(NS, ops.IntGet("n")), backend.status(NS).pending_ops)
        store.faults.clear()
        backend.flush(NS)
        assert {"n": 1} == stored(store.bucket)

    def test_a_store_that_is_unreachable_later_is_waited_for(self, open_backend: OpenBackend) -> None:
        """A flush keeps trying until its time is up, and says why it did not succeed."""
        backend, store = open_backend(environment=impatient())
        backend.apply(NS, ops.IntAdd("n", 1))
        backend.flush(NS)
        store.faults += down()
        backend.apply(NS, ops.IntAdd("n", 1))
        with pytest.raises(BackendUnavailableError, match=r"connection refused.*1 ops remain queued and visible"):
            backend.flush(NS)
        with pytest.raises(FlushTimeoutError, match="1 ops remain queued and visible, do not apply") as caught:
            backend.flush(NS, timeout=3)

        assert (NS, 3, 1) == (caught.value.namespace, caught.value.timeout, caught.value.pending)
        assert "connection refused" in str(caught.value)
        assert isinstance(caught.value, TimeoutError)
        assert 2 == backend.query(NS, ops.IntGet("n"))

    @pytest.mark.parametrize("condition", ["put-absent", "put-match"])
    def test_a_store_that_ignores_conditions_is_refused_by_name(self, condition: Any) -> None:
        """Before anything is written to it; reads go on."""
        bucket = Bucket(ignores=[condition])
        bucket.write(STATE, b'{"n":7}')
        backend = backend_over(MemoryObjectStore(bucket))
        backend.apply(NS, ops.IntAdd("n", 1))
        for _ in range(2):
            with pytest.raises(UnsafeStoreError, match="memory store does not enforce put-if-"):
                backend.flush(NS)

        assert [STATE] == list(bucket.objects)
        assert b'{"n":7}' == bucket.objects[STATE].body
        assert (8, 1) == (backend.query(NS, ops.IntGet("n")), backend.status(NS).pending_ops)
        with pytest.raises(UnflushedOpsError):
            backend.close()
        bucket._ignores = frozenset()
        backend.close()
        assert {"n": 8} == stored(bucket)

    def test_the_probe_runs_once(self, open_backend: OpenBackend) -> None:
        """Before the first write, for all namespaces; its object is removed, and readers cost nothing."""
        backend, store = open_backend()
        opened(backend)
        assert {"get"} == set(store.counts)
        for namespace in (NS, "other", NS):
            backend.apply(namespace, ops.IntAdd("n", 1))
            backend.flush(namespace)
        probes = [request for request in store.log if ".probe-" in request.key]

        assert 1 == len({request.key for request in probes})
        assert [] == [key for key in store.bucket.objects if ".probe-" in key]

    def test_a_store_without_conditional_deletes_works_with_one_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        """The lock is released all the same while that is safe."""
        bucket = Bucket(ignores=["delete"])
        with (
            caplog.at_level(logging.WARNING, "metadatadb"),
            closing(backend_over(MemoryObjectStore(bucket))) as backend,
        ):
            for _ in range(3):
                backend.apply(NS, ops.IntAdd("n", 1))
                backend.flush(NS)

        assert 1 == len(caplog.messages)
        assert "does not enforce conditions on deletes" in caplog.text
        assert LOCK not in bucket.objects

    def test_an_exception_that_is_no_outcome_counts_as_unknown(self, open_backend: OpenBackend) -> None:
        """A store that raises what it should not has not said that nothing was applied: it is found out."""
        backend, store = open_backend(environment=eager())
        opened(backend)
        put = store.put
        surprises = [RuntimeError("after it was applied")]

        def surprising(key: str, body: bytes, **options: Any) -> Any:
            version = put(key, body, **options)
            if key == STATE and surprises:
                raise surprises.pop()
            return version

        store.put = surprising  # type: ignore[method-assign]
        backend.apply(NS, ops.IntAdd("n", 1))
        backend.flush(NS)

        assert [] == surprises
        assert {"n": 1} == stored(store.bucket)

    def test_a_client_that_cannot_be_made_is_no_success(self, caplog: pytest.LogCaptureFixture) -> None:
        """An error nobody foresaw is logged and counted, the background goes on, and a later sync succeeds."""
        bucket = Bucket()
        broken = threading.Event()
        broken.set()

        def open_store() -> MemoryObjectStore:
            if broken.is_set():
                raise LookupError("no such profile")
            return MemoryObjectStore(bucket)

        backend = backend_over(open_store, sync_interval="100ms", load_timeout="1h")
        with recorded_syncs() as events, caplog.at_level(logging.WARNING, "metadatadb"):
            assert 0 == backend.query(NS, ops.IntGet("n"))
            wait_until(lambda: backend.status(NS).consecutive_failures >= 2, "two failures in a row")
            status = backend.status(NS)
            assert (None, False) == (status.last_success, status.loaded)
            assert "no such profile" in (status.last_error or "")
            with pytest.raises(LookupError):
                backend.flush(NS)
            broken.clear()
            wait_until(lambda: backend.status(NS).loaded, "a sync that succeeds")
        backend.close()

        assert "failed" == events[0].outcome
        assert isinstance(events[0].error, LookupError)
        assert 1 == len([record for record in caplog.records if record.levelno == logging.WARNING])

    def test_a_corrupt_state_does_not_stop_reads(self, shared_bucket: Bucket, open_backend: OpenBackend) -> None:
        """First and later reads answer; a flush says what is wrong."""
        shared_bucket.write(STATE, b"[]")
        backend, _ = open_backend(load_timeout="1h")
        backend.apply(NS, ops.IntAdd("n", 1))

        assert 1 == backend.query(NS, ops.IntGet("n"))
        with pytest.raises(CorruptStateError, match="restore it from a backup, or delete it"):
            backend.flush(NS)
        assert b"[]" == shared_bucket.objects[STATE].body
        shared_bucket.objects.clear()
        backend.flush(NS)
        assert {"n": 1} == stored(shared_bucket)

    def test_the_journal_design_is_refused(self, shared_bucket: Bucket, open_backend: OpenBackend) -> None:
        """A namespace that the original keeps in its later design is neither read nor written."""
        shared_bucket.write(".metadata/ns/rollup.json", b"{}")
        backend, _ = open_backend()
        backend.apply(NS, ops.IntAdd("n", 1))
        with pytest.raises(UnsupportedFormatError, match="journal design"):
            backend.flush(NS)

        assert [".metadata/ns/rollup.json"] == list(shared_bucket.objects)
        assert 1 == backend.query(NS, ops.IntGet("n"))


# -- write-mode through ------------------------------------------------------------------------------------------


class TestThrough:
    """With write-mode through, a write returns once it is durable."""

    def test_a_write_is_durable_when_it_returns(self, open_backend: OpenBackend) -> None:
        """Nothing else is to be called."""
        backend, store = open_backend(write_mode="through")
        backend.apply(NS, ops.IntAdd("n", 1))

        assert {"n": 1} == stored(store.bucket)
        assert 0 == backend.status(NS).pending_ops

    def test_queued_writes_touch_no_network(self, open_backend: OpenBackend) -> None:
        """The other mode, which is the default."""
        backend, store = open_backend()
        opened(backend)
        store.log.clear()
        backend.apply(NS, ops.IntAdd("n", 1))

        assert [] == store.log
        assert 1 == backend.status(NS).pending_ops

    def test_concurrent_writers_share_rounds(self, open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those who come while a round runs are all served by the next one."""
        backend, store = open_backend(write_mode="through")
        opened(backend)
        tickets = count_tickets(monkeypatch)
        hold = Hold("put", key=STATE)
        store.faults.append(hold)
        with recorded_syncs() as events, ThreadPoolExecutor(17) as pool:
            first = pool.submit(backend.apply, NS, ops.IntAdd("n", 1))
            assert hold.reached.wait(10)
            others = [pool.submit(backend.apply, NS, ops.IntAdd("n", 1)) for _ in range(16)]
            wait_until(lambda: len(tickets) == 17, "all have asked for a flush")
            hold.resume.set()
            for write in (first, *others):
                write.result(10)

        assert {"n": 17} == stored(store.bucket)
        assert ["write", "write"] == [event.kind for event in events]

    @pytest.mark.parametrize("body", [None, b"[]"], ids=["unreachable", "corrupt"])
    def test_a_write_that_fails_says_that_it_is_queued(self, open_backend: OpenBackend, body: bytes | None) -> None:
        """It must not be applied again: the next flush carries it."""
        backend, store = open_backend(write_mode="through", environment=impatient())
        backend.flush(NS)
        if body is None:
            store.faults += down()
        else:
            store.bucket.write(STATE, body)
        with pytest.raises(MetadataDBError) as caught:
            backend.apply(NS, ops.IntAdd("n", 1))
        said = "\n".join([str(caught.value), *caught.value.__notes__])

        assert "remain queued and visible" in said
        assert "do not apply them again" in said
        assert 1 == backend.query(NS, ops.IntGet("n"))
        store.faults.clear()
        store.bucket.objects.clear()
        backend.flush(NS)
        assert {"n": 1} == stored(store.bucket)

    def test_what_is_refused_before_it_is_queued_says_nothing_of_the_kind(self, open_backend: OpenBackend) -> None:
        """An invalid op is safe to correct and repeat."""
        backend, _ = open_backend(write_mode="through")
        with pytest.raises(InvalidValueError) as caught:
            backend.apply(NS, ops.IntAdd("n", 2**63))

        assert [] == getattr(caught.value, "__notes__", [])
        assert 0 == backend.status(NS).pending_ops


def count_tickets(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tickets that flushes draw from now on."""
    from metadatadb_core.replication.replica import Replica

    tickets: list[int] = []
    request = Replica.request

    def counted(self: Replica) -> int:
        tickets.append(request(self))
        return tickets[-1]

    monkeypatch.setattr(Replica, "request", counted)
    return tickets


# -- limits --------------------------------------------------------------------------------------------------------


class TestPendingLimit:
    """The queue is bounded."""

    def test_a_full_queue_refuses_more(self, open_backend: OpenBackend) -> None:
        """After waiting for room in vain; what was refused is not applied."""
        backend, _ = open_backend(*down(), max_pending_ops=3, environment=impatient(), load_timeout="1ms")
        for index in range(3):
            backend.apply(NS, ops.ListAppend("l", index))
        with pytest.raises(PendingLimitError, match=r"3 ops wait to be flushed already.*not accepted") as caught:
            backend.apply(NS, ops.ListAppend("l", 3))

        assert (NS, 3) == (caught.value.namespace, caught.value.limit)
        assert "connection refused" in str(caught.value.__cause__)
        assert [0, 1, 2] == backend.query(NS, ops.ListEntries("l"))
        assert 3 == backend.status(NS).pending_ops

    def test_what_coalesces_is_accepted_all_the_same(self, open_backend: OpenBackend) -> None:
        """It does not make the queue longer."""
        backend, _ = open_backend(*down(), max_pending_ops=2, environment=impatient(), load_timeout="1ms")
        backend.apply(NS, ops.IntAdd("n", 1), ops.MapSet("m", "a", 1))
        for index in range(100):
            backend.apply(NS, ops.IntAdd("n", 1), ops.MapSet("m", "a", index))
        with pytest.raises(PendingLimitError):
            backend.apply(NS, ops.IntAdd("n", 1), ops.IntAdd("other", 1))

        assert 101 == backend.query(NS, ops.IntGet("n"))
        assert 2 == backend.status(NS).pending_ops

    def test_a_full_queue_waits_for_room(self, open_backend: OpenBackend) -> None:
        """With the store there, a writer that is too fast is slowed down, and loses nothing."""
        backend, store = open_backend(max_pending_ops=3)
        for index in range(20):
            backend.apply(NS, ops.ListAppend("l", index))
        backend.flush(NS)

        assert list(range(20)) == stored(store.bucket)["l"]

    def test_many_writers_find_room(self, open_backend: OpenBackend) -> None:
        """Also where others fill the queue as soon as it was flushed."""
        backend, store = open_backend(max_pending_ops=2)

        def write(worker: int) -> Callable[[], None]:
            def run() -> None:
                for index in range(20):
                    backend.apply(NS, ops.ListAppend("l", [worker, index]))

            return run

        run_together(*(write(worker) for worker in range(6)))
        backend.flush(NS)

        assert [[w, i] for w in range(6) for i in range(20)] == sorted(stored(store.bucket)["l"])

    def test_any_number_of_additions_while_the_store_is_down_queue_one_op(self, open_backend: OpenBackend) -> None:
        """And cost no more than they do otherwise."""
        backend, store = open_backend(*down(), load_timeout="1ms")
        counter = Store(backend).namespace(NS).int("n")
        for _ in range(100_000):
            counter.add(1)

        assert 100_000 == counter.get()
        assert 1 == backend.status(NS).pending_ops
        store.faults.clear()
        backend.flush(NS)
        assert {"n": 100_000} == stored(store.bucket)


# -- closing -------------------------------------------------------------------------------------------------------


class TestClosing:
    """Close flushes, and never drops silently."""

    def test_close_flushes_every_namespace(self, open_backend: OpenBackend) -> None:
        """Whatever was pending."""
        backend, store = open_backend()
        for namespace in ("", NS, "other"):
            backend.apply(namespace, ops.IntAdd("n", 1))
        backend.close()

        for key in (".metadata/.json", STATE, ".metadata/other.json"):
            assert {"n": 1} == stored(store.bucket, key)

    def test_what_could_not_be_flushed_is_reported_with_counts(self, open_backend: OpenBackend) -> None:
        """By namespace, with its cause; the others are flushed, and close can be tried again."""
        backend, store = open_backend(Fault("put", FAILURES["403"], key=STATE, times=None))
        backend.apply(NS, ops.ListAppend("l", 1), ops.ListAppend("l", 2))
        backend.apply("other", ops.IntAdd("n", 1))
        for _ in range(2):
            with pytest.raises(UnflushedOpsError, match=r"2 in 'ns'; call close\(\) again.*access denied") as caught:
                backend.close()
            assert {NS: 2} == caught.value.pending
            assert [NS] == list(caught.value.causes)
        assert {"n": 1} == stored(store.bucket, ".metadata/other.json")
        store.faults.clear()
        backend.close()
        backend.close()

        assert {"l": [1, 2]} == stored(store.bucket)

    def test_close_gives_up_at_its_timeout(self, open_backend: OpenBackend) -> None:
        """However the store behaves."""
        backend, store = open_backend(*down(), environment=impatient())
        backend.apply(NS, ops.IntAdd("n", 1))
        with pytest.raises(UnflushedOpsError, match="connection refused"):
            backend.close(timeout=5)
        store.faults.clear()
        backend.close()

        assert {"n": 1} == stored(store.bucket)

    def test_writes_are_refused_from_the_first_close_on(self, open_backend: OpenBackend) -> None:
        """Also when it failed: what is left to flush does not grow."""
        backend, store = open_backend(Fault("put", FAILURES["403"], times=None))
        add = Store(backend).namespace(NS).int("n").add
        add(1)
        with pytest.raises(UnflushedOpsError):
            backend.close()
        with pytest.raises(BackendClosedError):
            add(1)
        with pytest.raises(BackendClosedError):
            backend.apply(NS, ops.IntAdd("n", 1))
        store.faults.clear()
        backend.close()

        assert {"n": 1} == stored(store.bucket)

    def test_a_write_that_races_with_close_is_flushed_or_refused(self, open_backend: OpenBackend) -> None:
        """None is accepted and then forgotten."""
        for _ in range(10):
            backend, store = open_backend()
            store.bucket.objects.clear()
            backend.flush(NS)
            accepted: list[int] = []

            def write(backend: ReplicatedBackend = backend, accepted: list[int] = accepted) -> None:
                try:
                    for _ in range(1000):
                        backend.apply(NS, ops.IntAdd("n", 1))
                        accepted.append(1)
                except BackendClosedError:
                    pass

            run_together(write, write, backend.close)
            assert len(accepted) == stored(store.bucket).get("n", 0)

    def test_a_writer_that_is_overtaken_by_close_is_refused(self, open_backend: OpenBackend) -> None:
        """It has found its namespace open, and applies once close has looked at what is pending there."""
        backend, store = open_backend(Fault("put", FAILURES["403"], times=None))
        opened(backend)
        replica = backend._syncers[NS].replica
        backend.apply(NS, ops.IntAdd("n", 1))
        with pytest.raises(UnflushedOpsError):
            backend.close()
        with pytest.raises(BackendClosedError):
            replica.apply([ops.IntAdd("n", 1)], limit=10)
        store.faults.clear()
        backend.close()

        assert {"n": 1} == stored(store.bucket)

    def test_an_unforeseen_error_does_not_keep_others_from_being_flushed(self, shared_bucket: Bucket) -> None:
        """Close tries every namespace, and reports the error as the cause."""
        store = MemoryObjectStore(shared_bucket)
        broken = [True]

        def open_store() -> MemoryObjectStore:
            if broken:
                broken.pop()
                raise LookupError("no such profile")
            return store

        backend = backend_over(open_store, environment=impatient())
        wait = backend._scheduler.stopped.set
        wait()  # nothing runs in the background
        backend.apply(NS, ops.IntAdd("n", 1))
        backend.apply("other", ops.IntAdd("n", 1))
        with pytest.raises(UnflushedOpsError, match="no such profile"):
            backend.close()
        assert {"n": 1} == stored(shared_bucket, ".metadata/other.json")
        backend.close()
        assert {"n": 1} == stored(shared_bucket)


# -- discarding ----------------------------------------------------------------------------------------------------


class TestDiscarding:
    """The only way to lose an op on purpose."""

    def test_what_is_discarded_is_returned_and_gone(self, open_backend: OpenBackend) -> None:
        """Local state is what is stored again."""
        backend, store = open_backend()
        backend.apply(NS, ops.IntAdd("n", 1))
        backend.flush(NS)
        backend.apply(NS, ops.IntAdd("n", 5), ops.ListAppend("l", 1))

        assert [ops.IntAdd("n", 5), ops.ListAppend("l", 1)] == backend.discard_pending(NS)
        assert (1, []) == (backend.query(NS, ops.IntGet("n")), backend.query(NS, ops.ListEntries("l")))
        assert 0 == backend.status(NS).pending_ops
        backend.close()
        assert {"n": 1} == stored(store.bucket)

    def test_discarding_with_the_store_down(self, open_backend: OpenBackend) -> None:
        """It works, what is read shows what was dropped until the next sync, and the namespace counts as loaded."""
        backend, store = open_backend(environment=impatient())
        backend.apply(NS, ops.IntAdd("n", 1))
        backend.flush(NS)
        store.faults += down()
        backend.apply(NS, ops.IntAdd("n", 5))

        assert [ops.IntAdd("n", 5)] == backend.discard_pending(NS)
        assert 6 == backend.query(NS, ops.IntGet("n"))
        assert backend.status(NS).loaded
        store.faults.clear()
        backend.flush(NS)
        assert 1 == backend.query(NS, ops.IntGet("n"))


# -- many replicas ---------------------------------------------------------------------------------------------------


def test_sixteen_replicas_that_flush_one_counter_at_once_count_exactly() -> None:
    """Each adds and flushes several times, all at the same moment: nothing is lost, nothing counts twice."""
    bucket = Bucket(versions=etag)
    replicas = [backend_over(MemoryObjectStore(bucket), lock_ttl="400ms") for _ in range(16)]

    def work(backend: ReplicatedBackend) -> Callable[[], None]:
        def run() -> None:
            for _ in range(3):
                backend.apply(NS, ops.IntAdd("n", 1), ops.ListAppend("l", "x"))
                backend.flush(NS)

        return run

    run_together(*(work(backend) for backend in replicas))
    for backend in replicas:
        backend.flush(NS)

    assert {48} == {backend.query(NS, ops.IntGet("n")) for backend in replicas}
    assert 48 == len(stored(bucket)["l"])
    for backend in replicas:
        backend.close()


# -- status ----------------------------------------------------------------------------------------------------------


def test_status_tells_how_a_namespace_stands(open_backend: OpenBackend) -> None:
    """Every field, before, during and after trouble."""
    clock = FakeTime()
    backend, store = open_backend(environment=environment(clock, uniform=lambda low, high: low))
    opened(backend)
    backend.apply(NS, ops.IntAdd("n", 1))
    clock.advance(7)
    status = backend.status(NS)
    assert (True, 1, 7.0) == (status.loaded, status.pending_ops, status.oldest_pending_age)
    assert (None, None) == (status.remote_version, status.last_error)

    store.faults.append(Fault("put", FAILURES["403"], key=STATE, times=2))
    for failures in (1, 2):
        with pytest.raises(BackendUnavailableError):
            backend.flush(NS)
        status = backend.status(NS)
        assert (failures, 1, 7.0) == (status.consecutive_failures, status.pending_ops, status.oldest_pending_age)
        assert "access denied" in (status.last_error or "")

    clock.advance(3)
    backend.flush(NS)
    status = backend.status(NS)
    found = store.bucket.objects[STATE]
    assert (0, None, None) == (status.consecutive_failures, status.last_error, status.oldest_pending_age)
    assert clock.wall() == status.last_success
    assert (found.version, len(found.body)) == (status.remote_version, status.bytes)


def test_every_sync_is_an_event(open_backend: OpenBackend) -> None:
    """Kind, outcome, ops, requests and bytes of each round."""
    backend, store = open_backend()
    opened(backend)
    with recorded_syncs() as events:
        backend.apply(NS, ops.IntAdd("n", 1))
        backend.flush(NS)
        store.log.clear()
        backend.apply(NS, ops.IntAdd("n", 1), ops.ListAppend("l", 1))
        backend.flush(NS)
        sent = store.bytes_sent
        backend.flush(NS)
        store.faults.append(Fault("get", FAILURES["403"]))
        with pytest.raises(BackendUnavailableError):
            backend.flush(NS)
    _, write, read, failed = events

    assert ("memory store", NS, "write", "ok") == (write.backend, write.namespace, write.kind, write.outcome)
    assert (2, 4, sent, 0, 0) == (write.ops, write.requests, write.bytes_sent, write.bytes_received, write.lock_waits)
    assert ("read", "ok", 0, 1, 0) == (read.kind, read.outcome, read.ops, read.requests, read.bytes_received)
    assert ("read", "failed", 0) == (failed.kind, failed.outcome, failed.ops)
    assert isinstance(failed.error, BackendUnavailableError)


def test_an_event_says_that_the_state_was_reset(open_backend: OpenBackend) -> None:
    """Once, in the round that finds it gone."""
    backend, store = open_backend()
    opened(backend)
    backend.apply(NS, ops.IntAdd("n", 1))
    backend.flush(NS)
    with recorded_syncs() as events:
        backend.flush(NS)
        del store.bucket.objects[STATE]
        backend.flush(NS)
        backend.flush(NS)

    assert [False, True, False] == [event.reset for event in events]


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_that_is_none_is_refused(open_backend: OpenBackend, timeout: float) -> None:
    """A number of seconds, zero or more."""
    backend, _ = open_backend()
    with pytest.raises(InvalidValueError, match="number of seconds"):
        backend.flush(NS, timeout=timeout)
