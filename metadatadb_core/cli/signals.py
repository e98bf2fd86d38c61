"""The signals that ask a command to end: Ctrl-C, and what a supervisor or a terminal that goes away sends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, final

from metadatadb_core.cli.failures import INTERRUPTED
from metadatadb_core.cli.streams import UnwritableError

__all__ = ["Signals"]

_ENDING: Final = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]  # Windows has no SIGHUP
_TWICE: Final = b"interrupted twice: what was under way may or may not have taken effect\n"


@final
class Signals:
    """What has asked a command to end.

    A signal that is ignored when the command starts, as SIGHUP under nohup, is left so.
    """

    def __init__(self) -> None:
        self._first: int | None = None

    @property
    def status(self) -> int:
        """The exit status of a command that was interrupted, as shells report it: 128 and the number of the signal."""
        return INTERRUPTED if self._first is None else 128 + self._first

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Inside, each of them raises KeyboardInterrupt, as Ctrl-C does."""

        def interrupt(number: int, frame: FrameType | None) -> None:
            if self._is_news(number):
                raise KeyboardInterrupt

        with _handled_by(interrupt):
            yield

    @contextmanager
    def held(self, asked_to_end: Callable[[], object]) -> Iterator[threading.Event]:
        """Inside, a signal breaks nothing off, but sets the event that is yielded: whoever works is asked to end.

        A second Ctrl-C, by somebody who does not want to wait, ends the process on the spot: whatever it would do from
        then on could be the half of something.

        Args:
            asked_to_end: called when the event is set.
        """
        stop = threading.Event()

        def interrupt(number: int, frame: FrameType | None) -> None:
            if not self._is_news(number):
                return
            if stop.is_set():
                os.write(sys.stderr.fileno(), _TWICE)
                os._exit(self.status)
            stop.set()
            # The terminal may be gone, or amid another line; whoever works is not to be left alone for that.
            with suppress(OSError, RuntimeError, UnwritableError):
                asked_to_end()

        with _handled_by(interrupt):
            yield stop

    def _is_news(self, number: int) -> bool:
        """Whether that signal says anything new.

        `timeout` and a terminal that is closed send theirs more than once, and mean the same.
        """
        if self._first is None:
            self._first = number
            return True
        return number == signal.SIGINT


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _ENDING}
    ours = {
        number: was
        for number, was in before.items()
        # None is a handler that is not Python's, and could not be put back.
        if was not in (signal.SIG_IGN, None) and threading.current_thread() is threading.main_thread()
    }
    try:
        for number in ours:
            signal.signal(number, handler)
        yield
    finally:
        for number, was in ours.items():
            signal.signal(number, was)
