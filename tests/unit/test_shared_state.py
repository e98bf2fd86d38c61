"""State that threads share: what belongs together is seen together."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metadatadb_core import ops
from metadatadb_core.errors import BackendClosedError, InvalidValueError
from metadatadb_core.ops import MISSING, Op, ReadOp
from metadatadb_core.state import SharedState
from metadatadb_core.testing.backend_cases import CASES
from metadatadb_core.testing.concurrency import run_together
from metadatadb_core.writes import WRITES

WAIT = 30.0
"""Seconds after which a step that does not come counts as a deadlock."""


class WatchedLock:
    """A lock that tells when somebody has to wait for it."""

    def __init__(self, moved: threading.Event) -> None:
        self._lock = threading.Lock()
        self._moved = moved

    def acquire(self) -> bool:
        if self._lock.acquire(blocking=False):
            return True
        self._moved.set()
        return self._lock.acquire(timeout=WAIT)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        assert self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


COLLECTION_READS = {
    ops.ScalarGet,
    ops.SetMembers,
    ops.SetLen,
    ops.IntMapKeys,
    ops.IntMapEntries,
    ops.IntMapLen,
    ops.MapKeys,
    ops.MapEntries,
    ops.MapLen,
    ops.ListEntries,
    ops.ListSlice,
    ops.ListLen,
}
"""Reads that look at more than one value."""

READS: list[tuple[ReadOp[Any], list[Op], list[Op], Any]] = [
    (ops.IntGet("x"), [ops.IntSet("x", 1)], [ops.IntAdd("x", 1), ops.IntAdd("x", 1)], 3),
    (ops.ShapeGet("x"), [ops.IntSet("x", 1)], [ops.ScalarDelete("x"), ops.ListAppend("x", 1)], "array"),
    (ops.ScalarGet("x"), [ops.ScalarSet("x", 1)], [ops.ScalarDelete("x"), ops.ScalarSet("x", 2)], 2),
    (ops.SetContains("x", "a"), [ops.SetAdd("x", "a")], [ops.SetRemove("x", "a"), ops.SetAdd("x", "a")], True),
    (ops.SetLen("x"), [ops.SetAdd("x", "a")], [ops.SetRemove("x", "a"), ops.SetAdd("x", "a")], 1),
    (ops.SetMembers("x"), [ops.SetAdd("x", "a")], [ops.SetRemove("x", "a"), ops.SetAdd("x", "b")], ["b"]),
    (
        ops.IntMapGet("x", "a"),
        [ops.IntMapSet("x", "a", 1)],
        [ops.IntMapDelete("x", "a"), ops.IntMapSet("x", "a", 2)],
        2,
    ),
    (
        ops.IntMapContains("x", "a"),
        [ops.IntMapSet("x", "a", 1)],
        [ops.IntMapDelete("x", "a"), ops.IntMapAdd("x", "a", 2)],
        True,
    ),
    (ops.IntMapLen("x"), [ops.IntMapSet("x", "a", 1)], [ops.IntMapDelete("x", "a"), ops.IntMapSet("x", "b", 2)], 1),
    (
        ops.IntMapKeys("x"),
        [ops.IntMapSet("x", "a", 1)],
        [ops.IntMapDelete("x", "a"), ops.IntMapSet("x", "b", 2)],
        ["b"],
    ),
    (
        ops.IntMapEntries("x"),
        [ops.IntMapSet("x", "a", 1)],
        [ops.IntMapAdd("x", "a", -1), ops.IntMapAdd("x", "b", 1)],
        {"a": 0, "b": 1},
    ),
    (ops.MapGet("x", "a"), [ops.MapSet("x", "a", 1)], [ops.MapDelete("x", "a"), ops.MapSet("x", "a", 2)], 2),
    (ops.MapLen("x"), [ops.MapSet("x", "a", 1)], [ops.MapDelete("x", "a"), ops.MapSet("x", "b", 2)], 1),
    (ops.MapKeys("x"), [ops.MapSet("x", "a", 1)], [ops.MapDelete("x", "a"), ops.MapSet("x", "b", 2)], ["b"]),
    (ops.MapEntries("x"), [ops.MapSet("x", "a", 1)], [ops.MapDelete("x", "a"), ops.MapSet("x", "b", 2)], {"b": 2}),
    (ops.ListLen("x"), [ops.ListAppend("x", 1)], [ops.ListAppend("x", 2), ops.ListAppend("x", 3)], 3),
    (ops.ListEntries("x"), [ops.ListAppend("x", 1)], [ops.ListAppend("x", 2), ops.ListAppend("x", 3)], [1, 2, 3]),
    (ops.ListSlice("x", 1, None), [ops.ListAppend("x", 1)], [ops.ListAppend("x", 2), ops.ListAppend("x", 3)], [2, 3]),
]


def test_every_read_op_is_held_against_a_call_that_is_half_applied() -> None:
    """The table below forgets none."""
    assert set(ops.READ_OPS) == {type(query) for query, *_ in READS}


@pytest.mark.parametrize(("query", "before", "call", "after"), READS, ids=[type(query).__name__ for query, *_ in READS])
def test_a_reader_waits_for_a_call_that_is_half_applied(
    monkeypatch: pytest.MonkeyPatch, query: ReadOp[Any], before: list[Op], call: list[Op], after: Any
) -> None:
    """What stands between two ops of one call is never the answer: the reader gets what comes after them."""
    moved, go_on = threading.Event(), threading.Event()
    shared = SharedState()
    shared.apply(before)
    write = WRITES[type(call[-1])]

    def stop_and_write(names: Any, op: Any) -> None:
        if op is call[-1]:
            moved.set()
            assert go_on.wait(WAIT)
        write(names, op)

    monkeypatch.setitem(WRITES, type(call[-1]), stop_and_write)
    monkeypatch.setattr(shared, "lock", WatchedLock(moved))
    answers: list[Any] = []

    def read() -> None:
        answers.append(shared.query(query))
        moved.set()

    writer, reader = threading.Thread(target=shared.apply, args=(call,)), threading.Thread(target=read)
    writer.start()
    assert moved.wait(WAIT), "the call was not half applied"
    moved.clear()
    reader.start()
    assert moved.wait(WAIT), "the reader neither answered nor waited"
    go_on.set()
    writer.join(WAIT)
    reader.join(WAIT)

    assert [after] == answers


class PausedNames(dict[str, Any]):
    """Names in which one thread is stopped right before it looks."""

    def __init__(self, names: dict[str, Any], pause: Callable[[], None]) -> None:
        super().__init__(names)
        self._pause = pause

    def get(self, name: str, default: Any = None) -> Any:
        self._pause()
        return super().get(name, default)


LOCKED_READS = [row for row in READS if type(row[0]) in COLLECTION_READS]


@pytest.mark.parametrize(
    ("query", "before", "call", "after"), LOCKED_READS, ids=[type(query).__name__ for query, *_ in LOCKED_READS]
)
def test_a_call_waits_for_a_reader_that_looks_at_many_values(
    monkeypatch: pytest.MonkeyPatch, query: ReadOp[Any], before: list[Op], call: list[Op], after: Any
) -> None:
    """A reader that began before a call was applied sees what stood before it, and not half of it."""
    looking, moved = threading.Event(), threading.Event()
    shared = SharedState()
    shared.apply(before)
    first = shared.query(query)
    answers: list[Any] = []

    def pause() -> None:
        if threading.current_thread() is reader and not looking.is_set():
            looking.set()
            assert moved.wait(WAIT)

    monkeypatch.setattr(shared, "lock", WatchedLock(moved))
    monkeypatch.setattr(shared, "names", PausedNames(shared.names, pause))
    write = WRITES[type(call[-1])]

    def write_and_tell(names: Any, op: Any) -> None:
        moved.set()
        write(names, op)

    monkeypatch.setitem(WRITES, type(call[-1]), write_and_tell)
    reader = threading.Thread(target=lambda: answers.append(shared.query(query)))
    writer = threading.Thread(target=shared.apply, args=(call,))
    reader.start()
    assert looking.wait(WAIT), "the reader did not look"
    writer.start()
    writer.join(WAIT)
    reader.join(WAIT)

    assert [first] == answers
    assert after == shared.query(query)


def test_a_call_with_a_bad_op_changes_nothing() -> None:
    """All ops are admitted before the first is applied."""
    shared = SharedState()
    with pytest.raises(InvalidValueError):
        shared.apply([ops.IntSet("x", 1), ops.IntSet("x", 2**63)])

    assert MISSING is shared.query(ops.ScalarGet("x"))


@pytest.mark.parametrize("op", [ops.IntSet("x", 2**63), ops.IntGet("x"), "x", None], ids=repr)
def test_a_bad_op_alone_is_refused_too(op: Any) -> None:
    """The way for one op checks what the way for many does."""
    shared = SharedState()
    with pytest.raises(InvalidValueError):
        shared.write(op)
    with pytest.raises(InvalidValueError):
        shared.apply([op])

    assert MISSING is shared.query(ops.ScalarGet("x"))


def test_the_lock_is_free_after_an_error() -> None:
    """An answer that fails leaves no reader, and no writer, waiting for ever."""
    shared = SharedState()
    shared.apply([ops.MapSet("x", "a", 1)])
    with pytest.raises(InvalidValueError):
        shared.query(ops.MapGet("x", object()))
    shared.apply([ops.MapSet("x", "a", 1), ops.MapSet("x", "b", 2)])

    assert {"a": 1, "b": 2} == shared.query(ops.MapEntries("x"))


def test_reads_wait_for_what_is_being_loaded_and_then_take_what_is_there() -> None:
    """The first reader calls `load`, which waits; when nothing came, reads go on without."""
    loads: list[int] = []
    shared = SharedState(load=lambda: loads.append(len(loads)))
    shared.apply([ops.IntAdd("x", 1), ops.IntAdd("x", 1)])

    assert (2, 2) == (shared.query(ops.IntGet("x")), shared.query(ops.ScalarGet("x")))
    assert [0, 1] == loads
    with shared.lock:
        shared.loaded()
    assert 2 == shared.query(ops.IntGet("x"))
    assert [0, 1] == loads


def test_every_way_in_is_closed() -> None:
    """After `close` each read op, each write op and what was prepared before raise the error given."""
    shared = SharedState()
    readers = [(shared.reader(type(query), query.key), msgspec.structs.astuple(query)[1:]) for query, *_ in READS]
    shared.apply([ops.IntSet("x", 1)])
    shared.close(BackendClosedError)

    for read, fields in readers:
        with pytest.raises(BackendClosedError):
            read(*fields)
    for op in {type(op): op for case in CASES for op in case.applied}.values():
        with pytest.raises(BackendClosedError):
            shared.write(op)
        with pytest.raises(BackendClosedError):
            shared.apply([op, op])


def test_sums_are_exact() -> None:
    """Read-modify-write happens under the lock."""
    shared = SharedState()

    def work() -> None:
        for _ in range(500):
            shared.write(ops.IntAdd("x", 1))
            shared.apply([ops.IntAdd("x", 1), ops.IntMapAdd("m", "k", 1)])

    run_together(work, work, work, work)

    assert (4000, 2000) == (shared.query(ops.IntGet("x")), shared.query(ops.IntMapGet("m", "k")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_can_use_the_state_while_the_parent_was_writing() -> None:
    """A fork in the middle of other threads' writes leaves no lock held for ever, in parent or child."""
    shared = SharedState()
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            shared.apply([ops.IntAdd("x", 1), ops.IntAdd("y", 1)])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of any fork of a process with threads
            child = os.fork()
        if child == 0:
            shared.apply([ops.IntAdd("x", 1), ops.IntAdd("y", 1)])
            os._exit(0 if shared.query(ops.IntGet("x")) == shared.query(ops.IntGet("y")) else 1)
        _, status = os.waitpid(child, 0)
    finally:
        done.set()
        writer.join(WAIT)

    assert 0 == os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize(
    ("first", "second", "query", "expected"),
    [
        (ops.MapSet("m", "a", 1), ops.MapSet("m", "a", 2), ops.MapGet("m", "a"), 2),
        (ops.IntMapSet("m", "a", 1), ops.IntMapSet("m", "a", 2), ops.IntMapGet("m", "a"), 2),
        (ops.IntSet("m", 1), ops.IntSet("m", 2), ops.IntGet("m"), 2),
        (ops.SetAdd("m", "a"), ops.SetRemove("m", "a"), ops.SetContains("m", "a"), False),
        (ops.ScalarSet("m", []), ops.ScalarSet("m", 1), ops.ShapeGet("m"), "number"),
    ],
    ids=["map", "int map", "int", "set", "shape"],
)
def test_a_reader_that_waited_does_not_see_half_of_what_comes_next(
    first: Op, second: Op, query: ReadOp[Any], expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other ops may begin to be applied after it waited and before it looks."""
    state = SharedState()
    moved, begun = threading.Event(), threading.Event()
    state.lock = WatchedLock(moved)  # type: ignore[assignment]
    state.unsettled = True
    settle = SharedState.settle

    def apply() -> None:
        with state.lock:
            state.unsettled = True
            WRITES[type(first)](state.names, first)
            begun.set()
            moved.wait(WAIT)
            WRITES[type(second)](state.names, second)
            state.unsettled = False

    writer = threading.Thread(target=apply)

    def settle_and_lose_the_turn(waiting: SharedState) -> None:
        settle(waiting)
        writer.start()
        begun.wait(WAIT)

    monkeypatch.setattr(SharedState, "settle", settle_and_lose_the_turn)
    seen = state.query(query)
    moved.set()
    writer.join()

    assert expected == seen
