"""What a `FaultyProxy` can do to a request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias, final

__all__ = ["Answer", "Drop", "Fault", "Hold", "SeenRequest", "Truncate"]


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as it reached the proxy; the names of its headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Drop:
    """Cut the connection instead of answering.

    Attributes:
        applied: whether the store gets the request first.
        reset: whether the connection is reset, rather than closed.
    """

    applied: bool
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Give this answer.

    Attributes:
        status, body, headers: what to answer; the length is added.
        applied: whether the store gets the request first, and its own answer is discarded.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    applied: bool = False


@dataclass(frozen=True, slots=True)
class Truncate:
    """Pass the request on, announce the whole of the answer's body, and cut the connection within it.

    Attributes:
        at: bytes of the body that are sent; negative counts from its end.
    """

    at: int


@final
class Hold:
    """Let the request wait until `release` is called, or the proxy is closed.

    Args:
        applied: whether the store gets the request before the wait; if not, it gets it after, and so perhaps
            long after whoever sent it has given up: a put that lands late.
    """

    def __init__(self, *, applied: bool) -> None:
        self.applied = applied
        self._held = threading.Event()
        self._released = threading.Event()
        self._done = threading.Event()

    def wait_until_held(self, timeout: float = 30) -> None:
        """Return once a request waits."""
        assert self._held.wait(timeout), "no request arrived to be held"

    def release(self, *, timeout: float = 30) -> None:
        """Let it go on, and return once the store has it."""
        self._released.set()
        assert not self._held.is_set() or self._done.wait(timeout), "the released request did not get through"

    def let_go(self) -> None:
        """Let it go on, and return at once; for the proxy."""
        self._released.set()

    @contextmanager
    def holding(self) -> Iterator[Callable[[], object]]:
        """For the proxy: a request is here; it is held where what is yielded is called."""
        try:
            yield self._wait
        finally:
            self._done.set()

    def _wait(self) -> None:
        self._held.set()
        self._released.wait()


Fault: TypeAlias = Drop | Answer | Truncate | Hold
"""What can be done to a request."""
