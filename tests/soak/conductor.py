"""Rounds of a soak: all replicas write, then all flush, then each is compared with what all have written."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.soak.replica import Replica, Seen
from tests.soak.steadiness import growth

__all__ = ["Conductor", "Report"]

_ROUND_OPS: Final = 200
_ROUND_SECONDS: Final = 20.0
_ROUNDS_TO_RESET: Final = 4
_LONGEST_PAUSE_SECONDS: Final = 1.5
_MOST_MEMORY_GROWTH: Final = 1.2
_MOST_DESCRIPTOR_GROWTH: Final = 1.25


@dataclass
class Report:
    """What was found.

    Attributes:
        ops: writes made.
        rounds: how often everything was checked.
        pauses: how often a replica was stopped for a while.
        violations: what did not hold.
        memory, descriptors: growth of each, by replica; None where the soak was too short to tell.
    """

    ops: int = 0
    rounds: int = 0
    pauses: int = 0
    violations: list[str] = field(default_factory=list)
    memory: dict[str, float | None] = field(default_factory=dict)
    descriptors: dict[str, float | None] = field(default_factory=dict)


class Conductor:
    """Runs a soak.

    Args:
        url: the store.
        replicas: how many processes.
        workers: how many threads write in each.
        seed: of what they choose, and of which replica is stopped when.
    """

    def __init__(self, url: str, *, replicas: int, workers: int, seed: int) -> None:
        self.report = Report()
        self._replicas = [Replica.start(number, url, workers, seed) for number in range(replicas)]
        self._chance = random.Random(seed)
        self._samples: dict[str, list[Seen]] = {replica.name: [] for replica in self._replicas}

    def run(self, seconds: float, on_round: Callable[[Report, float], None]) -> Report:
        """Go on for so long, or until something does not hold.

        Args:
            seconds: how long.
            on_round: called after each round with what was found so far, and the seconds gone by.
        """
        report, started = self.report, time.monotonic()
        try:
            self._reset()
            while (gone := time.monotonic() - started) < seconds and not report.violations:
                on_round(report, gone)
                self._round(min(_ROUND_SECONDS, seconds - gone))
                if report.rounds % _ROUNDS_TO_RESET == 0:
                    self._reset()
        except (RuntimeError, EOFError, OSError) as failure:
            report.violations.append(str(failure) or type(failure).__name__)
        finally:
            self._end()
        self._judge_steadiness()
        return report

    def _all(self, what: str, *arguments: Any) -> list[Any]:
        for replica in self._replicas:
            replica.ask(what, *arguments)
        return [replica.answer() for replica in self._replicas]

    def _round(self, seconds: float) -> None:
        with self._pauses():
            written = self._all("write", _ROUND_OPS, seconds)
        # The first flushes bring everybody's writes to the store, the second from there to everybody.
        self._all("flush")
        self._all("flush")
        accounts = [account for one in written for account in one.accounts]
        seen: Sequence[Seen] = self._all("check", accounts)
        if len({one.digest for one in seen}) > 1:
            self.report.violations.append("replicas differ after all of them were flushed")
        self.report.ops += sum(one.ops for one in written)
        self.report.rounds += 1
        if self.report.rounds % _ROUNDS_TO_RESET == 0:  # when they hold the most, so that like is compared with like
            for replica, one in zip(self._replicas, seen, strict=True):
                self._samples[replica.name].append(one)

    def _reset(self) -> None:
        self._replicas[0].ask("reset", True)
        self._replicas[0].answer()
        for replica in self._replicas[1:]:
            replica.ask("reset", False)
            replica.answer()

    @contextmanager
    def _pauses(self) -> Iterator[None]:
        """Meanwhile a replica is stopped now and then, perhaps for longer than its lock is honoured."""
        over = threading.Event()

        def disturb() -> None:
            while not over.wait(self._chance.uniform(0, 2 * _LONGEST_PAUSE_SECONDS)):
                process = self._chance.choice(self._replicas).process.pid
                os.kill(process, signal.SIGSTOP)
                over.wait(self._chance.uniform(0, _LONGEST_PAUSE_SECONDS))
                os.kill(process, signal.SIGCONT)
                self.report.pauses += 1

        disturber = threading.Thread(target=disturb)
        disturber.start()
        try:
            yield
        finally:
            over.set()
            disturber.join()

    def _end(self) -> None:
        for replica in self._replicas:
            replica.pipe.close()
        for replica in self._replicas:
            replica.process.join(60)
            if replica.process.exitcode is None:
                replica.process.kill()
                replica.process.join()
                self.report.violations.append(f"{replica.name} did not end, and was killed")
            elif replica.process.exitcode and not self.report.violations:
                self.report.violations.append(f"{replica.name} ended with status {replica.process.exitcode}")

    def _judge_steadiness(self) -> None:
        report = self.report
        for name, samples in self._samples.items():
            report.memory[name] = growth([sample.memory for sample in samples])
            report.descriptors[name] = growth([sample.descriptors for sample in samples])
        for what, grown, most in (
            ("memory", report.memory, _MOST_MEMORY_GROWTH),
            ("descriptors", report.descriptors, _MOST_DESCRIPTOR_GROWTH),
        ):
            report.violations += [
                f"{what} of {name} grew by a factor of {factor:.2f}"
                for name, factor in grown.items()
                if factor is not None and factor > most
            ]
