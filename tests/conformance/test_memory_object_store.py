"""The faults of the store in memory: each happens as often, where and when it was asked for."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from metadatadb_core.replication.object_store import ABSENT, ObjectStore, Version
from metadatadb_core.replication.outcomes import (
    Denied,
    NotModified,
    OutcomeUnknown,
    PreconditionFailed,
    Rejected,
    StoreFailure,
    Unavailable,
)
from metadatadb_core.testing.bucket import Bucket, etag
from metadatadb_core.testing.object_store import FAILURES, Delay, Fault, Hold, MemoryObjectStore, Request


@pytest.fixture
def store() -> MemoryObjectStore:
    return MemoryObjectStore()


@pytest.mark.parametrize("name", FAILURES)
def test_a_fault_before_the_request_leaves_the_store_alone(store: MemoryObjectStore, name: str) -> None:
    """The caller sees the failure, and nothing was applied."""
    store.faults.append(Fault(on="put", outcome=FAILURES[name]))
    with pytest.raises(type(FAILURES[name])) as caught:
        store.put("k", b"1", expect=ABSENT)

    assert (FAILURES[name].reason, FAILURES[name].status) == (caught.value.reason, caught.value.status)
    assert caught.value is not FAILURES[name]
    assert {} == store.bucket.objects


@pytest.mark.parametrize("name", ["time-out", "reset", "500", "503 of a proxy", "412"])
def test_a_fault_after_the_request_loses_only_its_answer(store: MemoryObjectStore, name: str) -> None:
    """The caller sees the failure, and the write is in: a lost response, or a 412 for one's own success."""
    store.faults.append(Fault(on="put", when="after", outcome=FAILURES[name]))
    with pytest.raises(type(FAILURES[name])):
        store.put("k", b"1", expect=ABSENT)

    assert b"1" == store.bucket.objects["k"].body


@pytest.mark.parametrize("name", ["409", "429", "503", "never sent", "403", "413"])
def test_a_store_that_would_lie_cannot_be_asked_for(name: str) -> None:
    """What says that nothing was applied is never raised after a write: the engine could not live with that."""
    with pytest.raises(ValueError, match="says that nothing was applied"):
        Fault(on="put", when="after", outcome=FAILURES[name])


def test_a_lost_refusal_is_lost_too(store: MemoryObjectStore) -> None:
    """A write that the store refused, and whose answer was lost, is seen as unknown."""
    store.bucket.write("k", b"1")
    store.faults.append(Fault(on="put", when="after", outcome=FAILURES["reset"]))
    with pytest.raises(OutcomeUnknown):
        store.put("k", b"2", expect=ABSENT)

    assert b"1" == store.bucket.objects["k"].body


def test_a_truncated_body_is_an_unknown_outcome(store: MemoryObjectStore) -> None:
    """A get whose body ended early raises, and the next one works."""
    store.bucket.write("k", b"1")
    store.faults.append(Fault(on="get", when="after", outcome=FAILURES["truncated body"]))
    with pytest.raises(OutcomeUnknown, match="ended early"):
        store.get("k")

    assert store.get("k") is not None


def test_a_fault_hits_its_method_and_keys_as_often_as_it_says(store: MemoryObjectStore) -> None:
    """Others pass, and a fault that is used up has left the list."""
    store.faults += [
        Fault(on="get", key="*.json", outcome=FAILURES["429"], times=2),
        Fault(on="list", outcome=FAILURES["403"], times=None),
    ]
    outcomes = [_outcome_of_get(store, key) for key in ("a.json", "a.lock", "b.json", "a.json")]
    for _ in range(3):
        with pytest.raises(Denied):
            store.list("")

    assert [Unavailable, None, Unavailable, None] == outcomes
    assert ["list"] == [fault.on for fault in store.faults]


def test_faults_belong_to_one_client() -> None:
    """Of two clients of one bucket, one can be cut off while the other goes on."""
    bucket = Bucket()
    first, second = MemoryObjectStore(bucket), MemoryObjectStore(bucket)
    first.faults.append(Fault(on="put", outcome=FAILURES["never sent"], times=None))
    with pytest.raises(Unavailable):
        first.put("k", b"1", expect=ABSENT)
    second.put("k", b"2", expect=ABSENT)

    found = first.get("k")
    assert found is not None
    assert b"2" == found.body


def test_a_delayed_put_lands_later(store: MemoryObjectStore) -> None:
    """Its sender sees a time-out; it is applied when it lands, once."""
    store.faults.append(Delay())
    with pytest.raises(OutcomeUnknown):
        store.put("k", b"1", expect=ABSENT, metadata={"a": "b"})
    before = dict(store.bucket.objects)
    landed = store.land()

    assert ({}, [None]) == (before, landed)
    assert (b"1", {"a": "b"}) == (store.bucket.objects["k"].body, store.bucket.objects["k"].metadata)
    assert [] == store.land()


def test_the_condition_of_a_delayed_write_is_evaluated_when_it_lands(store: MemoryObjectStore) -> None:
    """What was written meanwhile is not overwritten, and a delete does not remove it."""
    first = store.put("k", b"1", expect=ABSENT)
    store.faults += [Delay(), Delay(on="delete")]
    with pytest.raises(OutcomeUnknown):
        store.put("k", b"late", expect=first)
    with pytest.raises(OutcomeUnknown):
        store.delete("k", expect=first)
    store.put("k", b"2", expect=first)

    assert [PreconditionFailed, PreconditionFailed] == [type(failure) for failure in store.land()]
    assert b"2" == store.bucket.objects["k"].body


def test_a_delayed_write_lands_after_its_client_was_closed(store: MemoryObjectStore) -> None:
    """The network delivers what a dead process sent."""
    store.faults.append(Delay())
    with pytest.raises(OutcomeUnknown):
        store.put("k", b"1", expect=ABSENT)
    store.close()
    with pytest.raises(Unavailable, match="closed"):
        store.get("k")

    assert [None] == store.land()
    assert b"1" == store.bucket.objects["k"].body


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_held_request_waits_until_it_is_let_go(store: MemoryObjectStore, when: str) -> None:
    """Meanwhile it was applied, or not, and others go on."""
    hold = Hold(on="put", when="after" if when == "after" else "before")
    store.faults.append(hold)
    thread = threading.Thread(target=lambda: store.put("k", b"1", expect=ABSENT))
    thread.start()
    try:
        assert hold.reached.wait(60)
        meanwhile = store.get("k")
    finally:
        hold.resume.set()
        thread.join(60)

    assert (when == "after") == (meanwhile is not None)
    assert b"1" == store.bucket.objects["k"].body


def test_the_log_says_what_was_asked_for(store: MemoryObjectStore) -> None:
    """Each request with its key, the bytes of its body, and how it failed."""
    version = store.put("k", b"12345", expect=ABSENT)
    store.get("k")
    with pytest.raises(NotModified):
        store.get("k", unless=version)
    with pytest.raises(PreconditionFailed):
        store.put("k", b"123", expect=ABSENT)
    list(store.list("k"))
    store.delete("k", expect=version)

    assert [
        Request("put", "k", sent=5),
        Request("get", "k", received=5),
        Request("get", "k", failure=NotModified),
        Request("put", "k", sent=3, failure=PreconditionFailed),
        Request("list", "k"),
        Request("delete", "k"),
    ] == store.log
    assert Counter(put=2, get=2, list=1, delete=1) == store.counts
    assert (8, 5) == (store.bytes_sent, store.bytes_received)


def test_clock_and_versions_can_be_given() -> None:
    """A test that needs the same run twice gives both."""
    clock = [datetime(2030, 1, 1, tzinfo=UTC)]
    store = MemoryObjectStore(Bucket(clock=lambda: clock[0], versions=lambda body: Version(f"v{body.decode()}")))
    version = store.put("k", b"1", expect=ABSENT)
    clock[0] += timedelta(hours=1)
    found = store.get("k")

    assert "v1" == version
    assert found is not None
    assert (datetime(2030, 1, 1, tzinfo=UTC), clock[0]) == (found.modified, found.server_date)


def test_versions_are_never_the_same_unless_they_are_etags() -> None:
    """The default draws a new version for each put; `etag` makes S3's, quotes and all."""
    drawn, hashed = Bucket(), Bucket(versions=etag)

    assert drawn.write("k", b"1") != drawn.write("k", b"1")
    assert '"c4ca4238a0b923820dcc509a6f75849b"' == hashed.write("k", b"1") == hashed.write("k", b"1")


@pytest.mark.parametrize("ignored", ["put-absent", "put-match", "delete"])
def test_a_bucket_ignores_the_conditions_it_is_told_to(ignored: str) -> None:
    """Exactly the one condition is not enforced, so that the engine's probe can be tried."""
    store = MemoryObjectStore(Bucket(ignores={ignored}))  # type: ignore[arg-type]
    store.bucket.write("k", b"1")
    stale = Version("stale")
    refused = set()
    for condition, write in (
        ("put-absent", lambda: store.put("k", b"2", expect=ABSENT)),
        ("put-match", lambda: store.put("k", b"3", expect=stale)),
        ("delete", lambda: store.delete("k", expect=stale)),
    ):
        try:
            write()
        except PreconditionFailed:
            refused.add(condition)

    assert {"put-absent", "put-match", "delete"} - {ignored} == refused


def test_a_failure_keeps_its_status(store: MemoryObjectStore) -> None:
    """A body too large is told from a request that is not implemented."""
    store.faults += [Fault(on="put", outcome=FAILURES["413"]), Fault(on="put", outcome=FAILURES["501"])]
    statuses = []
    for _ in range(2):
        with pytest.raises(Rejected) as caught:
            store.put("k", b"1", expect=ABSENT)
        statuses.append(caught.value.status)

    assert [413, 501] == statuses


def _outcome_of_get(store: ObjectStore, key: str) -> type[StoreFailure] | None:
    try:
        store.get(key)
    except StoreFailure as failure:
        return type(failure)
    return None
