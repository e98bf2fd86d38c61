"""The soak over processes: it runs, and it notices what must not be."""

from __future__ import annotations

import sys

import pytest

from tests.soak.__main__ import main
from tests.soak.conductor import Conductor
from tests.soak.steadiness import LEAST_SAMPLES, growth

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory and descriptors are read from /proc")


def test_a_store_that_keeps_its_word_stands_it() -> None:
    """Processes, threads, pauses, and a check of everything."""
    assert 0 == main(["--minutes", "0.03", "--replicas", "2", "--target", "sqlite"])


def test_a_store_that_is_not_shared_is_told_apart() -> None:
    """In memory each replica is alone: it does not see what the others wrote."""
    conductor = Conductor("memory://", replicas=2, workers=1, seed=1)
    report = conductor.run(60, lambda report, gone: None)

    assert 1 == len(report.violations)
    assert "SUMS" in report.violations[0]


def test_what_stays_as_it_is_does_not_grow() -> None:
    """Whatever it was at first."""
    assert growth([100.0, 150.0, *[200.0] * 14]) == pytest.approx(1.0)
    assert growth([200.0, 199.0, 201.0, 200.0] * 4) == pytest.approx(1.0, rel=0.01)


def test_what_leaks_grows() -> None:
    """A little with each round."""
    factor = growth([100.0 + 5 * round_ for round_ in range(16)])

    assert factor is not None
    assert factor > 1.3


def test_few_samples_say_nothing() -> None:
    """A soak of a minute cannot tell."""
    assert growth([1.0] * (LEAST_SAMPLES - 1)) is None
