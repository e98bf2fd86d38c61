"""The simulated store: objects by key, conditions, and the invariants of who may do what to a lock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from math import floor
from typing import Final, Literal, TypeAlias, final

import msgspec

from metadatadb_core.replication.lock import lock_key
from metadatadb_core.replication.object_store import ABSENT, Absent, StoredObject, Version
from metadatadb_core.replication.outcomes import NotModified, PreconditionFailed
from metadatadb_core.replication.snapshot import state_key
from tests.simulation.ledger import Claim, Ledger, Violation, Writer

__all__ = ["EPOCH", "LOCK", "NAMESPACE", "STATE", "Dates", "SimulatedStore", "Stored", "lock_claims"]

NAMESPACE: Final = "ns"
STATE: Final = state_key("", NAMESPACE)
LOCK: Final = lock_key("", NAMESPACE)

EPOCH: Final = 1_700_000_000.0
"""What the wall clock of a machine without error shows when a history begins."""

Dates: TypeAlias = Literal["none", "exact", "seconds"]
"""What a store says of times: nothing; all it knows; whole seconds, as HTTP dates are."""


@final
@dataclass(slots=True)
class Stored:
    """An object, and what the simulation knows of it.

    Attributes:
        written: when, in true time.
        writer: the replica that wrote it; None for a Go replica.
    """

    body: bytes
    version: Version
    metadata: Mapping[str, str]
    written: float
    writer: Writer | None


def lock_claims(body: bytes) -> tuple[str, float]:
    """The nonce and the TTL in a lock of ours."""
    claims = msgspec.json.decode(body)
    return claims["nonce"], claims["ttl"]


@final
class SimulatedStore:
    """A bucket that all replicas of a history share.

    Args:
        ledger: told of every change of the state object.
        now: true time.
        etags: whether equal bodies have equal versions, as on S3; otherwise each put has its own.
        dates: what it says of times.
        deletes_enforced: whether it keeps the conditions of deletes.
    """

    def __init__(
        self, ledger: Ledger, now: Callable[[], float], *, etags: bool, dates: Dates, deletes_enforced: bool
    ) -> None:
        self.objects: dict[str, Stored] = {}
        self.deletes_enforced = deletes_enforced
        self._ledger = ledger
        self._now = now
        self._etags = etags
        self._dates = dates
        self._puts = 0
        self._meddled = False
        # A put of a lock that arrives twice makes the same lock, and no new one.
        self._first_written: dict[bytes, float] = {}

    def get(self, key: str, unless: Version | None) -> StoredObject | None:
        """See `ObjectStore.get`."""
        found = self.objects.get(key)
        if found is None:
            return None
        if found.version == unless:
            raise NotModified("the object has not changed", status=304)
        modified = date = None
        if self._dates != "none" and key == LOCK:
            modified, date = self._date(found.written), self._date(self._now())
        return StoredObject(found.body, found.version, found.metadata, modified, date)

    def _date(self, moment: float) -> datetime:
        shown = floor(moment) if self._dates == "seconds" else moment
        return datetime.fromtimestamp(EPOCH + shown, UTC)

    def put(
        self,
        key: str,
        body: bytes,
        expect: Version | Absent,
        metadata: Mapping[str, str],
        writer: Writer | None,
        claim: Claim | None,
    ) -> Version:
        """See `ObjectStore.put`."""
        found = self.objects.get(key)
        if found is not None if expect is ABSENT else found is None or found.version != expect:
            raise PreconditionFailed("the object is not at the expected version", status=412)
        if key == LOCK:
            if found is not None:
                self._check_steal(found, body, writer)
            self._first_written.setdefault(body, self._now())
        self._puts += 1
        version = Version(md5(body, usedforsecurity=False).hexdigest()[:8] if self._etags else f"v{self._puts}")
        self.objects[key] = Stored(body, version, metadata, self._now(), writer)
        if key == STATE:
            if claim is None:
                self._ledger.rewritten(version, body)
            else:
                self._ledger.landed(claim, version, body)
        return version

    def _check_steal(self, found: Stored, body: bytes, thief: Writer | None) -> None:
        if found.writer is None or thief is None:
            return  # Go's locks all look the same, and it goes by wall clocks
        nonce, ttl = lock_claims(found.body)
        new, own_ttl = lock_claims(body)
        holder = found.writer
        age = self._now() - self._first_written[found.body]
        if nonce == new:
            raise Violation(f"{thief.name} replaces the lock that it holds itself")
        if holder.family == thief.family and nonce != holder.locking:
            return  # left behind, and nobody knows better
        if age < max(ttl, own_ttl) - 1e-6:
            raise Violation(
                f"{thief.name} steals the lock of {holder.name} after {age:.3f} s; TTLs are {ttl} and {own_ttl} s"
            )

    def delete(self, key: str, expect: Version, writer: Writer, *, swift: bool = True) -> None:
        """See `ObjectStore.delete`.

        Args:
            key: the object's key.
            expect: the version it must be at.
            writer: who deletes it.
            swift: whether it arrived so soon that without conditions it must hit the right object all the same.
        """
        found = self.objects.get(key)
        if found is None or found.version != expect:
            if self.deletes_enforced:
                raise PreconditionFailed("the object is not at the expected version", status=412)
            if found is None:
                return
            self._meddled = self._meddled or not swift
        # Where conditions are not kept, whose lock it hits is only sure if nobody removes locks out of turn.
        sure = self.deletes_enforced or (swift and not self._meddled)
        if key == LOCK and found.writer is not None and found.writer is not writer and sure:
            raise Violation(f"{writer.name} removes the lock of {found.writer.name}")
        del self.objects[key]

    def remove_by_hand(self, key: str) -> None:
        """Somebody deletes an object, whatever its version."""
        if self.objects.pop(key, None) is not None and key == STATE:
            self._ledger.vanished()
        self._meddled = self._meddled or key == LOCK
