"""Measuring a store in a namespace of its own."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from metadatadb_core.events import SyncFinished, subscribe
from metadatadb_core.replication.latency import Latency, latency_of
from metadatadb_core.store import Namespace

__all__ = ["STRUCTURE", "Flushes", "Measurement", "measure"]

STRUCTURE: Final = "members"
"""What is written to."""

_BLOCK: Final = 1000
_MEMBERS: Final = 1000
"""Writes go to so many members again and again, so that the queue does not grow: later ones replace earlier ones."""
_FLUSH_SECONDS: Final = 10.0
_OPS_PER_FLUSH: Final = 10
_MAX_FLUSHES: Final = 1000


class Flushes(msgspec.Struct, frozen=True):
    """What flushes cost.

    Attributes:
        seconds: how long one takes.
        requests: requests of one, on average, or None where the backend does not tell.
        bytes_sent, bytes_received: bodies of one, in bytes, on average, or None likewise.
        lock_waits: how often one had to wait for somebody else's lock, in all, or None likewise.
    """

    seconds: Latency
    requests: float | None
    bytes_sent: float | None
    bytes_received: float | None
    lock_waits: int | None


class Measurement(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        writes_per_second: local writes of one thread, each an op of its own.
        reads_per_second: local reads likewise.
        flushes: what a flush of 10 ops costs.
    """

    writes_per_second: float
    reads_per_second: float
    flushes: Flushes


def measure(
    namespace: Namespace, seconds: float, stop: threading.Event, progress: Callable[[float], object]
) -> Measurement | None:
    """Measure writes, reads and flushes, for `seconds` in all.

    Args:
        namespace: where; what is left of it is the caller's to remove.
        seconds: how long it may take; one flush is always measured.
        stop: ends it before its time.
        progress: called with how many seconds of it are over.

    Returns:
        What was measured; None if it was stopped.

    Raises:
        FlushTimeoutError, BackendUnavailableError: a flush failed.
    """
    namespace.flush(timeout=_FLUSH_SECONDS)  # which loads it: nothing is to be waited for below
    clock = _Clock(stop, progress)
    names = [f"member-{number}" for number in range(_MEMBERS)]
    members = namespace.map(STRUCTURE, str, int)

    def write() -> None:
        for number, name in enumerate(names):
            members.set(name, number)

    def read() -> None:
        for name in names:
            members.get(name)

    writes = _rate(write, clock, seconds / 4)
    reads = _rate(read, clock, seconds / 4)
    if stop.is_set():
        return None
    namespace.flush(timeout=_FLUSH_SECONDS)  # so that the first flush below has no more to do than the others
    flushes = _flushes(namespace, clock, seconds / 2)
    return None if stop.is_set() else Measurement(writes, reads, flushes)


class _Clock:
    def __init__(self, stop: threading.Event, progress: Callable[[float], object]) -> None:
        self._stop = stop
        self._progress = progress
        self._before = 0.0

    def until(self, seconds: float) -> Iterator[float]:
        """At least once, and until `seconds` are over, how many are."""
        began, over = time.perf_counter(), 0.0
        while True:
            yield over
            over = time.perf_counter() - began
            self._progress(self._before + min(over, seconds))
            if over >= seconds or self._stop.is_set():
                break
        self._before += seconds


def _rate(block: Callable[[], None], clock: _Clock, seconds: float) -> float:
    """Ops per second."""
    began, ops = time.perf_counter(), 0
    for _ in clock.until(seconds):
        block()
        ops += _BLOCK
    return ops / (time.perf_counter() - began)


def _flushes(namespace: Namespace, clock: _Clock, seconds: float) -> Flushes:
    numbers = itertools.count()
    members = namespace.map(STRUCTURE, str, int)
    took: list[float] = []
    with _writes_of(namespace.name) as events:
        for _ in itertools.islice(clock.until(seconds), _MAX_FLUSHES):
            for number in range(_OPS_PER_FLUSH):
                members.set(f"member-{number}", next(numbers))
            began = time.perf_counter()
            namespace.flush(timeout=_FLUSH_SECONDS)
            took.append(time.perf_counter() - began)
    count = len(events)
    return Flushes(
        seconds=latency_of(took),
        requests=sum(event.requests for event in events) / count if count else None,
        bytes_sent=sum(event.bytes_sent for event in events) / count if count else None,
        bytes_received=sum(event.bytes_received for event in events) / count if count else None,
        lock_waits=sum(event.lock_waits for event in events) if count else None,
    )


@contextmanager
def _writes_of(namespace: str) -> Iterator[list[SyncFinished]]:
    """The events of the syncs that write to `namespace` while the block lasts."""
    events: list[SyncFinished] = []

    def note(event: SyncFinished) -> None:
        if event.namespace == namespace and event.kind == "write":
            events.append(event)

    unsubscribe = subscribe("metadatadb-bench", note)
    try:
        yield events
    finally:
        unsubscribe()
