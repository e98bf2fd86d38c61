"""Placing a namespace's content: all of it or nothing, over what was read, and nobody's batches lost or doubled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metadatadb_core.errors import CorruptStateError, UnsupportedFormatError
from metadatadb_core.replication import OutcomeUnknown, StoreFailure, Version
from metadatadb_core.replication.content import Content
from metadatadb_core.replication.lock import Lock
from metadatadb_core.replication.placement import Outcome, Placement, Standing, place, standing
from metadatadb_core.replication.requests import Delete, Get, OutOfTime, Put, Wait
from metadatadb_core.replication.snapshot import journal_key
from metadatadb_core.testing.object_store import FAILURES, Delay, Fault, MemoryObjectStore
from tests.support.engine import LOCK, NS, STATE, TTL, FakeTime, Peer, Round, environment, stored, stored_record

CONTENT = Content(b'{"n":5}')


@pytest.fixture
def time() -> FakeTime:
    """Time that stands still until told otherwise."""
    return FakeTime()


@pytest.fixture
def store() -> MemoryObjectStore:
    """A store with nothing in it."""
    return MemoryObjectStore()


def never(version: Version) -> bool:
    """Nothing may be replaced."""
    return False


def always(version: Version) -> bool:
    """Anything may be replaced."""
    return True


def placing(
    store: MemoryObjectStore,
    time: FakeTime,
    may_replace: Callable[[Version], bool] = never,
    content: Content = CONTENT,
) -> Round[Placement]:
    """The round of a placement."""
    ours = environment(time, "placing")
    return Round(place("", NS, content, Lock(LOCK, TTL, ours), ours, may_replace), store, time)


def test_content_is_put_where_there_was_nothing(store: MemoryObjectStore, time: FakeTime) -> None:
    """It is a first commit, and the lock is given back."""
    placement = placing(store, time).finish()

    assert Placement(Outcome.WRITTEN, store.bucket.objects[STATE].version) == placement
    assert {STATE: b'{"n":5,".metadatadb":{"format":1,"commits":1,"floor":0,"writers":{}}}'} == {
        key: found.body for key, found in store.bucket.objects.items()
    }
    assert "application/json" == store.bucket.content_types[STATE]


def test_it_is_written_under_the_lock_as_one_put(store: MemoryObjectStore, time: FakeTime) -> None:
    """So writers that mind the lock are not in the way, and nobody sees a part."""
    round_ = placing(store, time)
    round_.finish()
    writes = [(type(made), made.key) for made in round_.made if isinstance(made, (Put, Delete))]

    assert [(Put, LOCK), (Put, STATE), (Delete, LOCK)] == writes


def test_what_is_there_already_is_left_alone(store: MemoryObjectStore, time: FakeTime) -> None:
    """Whatever record it has, and in whatever order it is written: an interrupted copy goes on so."""
    version = store.bucket.write(STATE, b'{".metadatadb":{"format":1,"commits":9,"floor":0,"writers":{}},"n":5}')

    assert Placement(Outcome.UNCHANGED, version) == placing(store, time).finish()
    assert version == store.bucket.objects[STATE].version


def test_something_else_is_not_overwritten(store: MemoryObjectStore, time: FakeTime) -> None:
    """Unless that was asked for."""
    store.bucket.write(STATE, b'{"n":6}')

    assert Placement(Outcome.OCCUPIED) == placing(store, time).finish()
    assert {"n": 6} == stored(store.bucket)
    assert LOCK not in store.bucket.objects


def test_a_replacement_keeps_the_record_of_what_it_replaces(store: MemoryObjectStore, time: FakeTime) -> None:
    """With the counter one higher: who has batches in flight finds them judged as before."""
    record = b'{"format":1,"commits":9,"floor":4,"writers":{"w":[3,9],"v":[1,5]}}'
    store.bucket.write(STATE, b'{".metadatadb":%s,"m":6}' % record)

    assert Outcome.REPLACED is placing(store, time, always).finish().outcome
    assert {"n": 5} == stored(store.bucket)
    assert {"format": 1, "commits": 10, "floor": 4, "writers": {"w": [3, 9], "v": [1, 5]}} == stored_record(
        store.bucket
    )


def test_only_a_version_that_may_be_replaced_is(store: MemoryObjectStore, time: FakeTime) -> None:
    """One that was written by the same command, say."""
    version = store.bucket.write(STATE, b'{"n":6}')

    assert Outcome.REPLACED is placing(store, time, lambda there: there == version).finish().outcome
    assert Outcome.OCCUPIED is placing(store, time, lambda there: there == version, Content(b"{}")).finish().outcome


# -- replicas that are at work meanwhile -----------------------------------------------------------------------


@pytest.mark.parametrize("applied", [True, False])
def test_a_replica_whose_write_is_in_flight_applies_it_once(
    store: MemoryObjectStore, time: FakeTime, applied: bool
) -> None:
    """It learns from the record that was kept whether its batch had been in what was replaced."""
    peer = Peer(store.bucket, time)
    peer.add(1)
    peer.sync()
    peer.add(10)
    commit = peer.commit()
    commit.go_on_until(Put, STATE)
    if applied:
        put = commit.request
        assert isinstance(put, Put)
        peer.store.put(put.key, put.body, expect=put.expect)
    del store.bucket.objects[LOCK]  # the placement is not to wait for it
    placing(store, time, always).finish()
    commit.throw(OutcomeUnknown("no answer in time"))
    commit.finish()
    peer.sync()

    # What was in when the namespace was replaced went with it, and what was not comes on top.
    expected = 5 if applied else 15
    assert ({"n": expected}, expected) == (stored(store.bucket), peer.count)


def test_it_waits_for_a_writer_that_holds_the_lock(store: MemoryObjectStore, time: FakeTime) -> None:
    """And then meets what that one has written."""
    peer = Peer(store.bucket, time)
    peer.add(6)
    commit = peer.commit()
    commit.go_on_until(Put, STATE)
    round_ = placing(store, time)
    round_.go_on_until(Get, LOCK)
    round_.step()

    assert isinstance(round_.request, Wait)
    commit.finish()
    assert Outcome.OCCUPIED is round_.finish().outcome


def test_who_does_not_mind_the_lock_is_not_overwritten(store: MemoryObjectStore, time: FakeTime) -> None:
    """The put is conditional on what was read."""
    round_ = placing(store, time, always)
    round_.go_on_until(Put, STATE)
    store.bucket.write(STATE, b'{"n":7}')

    assert Placement(Outcome.OVERTAKEN) == round_.finish()
    assert {"n": 7} == stored(store.bucket)
    assert LOCK not in store.bucket.objects


def test_who_writes_right_after_is_no_damage(store: MemoryObjectStore, time: FakeTime) -> None:
    """It built on what was put, so that the put has done what it was for."""
    round_ = placing(store, time)
    round_.go_on_until(Put, STATE)
    round_.step()
    store.bucket.write(STATE, b'{"n":8}')

    assert Outcome.WRITTEN is round_.finish().outcome


# -- answers that are lost -------------------------------------------------------------------------------------


def test_a_put_whose_answer_is_lost_is_found_to_be_there(store: MemoryObjectStore, time: FakeTime) -> None:
    """It is not put again, and nobody guesses."""
    store.faults.append(Fault(on="put", key=STATE, when="after", outcome=FAILURES["time-out"]))

    assert Outcome.WRITTEN is placing(store, time).finish().outcome
    assert 1 == sum(request.key == STATE and request.method == "put" for request in store.log)
    assert {"n": 5} == stored(store.bucket)


def test_a_put_that_was_lost_is_put_again(store: MemoryObjectStore, time: FakeTime) -> None:
    """The same bytes on the same condition, so that it does not matter should the first arrive after all."""
    store.faults.append(Delay(key=STATE))

    assert Outcome.WRITTEN is placing(store, time).finish().outcome
    assert ["PreconditionFailed"] == [type(failure).__name__ for failure in store.land()]
    assert {"n": 5} == stored(store.bucket)


def test_a_put_whose_outcome_stays_unknown_is_not_reported_as_anything_else(
    store: MemoryObjectStore, time: FakeTime
) -> None:
    """Whatever later attempts fail with: the first may yet arrive."""
    store.faults += [Delay(key=STATE), Fault(on="put", key=STATE, outcome=FAILURES["413"])]
    with pytest.raises(OutcomeUnknown):
        placing(store, time).finish()

    assert {} == store.bucket.objects
    store.land()
    assert {"n": 5} == stored(store.bucket)


def test_no_time_after_a_lost_answer_is_an_unknown_outcome(store: MemoryObjectStore, time: FakeTime) -> None:
    """Ctrl-C while it waits to try again: what was sent may yet arrive, and the lock is given back."""
    store.faults.append(Delay(key=STATE))
    round_ = placing(store, time)
    while not isinstance(round_.request, Wait):
        round_.step()
    with pytest.raises(OutcomeUnknown):
        round_.throw(OutOfTime())
        round_.finish()

    assert {} == store.bucket.objects


@pytest.mark.parametrize("failure", [FAILURES["413"], FAILURES["403"], FAILURES["429"]], ids=["413", "403", "429"])
def test_a_put_that_is_refused_changes_nothing(store: MemoryObjectStore, time: FakeTime, failure: StoreFailure) -> None:
    """And leaves no lock."""
    store.faults.append(Fault(on="put", key=STATE, outcome=failure, times=None))
    with pytest.raises(type(failure)):
        placing(store, time).finish()

    assert {} == store.bucket.objects


def test_what_cannot_be_read_back_is_in_doubt(store: MemoryObjectStore, time: FakeTime) -> None:
    """It was written, and nobody has seen it there."""
    round_ = placing(store, time)
    round_.go_on_until(Put, STATE)
    store.faults.append(Fault(on="get", key=STATE, outcome=FAILURES["403"], times=None))
    with pytest.raises(OutcomeUnknown, match="it was written, but could not be read back"):
        round_.finish()

    assert LOCK not in store.bucket.objects


def test_a_store_that_returns_something_else_is_found_out(store: MemoryObjectStore, time: FakeTime) -> None:
    """What was put is compared, byte by byte."""
    round_ = placing(store, time)
    round_.go_on_until(Put, STATE)
    round_.step()
    found = store.bucket.objects[STATE]
    store.bucket.objects[STATE] = type(found)(b'{"n":4}', found.version)

    assert Placement(Outcome.DAMAGED) == round_.finish()


def test_a_store_that_loses_what_was_put_is_found_out(store: MemoryObjectStore, time: FakeTime) -> None:
    """Nobody else removes a state that was just written under the lock."""
    round_ = placing(store, time)
    round_.go_on_until(Put, STATE)
    round_.step()
    del store.bucket.objects[STATE]

    assert Placement(Outcome.DAMAGED) == round_.finish()


# -- what cannot be replaced -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "body", "error"),
    [
        (STATE, b"[]", CorruptStateError),
        (STATE, b'{".metadatadb":{"format":99}}', UnsupportedFormatError),
        (journal_key("", NS), b"{}", UnsupportedFormatError),
    ],
)
def test_what_is_not_understood_is_not_replaced(
    store: MemoryObjectStore, time: FakeTime, key: str, body: bytes, error: type[Exception]
) -> None:
    """Not even where replacing was asked for: what it says of batches in flight is unknown."""
    store.bucket.write(key, body)
    with pytest.raises(error):
        placing(store, time, always).finish()
    with pytest.raises(error):
        Round(standing("", NS, CONTENT, environment(time)), store, time).finish()

    assert {key: body} == {key: found.body for key, found in store.bucket.objects.items()}


@pytest.mark.parametrize(
    ("there", "expected"), [(None, Standing.ABSENT), (b'{"n":5}', Standing.SAME), (b'{"n":6}', Standing.OTHER)]
)
def test_looking_first_tells_what_a_placement_would_meet(
    store: MemoryObjectStore, time: FakeTime, there: bytes | None, expected: Standing
) -> None:
    """Without a lock, and without writing anything."""
    if there is not None:
        store.bucket.write(STATE, there)

    assert expected is Round(standing("", NS, CONTENT, environment(time)), store, time).finish()
    assert {"get"} == set(store.counts)
