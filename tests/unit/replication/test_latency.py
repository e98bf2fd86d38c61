"""Percentiles of what was measured."""

from __future__ import annotations

from metadatadb_core.replication.latency import Latency, latency_of


def test_a_percentile_is_the_least_that_so_many_did_not_exceed() -> None:
    """Of a hundred that take 1 to 100 seconds it is the number itself."""
    assert Latency(100, 50.0, 90.0, 99.0, 100.0) == latency_of([float(n) for n in range(100, 0, -1)])


def test_one_measurement_is_all_percentiles() -> None:
    """None is made up between two."""
    assert Latency(1, 0.5, 0.5, 0.5, 0.5) == latency_of([0.5])
