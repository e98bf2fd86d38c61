"""The engine as it is, in as many histories as the test suite has time for; ``nox -s simulate`` tries more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from metadatadb_core.replication.spool import LOCKS_WORK
from tests.simulation.history import Failure, draw, run
from tests.simulation.mutations import MUTATIONS
from tests.simulation.shrinking import shrink

_HISTORIES: Final = 1500
_SPOOLED_HISTORIES: Final = 300
_PARTS: Final = 10


def _first_failure(seeds: Iterable[int], *, spooled: bool = False) -> Failure | None:
    tried = (run(seed, *draw(seed, spooled=spooled)) for seed in seeds)
    return next((failure for failure in tried if failure is not None), None)


@pytest.mark.parametrize("part", range(_PARTS))
def test_every_invariant_holds_in_every_history(part: int) -> None:
    """Exactly once, own writes visible, totals conserved, counters never back, and all agree in the end."""
    failure = _first_failure(range(part, _HISTORIES, _PARTS))

    assert failure is None, f"python -m tests.simulation --replay {failure.seed}: {failure.error}"


@pytest.mark.skipif(not LOCKS_WORK, reason="no file locks here")
@pytest.mark.parametrize("part", range(_PARTS))
def test_with_a_spool_every_acknowledged_apply_is_stored_once(part: int) -> None:
    """Though processes are killed at any moment, and machines lose whatever was not synced."""
    failure = _first_failure(range(part, _SPOOLED_HISTORIES, _PARTS), spooled=True)

    assert failure is None, f"python -m tests.simulation --spool --replay {failure.seed}: {failure.error}"


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
