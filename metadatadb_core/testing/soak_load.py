"""What a soak writes, and what must hold of it: workers that keep account, and what compares stores with that."""

from __future__ import annotations

import enum
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from metadatadb_core.store import Namespace

__all__ = ["NAMES", "Account", "Broken", "Invariant", "Violation", "Worker", "check_replica"]

NAMES: Final = ("counter", "counts", "members", "log", "accounts", "versions")
"""What workers write to."""


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


class Broken(Exception):
    """Something does not hold: `violation` says what."""

    def __init__(self, invariant: Invariant, detail: str) -> None:
        super().__init__(detail)
        self.violation = Violation(invariant, detail)


def _check(holds: bool, invariant: Invariant, detail: Callable[[], str]) -> None:
    if not holds:
        raise Broken(invariant, detail())


@dataclass
class Account:
    """What one worker has written since the last reset."""

    added: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    members: set[str] = field(default_factory=set)
    appended: int = 0
    version: int = 0


class Worker:
    """Writes through one namespace, and looks at once whether it sees its own writes."""

    def __init__(self, number: int, namespace: Namespace, seed: int) -> None:
        self.number = number
        self.account = Account()
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
        self.account = Account()
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


def check_replica(number: int, namespace: Namespace, accounts: Sequence[Account]) -> None:
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
            raise Broken(Invariant.LENGTHS, f"{where}: what worker {worker} appended stands as {own[:20]} ...")
    _check_conserved(namespace.int_map("accounts").entries())
    versions = {str(worker): account.version for worker, account in enumerate(accounts) if account.version}
    last = namespace.int_map("versions").entries()
    _check(versions == last, Invariant.OWN_WRITES, lambda: f"{where}: versions should be {versions}, they are {last}")
