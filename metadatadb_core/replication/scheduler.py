"""When each namespace is synced: a few daemon threads take what is due, the most overdue first."""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable
from typing import Final, final

from metadatadb_core.replication.environment import Environment

__all__ = ["Scheduler"]

_log = logging.getLogger("metadatadb")

_MAX_THREADS: Final = 4

_AFTER_A_FAILURE_SECONDS: Final = 60.0
"""When a task is called again that raised, which none should."""


@final
class Scheduler:
    """Calls tasks again and again, each on one thread at a time.

    The first thread starts with the first task; more, up to a few, when all are busy and there are other tasks that
    may become due meanwhile.

    Args:
        environment: the clock.
        name: what the threads are called.
    """

    def __init__(self, environment: Environment, name: str) -> None:
        self._now = environment.monotonic
        self._name = name
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], float]]] = []
        self._count = 0
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self.stopped = threading.Event()

    def add(self, task: Callable[[], float]) -> None:
        """Call `task` at once, and again each time after as many seconds as it returns."""
        with self._changed:
            if not self.stopped.is_set():
                self._push(self._now(), task)
                self._keep_watch()

    def _push(self, when: float, task: Callable[[], float]) -> None:
        self._count += 1
        heapq.heappush(self._due, (when, self._count, task))
        self._changed.notify()

    def _keep_watch(self) -> None:
        """See to it that a thread waits for the next task, as far as there may be one more. Holds `_changed`."""
        if not self._due:
            return
        if self._idle:
            self._changed.notify()  # what it waits for may not be the next any more
        elif len(self._threads) < _MAX_THREADS:
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self.stopped.set()
        with self._changed:
            self._due.clear()
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for what is still running."""
        deadline = self._now() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - self._now()))

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                seconds = task()
            except Exception:
                _log.exception("a background task failed; it will be tried again")
                seconds = _AFTER_A_FAILURE_SECONDS
            with self._changed:
                if not self.stopped.is_set():
                    self._push(self._now() + seconds, task)

    def _next(self) -> Callable[[], float] | None:
        with self._changed:
            while not self.stopped.is_set():
                wait = self._due[0][0] - self._now() if self._due else None
                if wait is not None and wait <= 0:
                    task = heapq.heappop(self._due)[2]
                    self._keep_watch()
                    return task
                self._idle += 1
                self._changed.wait(wait)
                self._idle -= 1
            return None
