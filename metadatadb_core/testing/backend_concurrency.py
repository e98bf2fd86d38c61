"""What a backend must keep while many threads, stores and replicas use it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from metadatadb_core import ops
from metadatadb_core.backend import Backend
from metadatadb_core.ops import Op, ReadOp
from metadatadb_core.store import Store
from metadatadb_core.testing.concurrency import run_together
from metadatadb_core.testing.suite import Capability, requires

__all__ = ["AtomicityTests", "ReplicaTests", "ThreadTests"]

NS = "conformance"
THREADS = 8
ROUNDS = 100

OpenBackends: TypeAlias = Callable[[int], list[Backend]]


class AtomicityTests:
    """All ops of one call become visible together."""

    def test_entries_never_show_half_a_call(self, backend: Backend) -> None:
        """A reader of a whole map sees all entries that one call wrote, or none of them.

        A failure means that a reader can see money leave one account before it arrives in the other. Usually
        the collection is copied without the lock under which ops are applied.
        """
        names = [f"k{index}" for index in range(20)]
        done = threading.Event()

        def write() -> None:
            try:
                for count in range(1, ROUNDS + 1):
                    backend.apply(NS, *(ops.IntMapSet("map", name, count) for name in names))
                    if count % 20 == 0:
                        backend.flush(NS)
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                entries = backend.query(NS, ops.IntMapEntries("map"))
                assert {} == entries or (20, 1) == (len(entries), len(set(entries.values()))), entries

        run_together(write, read, read)

    @pytest.mark.parametrize("order", [1, -1], ids=["in-order", "in-reverse"])
    def test_successive_reads_never_go_back(self, backend: Backend, order: int) -> None:
        """Who has seen one op of a call sees all the others of it from then on.

        A failure means that a decision can be taken on half a call. Usually reads of one value take no lock
        and are not held off while a call of several ops is being applied.
        """
        names = ["first", "second", "third"]
        done = threading.Event()

        def write() -> None:
            try:
                for count in range(1, ROUNDS + 1):
                    backend.apply(NS, *(ops.IntSet(name, count) for name in names))
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                seen = [backend.query(NS, ops.IntGet(name)) for name in names[::order]]
                assert sorted(seen) == seen, dict(zip(names[::order], seen, strict=True))

        run_together(write, read, read)

    @pytest.mark.parametrize(
        ("call", "query", "allowed"),
        [
            ([ops.IntAdd("x", 1), ops.IntAdd("x", -1)], ops.IntGet("x"), {0}),
            ([ops.ScalarDelete("s"), ops.ScalarSet("s", "v")], ops.ScalarGet("s"), {"v"}),
            ([ops.MapSet("m", "a", 1), ops.MapSet("m", "a", 2)], ops.MapGet("m", "a"), {2}),
            ([ops.MapSet("m", [7], 1), ops.MapSet("m", [7], 2)], ops.MapGet("m", [7]), {2}),
            ([ops.SetRemove("set", "a"), ops.SetAdd("set", "a")], ops.SetContains("set", "a"), {True}),
            ([ops.ListAppend("l", 1), ops.ScalarDelete("l"), ops.ListAppend("l", 1)], ops.ListLen("l"), {1}),
        ],
        ids=["int", "scalar", "map", "map-by-list", "set", "list"],
    )
    def test_what_a_call_passes_through_is_never_seen(
        self, backend: Backend, call: list[Op], query: ReadOp[Any], allowed: set[Any]
    ) -> None:
        """A value that is stored only between two ops of one call is seen by nobody.

        A failure means that a reader acts on a state that never was. Usually a read looks whether a call is
        being applied, and then reads a moment later, when one is.
        """
        backend.apply(NS, *call)
        done = threading.Event()

        def write() -> None:
            try:
                for _ in range(ROUNDS):
                    backend.apply(NS, *(call * 10))
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                assert backend.query(NS, query) in allowed

        run_together(write, read, read)


class ThreadTests:
    """Writes of many threads all count, exactly once."""

    def test_sums_of_many_threads_are_exact(self, backend: Backend) -> None:
        """Nothing is lost or counted twice when threads write, read and flush the same structures.

        A failure means lost updates. Usually a read-modify-write happens outside the lock, or a flush replaces
        local state and drops what was applied meanwhile.
        """

        def work(worker: int) -> Callable[[], None]:
            def run() -> None:
                for count in range(ROUNDS):
                    backend.apply(NS, ops.IntAdd("int", 1), ops.IntMapAdd("map", count % 3, 2))
                    backend.apply(NS, ops.ListAppend("list", [worker, count]))
                    backend.apply(NS, ops.SetAdd("set", f"{worker}/{count}"))
                    assert backend.query(NS, ops.SetContains("set", f"{worker}/{count}"))
                    if count % 25 == worker:
                        backend.flush(NS)

            return run

        run_together(*(work(worker) for worker in range(THREADS)))
        backend.flush(NS)

        assert THREADS * ROUNDS == backend.query(NS, ops.IntGet("int"))
        assert 2 * THREADS * ROUNDS == sum(backend.query(NS, ops.IntMapEntries("map")).values())
        assert THREADS * ROUNDS == backend.query(NS, ops.SetLen("set"))
        entries = backend.query(NS, ops.ListEntries("list"))
        assert [[worker, count] for worker in range(THREADS) for count in range(ROUNDS)] == sorted(entries)
        assert all(
            sorted(own) == own for own in ([row for row in entries if row[0] == worker] for worker in range(THREADS))
        )

    def test_namespaces_can_be_opened_by_many_threads(self, backend: Backend) -> None:
        """Threads that use a namespace for the first time at the same moment share one state.

        A failure means that the writes of all but one of them are lost. Usually the namespace is looked up and
        made without a lock.
        """

        def use() -> None:
            for index in range(50):
                backend.apply(f"n{index}", ops.IntAdd("x", 1))

        run_together(*[use] * THREADS)

        assert [THREADS] * 50 == [backend.query(f"n{index}", ops.IntGet("x")) for index in range(50)]

    def test_stores_over_one_backend_share_its_state(self, backend: Backend) -> None:
        """Two stores over one backend read each other's writes at once.

        A failure means that a backend keeps state by caller. Usually something is cached by store or thread.
        """
        ours, theirs = Store(backend).namespace(NS), Store(backend).namespace(NS)
        ours.int("x").add(1)
        theirs.int("x").add(2)
        ours.map("m").set("a", [1])

        assert (3, 3) == (ours.int("x").get(), theirs.int("x").get())
        assert [1] == theirs.map("m").get("a")


class ReplicaTests:
    """Several backends over one storage: what one has flushed, the others see after a flush of theirs."""

    @requires(Capability.SHARED)
    def test_a_flush_here_and_a_flush_there_carry_writes_over(self, open_backends: OpenBackends) -> None:
        """What was flushed before another backend's flush began is visible there afterwards.

        A failure means that `flush` is no barrier. Usually a flush with nothing pending reads nothing, or is
        answered by a sync that had begun earlier.
        """
        ours, theirs = open_backends(2)
        for backend in (ours, theirs):
            assert 0 == backend.query(NS, ops.IntGet("x"))
        for count in range(1, 6):
            ours.apply(NS, ops.IntAdd("x", 1), ops.MapSet("m", count, {"n": [count]}), ops.ListAppend("l", count))
            ours.flush(NS)
            theirs.flush(NS)

            assert count == theirs.query(NS, ops.IntGet("x"))
            assert {"n": [count]} == theirs.query(NS, ops.MapGet("m", count))
            assert list(range(1, count + 1)) == theirs.query(NS, ops.ListEntries("l"))

    @requires(Capability.SHARED)
    def test_writes_of_both_sides_are_merged(self, open_backends: OpenBackends) -> None:
        """Ops of two backends that do not conflict all take effect, and ops, not values, are what is sent.

        A failure means that the one who flushes last overwrites the other. Usually the local state is stored
        as it is instead of replaying pending ops on what is stored now.
        """
        ours, theirs = open_backends(2)
        ours.apply(NS, ops.IntAdd("x", 1), ops.SetAdd("s", "ours"), ops.MapSet("m", "ours", 1), ops.ListAppend("l", 1))
        theirs.apply(NS, ops.IntAdd("x", 2), ops.SetAdd("s", "theirs"), ops.MapSet("m", "theirs", 2))
        for backend in (ours, theirs, ours):
            backend.flush(NS)

        for backend in (ours, theirs):
            assert 3 == backend.query(NS, ops.IntGet("x"))
            assert ["ours", "theirs"] == backend.query(NS, ops.SetMembers("s"))
            assert {"ours": 1, "theirs": 2} == backend.query(NS, ops.MapEntries("m"))
            assert [1] == backend.query(NS, ops.ListEntries("l"))

    @requires(Capability.SHARED)
    def test_a_flush_never_splits_a_call(self, open_backends: OpenBackends) -> None:
        """Another replica sees all ops of one call, or none: the total over a transfer stays what it is.

        A failure means that a flush took part of a batch. Usually the queue is cut by count, or between two
        reads of it.
        """
        ours, theirs = open_backends(2)
        for transfers in range(1, 6):
            for _ in range(transfers):
                ours.apply(NS, ops.IntMapAdd("m", "from", -1), ops.IntMapAdd("m", "to", 1))
            ours.flush(NS)
            theirs.flush(NS)
            assert 0 == sum(theirs.query(NS, ops.IntMapEntries("m")).values())
        done = threading.Event()

        def transfer() -> None:
            try:
                for count in range(ROUNDS):
                    ours.apply(NS, ops.IntMapAdd("m", "from", -1), ops.IntMapAdd("m", "to", 1))
                    if count % 10 == 0:
                        ours.flush(NS)
            finally:
                done.set()

        def watch() -> None:
            while not done.is_set():
                theirs.flush(NS)
                assert 0 == sum(theirs.query(NS, ops.IntMapEntries("m")).values())

        def push() -> None:
            while not done.is_set():
                ours.flush(NS)

        run_together(transfer, watch, push)

    @requires(Capability.SHARED)
    def test_sums_over_many_replicas_are_exact(self, open_backends: OpenBackends) -> None:
        """Replicas that write and flush at the same time lose nothing, double nothing, and end up equal.

        A failure means that two writers can both believe to have stored on top of the same version. Usually
        the write is not conditional on the version that was read.
        """
        replicas = open_backends(3)

        def work(backend: Backend, worker: int) -> Callable[[], None]:
            def run() -> None:
                for count in range(30):
                    backend.apply(NS, ops.IntAdd("x", 1), ops.SetAdd("s", f"{worker}/{count}"))
                    backend.apply(NS, ops.ListAppend("l", [worker, count]))
                    if count % 5 == 0:
                        backend.flush(NS)
                    assert backend.query(NS, ops.SetContains("s", f"{worker}/{count}"))

            return run

        run_together(*(work(backend, worker) for worker, backend in enumerate(replicas * 2)))
        for backend in (*replicas, *replicas):
            backend.flush(NS)

        lists = [backend.query(NS, ops.ListEntries("l")) for backend in replicas]
        assert [180] * 3 == [backend.query(NS, ops.IntGet("x")) for backend in replicas]
        assert [180] * 3 == [backend.query(NS, ops.SetLen("s")) for backend in replicas]
        assert [[worker, count] for worker in range(6) for count in range(30)] == sorted(lists[0])
        assert lists[0] == lists[1] == lists[2]
