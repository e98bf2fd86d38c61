"""Forks lives, and kills each at a random moment; then looks what has become of what they wrote.

    python -m tests.crash.nursery URL --kills 100 --seed 1

A process of its own, with no thread in it when it forks. It says when all are dead, waits for a line that tells it to
go on, and prints what it found as JSON.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec

from metadatadb_core import Namespace, Registry, connect
from metadatadb_core.targets import read_target
from tests.crash.account import Account, Promises
from tests.crash.life import NAMESPACE, live

__all__ = ["Findings"]

Milestone: TypeAlias = Literal["birth", "begun", "acknowledged"]

_AT_ONCE: Final = 3
_SHORTEST_LIFE_SECONDS: Final = 0.002
_LONGEST_LIFE_SECONDS: Final = 0.3
_MILESTONES: Final[dict[Milestone, float]] = {"birth": 0.2, "begun": 0.4, "acknowledged": 0.4}
_MILESTONE_SECONDS: Final = 30.0
_AFTERLIFE_SECONDS: Final = 120.0


class Findings(msgspec.Struct):
    """What a trial came to.

    Attributes:
        kills: how many lives were ended.
        begun, acknowledged, flushed, stored: writes, over all lives.
        missing: acknowledged writes that are not in the store.
        missing_though_flushed: of those, such as had been flushed.
        doubled: writes that are in the store more than once.
        odd: whatever else does not fit.
    """

    kills: int = 0
    begun: int = 0
    acknowledged: int = 0
    flushed: int = 0
    stored: int = 0
    missing: int = 0
    missing_though_flushed: int = 0
    doubled: int = 0
    odd: list[str] = []


@dataclass(frozen=True)
class _Life:
    """A process.

    Attributes:
        number: its row in the account.
        process: its id.
        span: for how many seconds it may live.
        since: from when on: its birth, so that it may die before it writes, or its first write of that kind.
    """

    number: int
    process: int
    span: float
    since: Milestone


def _begin(url: str, number: int, account: Account, chance: random.Random) -> _Life:
    seed = chance.getrandbits(64)
    span = _SHORTEST_LIFE_SECONDS * (_LONGEST_LIFE_SECONDS / _SHORTEST_LIFE_SECONDS) ** chance.random()
    process = os.fork()
    if not process:
        try:
            live(url, number, account, seed)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    (since,) = chance.choices(list(_MILESTONES), list(_MILESTONES.values()))
    return _Life(number, process, span, since)


def _end(life: _Life, account: Account, findings: Findings) -> None:
    deadline = time.monotonic() + _MILESTONE_SECONDS
    while not _reached(life.since, account.promises(life.number)) and time.monotonic() < deadline:
        time.sleep(_SHORTEST_LIFE_SECONDS)
    time.sleep(life.span)
    os.kill(life.process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(life.process, 0)[1])
    findings.kills += 1
    if status != -signal.SIGKILL:
        findings.odd.append(f"life {life.number} ended by itself, with status {status}")


def _reached(milestone: Milestone, promises: Promises) -> bool:
    return {"birth": True, "begun": promises.begun > 0, "acknowledged": promises.acknowledged > 0}[milestone]


def run(url: str, kills: int, seed: int) -> Findings:
    """Have `kills` lives write to `url`, a few at a time, and die; what was found in the end."""
    chance = random.Random(seed)
    account = Account(kills)
    findings = Findings()
    read_target(url, Registry())  # imports the plugin, once for all lives
    living: deque[_Life] = deque()
    for number in range(kills):
        if len(living) == _AT_ONCE:
            _end(living.popleft(), account, findings)
        living.append(_begin(url, number, account, chance))
    for life in living:
        _end(life, account, findings)
    sys.stdout.write("all are dead\n")
    sys.stdout.flush()
    sys.stdin.readline()
    with connect(url) as store:
        namespace = store.namespace(NAMESPACE)
        namespace.flush(timeout=_AFTERLIFE_SECONDS)
        _compare(namespace, [account.promises(number) for number in range(kills)], findings)
    return findings


def _compare(namespace: Namespace, promises: Sequence[Promises], findings: Findings) -> None:
    log = Counter((life, count) for life, count in namespace.list("log", list[int]).entries())
    by_life = Counter(dict.fromkeys(range(len(promises)), 0))
    for (life, count), times in log.items():
        by_life[life] += 1
        findings.doubled += times - 1
        if count > promises[life].begun:
            findings.odd.append(f"life {life} began {promises[life].begun} writes, and its write {count} is stored")
    for life, promised in enumerate(promises):
        findings.begun += promised.begun
        findings.acknowledged += promised.acknowledged
        findings.flushed += promised.flushed
        findings.missing += max(0, promised.acknowledged - by_life[life])
        findings.missing_though_flushed += max(0, promised.flushed - by_life[life])
    findings.stored = log.total()
    # All three were written together each time.
    counted: dict[Any, int] = namespace.int_map("by-life", int).entries()
    if counted != {life: count for life, count in by_life.items() if count}:
        findings.odd.append("the counts by life are not those of the log")
    if (total := namespace.int("total").get()) != findings.stored:
        findings.odd.append(f"the total is {total}, and the log has {findings.stored} entries")


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    findings = run(options.url, options.kills, options.seed)
    sys.stdout.write(msgspec.json.encode(findings).decode() + "\n")


if __name__ == "__main__":
    main()
