"""Doing what a round asks for, on the calling thread, against a real store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, assert_never, final

from metadatadb_core.replication.object_store import ObjectStore, check_size
from metadatadb_core.replication.outcomes import OutcomeUnknown, StoreFailure, Unavailable
from metadatadb_core.replication.requests import Delete, Get, OutOfTime, Put, Request, Steps, Wait

__all__ = ["Driver", "Traffic"]

R = TypeVar("R")


@dataclass(slots=True)
class Traffic:
    """What a round sent and received.

    Attributes:
        requests: how many requests went out.
        bytes_sent, bytes_received: sizes of the bodies, in bytes.
        lock_waits: how often somebody else held the lock.
    """

    requests: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    lock_waits: int = 0

    def restart(self) -> None:
        """Count from zero."""
        self.requests = self.bytes_sent = self.bytes_received = self.lock_waits = 0


@final
class Driver:
    """Drives rounds.

    Args:
        store: what requests go to.
        pause: waits for so many seconds, or says that there is no time for that.
        traffic: where requests are counted.
    """

    def __init__(self, store: ObjectStore, pause: Callable[[float], bool], traffic: Traffic) -> None:
        self._store = store
        self._pause = pause
        self._traffic = traffic
        self._trouble: StoreFailure | None = None

    def run(self, steps: Steps[R]) -> R:
        """Run `steps` to the end.

        Raises:
            OutOfTime: the round asked for a wait that `pause` refused; it has cleaned up after itself.
            StoreFailure: whatever the round did not deal with itself.
        """
        try:
            request = next(steps)
            while True:
                try:
                    result = self._do(request)
                except (StoreFailure, OutOfTime) as failure:
                    self._note(request, failure)
                    request = steps.throw(failure)
                except Exception as error:
                    # A store that fails in a way of its own has not said that nothing was applied.
                    unknown = OutcomeUnknown(f"the store raised {type(error).__name__}: {error}")
                    # One that repeats credentials is not shown below ours either.
                    unknown.__cause__ = error if str(error) in unknown.reason else None
                    self._note(request, unknown)
                    request = steps.throw(unknown)
                else:
                    self._note(request, None)
                    request = steps.send(result)
        except StopIteration as end:
            outcome: R = end.value
            return outcome

    def _note(self, request: Request, failure: Exception | None) -> None:
        if isinstance(failure, (Unavailable, OutcomeUnknown)):
            self._trouble = failure
        elif isinstance(request, Put):  # answered: whatever it was is over
            self._trouble = None

    def _do(self, request: Request) -> Any:
        traffic = self._traffic
        match request:
            case Get(key, unless):
                traffic.requests += 1
                found = self._store.get(key, unless=unless)
                if found is not None:
                    traffic.bytes_received += len(found.body)
                    check_size(key, len(found.body))  # for stores that do not ask before they read
                return found
            case Put(key, body, expect, content_type, metadata):
                traffic.requests += 1
                traffic.bytes_sent += len(body)
                return self._store.put(key, body, expect=expect, content_type=content_type, metadata=metadata)
            case Delete(key, expect):
                traffic.requests += 1
                return self._store.delete(key, expect=expect)
            case Wait(seconds):
                if not self._pause(seconds):
                    raise OutOfTime from self._trouble
                return None
            case _:
                assert_never(request)
