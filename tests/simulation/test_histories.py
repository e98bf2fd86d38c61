"""The engine as it is, in as many histories as the test suite has time for; ``nox -s simulate`` tries more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from tests.simulation.history import Failure, draw, run
from tests.simulation.mutations import MUTATIONS
from tests.simulation.shrinking import shrink

_HISTORIES: Final = 1500
_PARTS: Final = 10


def _first_failure(seeds: Iterable[int]) -> Failure | None:
    return next((failure for seed in seeds if (failure := run(seed, *draw(seed))) is not None), None)


@pytest.mark.parametrize("part", range(_PARTS))
def test_every_invariant_holds_in_every_history(part: int) -> None:
    """Exactly once, own writes visible, totals conserved, counters never back, and all agree in the end."""
    failure = _first_failure(range(part, _HISTORIES, _PARTS))

    assert failure is None, f"python -m tests.simulation --replay {failure.seed}: {failure.error}"


def test_long_histories_hold() -> None:
    """What takes longer to go wrong than most histories last."""
    failures = [seed for seed in range(10) if run(seed, *draw(seed, 2000)) is not None]

    assert [] == failures


def test_a_failure_is_shrunk_to_a_short_history_that_still_fails() -> None:
    """Nobody reads two hundred steps."""
    record = next(mutation for mutation in MUTATIONS if mutation.safeguard.startswith("the record"))
    with record.enter():
        failure = _first_failure(range(record.within))
        assert failure is not None
        small = shrink(failure)
        again = run(small.seed, small.profile, small.steps)

    assert again is not None
    assert str(small.error) == str(again.error)
    assert len(small.steps) < 60
