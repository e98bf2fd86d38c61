"""Making a history that fails as short and as plain as it can be, so that it can be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tests.simulation.history import Failure, run

__all__ = ["shrink"]

_ATTEMPTS: Final = 3000
_FAULTS: Final = 0xFFFF << 24
_THREADS: Final = 0xFFFFFF << 32


def shrink(failure: Failure) -> Failure:
    """The shortest history found that fails: steps left out, then faults and other threads, then time.

    It may fail with another violation than the first; it is a violation all the same.
    """
    search = _Search(failure)
    search.leave_out()
    # A fault happens where these bits are low, another thread acts where three of these are set.
    search.change(lambda bits: bits | _FAULTS)
    search.change(lambda bits: bits & ~_THREADS)
    search.change(lambda bits: bits & (1 << 56) - 1)
    search.leave_out()
    return search.best


class _Search:
    def __init__(self, failure: Failure) -> None:
        self.best = failure
        self._left = _ATTEMPTS

    def _fails(self, steps: list[int]) -> bool:
        if self._left == 0 or steps == self.best.steps:
            return False
        self._left -= 1
        found = run(self.best.seed, self.best.profile, steps)
        if found is None:
            return False
        self.best = replace(self.best, steps=list(found.steps), error=found.error)
        return True

    def leave_out(self) -> None:
        """Leave out runs of steps, ever shorter ones (Zeller's delta debugging, with complements only)."""
        size = max(1, len(self.best.steps) // 2)
        while True:
            at = len(self.best.steps)
            while at > 0:
                start = max(0, at - size)
                steps = [*self.best.steps[:start], *self.best.steps[at:]]
                self._fails(steps)
                at = min(start, len(self.best.steps))
            if size == 1:
                return
            size = size // 2

    def change(self, plainer: Callable[[int], int]) -> None:
        """Make steps plainer, all at once or each by itself."""
        if self._fails([plainer(bits) for bits in self.best.steps]):
            return
        for index in range(len(self.best.steps)):
            if index < len(self.best.steps):
                steps = list(self.best.steps)
                steps[index] = plainer(steps[index])
                self._fails(steps)
