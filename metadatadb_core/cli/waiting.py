"""Waiting for a store: not for ever, and so that Ctrl-C comes between two requests and never inside of one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["apart", "within"]

R = TypeVar("R")


def within(seconds: float, call: Callable[[], R]) -> R:
    """What `call` returns or raises, if it does so in time.

    It runs on a thread of its own, which is left to itself when it takes longer: a connection that nobody answers
    cannot be ended from outside.

    Raises:
        TimeoutError: it did not.
    """
    return _begin(call, "metadatadb-within").result(seconds)


def apart(call: Callable[[], R]) -> R:
    """What `call` returns or raises.

    It runs on a thread of its own, so that the handler of a signal, which interrupts the main thread wherever that
    is, never meets a lock that the call holds.
    """
    return _begin(call, "metadatadb-task").result()


def _begin(call: Callable[[], R], name: str) -> Future[R]:
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
