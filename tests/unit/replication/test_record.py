"""The record: which batches a state contains, and when that cannot be told any more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadatadb_core import ops
from metadatadb_core.errors import CommitUnknownError, UnsupportedFormatError
from metadatadb_core.replication import OutcomeUnknown
from metadatadb_core.replication.record import FORMAT, MAX_WRITERS, BatchId, Record, Verdict
from metadatadb_core.replication.requests import Put
from metadatadb_core.testing.object_store import FAILURES, Bucket, Fault, etag
from tests.support.engine import LOCK, NS, RECORD, STATE, FakeTime, Peer, stored, stored_record


def committed(*writers: str, start: Record | None = None, max_writers: int = MAX_WRITERS) -> Record:
    """The record after one commit by each of these, each with its next sequence."""
    record = start or Record()
    for writer in writers:
        known = record.writers.get(writer)
        batch = BatchId(writer, 1 if known is None else known.sequence + 1)
        record = record.after([batch], max_writers=max_writers)
    return record


# -- judging ------------------------------------------------------------------------------------------------


def test_a_batch_is_in_if_its_writer_has_come_that_far() -> None:
    """The last sequence of a writer says that all before it are in."""
    record = committed("a", "a", "b")

    assert [Verdict.IN, Verdict.IN, Verdict.NOT_IN] == [record.judge(BatchId("a", n), 0) for n in (1, 2, 3)]


def test_a_batch_of_an_unknown_writer_is_not_in_as_long_as_nobody_was_pruned() -> None:
    """Had its put been applied, the writer would be there."""
    assert Verdict.NOT_IN is committed("a", "b").judge(BatchId("c", 1), 0)


def test_a_batch_that_was_never_sent_is_not_in() -> None:
    """Whatever was pruned."""
    record = committed("a", "b", "c", "d", max_writers=2)

    assert (2, Verdict.NOT_IN) == (record.floor, record.judge(BatchId("z", 1), None))


@pytest.mark.parametrize(
    ("base", "verdict"),
    [(0, Verdict.IN_DOUBT), (1, Verdict.IN_DOUBT), (2, Verdict.NOT_IN), (3, Verdict.NOT_IN)],
)
def test_a_batch_is_in_doubt_only_if_it_may_have_been_pruned(base: int, verdict: Verdict) -> None:
    """Sent on top of commit `base`, it became commit base + 1 or later: pruned only if the floor is above."""
    record = committed("a", "b", "c", "d", max_writers=2)

    assert (2, verdict) == (record.floor, record.judge(BatchId("z", 1), base))


# -- pruning ------------------------------------------------------------------------------------------------


def test_the_writers_longest_silent_are_pruned() -> None:
    """By their last commit, not by their first; the highest commit pruned is the floor."""
    record = committed("a", "b", "c", "a", "d", max_writers=3)

    assert {"c", "a", "d"} == set(record.writers)
    assert (5, 2) == (record.commits, record.floor)


def test_a_record_is_bounded() -> None:
    """However many writers there were."""
    record = committed(*(f"w{index}" for index in range(3 * MAX_WRITERS)))

    assert MAX_WRITERS == len(record.writers)
    assert 2 * MAX_WRITERS == record.floor
    assert len(json.dumps(record.to_json())) < 64 * MAX_WRITERS


def test_the_floor_never_falls() -> None:
    """Also when those pruned later had been silent since before."""
    record = Record(commits=10, floor=9).after([BatchId("a", 1)], max_writers=1).after([BatchId("b", 1)], max_writers=1)

    assert 11 == record.floor


@settings(max_examples=200)
@given(st.lists(st.sampled_from("abcdef"), max_size=40), st.data())
def test_no_batch_is_ever_judged_wrongly(writers: list[str], data: st.DataObject) -> None:
    """With any history and tight pruning: what is in is never said not to be, and the other way round."""
    record, history = Record(), []
    sequences: dict[str, int] = {}
    for writer in writers:
        batch = BatchId(writer, sequences.get(writer, 0) + 1)
        base = record.commits
        applied = data.draw(st.booleans())
        if applied:
            record = record.after([batch], max_writers=2)
            sequences[writer] = batch.sequence
        history.append((batch, base, applied))
        for seen, seen_base, was_applied in history:
            verdict = record.judge(seen, seen_base)
            if was_applied:
                assert verdict is not Verdict.NOT_IN
            elif seen.sequence > sequences.get(seen.writer, 0):
                assert verdict is not Verdict.IN


def test_one_commit_brings_several_batches() -> None:
    """Under one commit; the last sequence counts, in whatever order they are given."""
    record = Record(4).after([BatchId("a", 2), BatchId("a", 3)])

    assert ({"a": [3, 5]}, 5) == (record.to_json()["writers"], record.commits)


def test_the_counter_does_not_go_back_behind_what_was_seen() -> None:
    """Somebody reset the state: those who saw a higher counter go on from there."""
    assert 8 == Record().after([BatchId("a", 1)], at_least=7).commits


# -- stored form ------------------------------------------------------------------------------------------------


def test_a_record_survives_being_stored() -> None:
    """As JSON, with a format."""
    record = committed("a", "b", "a", "c", max_writers=2)
    body = json.dumps(record.to_json())

    assert {"format": FORMAT, "commits": 4, "floor": 2, "writers": {"a": [2, 3], "c": [1, 4]}} == json.loads(body)
    assert record == Record.from_json(json.loads(body), NS)


def test_numbers_may_have_become_floats() -> None:
    """A Go replica of an older version passes every number through float64."""
    stored: Any = {"commits": 4.0, "floor": 2.0, "format": 1.0, "writers": {"a": [2.0, 3.0], "c": [1.0, 4.0]}}

    assert committed("a", "b", "a", "c", max_writers=2) == Record.from_json(stored, NS)


def test_no_record_is_an_empty_one() -> None:
    """A state that only the original has written."""
    assert Record() == Record.from_json(None, NS)


@pytest.mark.parametrize("found", [2, 2.0, 10])
def test_a_newer_format_is_refused(found: object) -> None:
    """Whatever else it says."""
    with pytest.raises(UnsupportedFormatError, match=r"'ns'.*record format \d+, this version knows 1.*upgrade"):
        Record.from_json({"format": found, "anything": None}, NS)


@pytest.mark.parametrize(
    "writers",
    [{"a": 1}, {"a": []}, {"a": [1]}, {"a": ["1", "2"]}, {"a": [1.5, 2]}, {"a": [-1, 2]}, {"a": [2**60, 2]}, [], "x"],
    ids=repr,
)
def test_a_damaged_record_is_refused(writers: object) -> None:
    """It cannot be told what is in, so nothing may be written."""
    with pytest.raises(UnsupportedFormatError, match="restore the state from a backup"):
        Record.from_json({"format": 1, "commits": 3, "floor": 0, "writers": writers}, NS)


# -- when it cannot be told ------------------------------------------------------------------------------------


class TestCommitUnknown:
    """A batch in doubt is neither dropped nor sent again: the operator decides."""

    @pytest.fixture
    def time(self) -> FakeTime:
        """Time that stands still until told otherwise."""
        return FakeTime()

    @pytest.fixture
    def bucket(self, time: FakeTime) -> Bucket:
        """A storage with ETags."""
        return Bucket(clock=time.date, versions=etag)

    def in_doubt(self, bucket: Bucket, time: FakeTime, *, applied: bool) -> Peer:
        """A peer whose put's answer was lost, and who comes back when everybody of that time was pruned."""
        peer = Peer(bucket, time, "doubt")
        peer.append("base")
        peer.sync()
        peer.append("doubtful")
        peer.store.faults.append(Fault("put", FAILURES["time-out"], "after" if applied else "before", key=STATE))
        round_ = peer.commit()
        round_.go_on_until(Put, STATE)
        round_.step()
        round_.crash()
        peer.append("later")
        del bucket.objects[LOCK]
        for index in range(MAX_WRITERS + 2):
            other = Peer(bucket, time, f"w{index}")
            other.add()
            other.sync()
        return peer

    @pytest.mark.parametrize("applied", [True, False])
    def test_a_batch_in_doubt_raises_and_stays(self, bucket: Bucket, time: FakeTime, applied: bool) -> None:
        """Every flush raises, nothing is written, reads go on, the lock is given back."""
        peer = self.in_doubt(bucket, time, applied=applied)
        before = bucket.objects[STATE]
        for _ in range(2):
            with pytest.raises(CommitUnknownError, match=r"batch 2 of writer doubt-1 \(1 ops\).*discard_pending") as it:
                peer.sync()
            error = it.value
            assert (NS, 1, "doubt-1", 2) == (error.namespace, error.ops, error.writer, error.sequence)

        assert before == bucket.objects[STATE]
        assert LOCK not in bucket.objects
        assert ["base", "doubtful", "later"] == peer.entries
        assert 2 == peer.replica.pending

    @pytest.mark.parametrize("applied", [True, False])
    def test_the_operator_discards_and_applies_what_is_missing(
        self, bucket: Bucket, time: FakeTime, applied: bool
    ) -> None:
        """What is discarded is returned, what is stored can be looked at, and what is missing applied again."""
        peer = self.in_doubt(bucket, time, applied=applied)
        with pytest.raises(CommitUnknownError):
            peer.sync()
        dropped = peer.replica.discard()
        peer.sync()
        seen = peer.entries
        for op in dropped:
            assert isinstance(op, ops.ListAppend)
            if op.value not in seen:
                peer.apply(op)
        peer.sync()

        assert [ops.ListAppend("l", "doubtful"), ops.ListAppend("l", "later")] == dropped
        assert ["base", *["doubtful"] * applied] == seen
        assert ["base", "doubtful", "later"] == stored(bucket)["l"] == peer.entries

    def test_a_batch_that_was_read_not_to_be_in_is_in_doubt_no_more(self, bucket: Bucket, time: FakeTime) -> None:
        """A writer that reads, but whose puts fail for as long as it takes to prune everybody, is not in doubt."""
        peer = Peer(bucket, time, "slow")
        peer.append("base")
        peer.sync()
        peer.append("slow")
        for index in range(MAX_WRITERS + 2):
            other = Peer(bucket, time, f"w{index}")
            other.add()
            other.sync()
            peer.store.faults.append(Fault("put", FAILURES["time-out"], key=STATE, times=None))
            with pytest.raises(OutcomeUnknown):
                peer.commit().finish()
            peer.store.faults.clear()
        assert "slow-1" not in stored_record(bucket)["writers"]
        peer.sync()

        assert ["base", "slow"] == stored(bucket)["l"]

    def test_a_batch_that_was_never_sent_is_not_in_doubt(self, bucket: Bucket, time: FakeTime) -> None:
        """However long it waits: it was queued, and no put of it ever left."""
        peer = Peer(bucket, time, "late")
        peer.append("base")
        peer.sync()
        peer.append("late")
        for index in range(MAX_WRITERS + 2):
            other = Peer(bucket, time, f"w{index}")
            other.add()
            other.sync()
        peer.sync()

        assert ["base", "late"] == stored(bucket)["l"]

    def test_the_record_stays_bounded_in_the_store(self, bucket: Bucket, time: FakeTime) -> None:
        """Writers come and go; the stored record does not grow with them."""
        for index in range(MAX_WRITERS + 20):
            peer = Peer(bucket, time, f"w{index}")
            peer.add()
            peer.sync()
        record = stored_record(bucket)

        assert MAX_WRITERS == len(record["writers"])
        assert (MAX_WRITERS + 20, 20) == (record["commits"], record["floor"])
        assert RECORD not in stored(bucket)
