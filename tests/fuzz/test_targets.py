"""Whatever bytes a reader is given, it reads them or raises what is documented; the fuzzer's targets, in the suite."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.hostile import HOSTILE
from tests.fuzz.mutation import EDITS, Edit, mutate
from tests.fuzz.targets import TARGETS, Target, check

CORPUS: Final = Path(__file__).parent / "corpus"
BY_NAME: Final = {target.name: target for target in TARGETS}

SIZES: Final = dict.fromkeys(HOSTILE, 200_000) | {"hcl": 20_000}
"""Bytes of a hostile input. What takes steps in the square of this does not end within the suite's own limit. Of HCL,
which is slow to parse, no more than 64 KiB are read anyway."""

_EDIT: Final = st.builds(Edit, st.sampled_from(EDITS), st.floats(0, 1), st.integers(1, 5), st.integers(0, 2**16))

MISTAKES: Final = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*"))
ATTACKS: Final = [(target, attack) for target, attacks in HOSTILE.items() for attack in attacks]


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_the_seeds_are_read(target: Target) -> None:
    """The first seed of each target is well-formed, so that what is fuzzed is more than the first check."""
    target.read(target.seeds[0])


@pytest.mark.parametrize("path", MISTAKES)
def test_past_mistakes_are_not_made_again(path: str) -> None:
    """Every input that has ever shown a mistake."""
    check(BY_NAME[path.partition("/")[0]], (CORPUS / path).read_bytes())


@pytest.mark.parametrize("target", TARGETS, ids=str)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_input_is_read_or_refused(target: Target, data: Any) -> None:
    """Well-formed inputs with a few changes, and plain noise."""
    seed = data.draw(st.sampled_from(target.seeds) | st.binary(max_size=50))
    check(target, mutate(seed, data.draw(st.lists(_EDIT, max_size=4)), target.words))


def test_every_target_has_been_attacked() -> None:
    """With inputs that are hostile to it."""
    assert sorted(BY_NAME) == sorted(HOSTILE)


@pytest.mark.parametrize(("target", "attack"), ATTACKS)
def test_a_hostile_input_is_read_or_refused(target: str, attack: str) -> None:
    """However large, in a time that does not grow with the square of its size."""
    check(BY_NAME[target], HOSTILE[target][attack](SIZES[target]))


@pytest.mark.parametrize(("target", "attack"), ATTACKS)
def test_memory_is_in_proportion_to_the_input(target: str, attack: str) -> None:
    """A few hundred bytes for a byte are what Python's objects for one token take, and a traceback for the deepest."""
    small, large = (_peak(BY_NAME[target], HOSTILE[target][attack], size) for size in (1_000, 4_000))

    assert large <= 6 * small + 500_000


def _peak(target: Target, make: Callable[[int], bytes], size: int) -> int:
    """The most bytes that Python held while `target` read an input of that size."""
    data = make(size)
    check(target, data)  # what is imported and cached once is not counted
    tracemalloc.start()
    try:
        check(target, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
