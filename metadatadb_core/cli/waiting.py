"""Waiting for a store: not for ever, and so that Ctrl-C comes between two requests and never inside of one."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from metadatadb_core.cli.failures import INTERRUPTED

__all__ = ["apart", "interrupts", "within"]

R = TypeVar("R")


def within(seconds: float, call: Callable[[], R]) -> R:
    """What `call` returns or raises, if it does so in time.

    It runs on a thread of its own, which is left to itself when it takes longer: a connection that nobody answers
    cannot be ended from outside.

    Raises:
        TimeoutError: it did not.
    """
    return _begin(call, "metadatadb-within").result(seconds)


@contextmanager
def interrupts(asked_to_end: Callable[[], object]) -> Iterator[threading.Event]:
    """Inside, Ctrl-C breaks nothing off, but sets the event that is yielded: whoever works is asked to end.

    A second Ctrl-C, by somebody who does not want to wait, ends the process on the spot: whatever it would do from
    then on could be the half of something.

    Args:
        asked_to_end: called when the event is set.
    """
    stop = threading.Event()

    def interrupt(number: int, frame: object) -> None:
        if stop.is_set():
            os.write(sys.stderr.fileno(), b"interrupted twice: what was under way may or may not have taken effect\n")
            os._exit(INTERRUPTED)
        stop.set()
        asked_to_end()

    before = signal.getsignal(signal.SIGINT)
    ours = before is not signal.SIG_IGN and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


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
