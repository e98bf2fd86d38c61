"""The snapshot layout: one object holds a namespace's whole state, and a lock object beside it.

A flush takes the lock, reads the state unless it is the one it has, and puts the new state on condition that
the old one is still there. The same bytes are put again while the outcome of that put is unknown and the
state unchanged: only one of the two can then take effect, whichever lands, and it means the same.
"""

from __future__ import annotations

import logging
from typing import Final, final

from metadatadb_core.codec import decode_names, encode_names
from metadatadb_core.errors import CorruptStateError, UnsupportedFormatError
from metadatadb_core.keys import Json
from metadatadb_core.members import Members
from metadatadb_core.ops import RECORD_NAME
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.layout import Commit, Head, Participant
from metadatadb_core.replication.lock import Lock
from metadatadb_core.replication.object_store import ABSENT, MAX_OBJECT_BYTES, Absent, StoredObject, Version
from metadatadb_core.replication.outcomes import NotModified, OutcomeUnknown, PreconditionFailed, Rejected
from metadatadb_core.replication.patience import backoff, patiently
from metadatadb_core.replication.record import Record
from metadatadb_core.replication.requests import Get, Put, Steps, Wait

__all__ = ["SnapshotLayout", "head_of", "journal_key", "state_key"]

_log = logging.getLogger("metadatadb")

_CONTENT_TYPE: Final = "application/json"
_ATTEMPTS: Final = 8


def state_key(prefix: str, namespace: str) -> str:
    """Where the state of a namespace is."""
    return f"{prefix}.metadata/{namespace}.json"


def journal_key(prefix: str, namespace: str) -> str:
    """Where the original's journal design keeps its rollup."""
    return f"{prefix}.metadata/{namespace}/rollup.json"


@final
class SnapshotLayout:
    """See the module; one for each namespace.

    Args:
        prefix: what all keys begin with.
        namespace: the namespace.
        lock: its lock.
        environment: clocks and chance.
    """

    def __init__(self, prefix: str, namespace: str, lock: Lock, environment: Environment) -> None:
        self.key = state_key(prefix, namespace)
        self._journal_key = journal_key(prefix, namespace)
        self._namespace = namespace
        self._lock = lock
        self._environment = environment
        # What was put and may or may not have taken effect; put again as it is while the state is unchanged.
        self._sent: tuple[Commit, bytes] | None = None

    def refresh(self, replica: Participant) -> Steps[None]:
        """See `Layout.refresh`."""
        head = yield from self._read(replica)
        if head is not None:
            self._adopt(replica, head)

    def commit(self, replica: Participant) -> Steps[None]:
        """See `Layout.commit`."""
        held = yield from self._lock.acquire()
        try:
            yield from self._commit(replica)
        except Exception:
            yield from self._lock.release(held)
            raise
        yield from self._lock.release(held)

    def _commit(self, replica: Participant) -> Steps[None]:
        failures = 0
        while True:
            replica.reading()
            head = yield from self._read(replica)
            if head is not None:
                self._adopt(replica, head)
            elif replica.version is ABSENT:
                # About to make the object: the original may have begun a journal since the replica first looked.
                yield from self._refuse_journal()
            again = self._sent is not None
            if self._sent is None:
                commit = replica.seal()
                if commit is None:
                    return
                self._sent = commit, self._encode(commit)
            commit, body = self._sent
            try:
                version = yield from patiently(self._environment, Put(self.key, body, commit.base, _CONTENT_TYPE))
            except (PreconditionFailed, OutcomeUnknown):
                failures += 1
                if failures == _ATTEMPTS:
                    raise
                yield Wait(backoff(self._environment, failures))
            except Rejected:
                # It will never be accepted as it is; what is written since may make it smaller. Should an earlier
                # sending of it land yet, the next put fails: both expect the same version.
                self._sent = None
                raise
            else:
                self._sent = None
                replica.committed(commit, Version(str(version)), len(body))
                if not again:
                    return  # what was applied since is for the next round

    def _encode(self, commit: Commit) -> bytes:
        body = encode_names({**commit.names, RECORD_NAME: commit.record.to_json()})
        if len(body) > MAX_OBJECT_BYTES:
            raise Rejected(
                f"the state would take {len(body)} bytes, and no replica reads more than {MAX_OBJECT_BYTES}: remove "
                f"what is not needed, and spread the rest over several namespaces",
                status=413,
            )
        return body

    def _adopt(self, replica: Participant, head: Head) -> None:
        # A put of ours that did take effect is found out here, by the record.
        replica.adopt(head)
        # What was sent built on something else than this, or holds what was discarded since: a replica that has
        # discarded anything adopts what is stored anew, also if it is still the same.
        self._sent = None

    def _read(self, replica: Participant) -> Steps[Head | None]:
        """What is stored, or None if it is what the replica has."""
        known = replica.version
        unless = known if known is not None and not isinstance(known, Absent) else None
        try:
            found = yield from patiently(self._environment, Get(self.key, unless))
        except NotModified:
            return None
        if not isinstance(found, StoredObject):
            if known is ABSENT:
                return None
            yield from self._refuse_journal()
            return Head(ABSENT, {}, Record(), 0)
        if known is None:
            yield from self._refuse_journal()
        return head_of(found, self.key, self._namespace)

    def _refuse_journal(self) -> Steps[None]:
        found = yield from patiently(self._environment, Get(self._journal_key))
        if found is not None:
            raise UnsupportedFormatError(
                f"namespace {self._namespace!r} is kept in the original's journal design ({self._journal_key} exists), "
                f"which this version does not speak; use another namespace or prefix, or export it with the original",
                namespace=self._namespace,
                found="journal",
                supported="snapshot",
            )


def head_of(found: StoredObject, key: str, namespace: str) -> Head:
    """What a state object holds.

    Args:
        found: the object.
        key: where it was, for errors.
        namespace: whose state it is, for errors.

    Raises:
        CorruptStateError: it is not a JSON object.
        UnsupportedFormatError: a newer version wrote its record.
    """
    try:
        names = decode_names(found.body)
    except CorruptStateError as error:
        raise CorruptStateError(error.reason, key=key) from error
    stored = names.pop(RECORD_NAME, None)
    record = Record.from_json(_plain(stored), namespace)
    return Head(found.version, names, record, len(found.body))


def _plain(stored: Members | Json) -> Json:
    return stored.to_object() if type(stored) is Members else stored
