"""What a history is like: how many replicas, which faults, how often. Drawn from its seed.

Not every history has every fault: one with few kinds goes deeper into those (Groce et al., "Swarm Testing", 2012).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final, final

from metadatadb_core.replication.spool import Fsync
from tests.simulation.network import FAULTS
from tests.simulation.store import Dates
from tests.simulation.workloads import WORKLOADS

__all__ = ["EVENTS", "Profile"]

EVENTS: Final = (
    "crash",
    "crash",
    "idle",
    "idle",
    "give up",
    "partition",
    "wall clock jumps",
    "lock deleted by hand",
    "fork",
    "fork",
    "discard",
    "discard",
    "reset",
)
"""What happens besides requests; weighted."""

_HOUR: Final = 3600.0
_DATES: Final[tuple[Dates, ...]] = ("none", "exact", "seconds")


@final
@dataclass(frozen=True, slots=True)
class Profile:
    """See the module.

    Attributes:
        replicas: how many processes there are at the start.
        go_replicas: how many replicas of the Go original.
        machines: for each machine, its monotonic clock's lead, its wall clock's error, and its lock TTL.
        workloads: what applications do.
        faults: which faults there are.
        fault_rate: how many requests of 65536 fail.
        events: what else happens.
        event_rate: how many steps of 256 are such an event.
        preempting: whether other threads of a process do something in the middle of its round.
        probing: whether processes probe the store before their first write.
        restarting: whether killed processes come back.
        etags, dates, deletes_enforced: see `SimulatedStore`.
        max_writers: how many writers the record keeps.
        patience: seconds a round may take.
        sticking: how many steps of 8 are done by whoever did the last.
        lawless: whether somebody keeps deleting the lock, so that nothing but conditions keeps writers apart.
        crowded: whether all replicas flush at once at the end, and not one after the other.
        fsync: how the spools of all processes sync; None where there are no spools.
    """

    replicas: int
    go_replicas: int
    machines: tuple[tuple[float, float, float], ...]
    workloads: tuple[str, ...]
    faults: tuple[str, ...]
    fault_rate: int
    events: tuple[str, ...]
    event_rate: int
    preempting: bool
    probing: bool
    restarting: bool
    etags: bool
    dates: Dates
    deletes_enforced: bool
    max_writers: int
    patience: float
    sticking: int
    lawless: bool
    crowded: bool
    fsync: Fsync | None = None

    def spooled(self, random: Random) -> Profile:
        """The same with a spool for each process, and more deaths: of processes, and of machines."""
        deaths = random.choice((("crash",), ("crash", "power failure")))
        return replace(
            self,
            fsync=random.choice(("always", "never")),
            events=(*self.events[: random.choice((0, 2, 8))], *deaths),
            event_rate=random.choice((4, 10, 20)),
            restarting=random.random() < 0.9,
        )

    @classmethod
    def draw(cls, random: Random) -> Profile:
        """A history's profile, from its random source."""
        pick, chance = random.choice, random.random
        ttl = pick((1.0, 2.0, 5.0))
        replicas = pick((2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 8))
        go_replicas = pick((0, 0, 0, 1))
        machines = tuple(
            (
                chance() * 1000,
                (chance() * 2 - 1) * _HOUR if chance() < 0.5 else 0.0,
                ttl * pick((1, 1, 1, 2)),
            )
            for _ in range(replicas + go_replicas)
        )
        faults = tuple(FAULTS)
        kinds = tuple(random.sample(faults, pick((1, 2, 3, 4, len(faults)))))
        return cls(
            replicas=replicas,
            go_replicas=go_replicas,
            machines=machines,
            workloads=tuple(random.sample(list(WORKLOADS), pick((1, 2, 2, 3)))),
            faults=kinds,
            fault_rate=pick((0, 2_000, 6_000, 12_000, 20_000)),
            events=tuple(dict.fromkeys(random.choices(EVENTS, k=pick((1, 2, 4, 8))))),
            event_rate=pick((0, 2, 4, 10, 16)),
            preempting=chance() < 0.3,
            probing=chance() < 0.1,
            restarting=chance() < 0.7,
            etags=chance() < 0.5,
            dates=pick(_DATES),
            deletes_enforced=chance() < 0.7,
            max_writers=pick((256, 256, 1, 2, 3)),
            patience=ttl * pick((0.2, 1, 4, 20)),
            sticking=pick((0, 3, 6, 7)),
            lawless=chance() < 0.2,
            crowded=chance() < 0.25,
        )
