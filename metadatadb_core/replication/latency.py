"""How long requests take: percentiles of what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

__all__ = ["Latency", "latency_of"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles, in seconds.

    Attributes:
        count: how many were measured.
        p50, p90, p99: what that many in a hundred did not exceed.
        max: the longest.
    """

    count: int
    p50: float
    p90: float
    p99: float
    max: float


def latency_of(seconds: Sequence[float]) -> Latency:
    """The percentiles of at least one measurement; each of them is one that was measured (nearest rank)."""
    ranked = sorted(seconds)

    def percentile(share: float) -> float:
        return ranked[max(0, ceil(share * len(ranked)) - 1)]

    return Latency(len(ranked), percentile(0.5), percentile(0.9), percentile(0.99), ranked[-1])
