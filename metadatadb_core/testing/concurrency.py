"""Running functions at the same time, switching between them as often as the interpreter can."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["eager_switching", "run_together"]


@contextmanager
def eager_switching() -> Iterator[None]:
    """Let threads take turns after microseconds instead of milliseconds, so that races that exist are met."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def run_together(*functions: Callable[[], None], timeout: float = 120.0) -> None:
    """Run each function in a thread of its own, all starting at once, and wait for them.

    Args:
        functions: what to run.
        timeout: seconds after which a function that does not return counts as deadlocked.

    Raises:
        BaseException: the first failure of any of them.
        AssertionError: one did not return in time.
    """
    failures: list[BaseException] = []
    start = threading.Barrier(len(functions))

    def run(function: Callable[[], None]) -> None:
        try:
            start.wait(timeout)
            function()
        except BaseException as failure:  # it is raised again below, in the thread that waits
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    with eager_switching():
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
    if failures:
        raise failures[0]
    stuck = sum(thread.is_alive() for thread in threads)
    if stuck:
        raise AssertionError(f"{stuck} of {len(threads)} threads did not return within {timeout:g}s: a deadlock")
