"""The world of one history: who is there, what time it is, and what each step does.

A step is 64 random bits. They say who acts and what becomes of it, and nothing else does: leaving steps out of a
history leaves the meaning of the others, which is what makes failures shrink.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Final, final

from metadatadb_core.replication.outcomes import StoreFailure
from metadatadb_core.replication.requests import Delete, Put, Request
from tests.simulation.disk import Disk
from tests.simulation.go_replica import GoReplica
from tests.simulation.ledger import Claim, Ledger, Violation, Writer, difference
from tests.simulation.network import FAULTS, Fault
from tests.simulation.process import Machine, Process
from tests.simulation.profile import Profile
from tests.simulation.store import EPOCH, LOCK, STATE, SimulatedStore
from tests.simulation.workloads import WORKLOADS

__all__ = ["World"]

_MASK: Final = 2**64 - 1
_MOST_PROCESSES: Final = 8
_BURST: Final = 6
_END_STEPS: Final = 20_000
"""Within how many steps replicas must have settled once all faults have stopped. A lock whose holder died takes about
a hundred polls."""


@final
class World:
    """See the module.

    Args:
        seed: decides what steps do not.
        profile: what the history is like.
        story: where it is told in words, if it is.
        disks: where machines have their disks, if the profile has spools.

    Attributes:
        now: true time, in seconds.
        steps: how many steps were done.
        patience: for how many seconds a round that begins now may last.
    """

    def __init__(self, seed: int, profile: Profile, story: list[str] | None = None, disks: Path | None = None) -> None:
        self.profile = profile
        self.now = 0.0
        self.story = story
        self.ledger = Ledger()
        self.store = SimulatedStore(
            self.ledger,
            lambda: self.now,
            etags=profile.etags,
            dates=profile.dates,
            deletes_enforced=profile.deletes_enforced,
        )
        self._luck = seed * 0x9E3779B97F4A7C15 & _MASK
        self._ids = 0
        self._preempting = 0
        self.patience = profile.patience
        self.steps = 0
        self._last = 0
        self._faults = [FAULTS[name] for name in profile.faults]
        self._draws = [WORKLOADS[name] for name in profile.workloads]
        self._late: list[tuple[Process, Request, float, Claim | None, Writer]] = []
        machines = [Machine(self, *row) for row in profile.machines]
        self._machines = machines[: profile.replicas]
        if profile.fsync is not None:
            assert disks is not None
            for number, machine in enumerate(self._machines):
                machine.disk = Disk(disks / str(number), profile.fsync, machine.environment)
        self.writers: list[Writer] = []
        self.processes = [self._start(machine, f"r{i + 1}") for i, machine in enumerate(self._machines)]
        self.go_replicas = [GoReplica(self, machine) for machine in machines[profile.replicas :]]

    def _start(self, machine: Machine, name: str, parent: Process | None = None) -> Process:
        process = Process(self, machine, name, parent)
        self.writers.append(process.writer)
        return process

    def close(self) -> None:
        """Close whatever the living have open."""
        for process in self.processes:
            if process.alive:
                process.replica.spool.abandon()

    # -- what processes are given --------------------------------------------------------------------------

    def tell(self, words: Callable[[], str]) -> None:
        """Add to the story."""
        if self.story is not None:
            self.story.append(f"{self.now:9.3f}  {words()}")

    def wall(self) -> float:
        """What a wall clock without error shows."""
        return EPOCH + self.now

    def uniform(self, low: float, high: float) -> float:
        """A random float; the engine's luck."""
        self._luck = (self._luck * 6364136223846793005 + 1442695040888963407) & _MASK
        return low + (high - low) * (self._luck >> 11) / 2**53

    def new_id(self) -> str:
        """An id that nobody ever had."""
        self._ids += 1
        return f"id{self._ids}"

    def new_writer(self, process: Process) -> Writer:
        """Who writes after a process has discarded what was pending."""
        writer = Writer(_next_name(process.writer.name, "~"), process.writer.family)
        self.writers.append(writer)
        return writer

    def preempts(self) -> bool:
        """Whether another thread gets its turn now."""
        bits = self._preempting
        self._preempting = bits >> 3
        return bits & 7 == 7

    def interfere(self, process: Process) -> None:
        """Another thread of `process` does something while its round is in the middle of something."""
        self.tell(lambda: "meanwhile, in another thread:")
        self._apply(process, self._preempting)
        if self._preempting & 1:
            process.flush()

    def delay(self, process: Process, request: Request, sent_at: float) -> None:
        """A write stays under way, and arrives later."""
        self._late.append(process.late(request, sent_at))

    # -- steps ---------------------------------------------------------------------------------------------

    def step(self, bits: int) -> None:
        """One thing happens."""
        self.steps += 1
        self.now += 0.001 + (bits >> 56) * 0.0002
        self._preempting = bits >> 32 & 0xFFFFFF if self.profile.preempting else 0
        chance = bits & 0xFF
        who = bits >> 8 & 0xFF
        if chance < self.profile.event_rate:
            self._event(bits >> 16, who)
        elif self._late and chance >= 240:
            self._land(self._late.pop(who % len(self._late)))
        else:
            if self.profile.lawless and bits & 0x3000_0000_0000 == 0:
                self.store.remove_by_hand(LOCK)
            actor = self._next_actor(who, bits >> 48 & 7)
            if actor < len(self.processes):
                self._act(self.processes[actor], bits)
            else:
                self.go_replicas[actor - len(self.processes)].step()

    def _next_actor(self, who: int, chance: int) -> int:
        """Whoever acted last, or somebody else: histories of slow replicas see other things than those of fast ones."""
        if chance < self.profile.sticking and self._last < len(self.processes):
            last = self.processes[self._last]
            if last.alive and not last.waiting:
                return self._last
        self._last = who % (len(self.processes) + len(self.go_replicas))
        return self._last

    def _act(self, process: Process, bits: int) -> None:
        what = bits >> 16 & 0xFF
        if not process.alive:
            if self.profile.restarting and what < 64:
                self.restart(process)
        elif process.round is None:
            if what < 96:
                self._apply(process, bits >> 32)
            elif what < 104:
                for turn in range(_BURST):
                    self._apply(process, (bits >> 24) * (2 * turn + 1) >> 7)
            elif what < (176 if process.in_doubt else 112) and "discard" in self.profile.events:
                process.discard()
            else:
                if what & 1:
                    process.flush()
                process.start_round()
        elif what < 16:
            self._apply(process, bits >> 32)
        elif what < 24:
            process.flush()
        else:
            process.advance(self._fault(process, bits >> 24))

    def _apply(self, process: Process, bits: int) -> None:
        draw = self._draws[(bits & 0xF) % len(self._draws)]
        writer = process.writer
        process.apply(draw(bits >> 4 & 0xFFFFF, writer.name, len(writer.groups)))

    def _fault(self, process: Process, bits: int) -> Fault | None:
        if process.partitioned:
            return process.partition_fault(bits)
        # What becomes of a put of the state is what histories are about.
        if bits & 0xFFFF >= self.profile.fault_rate << process.storing:
            return None
        return self._faults[(bits >> 16 & 0xFF) % len(self._faults)]

    def land_all(self) -> None:
        """All that is still under way arrives."""
        while self._late:
            self._land(self._late.pop(0))

    def _land(self, late: tuple[Process, Request, float, Claim | None, Writer]) -> None:
        _, request, _, claim, writer = late
        try:
            if type(request) is Put:
                claimed = claim if request.key == STATE else None
                self.store.put(request.key, request.body, request.expect, request.metadata, writer, claimed)
            elif type(request) is Delete:
                self.store.delete(request.key, request.expect, writer, swift=False)
            self.tell(lambda: f"a {type(request).__name__} of {writer.name} arrives late, and takes effect")
        except StoreFailure as failure:
            reason = failure.reason
            self.tell(lambda: f"a {type(request).__name__} of {writer.name} arrives late: {reason}")

    # -- events --------------------------------------------------------------------------------------------

    def _event(self, bits: int, who: int) -> None:
        events = self.profile.events
        process = self.processes[who % len(self.processes)]
        match events[(bits & 0xF) % len(events)]:
            case "crash":
                if process.alive:
                    process.crash(request_survives=bool(bits & 0x10))
                elif self.go_replicas:
                    self.go_replicas[0].crash()
            case "power failure":
                self._power_fails(process.machine, bits >> 4)
            case "idle":
                seconds = ((bits >> 4 & 0xFF) / 128) ** 2 * process.machine.ttl
                self.tell(lambda: f"nothing happens for {seconds:.1f} s")
                self.now += seconds
            case "give up":
                process.give_up()
            case "partition":
                process.partitioned = not process.partitioned
                self.tell(lambda: f"{process.name} is {'cut off' if process.partitioned else 'connected again'}")
            case "wall clock jumps":
                process.machine.wall_error = (bits >> 4 & 0xFFF) / 4096 * 7200 - 3600
                self.tell(lambda: f"{process.name}'s wall clock is {process.machine.wall_error:+.0f} s off now")
            case "lock deleted by hand":
                self.tell(lambda: "somebody deletes the lock")
                self.store.remove_by_hand(LOCK)
            case "fork":
                if process.alive and len(self.processes) < _MOST_PROCESSES:
                    name = f"r{len(self.processes) + 1}"
                    self.tell(lambda: f"{process.name} forks {name}")
                    self.processes.append(self._start(process.machine, name, process))
            case "discard":
                if process.alive and process.round is None:
                    process.discard()
            case _:
                if bits & 0x30 == 0:
                    self.tell(lambda: "somebody deletes the state")
                    self.store.remove_by_hand(STATE)

    def _power_fails(self, machine: Machine, bits: int) -> None:
        for number, process in enumerate(self.processes):
            if process.machine is machine and process.alive:
                process.crash(request_survives=bool(bits >> number & 1))
        assert machine.disk is not None
        lost = machine.disk.power_fails()
        self.tell(lambda: f"the machine loses its power, and {lost} applies")

    def restart(self, dead: Process) -> None:
        """The process of a killed one starts again, knowing nothing."""
        name = _next_name(dead.writer.name, "+")
        self.tell(lambda: f"{dead.name} starts again, as {name}")
        self.processes[self.processes.index(dead)] = self._start(dead.machine, name)

    # -- the end -------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """All faults stop: the replicas must agree within a bounded number of steps, and leave no lock."""
        self.tell(lambda: "from here on nothing fails any more")
        self._preempting = 0
        self.patience = inf
        self.land_all()
        for go_replica in self.go_replicas:
            while go_replica.busy:
                go_replica.step()
        for process in list(self.processes):
            if not process.alive and process.machine.disk is not None:
                self.restart(process)  # or nobody would bring in what it has spooled
        if not any(process.alive for process in self.processes):
            self.restart(self.processes[0])
        living = [process for process in self.processes if process.alive]
        budget = self._run(living, _END_STEPS)
        for process in living:
            self._apply(process, 0)
            process.flush()
            if not self.profile.crowded:
                budget = self._run([process], budget)
        budget = self._run(living, budget)
        for process in living:  # now all that the others wrote is there to be seen
            process.flush()
            budget = self._run([process], budget)
        head = self.ledger.head
        for process in living:
            process.check_local()
            if (wrong := difference(head.names, process.replica.state.names)) is not None:
                raise Violation(f"{process.name} does not agree with the stored state at the end: {wrong}")
            if process.replica.pending:
                raise Violation(f"{process.name} still has {process.replica.pending} ops pending at the end")
        if LOCK in self.store.objects and self.store.deletes_enforced:
            raise Violation("a lock stays at the end")
        for machine in self._machines:
            if machine.disk is not None and (left := machine.disk.files()):
                raise Violation(f"spool files are left at the end: {len(left)}")
        self.ledger.check_end(self.writers)

    def _run(self, processes: list[Process], budget: int) -> int:
        """Let `processes` go on until they have nothing to do."""
        while True:
            busy = False
            for process in processes:
                process.partitioned = False
                if process.round is None:
                    if not process.flushes:
                        continue
                    process.start_round()
                busy = True
                self._go_on(process)
                budget -= 1
            if not busy:
                return budget
            if budget < 0:
                raise Violation(f"after {_END_STEPS} steps without faults the replicas have not settled")

    def _go_on(self, process: Process) -> None:
        if process.waiting:
            lock = self.store.objects.get(LOCK)
            holders = (other.writer for other in self.processes if other.round is not None and other is not process)
            if lock is not None and lock.writer not in list(holders):
                self.now += process.machine.ttl  # nobody is going to release it
        self.now += 0.001
        process.advance(None)


def _next_name(name: str, mark: str) -> str:
    stem, found, count = name.rpartition(mark)
    return f"{stem}{mark}{int(count) + 1}" if found and count.isdigit() else f"{name}{mark}1"
