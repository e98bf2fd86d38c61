"""The lock that keeps writers of a namespace from colliding.

It is a courtesy: the conditional put of the state is what guarantees that no update is lost or doubled, with
the lock broken and every clock wrong. A lock is an object that its holder put where there was none. Whoever
finds one waits; a lock whose holder died is replaced after it has been seen unchanged for a whole TTL on the
waiter's own monotonic clock, or once the store's own clock says that it is older than that. Wall clocks of
different machines are never compared.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, final

import msgspec

from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.object_store import ABSENT, Absent, StoredObject, Version
from metadatadb_core.replication.outcomes import OutcomeUnknown, PreconditionFailed, StoreFailure, Unavailable
from metadatadb_core.replication.patience import backoff, patiently
from metadatadb_core.replication.requests import Delete, Get, OutOfTime, Put, Steps, Wait

__all__ = ["Held", "Lock", "lock_body", "lock_key"]

_log = logging.getLogger("metadatadb")

_POLL_SECONDS: Final = 0.5
_POLLS_PER_TTL: Final = 40
"""How often to look at somebody else's lock: every half second, as the original does, or more often where the
TTL is short because holding a lock takes no time."""

_DATE_SECONDS: Final = 1.0
"""The resolution of HTTP dates: the difference of two may be that much more than the time between them."""

_ATTEMPTS: Final = 4
"""How often a put or delete of the lock may fail before it is given up."""

_REMEMBERED: Final = 16
"""How many locks that we may have left behind we know again."""

_MOST_BODY_BYTES: Final = 4096
"""A lock's body takes a hundred bytes; of a longer one, nothing is read."""

_LONGEST_TTL: Final = 24 * 3600.0
"""Seconds: the longest TTL that is believed of somebody else's lock. One beyond it is a mistake, or is to block all."""


def lock_key(prefix: str, namespace: str) -> str:
    """Where the lock of a namespace is."""
    return f"{prefix}.metadata/{namespace}.lock"


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that is ours.

    Attributes:
        version: the lock object's version, which its release expects.
        since: when its put was sent, on the monotonic clock; of several that may have made it, the first.
        nonce: what it carries.
    """

    version: Version
    since: float
    nonce: str


@dataclass(frozen=True, slots=True)
class _Sighting:
    """Somebody else's lock, and since when we have seen it so.

    A lock of the original always has the same body, and so on S3 the same version: only when it was last
    modified tells one from the next.
    """

    version: Version
    modified: datetime | None
    since: float


@final
class Lock:
    """The lock of one namespace, as one replica sees it.

    Args:
        key: where the lock object is.
        ttl: seconds after which a lock that does not change is taken over.
        environment: clocks, chance and ids.
        deletes_enforced: whether the store enforces conditions on deletes.
        waited: called with the seconds of each wait for somebody else's lock.
    """

    def __init__(
        self,
        key: str,
        ttl: float,
        environment: Environment,
        *,
        deletes_enforced: Callable[[], bool] = lambda: True,
        waited: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self.key = key
        self.ttl = ttl
        self._environment = environment
        self._deletes_enforced = deletes_enforced
        self._waited = waited
        self._poll = min(_POLL_SECONDS, ttl / _POLLS_PER_TTL)
        self._sighting: _Sighting | None = None
        # Locks that we put, or may have put, and could neither use nor remove: nobody holds them.
        self._left_behind: deque[str] = deque(maxlen=_REMEMBERED)

    def acquire(self) -> Steps[Held]:
        """Take the lock, waiting for as long as somebody else may hold it; whoever drives this sets the limit."""
        nonce = self._environment.new_id()
        try:
            held = yield from self._compete(nonce)
        except Exception:
            self._left_behind.append(nonce)
            raise
        self._sighting = None
        return held

    def _compete(self, nonce: str) -> Steps[Held]:
        expect: Version | Absent = ABSENT
        failures = 0
        at_once = True
        doubtful: float | None = None  # since when a put that seemed lost may have been there
        while True:
            since = self._environment.monotonic()
            try:
                version = yield from patiently(self._environment, self._put(nonce, expect))
            except (PreconditionFailed, OutcomeUnknown, Unavailable) as failure:
                # What is there decides, not what the answer said: a lock with our nonce is ours, whatever
                # became of the answer to its put.
                if isinstance(failure, OutcomeUnknown) and doubtful is None:
                    doubtful = since
                found = yield from patiently(self._environment, Get(self.key))
                if isinstance(found, StoredObject) and _nonce_of(found) == nonce:
                    return Held(found.version, since if doubtful is None else doubtful, nonce)
                if not isinstance(failure, PreconditionFailed):
                    failures += 1
                    if failures == _ATTEMPTS or (isinstance(failure, Unavailable) and found is None):
                        raise
                    yield Wait(backoff(self._environment, failures))
                if not isinstance(found, StoredObject):
                    expect = ABSENT
                elif _nonce_of(found) in self._left_behind or self._may_take(found):
                    expect = found.version
                else:
                    expect, at_once = ABSENT, True
                    yield from self._wait()
                    continue
                # It is there for the taking; but whoever says so again and again is not believed without a pause.
                if not at_once:
                    yield from self._wait()
                at_once = not at_once
            else:
                return Held(Version(str(version)), since, nonce)

    def _wait(self) -> Steps[None]:
        seconds = self._environment.uniform(0.2 * self._poll, self._poll)
        self._waited(seconds)
        yield Wait(seconds)

    def release(self, held: Held) -> Steps[None]:
        """Give the lock back, if it is still ours. A failure is logged and left: the lock then expires."""
        for failures in range(1, _ATTEMPTS + 1):
            # Without conditions a delete may hit whoever took our lock over; within half a TTL nobody can have.
            if not self._deletes_enforced() and self._environment.monotonic() - held.since > self.ttl / 2:
                _log.info("left the lock %s to expire: the store does not enforce conditions on deletes", self.key)
                break
            try:
                yield Delete(self.key, held.version)
                return
            except PreconditionFailed:
                if failures == 1:  # otherwise an earlier delete of ours may have been applied
                    _log.warning("the lock %s is not ours any more: somebody took it over", self.key)
                return
            except (Unavailable, OutcomeUnknown) as failure:
                # One that was perhaps applied may hit the next holder's lock, unless conditions are enforced.
                unsafe = isinstance(failure, OutcomeUnknown) and not self._deletes_enforced()
                if failures == _ATTEMPTS or unsafe or not (yield from self._may_wait(failures)):
                    _log.warning("could not release the lock %s, it will expire: %s", self.key, failure)
                    break
            except StoreFailure as failure:
                _log.warning("could not release the lock %s, it will expire: %s", self.key, failure)
                break
        self._left_behind.append(held.nonce)

    def _may_wait(self, failures: int) -> Steps[bool]:
        """Wait before another attempt; whether there was time for it."""
        try:
            yield Wait(backoff(self._environment, failures))
        except OutOfTime:
            return False
        return True

    def _put(self, nonce: str, expect: Version | Absent) -> Put:
        # Expires-At is for replicas of the original, which know no other way to tell that a lock has expired.
        expires = datetime.fromtimestamp(self._environment.wall() + self.ttl, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = msgspec.json.encode({"nonce": nonce, "ttl": self.ttl})
        return Put(self.key, body, expect, "application/json", {"Expires-At": expires})

    def _may_take(self, found: StoredObject) -> bool:
        now = self._environment.monotonic()
        seen = self._sighting
        if seen is None or (seen.version, seen.modified) != (found.version, found.modified):
            seen = self._sighting = _Sighting(found.version, found.modified, now)
        ttl = max(self.ttl, _ttl_of(found))
        if now - seen.since >= ttl:
            return True
        if found.modified is None or found.server_date is None:
            return False
        return (found.server_date - found.modified).total_seconds() >= ttl + _DATE_SECONDS


def lock_body(found: StoredObject) -> dict[str, Any]:
    """What a lock's body says; nothing, for the six bytes of the original and for anything else."""
    if len(found.body) > _MOST_BODY_BYTES:
        return {}
    try:
        body = msgspec.json.decode(found.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _nonce_of(found: StoredObject) -> object:
    """The nonce a lock carries; None if it carries none."""
    return lock_body(found).get("nonce")


def _ttl_of(found: StoredObject) -> float:
    """The TTL a lock claims in its body, in seconds, as far as it is believed; 0 if it claims none."""
    claimed = lock_body(found).get("ttl")
    if not isinstance(claimed, (int, float)) or isinstance(claimed, bool):
        return 0.0
    return float(min(claimed, _LONGEST_TTL))  # the lesser first: an int may be too large for a float
