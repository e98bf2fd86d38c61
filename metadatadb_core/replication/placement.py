"""Putting the whole content of a namespace into a store, as one conditional put of its state object.

It is a commit like any other: the lock is taken as a courtesy, and the put is conditional on what was read under it.
What is replaced leaves its record behind, with the commit counter one higher; so a replica with writes in flight
learns from it what had become of them, and sends again only what was not in.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from metadatadb_core.errors import UnsupportedFormatError
from metadatadb_core.replication.content import Content
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.lock import Lock
from metadatadb_core.replication.object_store import ABSENT, Absent, StoredObject, Version
from metadatadb_core.replication.outcomes import OutcomeUnknown, PreconditionFailed, StoreFailure
from metadatadb_core.replication.patience import backoff, patiently
from metadatadb_core.replication.record import Record
from metadatadb_core.replication.requests import Get, OutOfTime, Put, Steps, Wait
from metadatadb_core.replication.snapshot import head_of, journal_key, state_key

__all__ = ["Outcome", "Placement", "Standing", "place", "standing"]

_CONTENT_TYPE: Final = "application/json"
_ATTEMPTS: Final = 8


class Standing(enum.Enum):
    """What is stored of a namespace, compared with what is to be put there."""

    ABSENT = "absent"
    SAME = "same"
    OTHER = "other"


class Outcome(enum.Enum):
    """What has come of a placement.

    Attributes:
        WRITTEN: there was nothing, and now the content is there, read back and compared.
        REPLACED: likewise, in place of something else.
        UNCHANGED: it was there already.
        OCCUPIED: something else is there that may not be replaced; nothing was written.
        OVERTAKEN: somebody else wrote at the same moment, and did not mind the lock; whether the content was there
            before that cannot be told.
        DAMAGED: it was written, but what was read back is something else.
    """

    WRITTEN = "written"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    OCCUPIED = "occupied"
    OVERTAKEN = "overtaken"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Placement:
    """What has come of it, and the version of the state object that holds the content, if one does."""

    outcome: Outcome
    version: Version | None = None


def standing(prefix: str, namespace: str, content: Content, environment: Environment) -> Steps[Standing]:
    """See what a placement would meet; nothing is written.

    Raises:
        CorruptStateError, UnsupportedFormatError: what is stored cannot be replaced either.
        StoreFailure: it could not be read.
    """
    found = yield from _read(prefix, namespace, environment)
    if found is None:
        return Standing.ABSENT
    head_of(found, state_key(prefix, namespace), namespace)
    return Standing.SAME if Content.of_state(found.body).same_as(content) else Standing.OTHER


def place(
    prefix: str,
    namespace: str,
    content: Content,
    lock: Lock,
    environment: Environment,
    may_replace: Callable[[Version], bool],
) -> Steps[Placement]:
    """Put `content` where the state of `namespace` is; at every instant either all of it is there or none.

    Args:
        prefix: what all keys begin with.
        namespace: the namespace.
        content: what it is to hold.
        lock: the namespace's.
        environment: clocks and chance.
        may_replace: whether a state that holds something else may be replaced, by its version.

    Raises:
        CorruptStateError, UnsupportedFormatError: what is stored is not known to be replaceable.
        OutOfTime: there was no time to wait for the lock, or for another attempt.
        OutcomeUnknown: the store never said whether it was written, and what it holds did not tell either; or it was
            written, and could not be read back.
        StoreFailure: nothing was written.
    """
    held = yield from lock.acquire()
    try:
        placement = yield from _place(prefix, namespace, content, environment, may_replace)
    except Exception:
        yield from lock.release(held)
        raise
    yield from lock.release(held)
    return placement


def _place(
    prefix: str, namespace: str, content: Content, environment: Environment, may_replace: Callable[[Version], bool]
) -> Steps[Placement]:
    key = state_key(prefix, namespace)
    found = yield from _read(prefix, namespace, environment)
    expect: Version | Absent = ABSENT
    record = Record()
    if found is not None:
        record = head_of(found, key, namespace).record
        if Content.of_state(found.body).same_as(content):
            return Placement(Outcome.UNCHANGED, found.version)
        if not may_replace(found.version):
            return Placement(Outcome.OCCUPIED)
        expect = found.version
    put = Put(key, content.stored_with(record.after(())), expect, _CONTENT_TYPE)
    version = yield from _put(put, environment)
    if version is None:
        return Placement(Outcome.OVERTAKEN)
    if not (yield from _reads_back(put, version, environment)):
        return Placement(Outcome.DAMAGED)
    return Placement(Outcome.WRITTEN if found is None else Outcome.REPLACED, version)


def _read(prefix: str, namespace: str, environment: Environment) -> Steps[StoredObject | None]:
    """The state object, where the namespace is not kept in a design that does not know of one."""
    journal = yield from patiently(environment, Get(journal_key(prefix, namespace)))
    if journal is not None:
        raise UnsupportedFormatError(
            f"namespace {namespace!r} is kept there in the original's journal design, which this version does not "
            f"speak; use another prefix",
            namespace=namespace,
            found="journal",
            supported="snapshot",
        )
    found = yield from patiently(environment, Get(state_key(prefix, namespace)))
    return found if isinstance(found, StoredObject) else None


def _put(put: Put, environment: Environment) -> Steps[Version | None]:
    """The version that `put` made; None where somebody else has made another."""
    doubts: list[OutcomeUnknown] = []
    try:
        return (yield from _put_until_known(put, environment, doubts))
    except (StoreFailure, OutOfTime) as failure:
        # Whatever a later attempt failed with, an earlier one may have been applied, or may yet be.
        if doubts and failure is not doubts[-1]:
            raise doubts[-1] from failure
        raise


def _put_until_known(put: Put, environment: Environment, doubts: list[OutcomeUnknown]) -> Steps[Version | None]:
    """What is stored decides, whatever an answer said.

    While that is what the put is conditional on, the same bytes are put again: only one of the two can then take
    effect, whichever lands, and it means the same.
    """
    failures = 0
    while True:
        try:
            return Version(str((yield from patiently(environment, put))))
        except (PreconditionFailed, OutcomeUnknown) as failure:
            if isinstance(failure, OutcomeUnknown):
                doubts.append(failure)
            found = yield from patiently(environment, Get(put.key))
            if isinstance(found, StoredObject) and found.body == put.body:
                return found.version
            if (found.version if isinstance(found, StoredObject) else ABSENT) != put.expect:
                return None
            failures += 1
            if failures == _ATTEMPTS:
                raise
            yield Wait(backoff(environment, failures))


def _reads_back(put: Put, version: Version, environment: Environment) -> Steps[bool]:
    try:
        found = yield from patiently(environment, Get(put.key))
    except (StoreFailure, OutOfTime) as failure:
        raise OutcomeUnknown(f"it was written, but could not be read back: {failure}") from failure
    if not isinstance(found, StoredObject):
        return False
    # Whoever wrote since, without minding the lock, built on what was put: that tells nothing of it.
    return found.body == put.body or found.version != version
