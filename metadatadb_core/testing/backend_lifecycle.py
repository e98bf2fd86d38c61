"""What a backend must do when it is flushed, closed, used afterwards, and opened again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from metadatadb_core import ops
from metadatadb_core.backend import Backend, Status
from metadatadb_core.errors import BackendClosedError
from metadatadb_core.store import Store
from metadatadb_core.testing.concurrency import run_together
from metadatadb_core.testing.suite import Capability, requires

__all__ = ["LifecycleTests"]

NS = "conformance"

OpenBackends: TypeAlias = Callable[[int], list[Backend]]


class LifecycleTests:
    """Flush, status, close, and what is left afterwards."""

    def test_nothing_is_pending_after_a_flush(self, backend: Backend) -> None:
        """Once `flush` has returned, `status` counts nothing as pending, and nothing is there to discard.

        A failure means that `flush` returned before its work was done. Usually it only wakes up a thread.
        """
        backend.apply(NS, ops.IntAdd("x", 1), ops.ListAppend("l", 1))
        backend.flush(NS)
        status = backend.status(NS)

        assert isinstance(status, Status)
        assert (True, 0, None) == (status.loaded, status.pending_ops, status.oldest_pending_age)
        assert [] == backend.discard_pending(NS)
        assert 1 == backend.query(NS, ops.IntGet("x"))

    def test_what_is_discarded_is_what_was_pending(self, backend: Backend) -> None:
        """`discard_pending` returns what it dropped: what is read afterwards is without just these ops.

        A failure means that ops are dropped and not returned, or returned and not dropped. Usually the queue is
        emptied, and local state keeps what was in it. A backend on which a write is durable at once returns none
        and drops none.
        """
        backend.apply(NS, ops.ListAppend("l", 1))
        backend.flush(NS)
        backend.apply(NS, ops.ListAppend("l", 2))
        discarded = backend.discard_pending(NS)
        backend.flush(NS)

        assert discarded in ([], [ops.ListAppend("l", 2)])
        assert ([1] if discarded else [1, 2]) == backend.query(NS, ops.ListEntries("l"))

    def test_a_flush_with_time_to_spare_returns(self, backend: Backend) -> None:
        """`flush` takes a timeout in seconds, also for a namespace nobody has used.

        A failure means that a flush with a limit cannot be relied on. Usually the timeout is not passed on, or taken
        for milliseconds, or an unknown namespace is an error.
        """
        backend.flush("untouched", timeout=60)
        backend.apply(NS, ops.IntAdd("x", 1))
        backend.flush(NS, timeout=60)

        assert 0 == backend.query("untouched", ops.IntGet("x"))

    def test_closing_twice_does_nothing(self, backend: Backend) -> None:
        """`close` may be called again, from anywhere, with or without a timeout.

        A failure means that an application's clean-up raises. Usually a thread is joined, or a client closed,
        a second time.
        """
        backend.apply(NS, ops.IntAdd("x", 1))
        backend.close()
        backend.close(timeout=60)
        run_together(backend.close, backend.close)

    def test_an_unused_backend_can_be_closed(self, backend: Backend) -> None:
        """`close` before first use is allowed.

        A failure means that a program that found nothing to do fails at its end. Usually `close` relies on a
        thread or client that only a first use makes.
        """
        backend.close()

    @pytest.mark.parametrize("used", [True, False], ids=["a-used-namespace", "a-new-namespace"])
    def test_use_after_close_is_refused(self, backend: Backend, used: bool) -> None:
        """`apply`, `query` and `flush` on a closed backend raise `BackendClosedError`, so do prepared ones.

        A failure means that writes are accepted which nobody will ever flush. Usually only some entrances
        look whether the backend is closed.
        """
        read, write = backend.reader(NS, ops.IntGet, "x"), backend.writer(NS)
        if used:
            backend.apply(NS, ops.IntAdd("x", 1))
        backend.close()

        for call in (
            lambda: backend.apply(NS, ops.IntAdd("x", 1)),
            lambda: backend.apply(NS, ops.IntAdd("x", 1), ops.IntAdd("y", 1)),
            lambda: backend.apply(NS, ops.ScalarDelete("x")),
            lambda: backend.query(NS, ops.IntGet("x")),
            lambda: backend.query(NS, ops.MapEntries("x")),
            lambda: backend.query(NS, ops.SetContains("x", "a")),
            lambda: backend.flush(NS),
            read,
            lambda: write(ops.IntAdd("x", 1)),
            lambda: Store(backend).namespace(NS).int("x").add(1),
            lambda: Store(backend).namespace(NS).int("x").get(),
        ):
            with pytest.raises(BackendClosedError):
                call()

    def test_a_store_closes_its_backend(self, backend: Backend) -> None:
        """Leaving a ``with Store(...)`` block closes the backend, and handles made before say so.

        A failure means that pending writes outlive the block that was to flush them. Usually prepared reads and
        writes do not look whether the backend is closed.
        """
        with Store(backend) as store:
            counter = store.namespace(NS).int("x")
            counter.add(1)

        with pytest.raises(BackendClosedError):
            counter.add(1)
        with pytest.raises(BackendClosedError):
            counter.get()

    @requires(Capability.PERSISTENT)
    def test_flushed_writes_survive_a_fresh_backend(self, open_backends: OpenBackends) -> None:
        """What was flushed and closed is there in a new backend over the same storage, exactly.

        A failure means that durable is not durable. Usually the fixture gives each backend a storage of its
        own, or the stored form loses the type of a key.
        """
        (first,) = open_backends(1)
        for namespace in ("", NS):
            first.apply(
                namespace,
                ops.ScalarSet("scalar", {"a": [1, None, "é"]}),
                ops.IntSet("int", 2**63 - 1),
                ops.SetAdd("set", "a"),
                ops.SetAdd("set", 1),
                ops.IntMapAdd("counts", "<k>", -(2**63)),
                ops.MapSet("map", [1, "x"], {"v": 0.1}),
                ops.ListAppend("list", 1),
                ops.ListAppend("list", "1"),
            )
            first.flush(namespace)
        first.close()
        (second,) = open_backends(1)

        for namespace in ("", NS):
            second.flush(namespace)
            assert {"a": [1, None, "é"]} == second.query(namespace, ops.ScalarGet("scalar"))
            assert 2**63 - 1 == second.query(namespace, ops.IntGet("int"))
            assert ["a", 1] == second.query(namespace, ops.SetMembers("set"))
            assert {"<k>": -(2**63)} == second.query(namespace, ops.IntMapEntries("counts"))
            assert {"v": 0.1} == second.query(namespace, ops.MapGet("map", [1, "x"]))
            assert [1, "1"] == second.query(namespace, ops.ListEntries("list"))

    @requires(Capability.PERSISTENT)
    def test_closing_flushes_what_is_pending(self, open_backends: OpenBackends) -> None:
        """`close` flushes: writes that were never flushed are there in a fresh backend.

        A failure means that a clean shutdown loses writes. Usually `close` stops the background thread first
        and forgets what it would have done.
        """
        (first,) = open_backends(1)
        first.apply(NS, ops.IntAdd("x", 1), ops.ListAppend("l", "v"))
        first.apply("other", ops.IntAdd("x", 2))
        first.close()
        (second,) = open_backends(1)
        second.flush(NS)
        second.flush("other")

        assert 1 == second.query(NS, ops.IntGet("x"))
        assert ["v"] == second.query(NS, ops.ListEntries("l"))
        assert 2 == second.query("other", ops.IntGet("x"))
