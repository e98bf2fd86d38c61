"""The probe: a store that does not keep its conditions is refused, by name, before the first write."""

from __future__ import annotations

import logging

import pytest

from metadatadb_core.errors import UnsafeStoreError
from metadatadb_core.replication import Denied, OutcomeUnknown, PreconditionFailed, Rejected
from metadatadb_core.replication.probe import probe
from metadatadb_core.replication.requests import Delete, OutOfTime, Wait
from metadatadb_core.testing.object_store import FAILURES, Bucket, Fault, MemoryObjectStore
from tests.support.engine import FakeTime, Round, environment


@pytest.fixture
def time() -> FakeTime:
    """Time that stands still until told otherwise."""
    return FakeTime()


def probing(store: MemoryObjectStore, time: FakeTime) -> Round[bool]:
    """The probe of a store."""
    return Round(probe("team/", "the store", environment(time, "id")), store, time)


def test_a_store_that_keeps_its_conditions_passes(time: FakeTime) -> None:
    """Nothing is left, and nothing was touched but a key of the probe's own."""
    store = MemoryObjectStore()

    assert probing(store, time).finish() is True
    assert {} == store.bucket.objects
    assert {"team/.metadata/.probe-id-1"} == {request.key for request in store.log}


def test_a_store_that_ignores_put_if_absent_is_refused(time: FakeTime) -> None:
    """Two writers could both create the state."""
    store = MemoryObjectStore(Bucket(ignores=["put-absent"]))
    with pytest.raises(UnsafeStoreError, match=r"the store does not enforce put-if-absent.*lose updates") as caught:
        probing(store, time).finish()

    assert ("the store", True) == (caught.value.store, caught.value.condition.startswith("put-if-absent"))
    assert {} == store.bucket.objects


def test_a_store_that_ignores_put_if_match_is_refused(time: FakeTime) -> None:
    """Two writers could both build on one version."""
    store = MemoryObjectStore(Bucket(ignores=["put-match"]))
    with pytest.raises(UnsafeStoreError, match="the store does not enforce put-if-match"):
        probing(store, time).finish()

    assert {} == store.bucket.objects


@pytest.mark.parametrize("puts", [0, 2])
def test_a_store_that_does_not_know_conditions_is_refused(time: FakeTime, puts: int) -> None:
    """501 for the header is no better than to ignore it."""
    store = MemoryObjectStore()
    round_ = probing(store, time)
    for _ in range(puts):
        round_.step()
    with pytest.raises(UnsafeStoreError, match="does not enforce put-if-"):
        round_.throw(Rejected("a header you provided implies functionality that is not implemented", status=501))
        round_.finish()

    assert {} == store.bucket.objects


def test_a_store_that_ignores_conditions_on_deletes_is_tolerated(
    time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning that says what follows."""
    store = MemoryObjectStore(Bucket(ignores=["delete"]))
    with caplog.at_level(logging.WARNING, "metadatadb"):
        assert probing(store, time).finish() is False

    assert ["the store does not enforce conditions on deletes: its locks may be left to expire"] == caplog.messages
    assert {} == store.bucket.objects


@pytest.mark.parametrize(
    ("method", "failure", "raised"),
    [("put", "403", Denied), ("put", "413", Rejected), ("put", "time-out", OutcomeUnknown)],
)
@pytest.mark.parametrize("requests", [0, 1, 2, 3])
def test_a_store_that_fails_is_not_judged(
    time: FakeTime, method: str, failure: str, raised: type[Exception], requests: int
) -> None:
    """Nothing can be said of it; the object is removed all the same, also where a lost put had been applied."""
    store = MemoryObjectStore()
    round_ = probing(store, time)
    for _ in range(requests):
        round_.step()
    when = "after" if failure == "time-out" else "before"
    store.faults.append(Fault("put", FAILURES[failure], when))  # type: ignore[arg-type]
    with pytest.raises(raised):
        round_.finish()

    assert {} == store.bucket.objects


def test_conflicts_are_tried_again(time: FakeTime) -> None:
    """A 409 says nothing about conditions."""
    store = MemoryObjectStore()
    store.faults.append(Fault("put", FAILURES["409"], times=3))

    assert probing(store, time).finish() is True


def test_a_probe_out_of_time_leaves_nothing_behind(time: FakeTime) -> None:
    """It removes its object without another wait."""
    store = MemoryObjectStore()
    round_ = probing(store, time)
    round_.step()
    store.faults.append(Fault("put", FAILURES["409"], times=1))
    round_.step()
    assert isinstance(round_.request, Wait)
    with pytest.raises(OutOfTime):
        round_.throw(OutOfTime())
        round_.finish()

    assert {} == store.bucket.objects


def test_a_delete_that_was_refused_and_done_all_the_same_is_not_enforced(time: FakeTime) -> None:
    """Something on the way repeats a delete, and hands on that there was nothing more to delete."""
    store = MemoryObjectStore(Bucket(ignores={"delete"}))
    steps = probing(store, time)
    while not isinstance(steps.request, Delete):
        steps.step()
    store.delete(steps.request.key, expect=steps.request.expect)
    steps.throw(PreconditionFailed("there is nothing to delete"))

    assert not steps.finish()
