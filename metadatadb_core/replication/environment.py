"""Clock, chance and identity: what the engine does not decide for itself, so that a simulation can."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

__all__ = ["Environment"]


@final
@dataclass(frozen=True, slots=True)
class Environment:
    """Where a replica gets its time, its luck and its names from.

    Attributes:
        monotonic: seconds on a clock that never goes back; what all intervals are measured on.
        wall: seconds since the epoch; shown to people and written for Go replicas, never compared with anything.
        uniform: a random float between two.
        new_id: an id that nobody else ever draws.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    uniform: Callable[[float, float], float] = field(default_factory=lambda: random.SystemRandom().uniform)
    new_id: Callable[[], str] = lambda: secrets.token_hex(12)
