"""Looking into an object store without being a replica of anything in it.

Nothing here writes, takes a lock or leaves a thread behind. What stands in one namespace's objects never keeps the
others from being seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from metadatadb_core.backend import check_namespace
from metadatadb_core.codec import Names
from metadatadb_core.errors import InvalidNamespaceError, UnsupportedFormatError
from metadatadb_core.replication.driver import Driver, Traffic
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.lock import lock_body, lock_key
from metadatadb_core.replication.object_store import ObjectInfo, ObjectStore, StoredObject, Version
from metadatadb_core.replication.patience import patiently
from metadatadb_core.replication.record import Record
from metadatadb_core.replication.requests import Get
from metadatadb_core.replication.snapshot import head_of, journal_key, state_key

__all__ = ["FoundNamespace", "StoredLock", "StoredState", "list_namespaces", "ping", "read_lock", "read_state"]


@dataclass(frozen=True, slots=True)
class FoundNamespace:
    """A namespace as a listing shows it.

    Attributes:
        name: the namespace; "" is the root.
        state: its state object, or None where there is only a lock, or a journal.
        lock: its lock object, or None.
        journal: whether it is kept in the original's journal design, which this version does not read.
    """

    name: str
    state: ObjectInfo | None
    lock: ObjectInfo | None
    journal: bool


@dataclass(frozen=True, slots=True)
class StoredState:
    """What is stored of a namespace.

    Attributes:
        names: structure name to what is stored under it, without the engine's record; whoever gets it owns it.
        record: which batches that contains.
        body: the bytes as they are stored.
        version: the state object's version.
        modified: when it was written, by the store's clock, or None where the store does not say.
    """

    names: Names
    record: Record
    body: bytes
    version: Version
    modified: datetime | None


@dataclass(frozen=True, slots=True)
class StoredLock:
    """A lock as it lies in the store.

    Attributes:
        version: the lock object's version.
        nonce: what tells it from every other; None for one of the original, which carries none.
        ttl: seconds for which its holder claims it, or None likewise.
        expires_at: what it tells replicas of the original: RFC 3339, by its holder's clock, or None.
        modified: when it was taken, by the store's clock, or None where the store does not say.
        age: seconds since then, by the store's clock alone, or None likewise.
    """

    version: Version
    nonce: str | None
    ttl: float | None
    expires_at: str | None
    modified: datetime | None
    age: float | None


def ping(store: ObjectStore, prefix: str) -> None:
    """See that the store answers, by looking for an object that nobody makes.

    Raises:
        StoreFailure: it does not, or denies to be read.
    """
    _get(store, f"{prefix}.metadata/.probe")


def list_namespaces(store: ObjectStore, prefix: str) -> list[FoundNamespace]:
    """The namespaces in `store` below `prefix`, sorted; objects that belong to none are left out.

    Raises:
        StoreFailure: it cannot be listed.
    """
    start = f"{prefix}.metadata/"
    states: dict[str, ObjectInfo] = {}
    locks: dict[str, ObjectInfo] = {}
    journals: set[str] = set()
    for info in store.list(start):
        name, kind = _belongs_to(info.key.removeprefix(start))
        if kind == ".json":
            states[name] = info
        elif kind == ".lock":
            locks[name] = info
        elif kind == "/rollup.json":
            journals.add(name)
    return [
        FoundNamespace(name, states.get(name), locks.get(name), name in journals)
        for name in sorted({*states, *locks, *journals})
    ]


def _belongs_to(rest: str) -> tuple[str, str]:
    """The namespace of a key and what it is there; nothing of either for a key of somebody else's."""
    for kind in ("/rollup.json", ".json", ".lock"):
        if rest.endswith(kind):
            name = rest.removesuffix(kind)
            try:
                check_namespace(name)
            except InvalidNamespaceError:
                continue
            return name, kind
    return "", ""


def read_state(store: ObjectStore, prefix: str, namespace: str, *, unless: Version | None = None) -> StoredState | None:
    """What is stored of `namespace`, or None if nothing is.

    Args:
        store: where it is stored.
        prefix: what its keys begin with.
        namespace: the namespace.
        unless: the version the caller has.

    Raises:
        NotModified: the state is still at `unless`.
        CorruptStateError: it is not a JSON object.
        UnsupportedFormatError: a newer version wrote it, or it is kept in the original's journal design.
        StoreFailure: it could not be read.
    """
    key = state_key(prefix, namespace)
    found = _get(store, key, unless)
    if found is None:
        if _get(store, journal_key(prefix, namespace)) is not None:
            raise UnsupportedFormatError(
                f"namespace {namespace!r} is kept in the original's journal design, which this version does not read",
                namespace=namespace,
                found="journal",
                supported="snapshot",
            )
        return None
    head = head_of(found, key, namespace)
    return StoredState(head.names, head.record, found.body, found.version, found.modified)


def read_lock(store: ObjectStore, prefix: str, namespace: str) -> StoredLock | None:
    """The lock of `namespace`, or None if nobody has left one.

    Raises:
        StoreFailure: it could not be read.
    """
    found = _get(store, lock_key(prefix, namespace))
    if found is None:
        return None
    body = lock_body(found)
    nonce, ttl = body.get("nonce"), body.get("ttl")
    age = None
    if found.modified is not None and found.server_date is not None:
        # HTTP dates are cut to seconds, so that a lock may seem to have been taken after the answer.
        age = max(0.0, (found.server_date - found.modified).total_seconds())
    return StoredLock(
        version=found.version,
        nonce=nonce if isinstance(nonce, str) else None,
        ttl=_seconds(ttl),
        expires_at=next(_values(found, "expires-at"), None),
        modified=found.modified,
        age=age,
    )


def _seconds(claimed: object) -> float | None:
    # An int may be too large for a float; nobody means such a one.
    if isinstance(claimed, bool) or not isinstance(claimed, (int, float)) or abs(claimed) >= 2**53:
        return None
    return float(claimed)


def _values(found: StoredObject, name: str) -> Iterator[str]:
    return (value for key, value in found.metadata.items() if key.lower() == name)


def _get(store: ObjectStore, key: str, unless: Version | None = None) -> StoredObject | None:
    def pause(seconds: float) -> bool:
        time.sleep(seconds)
        return True

    found = Driver(store, pause, Traffic()).run(patiently(Environment(), Get(key, unless)))
    assert found is None or isinstance(found, StoredObject)
    return found
