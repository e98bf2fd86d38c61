"""One replica, a process with a few workers in it, which does what the conductor asks for."""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import msgspec

from metadatadb_core import MetadataDBError, Namespace, connect, ops
from metadatadb_core.testing.concurrency import run_together
from metadatadb_core.testing.soak_load import NAMES, Account, Broken, Worker, check_replica

__all__ = ["Flushed", "Replica", "Seen", "Written"]

NAMESPACE: Final = "soak"
_FLUSH_SECONDS: Final = 120.0
_ROUND_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Written:
    """What the workers of a replica have written since the last reset."""

    accounts: Sequence[Account]
    ops: int


@dataclass(frozen=True)
class Flushed:
    """All of that is in the store."""


@dataclass(frozen=True)
class Seen:
    """What a replica sees, once all have flushed.

    Attributes:
        digest: of what must be the same on all replicas.
        memory: bytes resident.
        descriptors: open ones.
    """

    digest: str
    memory: int
    descriptors: int


@dataclass(frozen=True)
class Failed:
    """Something does not hold, or a call failed."""

    reason: str


@dataclass
class Replica:
    """A replica, as the conductor knows it.

    Attributes:
        name: what it is called.
        process: the process.
        pipe: to talk to it.
    """

    name: str
    process: Any
    pipe: Connection = field(repr=False)

    @classmethod
    def start(cls, number: int, url: str, workers: int, seed: int) -> Replica:
        """Start it."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_run, args=(url, number, workers, seed, theirs), daemon=True)
        process.start()
        theirs.close()
        return cls(f"replica {number}", process, ours)

    def ask(self, what: str, *arguments: Any) -> None:
        """Have it do one of `_Crew`'s methods."""
        self.pipe.send((what, arguments))

    def answer(self, timeout: float = _ROUND_SECONDS) -> Any:
        """What came of that.

        Raises:
            RuntimeError: something does not hold, a call failed, or it does not answer in time.
        """
        if not self.pipe.poll(timeout):
            raise RuntimeError(f"{self.name} does not answer within {timeout:g}s")
        answer = self.pipe.recv()
        if isinstance(answer, Failed):
            raise RuntimeError(f"{self.name}: {answer.reason}")
        return answer


class _Crew:
    """The workers of a replica, and what they are told to do."""

    def __init__(self, namespace: Namespace, number: int, workers: int, seed: int) -> None:
        self._namespace = namespace
        self._number = number
        self._workers = [Worker(number * workers + index, namespace, seed) for index in range(workers)]

    def write(self, count: int, seconds: float) -> Written:
        """Each worker writes so often, or for so long."""
        before = sum(worker.written for worker in self._workers)
        deadline = time.monotonic() + seconds
        run_together(*(partial(worker.run, count, deadline) for worker in self._workers), timeout=_ROUND_SECONDS)
        return Written(
            [worker.account for worker in self._workers], sum(worker.written for worker in self._workers) - before
        )

    def flush(self) -> Flushed:
        """Bring what is written here to the store, and what is there to here."""
        self._namespace.flush(timeout=_FLUSH_SECONDS)
        return Flushed()

    def check(self, accounts: Sequence[Account]) -> Seen:
        """Compare what is seen here with what all workers have written."""
        check_replica(self._number, self._namespace, accounts)
        seen = [self._namespace.list("log").entries(), sorted(self._namespace.int_map("accounts").entries().items())]
        gc.collect()
        return Seen(hashlib.sha256(msgspec.json.encode(seen)).hexdigest(), _memory(), _descriptors())

    def reset(self, delete: bool) -> Flushed:
        """Begin anew; one replica deletes for all."""
        if delete:
            self._namespace.apply(*(ops.ScalarDelete(name) for name in NAMES))
        for worker in self._workers:
            worker.reset()
        return self.flush()


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the names are all that is wanted


def _run(url: str, number: int, workers: int, seed: int, pipe: Connection) -> None:
    with connect(url) as store:
        crew = _Crew(store.namespace(NAMESPACE), number, workers, seed)
        while True:
            try:
                what, arguments = pipe.recv()
            except EOFError:
                return
            try:
                answer = getattr(crew, what)(*arguments)
            except Broken as broken:
                answer = Failed(str(broken.violation))
            except MetadataDBError as error:
                answer = Failed(f"{type(error).__name__}: {error}")
            pipe.send(answer)
