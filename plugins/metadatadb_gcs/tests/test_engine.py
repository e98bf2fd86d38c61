"""The engine over GCS, on the strict server behind a proxy that loses, refuses and delays."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest

from metadatadb_core import Duration, Namespace, Store
from metadatadb_core.errors import BackendUnavailableError, CorruptStateError
from metadatadb_core.replication.object_store import ABSENT
from metadatadb_core.testing.faulty_proxy import Answer, Drop, Fault, FaultyProxy, Hold, Truncate
from metadatadb_gcs import GCSBackend, GCSBackendConfig
from metadatadb_gcs.store import GCSObjectStore

HOUR = Duration("1h")
STATE, LOCK = ".metadata/app.json", ".metadata/app.lock"

# Uploads all go to one address. That of the lock expects no object, that of a state that is there a generation, and
# those are of this century.
PUT_LOCK, PUT_STATE = ("POST", "ifGenerationMatch=0"), ("POST", "ifGenerationMatch=1")
GET_STATE, DELETE_LOCK = ("GET", "app.json?fields="), ("DELETE", "app.lock")


class Open:
    """Opens namespaces of backends of their own, over one bucket, by way of the proxy; closed after the test."""

    def __init__(self, config: GCSBackendConfig, stack: ExitStack) -> None:
        self._config = config
        self._stack = stack

    def __call__(self, **changes: Any) -> Namespace:
        # Nothing is synced but by a flush, so that requests can be counted.
        config = msgspec.structs.replace(self._config, **{"sync_interval": HOUR, **changes})
        return self._stack.enter_context(Store(GCSBackend(config))).namespace("app")


@pytest.fixture
def replica(config: GCSBackendConfig, proxy: FaultyProxy) -> Iterator[Open]:
    with ExitStack() as stack:
        stack.callback(proxy.heal)
        yield Open(config, stack)


def requests_since(proxy: FaultyProxy, start: int) -> list[str]:
    """Of each that was sent, which of those above it is."""
    names = {PUT_LOCK: "put lock", PUT_STATE: "put state", GET_STATE: "get state", DELETE_LOCK: "delete lock"}
    return [
        next((name for (method, part), name in names.items() if seen.method == method and part in seen.target), "other")
        for seen in proxy.received[start:]
    ]


# -- what it costs ---------------------------------------------------------------------------------------------


def test_an_idle_sync_is_one_request_without_a_body(replica: Open, proxy: FaultyProxy) -> None:
    """A conditional get that is answered 304, whatever the size of the namespace."""
    ns = replica()
    ns.int("n").add(1)
    ns.flush()
    start = len(proxy.received)
    ns.flush()

    assert ["get state"] == requests_since(proxy, start)
    assert "ifGenerationNotMatch" in proxy.received[-1].target


def test_an_uncontended_flush_is_four_requests(replica: Open, proxy: FaultyProxy) -> None:
    """Take the lock, look, write, give it back."""
    ns = replica()
    ns.int("n").add(1)
    ns.flush()
    start = len(proxy.received)
    ns.int("n").add(1)
    ns.flush()

    assert ["put lock", "get state", "put state", "delete lock"] == requests_since(proxy, start)


# -- exactly once ----------------------------------------------------------------------------------------------

FAULTS: tuple[Fault, ...] = (
    Drop(applied=True),
    Drop(applied=True, reset=True),
    Drop(applied=False),
    Answer(500, applied=True),
    Answer(500),
    Answer(503, applied=True),
    Answer(503, b'{"error": {"code": 503}}', applied=True),
    Answer(409),
    Answer(429),
    Truncate(5),
)
OWN_SUCCESS = Answer(412, applied=True)
"""What a client that repeats puts by itself makes of a lost answer."""


@pytest.mark.parametrize(
    ("request_kind", "fault"),
    [
        *((kind, fault) for kind in (GET_STATE, PUT_LOCK, PUT_STATE, DELETE_LOCK) for fault in FAULTS),
        *((kind, OWN_SUCCESS) for kind in (PUT_LOCK, PUT_STATE, DELETE_LOCK)),
    ],
    ids=repr,
)
def test_an_op_counts_once_whatever_request_fails(
    replica: Open, proxy: FaultyProxy, request_kind: tuple[str, str], fault: Fault
) -> None:
    """Whether the failing request was applied or not, and whatever was answered."""
    method, target = request_kind
    ours, theirs = replica(lock_ttl=Duration("3s")), replica(lock_ttl=Duration("3s"))
    ours.int("n").add(1)
    ours.flush()
    proxy.inject(fault, method=method, target=target)
    ours.int("n").add(10)
    ours.flush()
    theirs.int("n").add(100)
    theirs.flush()
    ours.flush()

    assert (111, 111) == (ours.int("n").get(), theirs.int("n").get())


def test_a_put_that_lands_late_counts_once(replica: Open, proxy: FaultyProxy) -> None:
    """It was given up on and sent again; when it arrives at last, its condition no longer holds."""
    ns = replica(lock_ttl=Duration("2s"))
    ns.int("n").add(1)
    ns.flush()
    late = Hold(applied=False)
    method, target = PUT_STATE
    proxy.inject(late, method=method, target=target)
    ns.int("n").add(10)
    ns.flush()
    late.release()
    ns.int("n").add(100)
    ns.flush()
    fresh = replica()
    fresh.flush()

    assert (111, 111) == (ns.int("n").get(), fresh.int("n").get())


# -- what the Go original stores -------------------------------------------------------------------------------


def test_a_state_of_the_original_is_read_and_extended(replica: Open, store: GCSObjectStore) -> None:
    """Byte for byte as it writes it; what we do not touch comes out as it was."""
    theirs = (
        r'{"clones":{"\"repo-a\"":7},"labels":{"\"a\\u003cb\\u003e\\u0026é\\u2028\"":{"a":[1,null,"x"]}},"sc":"hello"}'
    )
    store.put(STATE, theirs.encode(), expect=ABSENT, content_type="application/json")
    ns = replica()
    ns.flush()
    before = ns.int_map("clones").get("repo-a")
    ns.int_map("clones").add("repo-a", 1)
    ns.flush()
    found = store.get(STATE)
    assert found is not None
    stored = json.loads(found.body)
    expected = json.loads(theirs)
    expected["clones"]['"repo-a"'] = 8

    assert 7 == before
    assert expected == {name: value for name, value in stored.items() if name != ".metadatadb"}


@pytest.mark.parametrize(
    "metadata",
    [{"Expires-At": "2001-02-03T04:05:06Z"}, {"Expires-At": "2101-02-03T04:05:06Z"}, {"Expires-At": "soon"}, {}],
    ids=str,
)
def test_a_lock_that_a_dead_replica_of_the_original_left_is_taken_over(
    replica: Open, store: GCSObjectStore, metadata: dict[str, str]
) -> None:
    """After a TTL, whatever its Expires-At says: the clock of a machine that died is nobody's."""
    store.put(LOCK, b"locked", expect=ABSENT, metadata=metadata)
    ns = replica(lock_ttl=Duration("1s"))
    ns.int("n").add(1)
    ns.flush()

    assert 0 == ns.status().pending_ops
    assert [STATE] == [info.key for info in store.list("")]


def test_our_lock_tells_the_original_when_it_expires(replica: Open, store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """In the metadata, as RFC 3339 in whole seconds and UTC."""
    ns = replica()
    ns.int("n").add(1)
    ns.flush()
    ns.int("n").add(1)
    held = Hold(applied=True)
    proxy.inject(held, method="POST", target=PUT_STATE[1])
    flusher = threading.Thread(target=ns.flush)
    flusher.start()
    held.wait_until_held()
    lock = store.get(LOCK)
    held.release()
    flusher.join()

    assert lock is not None
    assert ["Expires-At"] == list(lock.metadata)
    assert lock.metadata["Expires-At"].endswith("Z")


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason", "denied", "advice"),
    [
        (403, "forbidden", True, r"storage\.objects\.list"),
        (403, "retentionPolicyNotMet", True, "retention"),
        (401, "authError", True, "credentials"),
        (400, "userProjectMissing", False, "project"),
        (404, "notFound", False, "create the bucket"),
        (413, "uploadTooLarge", False, "too large"),
    ],
)
def test_a_store_that_refuses_later_loses_nothing(
    replica: Open, proxy: FaultyProxy, status: int, reason: str, denied: bool, advice: str
) -> None:
    """Reads go on, what is pending stays, the error says what to do, and once that is done the flush goes through."""
    ns = replica()
    ns.int("n").add(1)
    ns.flush()
    message = "The specified bucket does not exist." if status == 404 else "no"
    error = {"code": status, "message": message, "errors": [{"reason": reason}]}
    method, target = PUT_STATE
    answer = Answer(status, json.dumps({"error": error}).encode())
    proxy.inject(answer, method=method, target=target, times=sys.maxsize)
    ns.int("n").add(10)
    with pytest.raises(BackendUnavailableError, match=advice) as caught:
        ns.flush()
    during = (ns.int("n").get(), ns.status().pending_ops)
    proxy.heal()
    ns.flush()
    fresh = replica()
    fresh.flush()

    assert denied == caught.value.denied
    assert (11, 1) == during
    assert 11 == fresh.int("n").get()


def test_a_generation_that_moved_is_read_again(replica: Open, store: GCSObjectStore) -> None:
    """Somebody writes without taking the lock, as a restore does: nothing of theirs or ours is lost."""
    ns = replica()
    ns.int("n").add(1)
    ns.flush()
    found = store.get(STATE)
    assert found is not None
    ns.int("n").add(10)
    store.put(STATE, found.body.replace(b'"n":1', b'"n":1000'), expect=found.version)
    ns.flush()

    assert 1010 == ns.int("n").get()


def test_a_corrupt_state_is_left_alone(replica: Open, store: GCSObjectStore) -> None:
    """It is complete and no JSON object: somebody has to look at it."""
    store.put(STATE, b"[1]", expect=ABSENT)
    ns = replica()
    ns.int("n").add(1)
    with pytest.raises(CorruptStateError, match=r"\.metadata/app\.json"):
        ns.flush()
    left = store.get(STATE)
    pending = ns.discard_pending()

    assert left is not None
    assert (b"[1]", 1) == (left.body, len(pending))
