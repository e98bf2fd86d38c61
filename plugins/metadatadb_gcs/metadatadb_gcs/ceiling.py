"""How near a namespace is to the rate at which GCS takes updates of one object.

That is about one a second for each object ("Quotas and limits" in Google's documentation). The busiest object of a
namespace is its lock, which each flush creates and deletes, so that a namespace takes about one flush in two
seconds, whoever makes them. The state that a flush writes carries the engine's record, with the counter of all
commits and the last one of each writer: from one put of ours to a later one it says how many others there were.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import msgspec

from metadatadb_core.errors import UnsupportedFormatError
from metadatadb_core.ops import RECORD_NAME
from metadatadb_core.replication.record import Record

__all__ = ["CeilingWatch"]

_log = logging.getLogger("metadatadb")

UPDATES_PER_SECOND: Final = 1.0
"""Of one object; more are answered 429."""

UPDATES_PER_FLUSH: Final = 2
"""Of the lock, which is put and deleted."""

NEAR: Final = 0.8
"""The part of the ceiling from which on it is warned of."""


class _State(msgspec.Struct):
    """Only the record is decoded; the rest is passed over, at a small part of the cost of its encoding."""

    record: object = msgspec.field(default=None, name=RECORD_NAME)


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A commit of ours: its number, and when it was, on the monotonic clock."""

    commit: int
    at: float


@final
class CeilingWatch:
    """Warns once, when the replicas of a namespace flush nearly as often as the store takes it.

    Args:
        store: what the warning calls the store.
        prefix: what the keys of the states begin with.
        sync_interval: seconds between the syncs of a replica; shorter spans than that say nothing of a rate.
        monotonic: the clock, in seconds.
    """

    def __init__(
        self, store: str, prefix: str, sync_interval: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._folder = f"{prefix}.metadata/"
        self._sync_interval = sync_interval
        self._monotonic = monotonic
        self._since: dict[str, _Sighting] = {}
        self._warned = False
        self._lock = threading.Lock()

    def note(self, key: str, body: bytes) -> None:
        """A put of ours was carried out; of what is no state there is no record, and no commit."""
        now = self._monotonic()
        with self._lock:
            since = self._since.get(key)
            if self._warned or (since and now - since.at < self._sync_interval):
                return
            record = _record_of(body, key)
            self._since[key] = _Sighting(record.commits, now)
            if since is None:
                return
            rate = (record.commits - since.commit) / (now - since.at)
            self._warned = rate >= NEAR * UPDATES_PER_SECOND / UPDATES_PER_FLUSH
            if not self._warned:
                return
        self._warn(key, rate, sum(writer.commit > since.commit for writer in record.writers.values()))

    def _warn(self, key: str, rate: float, writers: int) -> None:
        _log.warning(
            "%s: namespace %r is flushed %.2f times a second, by %d replicas; the sync-interval here is %gs. GCS "
            "takes about one update a second to one object, and so one flush in two seconds: beyond that it answers "
            "429, and flushes take longer and longer. Raise the sync-interval, or spread the namespace over several",
            self._store,
            key.removeprefix(self._folder).removesuffix(".json"),
            rate,
            writers,
            self._sync_interval,
        )


def _record_of(body: bytes, key: str) -> Record:
    try:
        return Record.from_json(msgspec.json.decode(body, type=_State).record, key)
    except (msgspec.DecodeError, UnsupportedFormatError):
        return Record()  # not a state
