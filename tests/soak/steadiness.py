"""Whether something that is measured again and again stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

__all__ = ["LEAST_SAMPLES", "growth"]

LEAST_SAMPLES: Final = 8
"""Fewer than these say nothing."""


def growth(samples: Sequence[float]) -> float | None:
    """By what factor the last quarter of `samples` is above the second, each taken at its median.

    The first quarter is left out: caches fill, and memory that was once needed is not given back. None if there are
    too few samples to tell.
    """
    if len(samples) < LEAST_SAMPLES:
        return None
    quarter = len(samples) // 4
    return median(samples[-quarter:]) / median(samples[quarter : 2 * quarter])
