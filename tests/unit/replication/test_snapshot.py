"""The snapshot layout, request by request: whatever goes wrong, each op counts exactly once, in its order."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable

import pytest

from metadatadb_core import ops
from metadatadb_core.errors import CorruptStateError, UnsupportedFormatError
from metadatadb_core.replication import ABSENT, Rejected, StoreFailure, Version, object_store, snapshot
from metadatadb_core.replication.driver import Driver, Traffic
from metadatadb_core.replication.requests import Delete, Get, Put
from metadatadb_core.testing.object_store import FAILURES, Bucket, Delay, Fault, etag
from tests.support.engine import LOCK, PASSING, RECORD, STATE, TTL, FakeTime, Peer, Round, stored, stored_record

JOURNAL = ".metadata/ns/rollup.json"


@pytest.fixture
def time() -> FakeTime:
    """Time that stands still until told otherwise."""
    return FakeTime()


@pytest.fixture(params=["random versions", "etags"])
def bucket(request: pytest.FixtureRequest, time: FakeTime) -> Bucket:
    """A storage, with versions of either kind."""
    return new_bucket(time, etags=request.param == "etags")


def new_bucket(time: FakeTime, *, etags: bool = True) -> Bucket:
    """A storage whose versions are ETags, that is the same for the same bytes, or random."""
    return Bucket(clock=time.date, versions=etag) if etags else Bucket(clock=time.date)


def counts(peer: Peer) -> dict[str, int]:
    """How many requests of each kind a peer has made; forgets them."""
    made = {str(method): count for method, count in peer.store.counts.items()}
    peer.store.log.clear()
    return made


# -- what a sync costs --------------------------------------------------------------------------------------


class TestCost:
    """Requests, and what is decoded and replayed."""

    def test_an_idle_sync_is_one_request_without_a_body(
        self, bucket: Bucket, time: FakeTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With nothing pending and nothing new, a sync is one conditional get, and neither decodes nor adopts."""
        peer = Peer(bucket, time)
        peer.add()
        peer.sync()
        counts(peer)
        names = peer.replica.state.names
        forbid_decoding(monkeypatch)
        monkeypatch.setattr("metadatadb_core.replication.replica.Replica.adopt", _forbidden)
        peer.sync()

        assert {"get": 1} == counts(peer)
        assert 0 == peer.store.bytes_received
        assert names is peer.replica.state.names

    def test_an_idle_sync_of_what_does_not_exist_is_one_request(self, bucket: Bucket, time: FakeTime) -> None:
        """A namespace that nobody has written costs its readers one request as well."""
        peer = Peer(bucket, time)
        peer.sync()
        counts(peer)
        peer.sync()

        assert {"get": 1} == counts(peer)

    def test_a_flush_with_the_remote_unchanged_is_four_requests(
        self, bucket: Bucket, time: FakeTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Lock put, get that finds nothing new, state put, lock delete: nothing is decoded, nothing replayed."""
        peer = Peer(bucket, time)
        peer.add()
        peer.sync()
        counts(peer)
        peer.add()
        forbid_decoding(monkeypatch)
        monkeypatch.setattr("metadatadb_core.state.NamespaceState.apply", _forbidden)
        version = bucket.objects[STATE].version
        round_ = peer.commit()
        round_.finish()

        assert [Put, Get, Put, Delete] == [type(request) for request in round_.made]
        assert [LOCK, STATE, STATE, LOCK] == [getattr(request, "key", None) for request in round_.made]
        assert Get(STATE, version) == round_.made[1]
        assert [ABSENT, version] == [request.expect for request in round_.made if isinstance(request, Put)]
        assert {"put": 2, "get": 1, "delete": 1} == counts(peer)
        assert {"n": 2} == stored(bucket)

    def test_ops_are_replayed_on_what_somebody_else_has_written(self, bucket: Bucket, time: FakeTime) -> None:
        """Ops, not values, are what is sent: both sides' count."""
        ours, theirs = Peer(bucket, time, "a"), Peer(bucket, time, "b")
        ours.sync()
        theirs.add(10)
        theirs.sync()
        ours.add(1)
        ours.sync()
        theirs.sync()

        assert {"n": 11} == stored(bucket)
        assert (11, 11) == (ours.count, theirs.count)


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, decoding a state fails the test."""
    monkeypatch.setattr("metadatadb_core.replication.snapshot.decode_names", _forbidden)


def _forbidden(*_: object) -> None:
    raise AssertionError("not to be called here")


# -- exactly once -------------------------------------------------------------------------------------------

BEFORE = ["never sent", "409", "429", "503", "time-out", "reset", "500", "503 of a proxy", "412"]
AFTER = ["time-out", "reset", "500", "503 of a proxy", "412"]


class TestExactlyOnce:
    """Each op counts once, whatever happens to the requests that carry it."""

    @pytest.mark.parametrize("index", range(4))
    @pytest.mark.parametrize(
        ("failure", "when"),
        [*((name, "before") for name in BEFORE), *((name, "after") for name in AFTER)],
    )
    @pytest.mark.parametrize("another_commits", [False, True], ids=["alone", "another-commits-meanwhile"])
    def test_any_request_may_fail_before_or_after_it_was_applied(
        self, time: FakeTime, index: int, failure: str, when: str, another_commits: bool
    ) -> None:
        """Any failure of any request of a flush, its answer lost or itself never applied: no op is lost or doubled.

        A 412 after the put was applied is what a client that repeats puts by itself reports for its own success.
        """
        bucket = new_bucket(time)
        peer, other = Peer(bucket, time, "a"), Peer(bucket, time, "b")
        peer.append("a1")
        peer.sync()
        peer.append("a2")
        round_ = peer.commit()
        for _ in range(index):
            round_.step()
        request = round_.request
        assert isinstance(request, (Get, Put, Delete))
        kind = type(request).__name__.lower()
        peer.store.faults.append(Fault(kind, FAILURES[failure], when))  # type: ignore[arg-type]
        try:
            round_.step()
            peer.append("a3")
            if another_commits:
                other.append("b1")
                other.sync()
            if not round_.over:
                round_.finish()
        except PASSING:
            pass
        peer.append("a4")
        peer.sync()
        other.sync()

        assert ["a1", "a2", "a3", "a4"] == [entry for entry in peer.entries if entry.startswith("a")]
        assert (["b1"] if another_commits else []) == [entry for entry in peer.entries if entry.startswith("b")]
        assert peer.entries == other.entries == stored(bucket)["l"]
        assert 0 == peer.replica.pending

    @pytest.mark.parametrize("another_commits_at", [None, *range(8)])
    def test_a_put_of_the_state_may_land_late(self, another_commits_at: int | None) -> None:
        """A put that timed out and arrives any number of requests later counts once, or not at all for the resent one.

        It lands before or after the next read, after the lock was stolen, after others have committed, after the
        same bytes were put again.
        """
        for landing in range(14):
            time, step = FakeTime(), 0
            bucket = new_bucket(time)
            peer, other = Peer(bucket, time, "a"), Peer(bucket, time, "b", lock="another")
            peer.append("a1")
            peer.sync()
            peer.append("a2")
            peer.store.faults.append(Delay(key=STATE))
            round_ = peer.commit()
            round_.go_on_until(Put, STATE)
            for step in itertools.count():
                if step == landing:
                    peer.store.land()
                if step == another_commits_at:
                    other.append("b1")
                    other.sync()
                if step > max(landing, another_commits_at or 0):
                    break
                peer.append(f"a{step + 3}")
                if round_.over:
                    round_ = peer.round()
                round_.step()
            if not round_.over:
                round_.finish()
            peer.sync()
            other.sync()

            own = [entry for entry in peer.entries if entry.startswith("a")]
            assert [f"a{number + 1}" for number in range(len(own))] == own
            assert len(own) == step + 2
            assert ([] if another_commits_at is None else ["b1"]) == [e for e in peer.entries if e.startswith("b")]
            assert peer.entries == other.entries == stored(bucket)["l"]

    @pytest.mark.parametrize("landing", range(8))
    def test_a_put_of_the_lock_may_land_late(self, time: FakeTime, landing: int) -> None:
        """A lock that lands when nobody expects it any more delays writers by its TTL, and changes nothing else."""
        bucket = new_bucket(time)
        peer, other = Peer(bucket, time, "a"), Peer(bucket, time, "b")
        peer.append("a1")
        peer.store.faults.append(Delay(key=LOCK))
        round_ = peer.commit()
        for _ in range(landing):
            if not round_.over:
                round_.step()
        peer.store.land()
        if not round_.over:
            round_.finish()
        peer.sync()
        other.append("b1")
        began = time.now
        other.sync()

        assert ["a1", "b1"] == stored(bucket)["l"] == other.entries
        assert time.now - began <= TTL + 0.5

    @pytest.mark.parametrize("locks", [(LOCK, LOCK), ("one", "another")], ids=["one-lock", "both-hold-a-lock"])
    def test_two_writers_may_interleave_in_any_way(self, locks: tuple[str, str]) -> None:
        """Two flushes whose requests alternate in any order, with the lock or with a lock that both hold."""
        for chosen in itertools.combinations(range(10), 5):
            self._interleave(locks, [0 if place in chosen else 1 for place in range(10)])

    def _interleave(self, locks: tuple[str, str], turns: list[int]) -> None:
        time = FakeTime()
        bucket = new_bucket(time)
        peers = [Peer(bucket, time, name, lock=lock) for name, lock in zip("ab", locks, strict=True)]
        for peer in peers:
            peer.sync()
            peer.append(f"{peer.name}1")
        rounds: list[Round[None] | None] = [peer.commit() for peer in peers]
        for turn in turns:
            rounds[turn] = _advance(rounds[turn])
        for turn, peer in itertools.islice(itertools.cycle(enumerate(peers)), 40):
            peer.append(f"{peer.name}2") if f"{peer.name}2" not in peer.entries else None
            rounds[turn] = _advance(rounds[turn])
        for round_, peer in zip(rounds, peers, strict=True):
            if round_ is not None:
                round_.crash()
            peer.sync()
        peers[0].sync()

        assert ["a1", "a2", "b1", "b2"] == sorted(stored(bucket)["l"])
        assert stored(bucket)["l"] == peers[0].entries == peers[1].entries

    @pytest.mark.parametrize("index", range(1, 6))
    def test_a_lock_stolen_while_its_holder_writes_harms_nobody(self, time: FakeTime, index: int) -> None:
        """A holder that stops between two requests, is robbed, and goes on: both writers' ops are in, once."""
        bucket = new_bucket(time)
        slow, quick = Peer(bucket, time, "a"), Peer(bucket, time, "b")
        slow.sync()
        slow.append("a1")
        round_ = slow.commit()
        for _ in range(index):
            if not round_.over:
                round_.step()
        quick.append("b1")
        quick.sync()
        quick.append("b2")
        theft = quick.commit()
        theft.go_on_until(Put, STATE)
        if not round_.over:
            round_.finish()
        theft.finish()
        slow.sync()

        assert ["a1", "b1", "b2"] == sorted(stored(bucket)["l"])
        assert stored(bucket)["l"] == slow.entries

    def test_the_release_of_a_stolen_lock_leaves_it_to_its_new_holder(
        self, bucket: Bucket, time: FakeTime, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A holder that was robbed says so in the log, and does not remove the other's lock."""
        slow, quick = Peer(bucket, time, "a"), Peer(bucket, time, "b")
        slow.append("a1")
        round_ = slow.commit()
        round_.go_on_until(Delete, LOCK)
        quick.append("b1")
        theft = quick.commit()
        theft.go_on_until(Put, STATE)
        taken = bucket.objects[LOCK]
        with caplog.at_level(logging.WARNING, "metadatadb"):
            round_.finish()

        assert taken == bucket.objects[LOCK]
        assert "not ours any more" in caplog.text
        theft.finish()
        assert LOCK not in bucket.objects

    @pytest.mark.parametrize("storms", [1, 3, 10, 30])
    def test_a_storm_of_conflicts_delays_and_loses_nothing(self, bucket: Bucket, time: FakeTime, storms: int) -> None:
        """409 on every put for a while: the op is in once it has passed."""
        peer = Peer(bucket, time)
        peer.add()
        peer.store.faults.append(Fault("put", FAILURES["409"], times=storms))
        peer.sync()

        assert {"n": 1} == stored(bucket)

    @pytest.mark.parametrize("again", [False, True], ids=["first-flush", "later-flush"])
    def test_a_writer_may_die_between_any_two_requests(self, time: FakeTime, again: bool) -> None:
        """After a crash the dead writer's batch is in as a whole or not at all, and another gets through in a TTL."""
        landed = []
        for step in itertools.count():
            bucket = new_bucket(time)
            dying = Peer(bucket, time, "a")
            survivor = Peer(bucket, time, "b")
            if again:
                dying.append("a0")
                dying.sync()
                survivor.sync()
            dying.apply(ops.ListAppend("l", "a1"), ops.IntAdd("n", 1))
            round_ = dying.commit()
            for _ in range(step):
                if not round_.over:
                    round_.step()
            if round_.over:
                break
            round_.crash()
            survivor.append("b1")
            began = time.now
            survivor.sync()
            restarted = Peer(bucket, time, "c")
            restarted.append("c1")
            restarted.sync()

            state = stored(bucket)
            was_in = "a1" in state["l"]
            landed.append(was_in)
            assert ["a0"] * again + ["a1"] * was_in + ["b1", "c1"] == state["l"]
            assert (1 if was_in else 0) == state.get("n", 0)
            assert time.now - began <= TTL + 0.5

        assert sorted(landed) == landed
        assert [False, True] == sorted(set(landed))

    def test_the_same_bytes_are_put_again_while_the_outcome_is_unknown(self, bucket: Bucket, time: FakeTime) -> None:
        """With the remote unchanged the sealed batch goes out as it was: ops applied since wait for the next commit."""
        peer = Peer(bucket, time)
        peer.sync()
        peer.append("a1")
        peer.store.faults.append(Delay(key=STATE))
        round_ = peer.commit()
        round_.go_on_until(Put, STATE)
        first = round_.request
        round_.step()
        peer.append("a2")
        round_.go_on_until(Put, STATE)

        assert first == round_.request
        round_.finish()
        assert ["a1", "a2"] == stored(bucket)["l"]
        assert 2 == stored_record(bucket)["commits"]
        assert [PASSING[2]] == [type(failure) for failure in peer.store.land()]
        assert ["a1", "a2"] == stored(bucket)["l"]

    def test_one_put_carries_several_batches(self, bucket: Bucket, time: FakeTime) -> None:
        """A batch that was overtaken goes out with the next one, before it, each under its own sequence."""
        peer, other = Peer(bucket, time, "a"), Peer(bucket, time, "b")
        peer.sync()
        peer.append("a1")
        peer.store.faults.append(Fault("put", FAILURES["time-out"], key=STATE))
        round_ = peer.commit()
        round_.go_on_until(Put, STATE)
        round_.step()
        round_.crash()  # as far as this round goes; the process lives on
        peer.append("a2")
        other.append("b1")
        other.sync()
        peer.sync()

        assert ["b1", "a1", "a2"] == stored(bucket)["l"]
        assert [2, 2] == stored_record(bucket)["writers"]["a-1"]
        assert 2 == stored_record(bucket)["commits"]

    def test_a_call_is_never_half_stored(self, time: FakeTime) -> None:
        """Every state that is ever stored holds all the ops of a call, or none."""
        bucket = new_bucket(time)
        peers = [Peer(bucket, time, name, lock=name) for name in "abc"]
        rounds: list[Round[None] | None] = [None] * len(peers)
        for step in range(300):
            turn = step % len(peers)
            peer = peers[turn]
            peer.apply(ops.IntMapAdd("m", "from", -step), ops.IntMapAdd("m", "to", step))
            assert 0 == sum(peer.replica.query(ops.IntMapEntries("m")).values())
            round_ = rounds[turn]
            rounds[turn] = _advance(round_ if round_ is not None and not round_.over else peer.commit())
            assert 0 == sum(stored(bucket).get("m", {}).values())
        for round_, peer in zip(rounds, peers, strict=True):
            if round_ is not None and not round_.over:
                round_.crash()
            peer.sync()

        assert sum(range(300)) == stored(bucket)["m"]['"to"']

    def test_the_commit_counter_grows_by_one_with_each_commit(self, bucket: Bucket, time: FakeTime) -> None:
        """Whoever commits."""
        peers = [Peer(bucket, time, name) for name in "ab"]
        seen = []
        for turn in range(6):
            peers[turn % 2].add()
            peers[turn % 2].sync()
            seen.append(stored_record(bucket)["commits"])

        assert [1, 2, 3, 4, 5, 6] == seen


def _advance(round_: Round[None] | None) -> Round[None] | None:
    """One more request; None once the round has ended, well or not."""
    if round_ is None or round_.over:
        return None
    try:
        round_.step()
    except PASSING:
        return None
    return round_


# -- discarding, and what is sealed ---------------------------------------------------------------------------


class TestDiscarding:
    """What is discarded is never sent."""

    @pytest.mark.parametrize("refresh_first", [True, False])
    def test_a_batch_that_was_discarded_is_not_put_again(
        self, bucket: Bucket, time: FakeTime, refresh_first: bool
    ) -> None:
        """A batch that failed and was discarded is gone, and what is applied afterwards goes out without it."""
        peer = Peer(bucket, time)
        peer.append("base")
        peer.sync()
        peer.append("unwanted")
        peer.store.faults.append(Fault("put", FAILURES["413"], key=STATE))
        with pytest.raises(Rejected):
            peer.sync()
        assert [ops.ListAppend("l", "unwanted")] == peer.replica.discard()
        if refresh_first:
            peer.sync()
            assert ["base"] == peer.entries
        peer.append("wanted")
        round_ = peer.commit()
        round_.finish()

        assert [] == [put for put in round_.made if isinstance(put, Put) and b"unwanted" in put.body]
        assert ["base", "wanted"] == stored(bucket)["l"] == peer.entries

    def test_a_rejected_body_does_not_get_in_the_way_once_discarded(self, bucket: Bucket, time: FakeTime) -> None:
        """After a 413 the operator discards what is too large, and the namespace works again."""
        peer = Peer(bucket, time)
        peer.sync()
        peer.append("x" * 1000)
        for _ in range(2):
            round_ = peer.commit()
            round_.go_on_until(Put, STATE)
            with pytest.raises(Rejected, match="too large"):
                _fail(round_, Rejected("too large", status=413))
            peer.time.advance(TTL)
        assert 1 == peer.replica.pending
        peer.replica.discard()
        peer.sync()
        peer.append("y")
        round_ = peer.commit()
        round_.finish()

        assert [] == [put for put in round_.made if isinstance(put, Put) and len(put.body) > 1000]
        assert ["y"] == stored(bucket)["l"]

    def test_discarding_takes_a_new_writer_id(self, bucket: Bucket, time: FakeTime) -> None:
        """A batch of the old id may still land, so the id is not used again; what lands then counts once."""
        peer = Peer(bucket, time)
        peer.sync()
        peer.append("old")
        peer.store.faults.append(Delay(key=STATE, times=None))
        with pytest.raises(PASSING):
            peer.commit().finish()
        peer.store.faults.clear()
        peer.replica.discard()
        assert None in peer.store.land()
        peer.sync()
        peer.append("new")
        peer.sync()

        assert ["old", "new"] == stored(bucket)["l"] == peer.entries
        assert 2 == len(stored_record(bucket)["writers"])


# -- what is found -------------------------------------------------------------------------------------------


class TestBadState:
    """Objects that are not what they should be."""

    @pytest.mark.parametrize(
        "body", [b"", b"[1]", b'{"a":1', b"nothing", b'"text"', b"\xff\xfe", b"null"], ids=lambda body: repr(body)
    )
    @pytest.mark.parametrize("loaded", [True, False])
    def test_a_corrupt_state_is_reported_and_never_overwritten(
        self, bucket: Bucket, time: FakeTime, body: bytes, loaded: bool
    ) -> None:
        """A state that is no JSON object: the flush raises, reads go on, nothing pending is lost or written."""
        peer = Peer(bucket, time)
        if loaded:
            peer.append("a1")
            peer.sync()
        peer.append("a2")
        bucket.write(STATE, body)
        for _ in range(2):
            with pytest.raises(CorruptStateError, match=r"\.metadata/ns\.json.*restore it from a backup") as caught:
                peer.sync()
            assert STATE == caught.value.key
            assert body == bucket.objects[STATE].body
            assert LOCK not in bucket.objects
        assert ["a1"] * loaded + ["a2"] == peer.entries
        assert 1 == peer.replica.pending
        bucket.write(STATE, b'{"l":["restored"]}')
        peer.sync()

        assert ["restored", "a2"] == stored(bucket)["l"] == peer.entries

    def test_a_state_that_is_too_large_is_not_read(
        self, bucket: Bucket, time: FakeTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By accident or malice it would take all the memory of every replica; reads go on, and nothing is lost."""
        monkeypatch.setattr(object_store, "MAX_OBJECT_BYTES", 1000)
        bucket.write(STATE, b'{"t":"%s"}' % (b"x" * 1000))
        peer = Peer(bucket, time)
        peer.append("mine")
        driver = Driver(peer.store, lambda seconds: True, Traffic())
        with pytest.raises(Rejected, match=r"\.metadata/ns\.json has 1008 bytes.*1000 are not read.*backup"):
            driver.run(peer.layout.commit(peer.replica))

        assert ["mine"] == peer.entries
        assert (1, False) == (peer.replica.pending, LOCK in bucket.objects)

    def test_a_state_that_would_be_too_large_is_not_written(
        self, bucket: Bucket, time: FakeTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No replica would read it. Nothing pending is lost, and once something was removed all of it goes in."""
        monkeypatch.setattr(snapshot, "MAX_OBJECT_BYTES", 1000)
        peer = Peer(bucket, time)
        peer.append("small")
        peer.sync()
        before = bucket.objects[STATE].body
        peer.apply(ops.ScalarSet("large", "x" * 1000))
        for _ in range(2):
            with pytest.raises(Rejected, match=r"would take \d+ bytes.*spread the rest over several namespaces"):
                peer.sync()
            assert (before, False) == (bucket.objects[STATE].body, LOCK in bucket.objects)
        peer.append("more")
        peer.apply(ops.ScalarDelete("large"))
        peer.sync()

        assert {"l": ["small", "more"]} == stored(bucket)
        assert 0 == peer.replica.pending

    def test_what_the_store_rejected_is_not_put_again_as_it_was(self, bucket: Bucket, time: FakeTime) -> None:
        """It may have been too large for the store; what was removed since counts."""
        peer = Peer(bucket, time)
        peer.apply(ops.ScalarSet("large", "x" * 1000))
        peer.store.faults.append(Fault("put", FAILURES["413"], key=STATE))
        with pytest.raises(Rejected):
            peer.sync()
        peer.apply(ops.ScalarDelete("large"))
        peer.append("more")
        round_ = peer.commit()
        round_.go_on_until(Put, STATE)
        put = round_.request
        round_.finish()

        assert isinstance(put, Put)
        assert "large" not in json.loads(put.body)
        assert {"l": ["more"]} == stored(bucket)

    def test_a_truncated_body_is_a_failure_of_the_transport(self, bucket: Bucket, time: FakeTime) -> None:
        """A body that ended early is read again, and is not corruption."""
        peer = Peer(bucket, time)
        bucket.write(STATE, b'{"n":5}')
        peer.store.faults.append(Fault("get", FAILURES["truncated body"], key=STATE))
        peer.sync()

        assert 5 == peer.count

    @pytest.mark.parametrize("pending", [True, False])
    def test_a_state_that_vanished_was_reset_by_somebody(
        self, bucket: Bucket, time: FakeTime, caplog: pytest.LogCaptureFixture, pending: bool
    ) -> None:
        """The empty state is adopted, what is pending is written to it, and an error is logged."""
        peer = Peer(bucket, time)
        peer.append("old")
        peer.sync()
        if pending:
            peer.append("new")
        bucket.objects.clear()
        with caplog.at_level(logging.ERROR, "metadatadb"):
            peer.sync()

        assert ["new"] * pending == peer.entries
        assert ({"l": ["new"]} if pending else {}) == stored(bucket)
        assert "'ns'" in caplog.text
        assert "somebody reset it" in caplog.text

    def test_the_commit_counter_survives_a_reset(self, bucket: Bucket, time: FakeTime) -> None:
        """It never goes back, for those who have seen it: nothing is judged by a counter that was used before."""
        peer = Peer(bucket, time)
        for _ in range(3):
            peer.add()
            peer.sync()
        bucket.objects.clear()
        peer.add()
        peer.sync()

        assert 4 == stored_record(bucket)["commits"]

    @pytest.mark.parametrize("landing", [True, False], ids=["it-had-landed", "it-had-not"])
    def test_a_batch_in_doubt_at_a_reset_is_written_to_the_empty_state(
        self, bucket: Bucket, time: FakeTime, landing: bool
    ) -> None:
        """Whether it had been in or not, it is not in what is stored now."""
        peer = Peer(bucket, time)
        peer.append("a1")
        peer.sync()
        peer.append("a2")
        peer.store.faults.append(Fault("put", FAILURES["time-out"], "after" if landing else "before", key=STATE))
        round_ = peer.commit()
        round_.go_on_until(Put, STATE)
        round_.step()
        bucket.objects.clear()
        round_.finish()

        assert ["a2"] == stored(bucket)["l"] == peer.entries

    @pytest.mark.parametrize("how", ["before the first read", "after a reset", "before the first write"])
    def test_the_journal_design_is_refused(self, bucket: Bucket, time: FakeTime, how: str) -> None:
        """Where the original keeps a journal nothing is written, and the error says what to do."""
        peer = Peer(bucket, time)
        if how == "after a reset":
            peer.append("old")
            peer.sync()
            bucket.objects.clear()
        elif how == "before the first write":
            peer.sync()
        bucket.write(JOURNAL, b"{}")
        peer.append("new")
        before = dict(bucket.objects)
        with pytest.raises(UnsupportedFormatError, match=r"journal design.*rollup\.json"):
            peer.sync()

        assert before == bucket.objects
        assert 1 == peer.replica.pending
        assert "new" in peer.entries

    @pytest.mark.parametrize("loaded", [True, False])
    def test_a_newer_format_is_not_written_to(self, bucket: Bucket, time: FakeTime, loaded: bool) -> None:
        """A record of a later version: the flush raises, nothing is written, nothing pending is lost."""
        peer = Peer(bucket, time)
        if loaded:
            peer.append("a1")
            peer.sync()
        peer.append("a2")
        body = json.dumps({"l": [], RECORD: {"format": 2, "secrets": []}}).encode()
        bucket.write(STATE, body)
        with pytest.raises(UnsupportedFormatError, match=r"newer version.*upgrade") as caught:
            peer.sync()

        assert (2, 1) == (caught.value.found, caught.value.supported)
        assert body == bucket.objects[STATE].body
        assert ["a1"] * loaded + ["a2"] == peer.entries
        assert 1 == peer.replica.pending

    @pytest.mark.parametrize(
        "record",
        [1, [], "x", {}, {"format": 1}, {"format": 1, "commits": -1, "floor": 0, "writers": {}}, {"format": True}],
        ids=repr,
    )
    def test_a_record_that_cannot_be_read_is_not_written_to(
        self, bucket: Bucket, time: FakeTime, record: object
    ) -> None:
        """What it says of our batches is unknown, so nothing is put on top of it."""
        body = json.dumps({"n": 1, RECORD: record}).encode()
        bucket.write(STATE, body)
        peer = Peer(bucket, time)
        peer.add()
        with pytest.raises(UnsupportedFormatError, match="not a record this version can read"):
            peer.sync()

        assert body == bucket.objects[STATE].body


# -- local reads while a round runs ----------------------------------------------------------------------------


class TestReadsDuringARound:
    """Reads see own writes at every instant, and what somebody else wrote in one piece."""

    @pytest.mark.parametrize(
        ("fault", "when"),
        [
            (None, ""),
            *((name, "before") for name in ("time-out", "412", "409")),
            ("time-out", "after"),
            ("412", "after"),
        ],
    )
    def test_own_writes_are_visible_between_any_two_requests(
        self, time: FakeTime, fault: str | None, when: str
    ) -> None:
        """Every write is there from the moment it was applied, while rounds adopt, seal, fail and repeat."""
        bucket = new_bucket(time)
        peer, other = Peer(bucket, time, "a"), Peer(bucket, time, "b", lock="another")
        written = 0
        for index in range(12):
            if fault is not None:
                peer.store.faults.append(Fault("put", FAILURES[fault], when, key=STATE))  # type: ignore[arg-type]
            peer.append(f"a{written}")
            written += 1
            round_ = peer.commit()
            for step in itertools.count():
                if step == index:
                    other.append(f"b{index}")
                    other.sync()
                own = [entry for entry in peer.entries if entry.startswith("a")]
                assert [f"a{number}" for number in range(written)] == own
                if round_.over:
                    break
                round_.step()
                peer.append(f"a{written}")
                written += 1
        peer.sync()

        own = [entry for entry in stored(bucket)["l"] if entry.startswith("a")]
        assert [f"a{number}" for number in range(written)] == own

    def test_writes_made_while_a_state_is_adopted_are_kept(
        self, time: FakeTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Replay runs outside the lock: what is applied in the middle of it is visible then, and stays."""
        bucket = new_bucket(time)
        peer, other = Peer(bucket, time, "a"), Peer(bucket, time, "b")
        other.append("b1")
        other.sync()
        peer.append("a1")

        def append_and_look() -> None:
            peer.append("a2")
            assert ["a1", "a2"] == peer.entries

        meanwhile(monkeypatch, append_and_look)
        peer.refresh().finish()
        assert ["b1", "a1", "a2"] == peer.entries
        peer.sync()

        assert ["b1", "a1", "a2"] == stored(bucket)["l"]


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have `act` done once, in the middle of the next replay."""
    from metadatadb_core.state import NamespaceState

    original = NamespaceState.apply
    todo = [act]

    def apply(self: NamespaceState, op: ops.Op) -> None:
        if todo:
            todo.pop()()
        original(self, op)

    monkeypatch.setattr(NamespaceState, "apply", apply)


def _fail(round_: Round[None], failure: StoreFailure) -> None:
    """What is asked for fails so, and the round goes on to its end."""
    round_.throw(failure)
    round_.finish()


# -- clocks ----------------------------------------------------------------------------------------------------


class TestClocks:
    """Wall clocks decide nothing."""

    @pytest.mark.parametrize("error", [-3600.0, 3600.0, -(10.0**9)])
    @pytest.mark.parametrize("store_error", [0.0, 3600.0])
    def test_wall_clocks_an_hour_wrong_change_nothing(self, time: FakeTime, error: float, store_error: float) -> None:
        """Peers whose clocks, and the store's, disagree by an hour steal no live lock and wait no longer."""
        bucket = Bucket(clock=lambda: time.date(store_error), versions=etag)
        holder, waiter = Peer(bucket, time, "a"), Peer(bucket, time, "b", wall_error=error)
        holder.append("a1")
        round_ = holder.commit()
        round_.go_on_until(Put, STATE)
        waiter.append("b1")
        waiting = waiter.commit()
        began = time.now
        while time.now - began < TTL - 1:
            waiting.step()
            assert not any(isinstance(request, Put) and request.key == STATE for request in waiting.made)
        round_.finish()
        waiting.finish()

        assert ["a1", "b1"] == stored(bucket)["l"]
        assert Version(bucket.objects[STATE].version) == waiter.replica.version


def test_failures_of_the_store_reach_the_caller(time: FakeTime) -> None:
    """What no repetition helps against is raised as it is, and the lock is given back."""
    bucket = new_bucket(time)
    peer = Peer(bucket, time)
    peer.add()
    peer.store.faults.append(Fault("get", FAILURES["403"], key=STATE))
    with pytest.raises(StoreFailure, match="access denied"):
        peer.commit().finish()

    assert {} == bucket.objects
    assert 1 == peer.count
