"""Workers that share one store: as threads of this process, or as processes of which one is killed on the way.

Each worker has a share of the files. What a file holds and its mark of being done go in as one batch, so whoever
takes a share over finds exactly which of its files are in, and does the others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from library import Holding, Source
from rich.console import Console
from rich.progress import Progress

from metadatadb_core import Namespace, connect
from metadatadb_core.events import SyncFinished, subscribe

NAMESPACE = "stdlib-index"
FILES_BETWEEN_FLUSHES = 20
LOOK_EVERY_SECONDS = 0.2


def index_file(namespace: Namespace, path: str) -> None:
    """Index one file; anyone who sees it marked as done sees all of what it holds."""
    holding = Holding.of(path)
    imports = namespace.int_map("imports")
    with namespace.batch():
        for module, times in holding.modules.items():
            imports.add(module, times)
        namespace.map("sources", str, Source).set(path, holding.source)
        namespace.int("bytes-read").add(holding.source.size)
        namespace.list("log").append(f"{path}: {holding.log_line}")
        namespace.set("done").add(path)


def index_with_threads(namespace: Namespace, files: Sequence[str], workers: int, console: Console) -> None:
    """Index `files` by threads, for a store that lives in this process."""
    with Progress(console=console) as progress, ThreadPoolExecutor(workers) as pool:
        task = progress.add_task(f"{workers} threads", total=len(files))
        for done in as_completed([pool.submit(index_file, namespace, path) for path in files]):
            done.result()
            progress.advance(task)
    namespace.flush()


# -- processes -----------------------------------------------------------------------------------------------


@dataclass
class Traffic:
    """What one replica sent."""

    flushes: int = 0
    requests: int = 0
    sent: int = 0
    received: int = 0
    lock_waits: int = 0

    def count(self, event: SyncFinished) -> None:
        """Add a sync round."""
        self.flushes += event.kind == "write" and event.outcome == "ok"
        self.requests += event.requests
        self.sent += event.bytes_sent
        self.received += event.bytes_received
        self.lock_waits += event.lock_waits


def work(url: str, share: Sequence[str], report: Connection) -> None:
    """A worker process: index what of `share` is not done yet, and report what it cost."""
    traffic = Traffic()
    subscribe("demo", traffic.count)
    with connect(url) as store:
        namespace = store.namespace(NAMESPACE)
        # A flushed write is a fence. The one who had this share before may have died with a put under way;
        # once ours is in, that put is either in too, and read here, or refused for ever.
        namespace.int("workers-started").add(1)
        namespace.flush()
        done = set(namespace.set("done").members())
        for number, path in enumerate(path for path in share if path not in done):
            index_file(namespace, path)
            if number % FILES_BETWEEN_FLUSHES == FILES_BETWEEN_FLUSHES - 1:
                namespace.flush()
                report.send(traffic)
    report.send(traffic)


@dataclass
class Worker:
    """A worker process, as its parent knows it."""

    name: str
    share: Sequence[str]
    process: Any
    reports: Connection
    traffic: Traffic = field(default_factory=Traffic)
    fate: str = "ended"

    @classmethod
    def start(cls, name: str, url: str, share: Sequence[str]) -> Worker:
        context = multiprocessing.get_context("spawn")
        reports, report = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(url, share, report), name=name)
        process.start()
        report.close()
        return cls(name, share, process, reports)

    def listen(self) -> None:
        """Take in what the worker has reported."""
        try:
            while self.reports.poll():
                self.traffic = self.reports.recv()
        except EOFError:  # it has ended, or was killed
            pass

    def kill(self) -> None:
        """Give it no chance to flush, unlock or say goodbye."""
        os.kill(self.process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        self.fate = "killed"


def index_with_processes(url: str, files: Sequence[str], count: int, console: Console) -> list[Worker]:
    """Index `files` by processes; the first is killed when it has done a third of its share, and replaced.

    Raises:
        RuntimeError: a worker failed.
    """
    workers = [Worker.start(f"worker {number + 1}", url, files[number::count]) for number in range(count)]
    victim: Worker | None = workers[0]
    with connect(url) as store, Progress(console=console) as progress:
        namespace = store.namespace(NAMESPACE)
        task = progress.add_task(f"{count} processes", total=len(files))
        while running := [worker for worker in workers if worker.process.is_alive()]:
            wait([worker.process.sentinel for worker in running], LOOK_EVERY_SECONDS)
            for worker in workers:
                worker.listen()
            namespace.flush()
            done = set(namespace.set("done").members())
            progress.update(task, completed=len(done))
            if victim is not None and 3 * len(done.intersection(victim.share)) >= len(victim.share):
                if victim.process.is_alive():
                    victim.kill()
                    progress.console.print(f"{victim.name} killed; worker {count + 1} takes its share over")
                    workers.append(Worker.start(f"worker {count + 1}", url, victim.share))
                victim = None
        namespace.flush()
        progress.update(task, completed=len(namespace.set("done")))
    for worker in workers:
        worker.process.join()
        worker.listen()
        worker.reports.close()
        if worker.process.exitcode != 0 and worker.fate != "killed":
            raise RuntimeError(f"{worker.name} failed with exit status {worker.process.exitcode}")
    return workers
