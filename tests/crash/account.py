"""What each life began, was promised and flushed; in memory that outlives it."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Final, final

__all__ = ["Account", "Promises"]

_COLUMNS: Final = 3
_NUMBER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Promises:
    """How many writes of one life were begun, were acknowledged, and were flushed."""

    begun: int
    acknowledged: int
    flushed: int


@final
class Account:
    """A row for each life, in memory that forked processes share."""

    def __init__(self, lives: int) -> None:
        # An item of such a view is stored at once: a life that is killed on the way leaves the old number or the
        # new one. `struct.pack_into` would write zeros first.
        self._numbers = memoryview(mmap.mmap(-1, lives * _COLUMNS * _NUMBER_BYTES)).cast("Q")

    def note_begun(self, life: int, count: int) -> None:
        """`count` writes of `life` were begun."""
        self._numbers[life * _COLUMNS] = count

    def note_acknowledged(self, life: int, count: int) -> None:
        """`count` of them were acknowledged."""
        self._numbers[life * _COLUMNS + 1] = count

    def note_flushed(self, life: int, count: int) -> None:
        """`count` of those were flushed."""
        self._numbers[life * _COLUMNS + 2] = count

    def promises(self, life: int) -> Promises:
        """The row of `life`."""
        return Promises(*self._numbers[life * _COLUMNS : (life + 1) * _COLUMNS])
