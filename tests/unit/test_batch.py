"""Batches: writes that are applied together or not at all."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar, final

import pytest

from metadatadb_core import Backend, BackendClosedError, InvalidValueError, Namespace, Store, StructureMismatchError
from metadatadb_core.ops import IntAdd, ListAppend, MapSet, Op, ReadOp, SetAdd
from metadatadb_memory import MemoryBackend

R = TypeVar("R")


@final
class Recording(Backend):
    """A memory backend that notes what each call of `apply` was given."""

    def __init__(self) -> None:
        self.inner = MemoryBackend()
        self.applied: list[tuple[str, tuple[Op, ...]]] = []

    def apply(self, namespace: str, *ops: Op) -> None:
        self.applied.append((namespace, ops))
        self.inner.apply(namespace, *ops)

    def query(self, namespace: str, op: ReadOp[R]) -> R:
        return self.inner.query(namespace, op)

    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        self.inner.flush(namespace, timeout=timeout)

    def close(self, *, timeout: float | None = None) -> None:
        self.inner.close(timeout=timeout)


@pytest.fixture
def backend() -> Recording:
    return Recording()


@pytest.fixture
def store(backend: Recording) -> Iterator[Store]:
    with Store(backend) as store:
        yield store


@pytest.fixture
def ns(store: Store) -> Namespace:
    return store.namespace("fleet")


def test_a_batch_is_one_apply_in_the_order_of_its_writes(ns: Namespace, backend: Recording) -> None:
    """Writes of any structures of the namespace go down together."""
    with ns.batch():
        ns.int("n").add(2)
        ns.set("s").add("a")
        ns.map("m")["k"] = 1
        ns.list("l").extend(["x", "y"])

    assert [
        (
            "fleet",
            (
                IntAdd("n", 2),
                SetAdd("s", "a"),
                MapSet("m", "k", 1),
                ListAppend("l", "x"),
                ListAppend("l", "y"),
            ),
        )
    ] == backend.applied


def test_reads_inside_the_block_do_not_see_its_writes(ns: Namespace) -> None:
    """They are applied when the block ends."""
    n = ns.int("n")
    with ns.batch():
        n.add(1)
        inside = n.get()

    assert (0, 1) == (inside, n.get())


def test_a_block_that_raises_applies_nothing(ns: Namespace, backend: Recording) -> None:
    """Not what came before the error either; and the next write is no part of it."""
    with pytest.raises(ZeroDivisionError), ns.batch():
        ns.int("n").add(1)
        raise ZeroDivisionError
    ns.int("n").add(10)

    assert ([("fleet", (IntAdd("n", 10),))], 10) == (backend.applied, ns.int("n").get())


@pytest.mark.parametrize(
    "bad",
    [
        lambda ns: ns.int("n").set(2**63),
        lambda ns: ns.map("m").set("\ud800", 1),
        lambda ns: ns.list("l").append(float("nan")),
        lambda ns: ns.scalar("s").set(object()),
    ],
    ids=["int64", "surrogate", "nan", "object"],
)
def test_a_bad_write_raises_at_its_call(ns: Namespace, backend: Recording, bad: Callable[[Namespace], None]) -> None:
    """Where the traceback shows the line at fault; a block that catches it goes on without that write."""
    with ns.batch():
        ns.int("n").add(1)
        with pytest.raises(InvalidValueError):
            bad(ns)
        ns.int("n").add(2)

    assert [("fleet", (IntAdd("n", 1), IntAdd("n", 2)))] == backend.applied


def test_what_goes_into_a_batch_is_copied_at_the_call(ns: Namespace) -> None:
    """Changing it before the block ends does not change what is stored."""
    value = ["a"]
    with ns.batch():
        ns.map("m").set("k", value)
        ns.list("l").append(value)
        value.append("b")

    assert (["a"], [["a"]]) == (ns.map("m")["k"], ns.list("l").entries())


def test_a_kind_that_does_not_fit_is_refused_at_the_call(ns: Namespace, backend: Recording) -> None:
    """The batch looks at what is stored, as every write does."""
    backend.inner.apply("fleet", IntAdd("x", 1))
    with ns.batch(), pytest.raises(StructureMismatchError):
        ns.list("x").append(1)

    assert [] == backend.applied


def test_an_empty_batch_applies_nothing(ns: Namespace, backend: Recording) -> None:
    """Nor does a block that only reads."""
    with ns.batch():
        ns.int("n").get()

    assert [] == backend.applied


def test_a_batch_inside_another_joins_it(ns: Namespace, backend: Recording) -> None:
    """All is applied when the outermost block ends."""
    with ns.batch():
        ns.int("n").add(1)
        with ns.batch():
            ns.int("n").add(2)
        between = list(backend.applied)
        ns.int("n").add(3)

    assert ([], [("fleet", (IntAdd("n", 1), IntAdd("n", 2), IntAdd("n", 3)))]) == (between, backend.applied)


def test_an_inner_block_that_raises_takes_only_its_own_writes_along(ns: Namespace, backend: Recording) -> None:
    """Where the outer one catches the error, it goes on."""
    with ns.batch():
        ns.int("n").add(1)
        with pytest.raises(ZeroDivisionError), ns.batch():
            ns.int("n").add(2)
            raise ZeroDivisionError

    assert [("fleet", (IntAdd("n", 1),))] == backend.applied


def test_another_namespace_is_not_collected(store: Store, ns: Namespace, backend: Recording) -> None:
    """A batch is of one namespace; its neighbour's writes go straight down."""
    with ns.batch():
        store.namespace("other").int("n").add(1)
        ns.int("n").add(2)
        between = list(backend.applied)

    assert [("other", (IntAdd("n", 1),))] == between


def test_batches_of_two_namespaces_are_kept_apart(store: Store, ns: Namespace, backend: Recording) -> None:
    """Each is one apply to its own namespace."""
    other = store.namespace("other")
    with ns.batch(), other.batch():
        ns.int("n").add(1)
        other.int("n").add(2)
        ns.int("n").add(3)

    assert [("other", (IntAdd("n", 2),)), ("fleet", (IntAdd("n", 1), IntAdd("n", 3)))] == backend.applied


def test_the_same_namespace_of_another_store_is_not_collected(ns: Namespace, backend: Recording) -> None:
    """Batches belong to a store's namespace, not to its name."""
    other = Store(backend).namespace("fleet")
    with ns.batch():
        other.int("n").add(1)

        assert 1 == ns.int("n").get()


def test_another_thread_is_not_collected(ns: Namespace) -> None:
    """What other threads write meanwhile is applied at once, and stays when the block raises."""
    thread = threading.Thread(target=ns.int("n").add)
    with pytest.raises(ZeroDivisionError), ns.batch():
        thread.start()
        thread.join()
        raise ZeroDivisionError

    assert 1 == ns.int("n").get()


def test_a_thread_that_inherits_the_context_is_not_collected(ns: Namespace) -> None:
    """As ``asyncio.to_thread`` passes it on, and free-threaded builds do: such a thread may outlive the block."""
    n = ns.int("n")
    context: list[contextvars.Context] = []
    with pytest.raises(ZeroDivisionError), ns.batch():
        context.append(contextvars.copy_context())
        thread = threading.Thread(target=context[0].run, args=(n.add,))
        thread.start()
        thread.join()
        raise ZeroDivisionError
    with ns.batch():
        context[0].run(n.add)

        assert 2 == n.get()


def test_threads_batch_at_once_without_mixing(ns: Namespace, backend: Recording) -> None:
    """Each collects its own writes."""
    both_open = threading.Barrier(2)

    def work(name: str) -> None:
        with ns.batch():
            both_open.wait()
            for _ in range(100):
                ns.int(name).add(1)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [("fleet", (IntAdd("a", 1),) * 100), ("fleet", (IntAdd("b", 1),) * 100)] == sorted(backend.applied, key=repr)


def test_a_batch_can_be_used_again(ns: Namespace, backend: Recording) -> None:
    """It begins empty each time, after an error too."""
    batch = ns.batch()
    with batch:
        ns.int("n").add(1)
    with pytest.raises(ZeroDivisionError), batch:
        ns.int("n").add(2)
        raise ZeroDivisionError
    with batch:
        ns.int("n").add(3)

    assert [("fleet", (IntAdd("n", 1),)), ("fleet", (IntAdd("n", 3),))] == backend.applied


def test_a_batch_that_is_open_cannot_be_entered_again(ns: Namespace, backend: Recording) -> None:
    """It would lose what it holds; it is refused, and goes on as it was."""
    with ns.batch() as batch:
        ns.int("n").add(1)
        with pytest.raises(RuntimeError, match="open already"), batch:
            pass
        ns.int("n").add(2)

    assert [("fleet", (IntAdd("n", 1), IntAdd("n", 2)))] == backend.applied


def test_a_batch_shows_what_it_has_collected(ns: Namespace) -> None:
    """In order, as ops."""
    with ns.batch() as batch:
        ns.int("n").add(1)
        collected = list(batch.ops)

    assert [IntAdd("n", 1)] == collected


def test_nobody_sees_half_a_batch(ns: Namespace) -> None:
    """Whoever reads the first of two writes, and then the second, finds both."""
    first, second, between = ns.int("first"), ns.int("second"), ns.set("between", list[int])
    slow = list(range(3000))  # to apply: a member's canonical text is made then
    torn: list[tuple[int, int]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen = first.get()
            if (after := second.get()) < seen:
                torn.append((seen, after))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(50):
            with ns.batch():
                first.add(1)
                between.add(slow)
                second.add(1)
    finally:
        done.set()
        watcher.join()
        sys.setswitchinterval(interval)

    assert ([], 50) == (torn, second.get())


def test_a_store_closed_inside_the_block_refuses_the_batch() -> None:
    """The caller learns that nothing was applied."""
    store = Store(MemoryBackend())
    ns = store.namespace("fleet")
    n = ns.int("n")
    with pytest.raises(BackendClosedError), ns.batch():
        n.add(1)
        store.close()


# -- left in other ways than at its end ------------------------------------------------------------------------


def test_a_flush_inside_a_batch_that_has_collected_writes_is_refused(ns: Namespace) -> None:
    """It could not keep what it promises."""
    with ns.batch():
        ns.flush()
        ns.int("n").add(1)
        with pytest.raises(RuntimeError, match="flush after the block"):
            ns.flush()
    ns.flush()

    assert 1 == ns.int("n").get()


def test_so_is_one_in_another_thread_that_is_awaited(ns: Namespace) -> None:
    """It is the task that is inside the block."""

    async def flush_inside() -> None:
        with ns.batch():
            ns.int("n").add(1)
            await ns.aflush()

    with pytest.raises(RuntimeError, match="flush after the block"):
        asyncio.run(flush_inside())


def test_a_generator_that_is_given_up_inside_a_batch_says_what_is_lost(
    ns: Namespace, caplog: pytest.LogCaptureFixture
) -> None:
    """Also what its caller wrote, who did not know of the block."""

    def rows() -> Iterator[int]:
        with ns.batch():
            ns.int("read").add(1)
            yield 1

    generator = rows()
    next(generator)
    ns.int("orders").add(1)
    del generator
    ns.int("orders").add(1)

    assert (0, 1) == (ns.int("read").get(), ns.int("orders").get())
    assert ["a generator was given up inside a batch of namespace 'fleet'; the 2 writes"] == [
        record.getMessage().partition(" that were")[0] for record in caplog.records
    ]


def test_a_batch_is_left_in_the_context_in_which_it_was_entered(ns: Namespace, backend: Recording) -> None:
    """Elsewhere nothing was collected for it: what it has would be half of what it should have."""
    batch = ns.batch()

    def enter() -> None:
        batch.__enter__()
        ns.int("n").add(1)

    contextvars.copy_context().run(enter)
    with pytest.raises(RuntimeError, match="the 1 writes it has collected are not applied: enter and leave it in one"):
        batch.__exit__(None, None, None)
    ns.int("n").add(5)

    assert [("fleet", (IntAdd("n", 5),))] == backend.applied
