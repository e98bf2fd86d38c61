"""Keeps stores under load and watches what must hold all the time; a function and a command.

::

    python -m metadatadb_core.testing.soak --seconds 600 --target s3://bucket --replicas 3

Workers write at random, each through one of the stores. What they wrote they keep account of, and between rounds
every store is asked whether it comes to the same. A violation ends the soak, and the command exits with 1.
"""

from __future__ import annotations

import argparse
import enum
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from metadatadb_core import ops
from metadatadb_core.errors import MetadataDBError
from metadatadb_core.store import Namespace, Store
from metadatadb_core.testing.concurrency import run_together
from metadatadb_core.testing.progress import Bar

__all__ = ["Invariant", "Progress", "Report", "Violation", "soak"]

ROUND_OPS = 500
"""Writes of each worker between two checks of everything."""

ROUND_TIMEOUT = 3600.0
"""Seconds after which a round that does not end counts as deadlocked; a slow store may well need minutes."""

ROUNDS_TO_RESET = 20
"""Rounds after which everything is deleted, so that a long soak does not fill the memory."""

NAMES = ("counter", "counts", "members", "log", "accounts", "versions")


class Invariant(enum.Enum):
    """What must hold; the value says when it is broken."""

    SUMS = "a counter is not the sum of what was added to it"
    MEMBERS = "a set that was only added to does not hold just what was added"
    LENGTHS = "a list does not hold just what was appended, in each worker's order"
    OWN_WRITES = "a worker does not see what it has just written"
    NEVER_BACK = "a value that only grows was seen to shrink"
    CONSERVED = "a total that every batch leaves as it is has changed"
    CONVERGENCE = "replicas differ after all of them were flushed"
    NO_FAILURE = "a call failed"


@dataclass(frozen=True)
class Violation:
    """One invariant that did not hold.

    Attributes:
        invariant: which.
        detail: where, and what was found instead.
    """

    invariant: Invariant
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant.name}: {self.invariant.value}: {self.detail}"


@dataclass(frozen=True)
class Progress:
    """How far a soak is.

    Attributes:
        ops: writes so far.
        rounds: complete checks so far.
        elapsed: seconds since the beginning.
        fraction: how much is done, from 0 to 1.
    """

    ops: int
    rounds: int
    elapsed: float
    fraction: float


@dataclass(frozen=True)
class Report:
    """What a soak found.

    Attributes:
        ops: writes made.
        rounds: complete checks made.
        elapsed: seconds it took.
        violations: what did not hold; empty if all is well.
    """

    ops: int
    rounds: int
    elapsed: float
    violations: Sequence[Violation]


class _Broken(Exception):
    def __init__(self, invariant: Invariant, detail: str) -> None:
        super().__init__(detail)
        self.violation = Violation(invariant, detail)


def _check(holds: bool, invariant: Invariant, detail: Callable[[], str]) -> None:
    if not holds:
        raise _Broken(invariant, detail())


@dataclass
class _Account:
    """What one worker has written since the last reset."""

    added: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    members: set[str] = field(default_factory=set)
    appended: int = 0
    version: int = 0


class _Worker:
    """Writes through one namespace, and looks at once whether it sees its own writes."""

    def __init__(self, number: int, namespace: Namespace, seed: int) -> None:
        self.number = number
        self.account = _Account()
        self.written = 0
        self._namespace = namespace
        self._random = random.Random(f"{seed}/{number}")
        self._counter = namespace.int("counter")
        self._counts = namespace.int_map("counts")
        self._members = namespace.set("members")
        self._log = namespace.list("log")
        self._accounts = namespace.int_map("accounts")
        self._versions = namespace.int_map("versions")
        self._seen = _Seen()
        self._steps = (self._add, self._count, self._add_member, self._append, self._transfer, self._new_version)

    def reset(self) -> None:
        self.account = _Account()
        self._seen = _Seen()

    def run(self, count: int, deadline: float) -> None:
        """Write `count` times, or until `deadline` on the monotonic clock."""
        for _ in range(count):
            if time.monotonic() >= deadline:
                return
            self._random.choice(self._steps)()
            self.written += 1
            if self._random.random() < 0.02:
                self._namespace.flush()

    def _add(self) -> None:
        delta = self._random.randint(1, 9)
        self._counter.add(delta)
        self.account.added += delta
        seen, self._seen.counter = self._seen.counter, self._counter.get()
        self._sees(self.account.added, self._seen.counter, "counter")
        self._grows(seen, self._seen.counter, "counter")

    def _count(self) -> None:
        key = f"k{self._random.randrange(20)}"
        self._counts.add(key, 1)
        self.account.counts[key] += 1
        seen, self._seen.counts[key] = self._seen.counts[key], self._counts.get(key)
        self._sees(self.account.counts[key], self._seen.counts[key], f"counts[{key!r}]")
        self._grows(seen, self._seen.counts[key], f"counts[{key!r}]")

    def _add_member(self) -> None:
        member = f"{self.number}/{len(self.account.members)}"
        self._members.add(member)
        self.account.members.add(member)
        _check(member in self._members, Invariant.OWN_WRITES, lambda: f"member {member!r} is not in the set")
        seen, self._seen.members = self._seen.members, len(self._members)
        self._grows(seen, self._seen.members, "members")

    def _append(self) -> None:
        self._log.append([self.number, self.account.appended])
        self.account.appended += 1
        seen, self._seen.log = self._seen.log, len(self._log)
        self._sees(self.account.appended, self._seen.log, "the length of log")
        self._grows(seen, self._seen.log, "the length of log")

    def _transfer(self) -> None:
        source, target = self._random.sample("abcd", 2)
        amount = self._random.randint(1, 9)
        with self._namespace.batch():
            self._accounts.add(source, -amount)
            self._accounts.add(target, amount)
        _check_conserved(self._accounts.entries())

    def _new_version(self) -> None:
        self.account.version += 1
        self._versions.set(str(self.number), self.account.version)
        seen = self._versions.get(str(self.number))
        _check(
            seen == self.account.version,
            Invariant.OWN_WRITES,
            lambda: f"worker {self.number} has set its version to {self.account.version} and sees {seen}",
        )

    def _sees(self, own: int, seen: int, what: str) -> None:
        _check(seen >= own, Invariant.OWN_WRITES, lambda: f"worker {self.number} added {own} to {what} and sees {seen}")

    def _grows(self, before: int, seen: int, what: str) -> None:
        _check(
            seen >= before, Invariant.NEVER_BACK, lambda: f"worker {self.number} saw {what} go from {before} to {seen}"
        )


@dataclass
class _Seen:
    """What a worker has seen of values that only grow."""

    counter: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    members: int = 0
    log: int = 0


def _check_conserved(accounts: dict[str, int]) -> None:
    _check(
        sum(accounts.values()) == 0,
        Invariant.CONSERVED,
        lambda: f"the accounts add up to more or less than 0: {accounts}",
    )


def _check_replica(number: int, namespace: Namespace, accounts: Sequence[_Account]) -> None:
    """One replica, flushed and at rest, against what all workers have written."""
    where = f"store {number}"
    added, counter = sum(account.added for account in accounts), namespace.int("counter").get()
    _check(added == counter, Invariant.SUMS, lambda: f"{where}: {added} were added to counter, it is {counter}")
    counts = dict(sum((account.counts for account in accounts), Counter[str]()))
    found = namespace.int_map("counts").entries()
    _check(counts == found, Invariant.SUMS, lambda: f"{where}: counts should be {counts}, they are {found}")
    members = set().union(*(account.members for account in accounts))
    there = set(namespace.set("members").members())
    _check(
        members == there,
        Invariant.MEMBERS,
        lambda: f"{where}: missing {sorted(members - there)[:9]}, unknown {sorted(there - members)[:9]}",
    )
    log = namespace.list("log").entries()
    appended = sum(account.appended for account in accounts)
    _check(
        len(log) == appended, Invariant.LENGTHS, lambda: f"{where}: {appended} were appended to log, it has {len(log)}"
    )
    for worker, account in enumerate(accounts):
        own = [row[1] for row in log if row[0] == worker]
        if own != list(range(account.appended)):
            raise _Broken(Invariant.LENGTHS, f"{where}: what worker {worker} appended stands as {own[:20]} ...")
    _check_conserved(namespace.int_map("accounts").entries())
    versions = {str(worker): account.version for worker, account in enumerate(accounts) if account.version}
    last = namespace.int_map("versions").entries()
    _check(versions == last, Invariant.OWN_WRITES, lambda: f"{where}: versions should be {versions}, they are {last}")


def _check_equal(namespaces: Sequence[Namespace]) -> None:
    logs = [namespace.list("log").entries() for namespace in namespaces]
    accounts = [namespace.int_map("accounts").entries() for namespace in namespaces]
    for number in range(1, len(namespaces)):
        if (logs[number], accounts[number]) != (logs[0], accounts[0]):
            raise _Broken(Invariant.CONVERGENCE, f"store 0 and store {number} hold log or accounts differently")


def _flush(namespaces: Iterable[Namespace]) -> None:
    """Bring everybody's writes to everybody: the first flushes send them, the second fetch them."""
    everyone = list(namespaces)
    for namespace in (*everyone, *everyone):
        namespace.flush()


def _reset(namespaces: Sequence[Namespace]) -> None:
    namespaces[0].apply(*(ops.ScalarDelete(name) for name in NAMES))
    _flush(namespaces)


def soak(
    stores: Sequence[Store],
    *,
    seconds: float | None = None,
    ops_per_worker: int | None = None,
    workers: int = 4,
    seed: int = 0,
    namespace: str = "soak",
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Report:
    """Write through `stores` until the time or the ops are used up, or something does not hold.

    Args:
        stores: stores over one storage, or one store; each worker uses one of them.
        seconds: how long, or None for no limit.
        ops_per_worker: how many writes of each worker, or None for no limit; one of the two is needed.
        workers: how many threads write.
        seed: what the workers' choices follow from.
        namespace: the namespace to work in; what a soak uses in it is deleted first.
        on_progress: called after each round.

    Raises:
        ValueError: there is no store, no worker or no limit.
    """
    if not stores or workers < 1 or (seconds is None and ops_per_worker is None):
        raise ValueError("a soak needs a store, a worker, and a limit in seconds or in ops")
    started = time.monotonic()
    deadline = started + seconds if seconds is not None else float("inf")
    namespaces = [store.namespace(namespace) for store in stores]
    crew = [_Worker(number, namespaces[number % len(namespaces)], seed) for number in range(workers)]
    violations: list[Violation] = []
    rounds = left = 0

    def progress() -> Progress:
        elapsed = time.monotonic() - started
        done = sum(worker.written for worker in crew)
        fractions = [elapsed / seconds] if seconds else [1.0] if seconds == 0 else []
        fractions += [done / (ops_per_worker * workers)] if ops_per_worker else [1.0] if ops_per_worker == 0 else []
        return Progress(done, rounds, elapsed, min(1.0, max(fractions)))

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except _Broken as broken:
                violations.append(broken.violation)
            except Exception as error:  # whatever fails under load is what a soak is there to find
                violations.append(Violation(Invariant.NO_FAILURE, f"{type(error).__name__}: {error}"))

        return run

    def verify() -> None:
        _flush(namespaces)
        for number, replica in enumerate(namespaces):
            _check_replica(number, replica, [worker.account for worker in crew])
        _check_equal(namespaces)

    left = ops_per_worker if ops_per_worker is not None else sys.maxsize
    guarded(lambda: _reset(namespaces))()
    while left > 0 and time.monotonic() < deadline and not violations:
        count = min(left, ROUND_OPS)
        left -= count
        work = [guarded(partial(worker.run, count, deadline)) for worker in crew]
        guarded(partial(run_together, *work, timeout=ROUND_TIMEOUT))()
        if not violations:
            guarded(verify)()
            rounds += 1
        if rounds % ROUNDS_TO_RESET == 0 and not violations:
            guarded(lambda: _reset(namespaces))()
            for worker in crew:
                worker.reset()
        on_progress(progress())
    final = progress()
    return Report(final.ops, final.rounds, final.elapsed, tuple(violations))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m metadatadb_core.testing.soak", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--target", default="memory://", metavar="URL", help="what to open (default: %(default)s)")
    parser.add_argument("--seconds", type=float, metavar="N", help="how long (default: 60, unless --ops is given)")
    parser.add_argument("--ops", type=int, metavar="N", help="how many writes of each worker (default: no limit)")
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="threads that write (default: %(default)s)")
    parser.add_argument(
        "--replicas",
        type=int,
        default=1,
        metavar="N",
        help="how often to open the target; more than 1 needs one that several backends share (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the workers' choices (default: %(default)s)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 is well, 1 is a violation, 2 is a target that cannot be opened."""
    from metadatadb_core.connect import connect

    options = _arguments(arguments)
    seconds = options.seconds if options.seconds is not None or options.ops is not None else 60.0
    stores: list[Store] = []
    try:
        try:
            stores += [connect(options.target) for _ in range(options.replicas)]
        except (MetadataDBError, ValueError) as error:
            sys.stderr.write(f"cannot open {options.target}: {error}\n")
            return 2
        with Bar(sys.stderr) as bar:
            report = soak(
                stores,
                seconds=seconds,
                ops_per_worker=options.ops,
                workers=options.workers,
                seed=options.seed,
                on_progress=lambda progress: bar.show(
                    progress.fraction, f"{progress.ops:,} ops, {progress.rounds:,} checks, {progress.elapsed:,.0f}s"
                ),
            )
    finally:
        for store in stores:
            store.close()
    for violation in report.violations:
        sys.stdout.write(f"{violation}\n")
    sys.stdout.write(
        f"{report.ops:,} ops in {report.elapsed:,.1f}s, everything checked {report.rounds:,} times, "
        f"{len(report.violations)} violations\n"
    )
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
