"""One simulated process: a real replica, its layout and lock, and the round it is in the middle of."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, final

from metadatadb_core.errors import CommitUnknownError, MetadataDBError, UnsafeStoreError
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.lock import Lock
from metadatadb_core.replication.object_store import Absent, Version
from metadatadb_core.replication.outcomes import OutcomeUnknown, PreconditionFailed, StoreFailure
from metadatadb_core.replication.probe import probe
from metadatadb_core.replication.replica import Replica
from metadatadb_core.replication.requests import Delete, Get, OutOfTime, Put, Request, Steps, Wait
from metadatadb_core.replication.snapshot import SnapshotLayout
from metadatadb_core.replication.spool import NO_SPOOL, DirectorySpool
from metadatadb_core.state import SharedState
from tests.simulation.disk import Disk, forked
from tests.simulation.ledger import (
    Claim,
    Entry,
    Group,
    Violation,
    Writer,
    apply_groups,
    check_total,
    copy_names,
    difference,
)
from tests.simulation.network import PARTITIONED, Fault
from tests.simulation.store import LOCK, NAMESPACE, STATE, lock_claims

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Machine", "Process"]

_UNLIMITED: Final = 10**9


@final
class Machine:
    """Where processes run: its clocks are off, each by its own.

    Args:
        world: whose time it is.
        boot: what its monotonic clock is ahead, in seconds.
        wall_error: what its wall clock is ahead.
        ttl: the lock TTL its processes are configured with.

    Attributes:
        disk: where its processes have their spools, if they have any.
    """

    def __init__(self, world: World, boot: float, wall_error: float, ttl: float) -> None:
        self.wall_error = wall_error
        self.ttl = ttl
        self.disk: Disk | None = None
        self._world = world
        self._boot = boot
        self.environment = Environment(self.monotonic, self.wall, world.uniform, world.new_id)

    def monotonic(self) -> float:
        """What `time.monotonic` says there."""
        return self._world.now + self._boot

    def wall(self) -> float:
        """What `time.time` says there."""
        return self._world.wall() + self.wall_error


@final
class _Guard:
    """The lock of a replica's state: wherever it is let go, other threads of the process may get their turn."""

    __slots__ = ("_process",)

    def __init__(self, process: Process) -> None:
        self._process = process

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._process.left_critical_section()

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


@final
@dataclass(slots=True)
class _Flush:
    """A caller that waits in `flush`.

    Attributes:
        ticket: what the engine gave it.
        applied: how many applies of the process were acknowledged when it called.
        head: the value of the state object then.
    """

    ticket: int
    applied: int
    head: Entry


@final
class Process:
    """See the module.

    Args:
        world: the world it lives in.
        machine: its clocks.
        name: how histories call it.
        parent: the process it was forked from, if it was.
    """

    def __init__(self, world: World, machine: Machine, name: str, parent: Process | None = None) -> None:
        self.name = name
        self.machine = machine
        self.partitioned = False
        self.alive = True
        self.writer: Writer = Writer(name, name if parent is None else parent.writer.family)
        self.inherited: list[Writer] = []
        self.round: Steps[None] | None = None
        self.request: Request | None = None
        self.flushes: list[_Flush] = []
        self._world = world
        self._answered = False
        self._value: Any = None
        self._failure: Exception | None = None
        self._sent_at = 0.0
        self._wake = 0.0
        self._deadline = 0.0
        self._running = False
        self._seen_commits = 0
        self._version: Version | Absent | None = None
        self._read = world.ledger.head
        self._applied_at_exit = 0
        self._claim: Claim | None = None
        self._claimed: bytes | None = None
        if parent is None:
            spool = NO_SPOOL if machine.disk is None else machine.disk.open()
            self._enforced: bool | None = None if world.profile.probing else world.store.deletes_enforced
            self.replica = Replica(NAMESPACE, machine.environment, lambda: None, spool)
            if machine.disk is not None:
                self.inherited = machine.disk.inherited(cast("DirectorySpool", spool), self.writer)
            # Which of the applies of the dead are in the store already is not known before it is read.
            self._expected: dict[str, Any] | None = None if self.inherited else {}
            lock = Lock(LOCK, machine.ttl, machine.environment, deletes_enforced=self._deletes_enforced)
            self.layout = SnapshotLayout("", NAMESPACE, lock, machine.environment)
            self.replica.state.lock = cast("Any", _Guard(self))
        else:
            self._expected = None
            self._enforced = parent._enforced
            self._seen_commits = parent._seen_commits
            self.replica, self.layout = _forked(parent, self)

    def _deletes_enforced(self) -> bool:
        return self._enforced is not False

    # -- the application -----------------------------------------------------------------------------------

    def apply(self, group: Group) -> None:
        """The application applies ops; from here on they are acknowledged."""
        self._world.tell(lambda: f"{self.name} applies {_words(group)}")
        self.writer.groups.append(group)
        if self._expected is not None:
            apply_groups(self._expected, [group])
        self.replica.apply(group, limit=_UNLIMITED)
        if self._expected is not None:
            names = self.replica.state.names
            for op in group:
                expected = self._expected.get(op.key)
                if (wrong := difference({op.key: expected}, {op.key: names.get(op.key)})) is not None:
                    raise Violation(f"{self.name} does not see its own write: {wrong}")

    def flush(self) -> None:
        """Somebody calls `flush`, and waits."""
        self._world.tell(lambda: f"{self.name} calls flush")
        self.flushes.append(_Flush(self.replica.request(), len(self.writer.groups), self._world.ledger.head))

    def left_critical_section(self) -> None:
        """The replica's lock was let go: what readers see must be right, and anybody may do something now."""
        version = self.replica.version
        if version != self._version:
            self._adopted(version)
        if self._running:
            self._applied_at_exit = len(self.writer.groups)
            if self._world.preempts():
                self._running = False
                self._world.interfere(self)
                self._running = True

    def _adopted(self, version: Version | Absent | None) -> None:
        """The replica goes by another value of the state object now."""
        self._version = version
        if version is None:
            self._expected = None
            return
        entry = self._entry(version)
        self._seen_commits = max(self._seen_commits, entry.record.commits)
        self._expected = copy_names(entry.names)
        for writer in (*self.inherited, self.writer):
            writer.resolved = max(writer.resolved, entry.durable.get(writer, 0))
            apply_groups(self._expected, writer.groups[writer.resolved :])
        self.check_local()

    def _entry(self, version: Version | Absent) -> Entry:
        known = None if isinstance(version, Absent) else version
        return self._read if self._read.version == known else self._world.ledger.by_version[known]

    def check_local(self) -> None:
        """Readers see the stored state that the replica knows, and on top of it what it applied."""
        if self._expected is None:
            return
        names = self.replica.state.names
        if (wrong := difference(self._expected, names)) is not None:
            raise Violation(f"{self.name} shows something else than {self._version} with its own writes: {wrong}")
        check_total(names, f"what {self.name} shows")

    def discard(self) -> None:
        """The operator gives up what is pending."""
        dropped = sum(len(writer.groups) - writer.resolved for writer in (*self.inherited, self.writer))
        self._world.tell(lambda: f"{self.name} discards what is pending: {dropped} applies")
        self._new_writer()
        self.replica.discard()

    def _new_writer(self) -> None:
        for writer in (*self.inherited, self.writer):
            writer.lives = False
        self.inherited = []
        self.writer = self._world.new_writer(self)
        self.flushes = []

    # -- rounds --------------------------------------------------------------------------------------------

    def start_round(self) -> None:
        """The replica and the store begin to meet."""
        self._world.tell(lambda: f"{self.name} starts a round")
        self._deadline = self._world.now + self._world.patience
        self.round = self._steps()
        self._value = self._failure = None
        self._resume()

    def _steps(self) -> Steps[None]:
        if self.replica.begin():
            if self._enforced is None:
                self._enforced = yield from probe("", "the store", self.machine.environment)
            yield from self.layout.commit(self.replica)
        else:
            yield from self.layout.refresh(self.replica)

    def advance(self, fault: Fault | None) -> None:
        """One step of the round: the request meets the store, or its answer the replica, or a wait ends.

        Args:
            fault: what becomes of a request, if not what it should.
        """
        request = self.request
        assert request is not None
        if type(request) is Wait:
            self._world.now = max(self._world.now, self._wake)
            self._resume()
        elif self._answered:
            self._resume()
        else:
            self._carry(request, fault)

    def give_up(self) -> None:
        """The caller that runs the round runs out of time, at the next wait."""
        self._deadline = 0.0

    def _carry(self, request: Request, fault: Fault | None) -> None:
        self._answered = True
        world = self._world
        if fault is None:
            try:
                self._value = self.deliver(request, self._sent_at)
                world.tell(lambda: f"the store answers {self.name}'s {_words_of(request)}: {_words_of(self._value)}")
            except StoreFailure as failure:
                self._failure, reason = failure, failure.reason
                world.tell(lambda: f"the store answers {self.name}'s {_words_of(request)}: {reason}")
            return
        self._failure = fault.fail()
        if type(request) is Get:
            lost = type(self._failure) is PreconditionFailed  # no answer to a get
            if lost or fault.applied in ("later", "twice"):
                self._failure = OutcomeUnknown("timed out")
            words = "gets no answer" if type(self._failure) is OutcomeUnknown else fault.words
            world.tell(lambda: f"{self.name}'s {_words_of(request)} {words}")
            return
        world.tell(lambda: f"{self.name}'s {_words_of(request)} {fault.words}")
        if fault.applied in ("now", "twice"):
            try:
                self.deliver(request, self._sent_at)
            except StoreFailure as failure:
                reason = failure.reason
                world.tell(lambda: f"there it came to nothing: {reason}")
                # The answer was this failure, or it was lost: a failure is never dressed up as another.
                if type(self._failure) is type(failure):
                    self._failure = failure
        if fault.applied in ("later", "twice"):
            world.delay(self, request, self._sent_at)

    def deliver(self, request: Request, sent_at: float) -> Any:
        """Have the store do what `request` says."""
        store, world = self._world.store, self._world
        assert not isinstance(request, Wait)
        key = request.key
        if type(request) is Get:
            if key == STATE:
                self._read = world.ledger.head
            return store.get(key, request.unless)
        if type(request) is Put:
            claim = self._claim if key == STATE else None
            return store.put(key, request.body, request.expect, request.metadata, self.writer, claim)
        assert isinstance(request, Delete)
        swift = world.now - sent_at <= self.machine.ttl / 2
        return store.delete(key, request.expect, self.writer, swift=swift)

    def late(self, request: Request, sent_at: float) -> tuple[Process, Request, float, Claim | None, Writer]:
        """A request that is still under way, with all that it means."""
        return self, request, sent_at, self._claim, self.writer

    def _resume(self) -> None:
        steps, failure, value = self.round, self._failure, self._value
        assert steps is not None
        self._failure = self._value = None
        self._running = True
        try:
            request = steps.send(value) if failure is None else steps.throw(failure)
        except StopIteration:
            self._finished(None)
        except (StoreFailure, MetadataDBError, OutOfTime) as error:
            self._finished(error)
        else:
            self._issue(request)
        finally:
            self._running = False

    def _issue(self, request: Request) -> None:
        self.request = request
        self._answered = False
        self._sent_at = self._world.now
        if type(request) is Wait:
            self._wake = self._world.now + request.seconds
            if self._wake >= self._deadline:
                self._failure = OutOfTime()
        elif type(request) is Put and request.key == STATE and request.body is not self._claimed:
            self._claimed = request.body
            parts = [(writer, writer.resolved, len(writer.groups)) for writer in self.inherited]
            parts.append((self.writer, self.writer.resolved, self._applied_at_exit))
            self._claim = Claim(self.writer, tuple(parts), self._seen_commits)
        elif type(request) is Put and request.key == LOCK:
            self.writer.locking = lock_claims(request.body)[0]

    def _finished(self, error: Exception | None) -> None:
        self.round = self.request = self.writer.locking = None
        if error is None:
            self._world.tell(lambda: f"{self.name} ends its round")
            self._serve(self.replica.serving)
            return
        self._world.tell(lambda: f"{self.name}'s round fails: {type(error).__name__} {error}")
        if isinstance(error, CommitUnknownError):
            # What a dead process sent, its heir may be in doubt of.
            if not self.inherited and (self._claim is None or self._claim.writer is not self.writer):
                raise Violation(f"{self.name} is in doubt of what it never sent")
            self.discard()
        elif isinstance(error, UnsafeStoreError | MetadataDBError):
            raise Violation(f"{self.name}: {type(error).__name__}: {error}")

    def _serve(self, ticket: int) -> None:
        """Callers whose flush this round serves return: what they were promised must be true."""
        world, writer = self._world, self.writer
        served = [flush for flush in self.flushes if flush.ticket <= ticket]
        self.flushes = [flush for flush in self.flushes if flush.ticket > ticket]
        head, version = world.ledger.head, self.replica.version
        for flush in served:
            if head.epoch == flush.head.epoch:
                if head.durable.get(writer, 0) < flush.applied and flush.applied > writer.resolved:
                    raise Violation(
                        f"a flush of {self.name} returns, but {head.durable.get(writer, 0)} of the "
                        f"{flush.applied} applies before it are stored"
                    )
                if head.epoch == 0:
                    if head.durable.get(writer, 0) < flush.applied:
                        raise Violation(f"a flush of {self.name} returns before its {flush.applied} applies are stored")
                    writer.promised = max(writer.promised, flush.applied)
                    self._check_inherited(head)
            if version is None or self._entry(version).index < flush.head.index:
                raise Violation(
                    f"a flush of {self.name} returns, but it shows {version}, and {flush.head.version} was there before"
                )

    def _check_inherited(self, head: Entry) -> None:
        for writer in self.inherited:
            if head.durable.get(writer, 0) < len(writer.groups):
                raise Violation(f"a flush of {self.name} returns before what it inherited of {writer.name} is stored")
            writer.promised = len(writer.groups)

    # -- its end -------------------------------------------------------------------------------------------

    def crash(self, *, request_survives: bool) -> None:
        """The process is killed; a request it sent may arrive all the same."""
        self._world.tell(lambda: f"{self.name} is killed")
        self.alive = False
        if self.machine.disk is None:
            self.writer.lives = False
        else:
            self.machine.disk.killed(cast("DirectorySpool", self.replica.spool), self.writer)
        self.inherited = []
        request = self.request
        if request is not None and not self._answered and type(request) in (Put, Delete) and request_survives:
            self._world.delay(self, request, self._sent_at)
        if self.round is not None:
            self.round.close()
        self.round = self.request = self.writer.locking = None
        self.flushes = []

    @property
    def waiting(self) -> bool:
        """Whether its round waits for time to pass."""
        return type(self.request) is Wait

    @property
    def in_doubt(self) -> bool:
        """Whether a put of it may or may not have taken effect."""
        claim = self._claim
        return claim is not None and claim.writer is self.writer and claim.in_doubt

    @property
    def sending(self) -> bool:
        """Whether its next step takes a request to the store."""
        return self.request is not None and not self.waiting and not self._answered

    @property
    def storing(self) -> bool:
        """Whether its next request is a put of the state."""
        return type(self.request) is Put and self.request.key == STATE

    def partition_fault(self, bits: int) -> Fault:
        """What becomes of a request while it is cut off."""
        return PARTITIONED[bits % len(PARTITIONED)]


def _forked(parent: Process, child: Process) -> tuple[Replica, SnapshotLayout]:
    """What a fork copies, after the engine has begun anew in the child."""
    replica = copy.copy(parent.replica)
    state = SharedState()
    state.names = copy_names(parent.replica.state.names)
    state.lock = cast("Any", _Guard(child))
    replica.state = state
    if isinstance(replica.spool, DirectorySpool):
        replica.spool = forked(replica.spool)
    fields = vars(replica)
    fields["_sealed"] = list(fields["_sealed"])
    fields["_queues"] = copy.deepcopy(fields["_queues"])
    layout = copy.copy(parent.layout)
    parts = vars(layout)
    parts["_lock"] = copy.copy(parts["_lock"])
    vars(parts["_lock"])["_deletes_enforced"] = child._deletes_enforced
    child.replica = replica
    with state.lock:
        replica.forget_pending()
    return replica, layout


def _words(group: Group) -> str:
    return " and ".join(
        f"{type(op).__name__}({', '.join(repr(getattr(op, name)) for name in op.__struct_fields__)})" for op in group
    )


def _words_of(thing: Any) -> str:
    match thing:
        case None:
            return "nothing"
        case Get(key, unless):
            return f"get of {_object(key)}" + (f" unless at {unless}" if unless is not None else "")
        case Put(key, _, expect):
            return f"put of {_object(key)} expecting {expect}"
        case Delete(key, expect):
            return f"delete of {_object(key)} expecting {expect}"
        case str():
            return f"done, it is at {thing}"
        case _:
            return f"it is at {thing.version}"


def _object(key: str) -> str:
    return {STATE: "the state", LOCK: "the lock"}.get(key, key)
