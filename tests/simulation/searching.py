"""Trying many histories, on several cores, until one fails."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from typing import Final, final

from tests.simulation.history import Failure, draw, run
from tests.simulation.mutations import MUTATIONS

__all__ = ["Search", "Tally", "search"]

_CHUNK: Final = 50


@final
@dataclass(frozen=True, slots=True)
class Search:
    """What to try.

    Attributes:
        first: the first seed.
        seeds: how many.
        steps: how long each history is.
        jobs: on how many cores.
        without: which safeguard to remove first, counted from 1; None for the engine as it is.
        spooled: whether processes have spools.
    """

    first: int
    seeds: int
    steps: int
    jobs: int
    without: int | None
    spooled: bool

    def mutated(self) -> AbstractContextManager[object]:
        """The engine to try it on, until the end of the context."""
        return nullcontext() if self.without is None else MUTATIONS[self.without - 1].enter()


@final
@dataclass(slots=True)
class Tally:
    """What came of it so far.

    Attributes:
        histories: how many were tried.
        core_seconds: how much of a core's time they took.
        failure: the first that failed.
    """

    histories: int = 0
    core_seconds: float = 0.0
    failure: Failure | None = None


def search(options: Search, progress: Callable[[Tally], object]) -> Tally:
    """Try histories until one fails; call `progress` now and then."""
    last = options.first + options.seeds
    chunks = [range(start, min(start + _CHUNK, last)) for start in range(options.first, last, _CHUNK)]
    tally = Tally()
    if options.jobs == 1:
        results = map(_try, chunks, repeat(options))
        for result in results:
            if _add(tally, result, progress):
                break
        return tally
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        for result in pool.map(_try, chunks, repeat(options)):
            if _add(tally, result, progress):
                pool.shutdown(cancel_futures=True)
                break
    return tally


def _add(tally: Tally, result: Tally, progress: Callable[[Tally], object]) -> bool:
    tally.histories += result.histories
    tally.core_seconds += result.core_seconds
    tally.failure = result.failure
    progress(tally)
    return tally.failure is not None


def _try(seeds: range, options: Search) -> Tally:
    """Try `seeds` up to the first that fails."""
    logging.getLogger("metadatadb").setLevel(logging.CRITICAL)
    tally = Tally()
    begun = time.process_time()
    gc.disable()  # histories are small and full of cycles: to collect once for each chunk is cheaper
    try:
        with options.mutated():
            for seed in seeds:
                tally.histories += 1
                tally.failure = run(seed, *draw(seed, options.steps, spooled=options.spooled))
                if tally.failure is not None:
                    break
    finally:
        gc.enable()
        gc.collect()
    tally.core_seconds = time.process_time() - begun
    return tally
