"""Running one history, and telling what went wrong in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final, final

from metadatadb_core.replication.record import Record
from tests.simulation.profile import Profile
from tests.simulation.world import World

__all__ = ["STEPS", "Failure", "draw", "run"]

_AFTER: Final = Record.after

STEPS: Final = 200
"""How long a history is, unless something else is asked for."""


@final
@dataclass(frozen=True, slots=True)
class Failure:
    """A history in which an invariant did not hold.

    Attributes:
        seed: its seed.
        steps: its steps, up to the one that failed.
        profile: what it was like.
        error: what was wrong; None if nothing was.
    """

    seed: int
    steps: Sequence[int]
    profile: Profile
    error: Exception | None


def draw(seed: int, steps: int = STEPS) -> tuple[Profile, list[int]]:
    """What a seed stands for."""
    random = Random(seed)
    profile = Profile.draw(random)
    return profile, [random.getrandbits(64) for _ in range(steps)]


def run(seed: int, profile: Profile, steps: Sequence[int], story: list[str] | None = None) -> Failure | None:
    """Run one history to its end, or to the first invariant that does not hold."""
    with _few_writers(profile.max_writers):
        world = World(seed, profile, story)
        try:
            for bits in steps:
                world.step(bits)
            world.settle()
        except Exception as error:  # whatever the engine raises that it should not is a failure too
            return Failure(seed, steps[: world.steps], profile, error)
    return None


@contextmanager
def _few_writers(limit: int) -> Iterator[None]:
    """Have records keep so few writers that short histories come to prune them."""
    defaults = _AFTER.__kwdefaults__ or {}
    before = defaults["max_writers"]
    defaults["max_writers"] = limit
    try:
        yield
    finally:
        defaults["max_writers"] = before
