"""The scheduler: a few threads, each task on one of them at a time, none left afterwards; and how often we sync."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metadatadb_core import ops
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.scheduler import Scheduler
from metadatadb_core.testing.object_store import FAILURES, Bucket, Fault, MemoryObjectStore
from tests.support.engine import FakeTime, backend_over, environment, wait_until

NAME = "test-scheduler"


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    """A scheduler on the real clock, stopped afterwards."""
    scheduler = Scheduler(Environment(), NAME)
    yield scheduler
    scheduler.stop()
    scheduler.join(10)


def threads() -> list[str]:
    """The scheduler's threads that live."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(NAME)]


def never() -> float:
    """A task that is not to be called again while the test runs."""
    return 3600.0


def test_a_task_is_called_at_once_and_again_after_as_long_as_it_says(scheduler: Scheduler) -> None:
    """On a thread of the scheduler's, which starts with the first task."""
    assert [] == threads()
    called: list[str] = []

    def task() -> float:
        called.append(threading.current_thread().name)
        return 0.0 if len(called) < 5 else 3600.0

    scheduler.add(task)
    wait_until(lambda: len(called) == 5, "five calls")

    assert {f"{NAME}-0"} == set(called)


def test_there_are_a_few_threads_at_most(scheduler: Scheduler) -> None:
    """However many tasks are due at once; the others wait for their turn."""
    release = threading.Event()
    running: list[int] = []
    done: list[int] = []

    def task(index: int) -> Callable[[], float]:
        def run() -> float:
            running.append(index)
            release.wait(10)
            done.append(index)
            return 3600.0

        return run

    for index in range(20):
        scheduler.add(task(index))
    wait_until(lambda: len(running) == 4, "four at work")
    assert 4 == len(threads())
    release.set()
    wait_until(lambda: len(done) == 20, "all were called")

    assert 4 == len(threads())


def test_a_task_that_hangs_does_not_keep_others_from_their_time(scheduler: Scheduler) -> None:
    """Also if nothing else was due when it began: a namespace that waits for a lock delays no other."""
    release = threading.Event()
    hanging = threading.Event()
    calls: list[int] = []

    def often() -> float:
        calls.append(1)
        return 0.05

    def hang() -> float:
        hanging.set()
        release.wait()
        return 3600.0

    scheduler.add(often)
    wait_until(lambda: len(calls) > 3 and scheduler._idle, "calls by the first thread, which has nothing to do now")
    scheduler.add(hang)
    assert hanging.wait(10)
    before = len(calls)
    try:
        wait_until(lambda: len(calls) > before + 3, "calls while the other hangs")
    finally:
        release.set()


def test_a_task_runs_on_one_thread_at_a_time(scheduler: Scheduler) -> None:
    """Its next call comes after its last."""
    inside: list[int] = []
    overlaps: list[int] = []
    calls: list[int] = []

    def task() -> float:
        if inside:
            overlaps.append(1)
        inside.append(1)
        calls.append(1)
        inside.pop()
        return 0.0 if len(calls) < 200 else 3600.0

    for _ in range(3):
        scheduler.add(never)
    scheduler.add(task)
    wait_until(lambda: len(calls) >= 200, "many calls")

    assert [] == overlaps


def test_a_task_that_raises_ends_no_thread(scheduler: Scheduler, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged and comes again later; others go on."""
    called = threading.Event()

    def broken() -> float:
        raise ZeroDivisionError("a bug")

    def task() -> float:
        called.set()
        return 3600.0

    with caplog.at_level(logging.ERROR, "metadatadb"):
        scheduler.add(broken)
        wait_until(lambda: "ZeroDivisionError" in caplog.text, "the failure is logged")
        scheduler.add(task)
        assert called.wait(10)
        wait_until(lambda: len(scheduler._due) == 2, "both are to come again")


def test_nothing_is_left_after_it_was_stopped(scheduler: Scheduler) -> None:
    """No thread, and nothing is begun any more."""
    for _ in range(6):
        scheduler.add(never)
    scheduler.stop()
    scheduler.join(10)
    scheduler.add(never)

    assert [] == threads()


class TestIntervals:
    """When a backend syncs a namespace again: what its task returns, on clocks that stand still."""

    @pytest.fixture
    def tasks(self, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], float]]:
        """The tasks that backends schedule; nobody calls them but the test."""
        tasks: list[Callable[[], float]] = []

        class Idle:
            stopped = threading.Event()

            def __init__(self, *_: object) -> None: ...
            def add(self, task: Callable[[], float]) -> None:
                tasks.append(task)

            def stop(self) -> None: ...
            def join(self, timeout: float) -> None: ...

        monkeypatch.setattr("metadatadb_core.replication.backend.Scheduler", Idle)
        return tasks

    @pytest.mark.parametrize(("end", "seconds"), [("low", 27.0), ("high", 33.0)])
    def test_a_namespace_is_synced_at_its_interval_with_jitter(
        self, tasks: list[Callable[[], float]], end: str, seconds: float
    ) -> None:
        """Give or take a tenth, so that replicas that were started together spread out."""
        clocks = environment(FakeTime(), uniform=lambda low, high: low if end == "low" else high)
        backend = backend_over(MemoryObjectStore(), environment=clocks, sync_interval="30s")
        backend.apply("ns", ops.IntAdd("n", 1))

        assert seconds == pytest.approx(tasks[0]())
        assert 0 == backend.status("ns").pending_ops
        backend.close()

    def test_a_namespace_backs_off_by_itself(self, tasks: list[Callable[[], float]]) -> None:
        """Longer and longer while its syncs fail, up to minutes; others keep their interval; a success resets it."""
        store = MemoryObjectStore(Bucket())
        store.faults.append(Fault("get", FAILURES["403"], key="*/bad.json", times=None))
        backend = backend_over(store, environment=environment(FakeTime()), sync_interval="30s")
        backend.status("bad")
        backend.status("good")
        bad, good = tasks
        pauses = [bad() for _ in range(16)]

        assert [1 + min(300.0, 0.1 * 2**failures) for failures in range(1, 17)] == pytest.approx(pauses)
        assert 33.0 == pytest.approx(good())
        store.faults.clear()
        assert 33.0 == pytest.approx(bad())
        backend.close()

    def test_each_namespace_is_scheduled_once(self, tasks: list[Callable[[], float]]) -> None:
        """However it is first used, and how often."""
        backend = backend_over(MemoryObjectStore(), environment=environment(FakeTime()))
        uses: list[Callable[[], Any]] = [
            lambda: backend.status("ns"),
            lambda: backend.flush("ns"),
            lambda: backend.apply("ns", ops.IntAdd("n", 1)),
            lambda: backend.reader("ns", ops.IntGet, "n"),
            lambda: backend.flush("other"),
        ]
        for use in uses * 2:
            use()

        assert 2 == len(tasks)
        backend.close()
