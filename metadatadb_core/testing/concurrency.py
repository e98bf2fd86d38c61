"""Running functions at the same time, switching between them as often as the interpreter can."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["eager_switching", "run_together"]

JOIN_TIMEOUT = 120.0
"""Seconds after which a function that does not return counts as deadlocked."""


@contextmanager
def eager_switching() -> Iterator[None]:
    """Let threads take turns after microseconds instead of milliseconds, so that races that exist are met."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def run_together(*functions: Callable[[], None]) -> None:
    """Run each function in a thread of its own, all starting at once, and wait for them.

    Raises:
        BaseException: the first failure of any of them.
        AssertionError: one did not return within two minutes.
    """
    failures: list[BaseException] = []
    start = threading.Barrier(len(functions))

    def run(function: Callable[[], None]) -> None:
        try:
            start.wait(JOIN_TIMEOUT)
            function()
        except BaseException as failure:  # it is raised again below, in the thread that waits
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    with eager_switching():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(JOIN_TIMEOUT)
    if failures:
        raise failures[0]
    stuck = sum(thread.is_alive() for thread in threads)
    if stuck:
        raise AssertionError(f"{stuck} of {len(threads)} threads did not return within {JOIN_TIMEOUT:g}s: a deadlock")
