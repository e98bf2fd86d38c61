"""A round that is hit at every point there is, one point after the other, where random histories only sample."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, count, product
from typing import Final

import pytest

from metadatadb_core import ops
from tests.simulation.network import FAULTS, Fault
from tests.simulation.process import Process
from tests.simulation.profile import Profile
from tests.simulation.world import World

_KINDS: Final = ("429", "403", "lost request", "lost response", "412 for own success", "late", "twice")
_REQUESTS: Final = 7


def _world(*, etags: bool, known: bool, deletes_enforced: bool = True) -> World:
    """Two replicas, of which the first has something to store.

    Args:
        etags: see `Profile`.
        known: whether the namespace was written before.
        deletes_enforced: see `SimulatedStore`.
    """
    profile = Profile(
        replicas=2,
        go_replicas=0,
        machines=((0.0, 0.0, 1.0), (10.0, 3600.0, 1.0)),
        workloads=("several structures at once",),
        faults=(),
        fault_rate=0,
        events=("idle",),
        event_rate=0,
        preempting=False,
        probing=False,
        restarting=False,
        etags=etags,
        dates="none",
        deletes_enforced=deletes_enforced,
        max_writers=256,
        patience=1000.0,
        sticking=0,
        lawless=False,
        crowded=False,
    )
    world = World(0, profile)
    if known:
        for process in world.processes:
            process.apply((ops.IntAdd("n", 1),))
            _run_round(process, {})
    world.processes[0].apply((ops.IntMapAdd("bank", "a", -5), ops.IntMapAdd("bank", "b", 5)))
    world.processes[0].apply((ops.IntAdd("n", 1),))
    return world


def _run_round(process: Process, faults: Mapping[int, Fault]) -> int:
    """A whole round, whose requests fail by their number; how many there were."""
    process.start_round()
    requests = 0
    while process.round is not None:
        fault = faults.get(requests) if process.sending else None
        requests += process.sending
        process.advance(fault)
    return requests


@pytest.mark.parametrize(("etags", "known"), list(product((False, True), repeat=2)))
def test_any_two_requests_of_a_round_may_fail_in_any_two_ways(etags: bool, known: bool) -> None:
    """And the op counts once, whether the other replica writes in between or not."""
    for first, second in combinations(range(_REQUESTS), 2):
        for one, other in product(_KINDS, repeat=2):
            world = _world(etags=etags, known=known)
            _run_round(world.processes[0], {first: FAULTS[one], second: FAULTS[other]})
            if first % 2:
                world.processes[1].apply((ops.IntAdd("n", 1),))
                _run_round(world.processes[1], {})
            world.settle()


@pytest.mark.parametrize(("etags", "known"), list(product((False, True), repeat=2)))
@pytest.mark.parametrize("survives", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_process_may_be_killed_at_every_step_of_a_round(
    etags: bool, known: bool, survives: bool, restarts: bool
) -> None:
    """What it had stored stays, what it had not is gone, nothing is half there, and the others go on."""
    killed = 0
    for step in count():
        world = _world(etags=etags, known=known)
        process = world.processes[0]
        process.start_round()
        for _ in range(step):
            if process.round is not None:
                process.advance(None)
        if process.round is None:
            break
        process.crash(request_survives=survives)
        killed += 1
        if restarts:
            world.restart(process)
        world.settle()

    assert killed >= 8


def test_a_lock_whose_put_arrives_late_is_not_released_over_its_thief() -> None:
    """On a store without conditions on deletes: it has been there for longer than its holder knows."""
    world = _world(etags=False, known=True, deletes_enforced=False)
    slow, thief = world.processes
    thief.apply((ops.IntAdd("n", 1),))
    slow.start_round()
    slow.advance(FAULTS["late"])
    _until_waiting(slow)
    world.land_all()
    thief.start_round()
    _until_waiting(thief)
    world.now += 0.9
    while slow.round is not None and not slow.storing:
        slow.advance(None)
    world.now += 0.2
    while not thief.storing:
        thief.advance(None)
    while slow.round is not None:
        slow.advance(None)  # its release would raise a violation
    world.settle()


def _until_waiting(process: Process) -> None:
    while not process.waiting:
        process.advance(None)
