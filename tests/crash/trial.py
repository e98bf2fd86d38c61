"""One trial: a store, a nursery over it, and faults on the way between the two."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from metadatadb_core.testing.faulty_proxy import Answer, Drop, FaultyProxy, Truncate
from tests.crash.nursery import Findings

__all__ = ["STORES", "Store", "Trial", "disturbed_store", "run"]

Store: TypeAlias = Literal["sqlite", "s3"]
STORES: Final[tuple[Store, ...]] = ("sqlite", "s3")

_ROOT: Final = Path(__file__).parents[2]
_SLOW_DOWN: Final = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'
)
_FAULTS: Final = (
    Drop(applied=True),
    Drop(applied=False),
    Truncate(at=-10),
    Answer(503, body=_SLOW_DOWN),
    Answer(500),
)
_LOOK_EVERY_SECONDS: Final = 0.01
_REQUESTS_BETWEEN_FAULTS: Final = 10


@dataclass(frozen=True)
class Trial:
    """What is tried.

    Attributes:
        store: over what.
        spooled: whether each life has a spool.
        through: whether a write returns only once it is durable.
        kills: how many lives are ended.
        seed: of their moments.
    """

    store: Store
    spooled: bool
    through: bool = False
    kills: int = 100
    seed: int = 1

    def __str__(self) -> str:
        return f"{self.store}, {'spool' if self.spooled else 'no spool'}{', through' if self.through else ''}"

    @property
    def keeps_all(self) -> bool:
        """Whether no acknowledged write may be missing."""
        return self.spooled or self.through


def run(trial: Trial, directory: Path) -> Findings:
    """Do it, with all files in `directory`."""
    options = "sync-interval=100ms&lock-ttl=1s&max-pending-ops=1000000"
    if trial.spooled:
        options += f"&spool={directory}/spool&spool-fsync=never"
    if trial.through:
        options += "&write-mode=through"
    with disturbed_store(trial.store, directory, trial.seed) as (url, heal):
        findings = _nursery(f"{url}{'&' if '?' in url else '?'}{options}", trial, heal)
    if trial.spooled and (left := sorted(path.name for path in (directory / "spool").glob("*"))):
        findings.odd.append(f"the spool still has {left}")
    return findings


def _nursery(url: str, trial: Trial, heal: Callable[[], None]) -> Findings:
    command = [sys.executable, "-W", "error", "-m", "tests.crash.nursery", url]
    command += ["--kills", str(trial.kills), "--seed", str(trial.seed)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # all are dead
        heal()
        findings, _ = process.communicate(b"\n")
    if process.returncode:
        raise RuntimeError(f"the nursery failed with exit status {process.returncode}")
    return msgspec.json.decode(findings, type=Findings)


@contextmanager
def disturbed_store(store: str, directory: Path, seed: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a new store, and what ends the faults on the way to it.

    Args:
        store: one of `STORES`.
        directory: where its files are, if it has any.
        seed: of the faults.
    """
    if store == "sqlite":
        # What is tried is the death of processes, not of the machine.
        yield f"sqlite://{(directory / 'meta.db').as_posix()}?synchronous=off", lambda: None
        return
    import boto3

    from metadatadb_s3.testing import moto_credentials, moto_server

    with moto_credentials(), moto_server() as endpoint:
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="crash")
        with FaultyProxy(endpoint) as proxy, _faults(proxy, seed) as heal:
            yield f"s3://crash?endpoint-url={proxy.url}", heal


@contextmanager
def _faults(proxy: FaultyProxy, seed: int) -> Iterator[Callable[[], None]]:
    """One request in so many fails, before or after the store has applied it, until that is healed."""
    chance = random.Random(seed)
    over = threading.Event()

    def disturb() -> None:
        next_at = 0
        while not over.wait(_LOOK_EVERY_SECONDS):
            if len(proxy.received) >= next_at:
                next_at = len(proxy.received) + chance.randint(1, 2 * _REQUESTS_BETWEEN_FAULTS)
                proxy.inject(chance.choice(_FAULTS), method=chance.choice(["PUT", "PUT", "GET", "DELETE"]))

    disturber = threading.Thread(target=disturb)
    disturber.start()

    def heal() -> None:
        over.set()
        disturber.join()
        proxy.heal()

    try:
        yield heal
    finally:
        heal()
