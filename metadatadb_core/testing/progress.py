"""A progress bar on a terminal, and nothing where there is none."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TextIO

__all__ = ["Bar"]

WIDTH = 30


class Bar:
    """One line that is drawn again and again; use it in a ``with`` block, which ends the line.

    Args:
        stream: where to draw; nothing is drawn where it is no terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = 0

    def show(self, fraction: float, text: str) -> None:
        """Draw `fraction`, from 0 to 1, and `text` behind it."""
        if not self._stream.isatty():
            return
        full = round(WIDTH * fraction)
        line = f"[{'#' * full}{'.' * (WIDTH - full)}] {fraction:4.0%}  {text}"
        self._stream.write(f"\r{line.ljust(self._drawn)}")
        self._stream.flush()
        self._drawn = len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()
