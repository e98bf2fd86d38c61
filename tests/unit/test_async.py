"""Stores and batches under asyncio."""

from __future__ import annotations

import asyncio
import threading
from typing import TypeVar, final

import pytest

from metadatadb_core import Backend, BackendClosedError, Store
from metadatadb_core.ops import Op, ReadOp
from metadatadb_memory import MemoryBackend

R = TypeVar("R")


@final
class Blocking(Backend):
    """A backend whose flush and close block until they are released, and note who called them how."""

    def __init__(self) -> None:
        self.inner = MemoryBackend()
        self.release = threading.Event()
        self.calls: list[tuple[str, float | None, bool]] = []

    def _block(self, what: str, timeout: float | None) -> None:
        self.calls.append((what, timeout, threading.current_thread() is threading.main_thread()))
        assert self.release.wait(30)

    def apply(self, namespace: str, *ops: Op) -> None:
        self.inner.apply(namespace, *ops)

    def query(self, namespace: str, op: ReadOp[R]) -> R:
        return self.inner.query(namespace, op)

    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        self._block("flush", timeout)

    def close(self, *, timeout: float | None = None) -> None:
        self._block("close", timeout)
        self.inner.close()


def test_async_with_closes_the_store() -> None:
    """As the plain block does."""
    backend = MemoryBackend()

    async def main() -> int:
        async with Store(backend) as store:
            store.namespace("fleet").int("n").add(1)
            return store.namespace("fleet").int("n").get()

    assert 1 == asyncio.run(main())
    with pytest.raises(BackendClosedError):
        backend.flush("fleet")


def test_async_with_that_raises_closes_too() -> None:
    """And the error is what the caller sees."""
    backend = MemoryBackend()

    async def main() -> None:
        async with Store(backend):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())
    with pytest.raises(BackendClosedError):
        backend.flush("fleet")


def test_aflush_and_aclose_leave_the_loop_free() -> None:
    """They block in a thread, with the time limit they were given, while other tasks run."""
    backend = Blocking()

    async def main() -> None:
        store = Store(backend)
        for waiting in (store.namespace("fleet").aflush(timeout=3), store.aclose(timeout=4)):
            task = asyncio.create_task(waiting)
            while not (backend.calls or task.done()):
                await asyncio.sleep(0)
            backend.release.set()
            await task
            backend.release.clear()
            recorded.append(backend.calls.pop())

    recorded: list[tuple[str, float | None, bool]] = []
    asyncio.run(main())

    assert [("flush", 3, False), ("close", 4, False)] == recorded


def test_aflush_raises_what_flush_raises() -> None:
    """An error crosses the thread."""

    async def main() -> None:
        store = Store(MemoryBackend())
        ns = store.namespace("fleet")
        await store.aclose()
        await ns.aflush()

    with pytest.raises(BackendClosedError):
        asyncio.run(main())


def test_a_batch_collects_across_awaits_of_its_own_task() -> None:
    """Whatever other tasks run meanwhile."""

    async def main() -> tuple[int, int]:
        with Store(MemoryBackend()) as store:
            n = store.namespace("fleet").int("n")
            with store.namespace("fleet").batch():
                n.add(1)
                await asyncio.sleep(0)
                n.add(2)
                inside = n.get()
            return inside, n.get()

    assert (0, 3) == asyncio.run(main())


def test_a_batch_does_not_collect_from_other_tasks() -> None:
    """A task that was there before writes for itself, and its write stays when the block raises."""

    async def main() -> int:
        with Store(MemoryBackend()) as store:
            ns = store.namespace("fleet")
            opened, written = asyncio.Event(), asyncio.Event()

            async def other() -> None:
                await opened.wait()
                ns.int("n").add(1)
                written.set()

            task = asyncio.create_task(other())
            with pytest.raises(ZeroDivisionError), ns.batch():
                opened.set()
                await written.wait()
                raise ZeroDivisionError
            await task
            return ns.int("n").get()

    assert 1 == asyncio.run(main())


def test_a_task_started_inside_the_block_writes_for_itself() -> None:
    """It inherits the context, and may outlive the block: what it writes is neither held back nor lost."""

    async def main() -> list[str]:
        with Store(MemoryBackend()) as store:
            ns = store.namespace("fleet")
            written = asyncio.Event()
            go_on = asyncio.Event()
            tasks: list[asyncio.Task[None]] = []

            async def child() -> None:
                ns.set("s").add("inside")
                written.set()
                await go_on.wait()
                ns.set("s").add("after")

            with pytest.raises(ZeroDivisionError), ns.batch():
                tasks.append(asyncio.create_task(child()))
                await written.wait()
                raise ZeroDivisionError
            with ns.batch():  # another one is open: the task's is not mistaken for it
                go_on.set()
                await tasks[0]
                return ns.set("s").members()

    assert ["after", "inside"] == asyncio.run(main())


def test_a_thread_asked_to_write_inside_the_block_writes_for_itself() -> None:
    """``to_thread`` passes the context on; the batch is its opener's alone."""

    async def main() -> int:
        with Store(MemoryBackend()) as store:
            n = store.namespace("fleet").int("n")
            with store.namespace("fleet").batch():
                await asyncio.to_thread(n.add, 5)
                return n.get()

    assert 5 == asyncio.run(main())
