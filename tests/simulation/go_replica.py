"""A replica of the Go original, as far as others see it: its lock, and how it rewrites the state object."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, final

from metadatadb_core.replication.object_store import ABSENT, Version
from metadatadb_core.replication.outcomes import PreconditionFailed
from tests.simulation.process import Machine
from tests.simulation.store import LOCK, STATE, Stored

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["GoReplica"]

_EXACT = 2**53


@final
class GoReplica:
    """Takes the lock, reads, counts one up in a structure of its own, puts what it made of the rest, releases.

    It goes by its wall clock and deletes locks without a condition, as the original does. It carries structures it
    does not know along, sorts keys, and passes numbers through float64.
    """

    def __init__(self, world: World, machine: Machine) -> None:
        self._world = world
        self._machine = machine
        self._stage = 0
        self._found: Stored | None = None

    @property
    def busy(self) -> bool:
        """Whether it is between its lock and its release."""
        return self._stage > 0

    def crash(self) -> None:
        """It is killed, and its lock stays."""
        self._world.tell(lambda: "the Go replica is killed")
        self._stage = 0

    def step(self) -> None:
        """Its next request."""
        match self._stage:
            case 0:
                self._take_lock()
            case 1:
                self._found = self._world.store.objects.get(STATE)
                self._stage = 2
            case 2:
                self._rewrite()
                self._stage = 3
            case _:
                self._world.tell(lambda: "the Go replica deletes the lock")
                self._world.store.remove_by_hand(LOCK)
                self._stage = 0

    def _take_lock(self) -> None:
        world = self._world
        expires = datetime.fromtimestamp(self._machine.wall() + self._machine.ttl, UTC)
        metadata = {"Expires-At": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
        try:
            world.store.put(LOCK, b"locked", ABSENT, metadata, None, None)
        except PreconditionFailed:
            shown = world.store.objects[LOCK].metadata["Expires-At"]
            if datetime.fromisoformat(shown).timestamp() < self._machine.wall():
                world.tell(lambda: "the Go replica deletes a lock that has expired by its wall clock")
                world.store.remove_by_hand(LOCK)
        else:
            world.tell(lambda: "the Go replica takes the lock")
            self._stage = 1

    def _rewrite(self) -> None:
        found = self._found
        state: dict[str, Any] = {} if found is None else json.loads(found.body)
        state["go"] = int(state.get("go", 0)) + 1
        body = json.dumps(_through_float64(state), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        expect = ABSENT if found is None else Version(found.version)
        try:
            version = self._world.store.put(STATE, body, expect, {}, None, None)
            self._world.tell(lambda: f"the Go replica rewrites the state, now at {version}")
        except PreconditionFailed:
            self._world.tell(lambda: "the Go replica finds that the state has changed, and gives up")


def _through_float64(value: Any) -> Any:
    if type(value) is dict:
        return {name: _through_float64(item) for name, item in value.items()}
    if type(value) is list:
        return [_through_float64(item) for item in value]
    if type(value) is int and abs(value) > _EXACT:
        return int(Decimal(repr(float(value))))
    return value
