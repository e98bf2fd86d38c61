"""One seed is one history: all else rests on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from metadatadb_core.replication.spool import LOCKS_WORK
from tests.simulation.trace import trace

_ROOT: Final = Path(__file__).parents[2]
_SEEDS: Final = range(40)
_TIMEOUT: Final = 120.0

needs_locks = pytest.mark.skipif(not LOCKS_WORK, reason="no file locks here")


def _trace_in_a_process(hash_seed: str, *options: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation.trace", str(_SEEDS.start), str(_SEEDS.stop), *options],
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        check=True,
        timeout=_TIMEOUT,
    ).stdout


@pytest.mark.parametrize("options", [[], pytest.param(["--spool"], marks=needs_locks)], ids=str)
def test_a_seed_gives_the_same_trace_in_processes_with_different_hash_seeds(options: list[str]) -> None:
    """Sets and dicts of strings are in another order in each process; no history may depend on it."""
    first, second = _trace_in_a_process("1", *options), _trace_in_a_process("2", *options)

    assert len(first) > 100_000
    assert first == second


def test_a_seed_gives_the_same_trace_again_in_one_process() -> None:
    """Nothing is left over from one history to the next."""
    assert trace(range(5)) == trace(range(5))


def test_seeds_give_different_traces() -> None:
    """A source of chance that is not asked would make all of this worth nothing."""
    assert 20 == len({trace(range(seed, seed + 1)) for seed in range(20)})
