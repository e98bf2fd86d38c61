"""Measures a subject against its floor, and prints the ratio beside its limit.

Method: floor and subject take turns in one process, many times, and the best time of each counts; noise only
ever adds time, and whatever slows the machine down for a while slows both. Each timed run lasts tens of
milliseconds. Where a loop drives a call, the time of the empty loop is taken off both sides, so that it
cannot hide a difference. The garbage collector is off while the clock runs, as timeit has it.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Comparison", "Timed", "compare", "loop", "print_table", "whole"]

REPEATS = 25
RUN_SECONDS = 0.02


@dataclass(frozen=True)
class Comparison:
    """One line of the table; times are seconds for one call."""

    what: str
    floor: str
    floor_time: float
    time: float
    limit: float

    @property
    def ratio(self) -> float:
        return self.time / self.floor_time

    @property
    def within(self) -> bool:
        return self.ratio <= self.limit


@dataclass(frozen=True)
class Timed:
    """What is timed: `calls` calls a run, and what the loop around them costs by itself."""

    timer: timeit.Timer
    empty: timeit.Timer | None
    calls: int


def loop(statement: str, *, over: Sequence[Any] = (None,), **names: Any) -> Timed:
    """`statement` run once for each `item` of `over`, with `names` as its globals.

    Each loop is compiled anew, so that none is slowed down by what the interpreter learned from another.
    """
    rounds = max(1, 20_000 // len(over))
    namespace = {"items": over, "rounds": range(rounds), **names}
    source = "for _ in rounds:\n    for item in items:\n        "
    return Timed(
        timeit.Timer(source + statement, globals=namespace),
        timeit.Timer(source + "pass", globals=namespace),
        rounds * len(over),
    )


def whole(call: Callable[[], Any]) -> Timed:
    """One call of something long enough to be timed by itself."""
    return Timed(timeit.Timer(call), None, 1)


def _best(timed: Timed, times: list[float], empty: list[float]) -> float:
    return (min(times) - min(empty, default=0.0)) / timed.calls


def compare(what: str, subject: Timed, *, floor: str, against: Timed, limit: float) -> Comparison:
    """Time `subject` and `against` in turns."""
    number = max(1, round(RUN_SECONDS / max(against.timer.timeit(1), 1e-9)))
    sides = (subject, against)
    times: tuple[list[float], list[float]] = ([], [])
    empty: tuple[list[float], list[float]] = ([], [])
    for turn in range(REPEATS):
        for side in (0, 1) if turn % 2 else (1, 0):
            times[side].append(sides[side].timer.timeit(number) / number)
            loop_alone = sides[side].empty
            if loop_alone is not None:
                empty[side].append(loop_alone.timeit(number) / number)
    return Comparison(
        what=what,
        floor=floor,
        floor_time=_best(against, times[1], empty[1]),
        time=_best(subject, times[0], empty[0]),
        limit=limit,
    )


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def print_table(comparisons: Iterable[Comparison]) -> bool:
    """Print each comparison as soon as it is known; whether all are within their limits."""
    row = "{:<48} {:<34} {:>10} {:>10} {:>7} {:>6}  {}"
    header = row.format("what", "floor", "floor", "ours", "ratio", "limit", "ok")
    print(header)
    print("-" * len(header))
    results: list[bool] = []
    for line in comparisons:
        verdict = "yes" if line.within else "NO"
        times = (_duration(line.floor_time), _duration(line.time))
        print(row.format(line.what, line.floor, *times, f"{line.ratio:.2f}", f"{line.limit:g}", verdict), flush=True)
        results.append(line.within)
    print(f"\n{sum(results)} of {len(results)} within their limits")
    return all(results)
