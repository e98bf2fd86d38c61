"""Each safeguard of the engine is there for a reason: without it the simulation finds a violation."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from metadatadb_core.replication.spool import LOCKS_WORK
from tests.simulation.history import draw, run
from tests.simulation.mutations import MUTATIONS, Mutation

_PROOF: Final = Path(__file__).parents[2] / "docs" / "proof.md"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.safeguard)
def test_without_a_safeguard_a_violation_is_found(mutation: Mutation) -> None:
    """Within the number of seeds that the mutation states."""
    if mutation.spooled and not LOCKS_WORK:
        pytest.skip("no file locks here")
    with mutation.enter():
        found = any(run(seed, *draw(seed, spooled=mutation.spooled)) is not None for seed in range(mutation.within))

    assert found


def test_the_safeguards_are_the_ones_that_the_document_lists() -> None:
    """In its table, with what is done without them, and within how many seeds that shows."""
    rows = [
        f"| {number} | {mutation.safeguard} | {mutation.without} | {mutation.within} |"
        for number, mutation in enumerate(MUTATIONS, 1)
    ]
    document = _PROOF.read_text(encoding="utf-8").splitlines()

    assert rows == [line.rsplit("|", 2)[0] + "|" for line in document if line.startswith("| ") and line[2].isdigit()]
