"""Looking at what stores hold, and filling them with what trips up those who move it."""

from __future__ import annotations

from typing import Final

from metadatadb_core import Store, connect
from metadatadb_core.replication import ABSENT, ReplicatedBackend
from metadatadb_core.replication.content import Content
from metadatadb_core.replication.inspection import list_namespaces, read_state
from metadatadb_core.replication.record import Record
from metadatadb_core.replication.snapshot import state_key

NASTY_KEYS: Final = ("", '"', "\\", "a\u2028b", "<&>", "\x00\x1b[31m", "\U0001f600", "é", '":{}')
WRITTEN_BY_HAND: Final = b'{"huge":123456789012345678901234567890,\n "number": 1.50,"exponent":1e2,"text":"\\u00e9\\/"}'


def backend_of(store: Store) -> ReplicatedBackend:
    """The backend of a store."""
    backend = store._backend
    assert isinstance(backend, ReplicatedBackend)
    return backend


def fill(target: str) -> None:
    """Fill a store with keys, values and ints that are easily lost on the way, in four namespaces."""
    with connect(target) as store:
        root, nasty = store.namespace(""), store.namespace("nasty")
        root.int("runs").add(1)
        for key in NASTY_KEYS:
            nasty.map(f"map {key}", str).set(key, {key: [key, None, 1.5]})
            nasty.set("set").add(key)
        for number in (2**63 - 1, -(2**63), 2**53 + 1):
            nasty.int_map("ints", int).set(number, number)
        nasty.list("list", object).extend([1, 1.0, True, "1", None])
        store.namespace("emptied").scalar("gone").set(1)
        for namespace in (root, nasty, store.namespace("emptied")):
            namespace.flush()
        store.namespace("emptied").scalar("gone").delete()
        store.namespace("emptied").flush()
    put_state(target, "by-hand", WRITTEN_BY_HAND)


def put_state(target: str, namespace: str, body: bytes) -> None:
    """Store `body` as the state of a namespace that has none, or in place of the one it has."""
    with connect(target) as store:
        backend = backend_of(store)
        objects, key = backend.object_store(), state_key(backend.config.prefix, namespace)
        found = objects.get(key)
        objects.put(key, body, expect=ABSENT if found is None else found.version)


def contents(target: str) -> dict[str, bytes]:
    """What each namespace of a store holds, without records."""
    with connect(target) as store:
        backend = backend_of(store)
        objects, prefix = backend.object_store(), backend.config.prefix
        found = {each.name: read_state(objects, prefix, each.name) for each in list_namespaces(objects, prefix)}
    return {name: Content.of_state(state.body).body for name, state in found.items() if state is not None}


def records(target: str) -> dict[str, Record]:
    """The record of each namespace of a store."""
    with connect(target) as store:
        backend = backend_of(store)
        objects, prefix = backend.object_store(), backend.config.prefix
        found = {each.name: read_state(objects, prefix, each.name) for each in list_namespaces(objects, prefix)}
    return {name: state.record for name, state in found.items() if state is not None}


def keys(target: str) -> list[str]:
    """The keys of all objects of a store, also of those that belong to no namespace."""
    with connect(target) as store:
        backend = backend_of(store)
        return [info.key for info in backend.object_store().list(f"{backend.config.prefix}.metadata/")]
