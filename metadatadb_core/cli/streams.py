"""Standard streams as they may be found: closed, or on a disk that is full.

What cannot be printed must not end a command with a traceback, nor with a status that means something else. This module
imports nothing that the extra brings, so that it goes before all else.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, Final, TextIO, final

__all__ = ["UnwritableError", "guard_streams"]

_STDOUT: Final = 1
_STDERR: Final = 2


class UnwritableError(Exception):
    """What a command prints cannot be written; its text says why."""


def guard_streams() -> None:
    """See that there are standard streams, and that what cannot be written to one is told as what it is.

    One that is closed is as the null device. Where standard output cannot be written, `UnwritableError` is raised; only
    that nobody reads it any more remains a BrokenPipeError. Where words beside the results cannot be written, nobody
    is told: whom should one tell?
    """
    _fill_descriptors()
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    sys.stdout = _guarded(sys.stdout, _STDOUT)
    sys.stderr = _guarded(sys.stderr, _STDERR)


def _fill_descriptors() -> None:
    """Leave none of the three free: the next file that is opened would get it, and be printed into."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)


def _guarded(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    # A terminal is never full. Nor may it be written to in Python: the handler of a signal would run, and print, in the
    # middle of that.
    if not isinstance(stream, io.TextIOWrapper) or stream.isatty():
        return stream
    raw = _Descriptor(descriptor)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),  # the former is what PYTHONUNBUFFERED asks for
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@final
class _Descriptor(io.FileIO):
    """A standard stream, which is given up when it cannot be written."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, body: Any, /) -> int:
        """See `io.RawIOBase.write`."""
        size = memoryview(body).nbytes
        if not size:  # that is how click finds out what a stream is, and hides what comes of it
            return 0
        try:
            return super().write(body)
        except OSError as error:
            # What is buffered still would fail again when the interpreter ends, with another status.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if self.fileno() == _STDERR:
                return size
            if isinstance(error, BrokenPipeError):
                raise
            raise UnwritableError(f"standard output cannot be written: {error.strerror}") from error
