"""Running one history, and telling what went wrong in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final, final

from metadatadb_core.replication.record import Record
from tests.simulation.profile import Profile
from tests.simulation.world import World

__all__ = ["STEPS", "Failure", "draw", "run"]

_MEMORY: Final = Path("/dev/shm")

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


def draw(seed: int, steps: int = STEPS, *, spooled: bool = False) -> tuple[Profile, list[int]]:
    """What a seed stands for; with `spooled` it is another history, in which processes have spools."""
    random = Random(seed)
    profile = Profile.draw(random)
    if spooled:
        profile = profile.spooled(random)
    return profile, [random.getrandbits(64) for _ in range(steps)]


def run(seed: int, profile: Profile, steps: Sequence[int], story: list[str] | None = None) -> Failure | None:
    """Run one history to its end, or to the first invariant that does not hold."""
    with _few_writers(profile.max_writers), _disks(profile) as disks:
        world = World(seed, profile, story, disks)
        try:
            for bits in steps:
                world.step(bits)
            world.settle()
        except Exception as error:  # whatever the engine raises that it should not is a failure too
            return Failure(seed, steps[: world.steps], profile, error)
        finally:
            world.close()
    return None


@contextmanager
def _disks(profile: Profile) -> Iterator[Path | None]:
    """Where the disks of its machines are, if they have any; in memory where that can be had."""
    if profile.fsync is None:
        yield None
        return
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as directory:
        yield Path(directory)


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
