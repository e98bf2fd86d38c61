"""The lock, rule by rule: who holds it, when it may be taken over, how it is given back."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from metadatadb_core.replication import ABSENT, OutcomeUnknown, PreconditionFailed, StoredObject, Unavailable, Version
from metadatadb_core.replication.lock import Held, Lock, lock_body, lock_key
from metadatadb_core.replication.requests import Delete, Get, OutOfTime, Put, Wait
from metadatadb_core.testing.object_store import FAILURES, Bucket, Fault, MemoryObjectStore, etag
from tests.support.engine import LOCK, TTL, FakeTime, Round, environment

GO_BODY = b"locked"


@pytest.fixture
def time() -> FakeTime:
    """Time that stands still until told otherwise."""
    return FakeTime()


@pytest.fixture
def bucket(time: FakeTime) -> Bucket:
    """A storage whose versions are ETags, and whose clock does not move: only monotonic clocks count."""
    frozen = time.date()
    return Bucket(clock=lambda: frozen, versions=etag)


class Contender:
    """One replica's view of the lock."""

    def __init__(
        self, bucket: Bucket, time: FakeTime, name: str, *, ttl: float = TTL, deletes_enforced: bool = True
    ) -> None:
        self.store = MemoryObjectStore(bucket)
        self.time = time
        self.waits: list[float] = []
        self.lock = Lock(
            LOCK,
            ttl,
            environment(time, name),
            deletes_enforced=lambda: deletes_enforced,
            waited=self.waits.append,
        )

    def acquire(self) -> Round[Held]:
        """A round that takes the lock."""
        return Round(self.lock.acquire(), self.store, self.time)

    def release(self, held: Held) -> Round[None]:
        """A round that gives it back."""
        return Round(self.lock.release(held), self.store, self.time)


def body_of(bucket: Bucket) -> dict[str, object]:
    """What the stored lock says."""
    body = json.loads(bucket.objects[LOCK].body)
    assert isinstance(body, dict)
    return body


def waited_until_taken(contender: Contender, time: FakeTime) -> float:
    """Seconds that pass until the lock is taken."""
    began = time.now
    contender.acquire().finish()
    return time.now - began


# -- the object ----------------------------------------------------------------------------------------------


def test_a_free_lock_is_taken_with_one_request(bucket: Bucket, time: FakeTime) -> None:
    """A put on condition that there is none; it carries a nonce, the TTL, and the expiry for the original."""
    round_ = Contender(bucket, time, "a").acquire()
    held = round_.finish()
    (put,) = round_.made

    assert isinstance(put, Put)
    assert (LOCK, ABSENT, "application/json") == (put.key, put.expect, put.content_type)
    assert {"nonce": "a-1", "ttl": TTL} == json.loads(put.body)
    expires = datetime.fromtimestamp(time.wall() + TTL, UTC)
    assert {"Expires-At": expires.strftime("%Y-%m-%dT%H:%M:%SZ")} == put.metadata
    assert Held(bucket.objects[LOCK].version, time.now, "a-1") == held


def test_a_nonce_never_repeats(bucket: Bucket, time: FakeTime) -> None:
    """So no two locks have the same body, nor, where the version is a hash of it, the same version."""
    contender = Contender(bucket, time, "a")
    versions = []
    for _ in range(5):
        held = contender.acquire().finish()
        versions.append(held.version)
        contender.release(held).finish()

    assert 5 == len(set(versions))


def test_the_lock_is_beside_the_state() -> None:
    """Where the original keeps it, below the configured prefix."""
    assert "team/.metadata/ns.lock" == lock_key("team/", "ns")


# -- what is ours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["time-out", "reset", "500", "503 of a proxy", "412"])
def test_a_lock_with_our_nonce_is_ours_whatever_the_answer_was(bucket: Bucket, time: FakeTime, failure: str) -> None:
    """The answer to its put is lost, or claims that it failed: what is there decides."""
    contender = Contender(bucket, time, "a")
    contender.store.faults.append(Fault("put", FAILURES[failure], "after"))
    round_ = contender.acquire()
    held = round_.finish()

    assert [Put, Get] == [type(request) for request in round_.made]
    assert bucket.objects[LOCK].version == held.version


def test_somebody_elses_lock_is_not_ours(bucket: Bucket, time: FakeTime) -> None:
    """A put that failed because another was quicker waits for that other."""
    ours, theirs = Contender(bucket, time, "a"), Contender(bucket, time, "b")
    theirs.acquire().finish()
    round_ = ours.acquire()
    for _ in range(3):
        round_.step()

    assert [Put, Get, Wait] == [type(request) for request in round_.made]
    assert "b-1" == body_of(bucket)["nonce"]


def test_a_lock_that_lands_late_is_recognised(bucket: Bucket, time: FakeTime) -> None:
    """The put timed out and there was no lock; it lands before the second one, which finds that it has won."""
    contender = Contender(bucket, time, "a")
    round_ = contender.acquire()
    first = round_.request
    assert isinstance(first, Put)
    round_.throw(OutcomeUnknown("no answer"))
    round_.step()
    bucket.put(LOCK, first.body, expect=ABSENT, metadata=first.metadata)
    held = round_.finish()

    assert bucket.objects[LOCK].version == held.version
    contender.release(held).finish()
    assert {} == bucket.objects


def test_a_lock_left_behind_by_a_failed_attempt_needs_no_waiting(bucket: Bucket, time: FakeTime) -> None:
    """Its put was applied, and neither that nor anything else could be read: the next attempt replaces it at once."""
    contender = Contender(bucket, time, "a")
    contender.store.faults += [Fault("put", FAILURES["time-out"], "after"), Fault("get", FAILURES["reset"], times=4)]
    with pytest.raises(OutcomeUnknown):
        contender.acquire().finish()
    assert "a-1" == body_of(bucket)["nonce"]
    began = time.now
    held = contender.acquire().finish()

    assert began == time.now
    assert [] == contender.waits
    assert "a-2" == body_of(bucket)["nonce"]
    assert bucket.objects[LOCK].version == held.version


# -- taking over --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ttl", [0.4, 2.0, TTL])
def test_a_dead_holders_lock_is_taken_within_a_ttl_and_a_poll(bucket: Bucket, time: FakeTime, ttl: float) -> None:
    """Seen unchanged for a whole TTL on the waiter's own monotonic clock, and not before."""
    Contender(bucket, time, "dead", ttl=ttl).acquire().finish()
    waiter = Contender(bucket, time, "b", ttl=ttl)
    seconds = waited_until_taken(waiter, time)

    assert ttl <= seconds <= ttl + min(0.5, ttl / 40)
    assert "b-1" == body_of(bucket)["nonce"]
    assert sum(waiter.waits) == pytest.approx(seconds)


def test_a_take_over_replaces_the_lock_on_condition_of_its_version(bucket: Bucket, time: FakeTime) -> None:
    """It is never deleted first: two that steal at once cannot both succeed."""
    Contender(bucket, time, "dead").acquire().finish()
    dead = bucket.objects[LOCK].version
    round_ = Contender(bucket, time, "b").acquire()
    round_.finish()
    *_, last = round_.made

    assert isinstance(last, Put)
    assert dead == last.expect
    assert [] == [request for request in round_.made if isinstance(request, Delete)]


def test_of_two_that_take_over_at_once_one_succeeds(bucket: Bucket, time: FakeTime) -> None:
    """The other finds a lock that is new to it, and begins to wait anew."""
    Contender(bucket, time, "dead").acquire().finish()
    dead = bucket.objects[LOCK].version
    rivals = [Contender(bucket, time, name).acquire() for name in "bc"]
    for round_ in rivals:
        while not (isinstance(round_.request, Put) and round_.request.expect == dead):
            round_.step()
    winner, loser = rivals
    winner.finish()
    assert "b-1" == body_of(bucket)["nonce"]
    began = time.now
    loser.finish()

    assert TTL <= time.now - began <= TTL + 0.5


def test_a_lock_that_changes_hands_is_waited_for_anew(bucket: Bucket, time: FakeTime) -> None:
    """Only the same lock, seen for a TTL, is a dead one: others that come and go are alive."""
    holder, waiter = Contender(bucket, time, "a"), Contender(bucket, time, "b")
    held = holder.acquire().finish()
    round_ = waiter.acquire()
    for _ in range(3):
        began = time.now
        while time.now - began < TTL - 1:
            round_.step()
            if isinstance(round_.request, Put) and time.now - began >= TTL - 2:
                # Between the waiter's looks the holder gives its lock back and takes it again.
                holder.release(held).finish()
                held = holder.acquire().finish()
                break
    assert not round_.over

    assert "a-4" == body_of(bucket)["nonce"]


def test_a_sighting_outlives_a_round(bucket: Bucket, time: FakeTime) -> None:
    """Who gave up waiting, and comes back after the TTL to find the same lock, need not wait again."""
    Contender(bucket, time, "dead").acquire().finish()
    waiter = Contender(bucket, time, "b")
    round_ = waiter.acquire()
    round_.step()
    round_.step()
    with pytest.raises(OutOfTime):
        round_.throw(OutOfTime())
    time.advance(TTL)

    assert 0 == waited_until_taken(waiter, time)


def test_a_lock_is_also_dead_when_the_stores_clock_says_so(time: FakeTime) -> None:
    """The store dates its answers and its objects by one clock, its own: no waiting is needed."""
    bucket = Bucket(clock=lambda: time.date(error=-3600), versions=etag)
    Contender(bucket, time, "dead").acquire().finish()
    time.advance(TTL + 1)

    assert 0 == waited_until_taken(Contender(bucket, time, "b"), time)


def test_dates_that_are_whole_seconds_are_not_trusted_further(time: FakeTime) -> None:
    """A store that cuts fractions off its dates seems to say up to a second more than has passed."""
    bucket = Bucket(clock=lambda: time.date().replace(microsecond=0), versions=etag)
    time.advance(0.9)
    Contender(bucket, time, "alive").acquire().finish()
    time.advance(TTL - 0.8)

    assert 0.8 <= waited_until_taken(Contender(bucket, time, "b"), time)


def test_a_live_lock_is_not_dead_by_the_stores_clock(time: FakeTime) -> None:
    """Younger than a TTL by the store's clock, and new to us."""
    bucket = Bucket(clock=time.date, versions=etag)
    Contender(bucket, time, "dead").acquire().finish()
    time.advance(TTL - 5)

    assert 5 <= waited_until_taken(Contender(bucket, time, "b"), time) <= 6.5


@pytest.mark.parametrize("dates", [(None, None), (None, 0), (0, None)], ids=["neither", "answer-only", "object-only"])
def test_a_store_that_says_no_dates_is_not_guessed_at(
    bucket: Bucket, time: FakeTime, dates: tuple[int | None, int | None]
) -> None:
    """Without both dates only what was seen counts."""
    modified, server_date = (None if age is None else time.date(error=1e6 * age) for age in dates)
    waiter = Contender(bucket, time, "b").acquire()
    waiter.throw(PreconditionFailed("held"))
    waiter.send(StoredObject(b'{"nonce":"x","ttl":1}', Version("v"), {}, modified, server_date))

    assert isinstance(waiter.request, Wait)


@pytest.mark.parametrize(("ours", "theirs", "counts"), [(10.0, 60.0, 60.0), (60.0, 10.0, 60.0)])
def test_the_longer_ttl_counts(bucket: Bucket, time: FakeTime, ours: float, theirs: float, counts: float) -> None:
    """Ours, or the one that the lock claims."""
    Contender(bucket, time, "dead", ttl=theirs).acquire().finish()

    assert counts <= waited_until_taken(Contender(bucket, time, "b", ttl=ours), time) <= counts + 0.5


@pytest.mark.parametrize("ttl", ["soon", None, True, [], -5, {"a": 1}], ids=repr)
def test_a_ttl_that_is_none_does_not_count(bucket: Bucket, time: FakeTime, ttl: object) -> None:
    """What claims no sensible TTL is waited for as long as ours."""
    bucket.write(LOCK, json.dumps({"nonce": "x", "ttl": ttl}).encode())

    assert TTL <= waited_until_taken(Contender(bucket, time, "b"), time) <= TTL + 0.5


@pytest.mark.parametrize("ttl", [1e300, 10**400, 25 * 3600], ids=["float", "int", "hours"])
def test_nobody_waits_longer_than_a_day_for_somebody_elses_lock(bucket: Bucket, time: FakeTime, ttl: float) -> None:
    """A TTL beyond that is a mistake, or is to block everyone."""
    bucket.write(LOCK, json.dumps({"nonce": "x", "ttl": ttl}).encode())
    waiter = Contender(bucket, time, "b", ttl=4000.0)
    before = time.now
    round_ = waiter.acquire()
    while isinstance(round_.request, (Put, Get, Wait)) and time.now < before + 3 * 86400:
        time.advance(600.0)
        round_.step()

    assert round_.over
    assert 86400 <= time.now - before <= 86400 + 3600


def test_a_lock_that_is_longer_than_any_is_one_that_says_nothing(bucket: Bucket, time: FakeTime) -> None:
    """Its body is not even decoded; it is waited for as long as ours."""
    body = json.dumps({"nonce": "x", "ttl": 3600, "more": "x" * 5000}).encode()
    bucket.write(LOCK, body)

    assert {} == lock_body(bucket.objects[LOCK])
    assert TTL <= waited_until_taken(Contender(bucket, time, "b"), time) <= TTL + 0.5


@pytest.mark.parametrize(
    "expires",
    [
        "2000-01-01T00:00:00Z",
        "2999-01-01T00:00:00+02:00",
        "2026-11-22T20:56:38Z",
        "next week",
        "",
        None,
    ],
    ids=["past", "future", "about now", "malformed", "empty", "absent"],
)
def test_a_lock_of_the_original_is_waited_for_by_our_own_clock(
    bucket: Bucket, time: FakeTime, expires: str | None
) -> None:
    """Six bytes and a date by somebody's wall clock, which may be anything: it is accepted and decides nothing."""
    bucket.write(LOCK, GO_BODY, metadata={} if expires is None else {"Expires-At": expires})

    assert TTL <= waited_until_taken(Contender(bucket, time, "b"), time) <= TTL + 0.5


def test_locks_of_the_original_are_told_apart_by_their_dates(time: FakeTime) -> None:
    """All have the same body and so the same ETag; one that was put anew is another lock."""
    bucket = Bucket(clock=time.date, versions=etag)
    began = time.now
    bucket.write(LOCK, GO_BODY)
    round_ = Contender(bucket, time, "b").acquire()
    renewals, renewed = 0, began
    while not round_.over:
        round_.step()
        if renewals < 3 and time.now - began > (renewals + 1) * (TTL - 5):
            bucket.write(LOCK, GO_BODY)
            renewals += 1
            renewed = time.now

    assert TTL <= time.now - renewed <= TTL + 0.5


# -- waiting --------------------------------------------------------------------------------------------------


def test_waiting_ends_where_its_driver_says_so(bucket: Bucket, time: FakeTime) -> None:
    """The caller's time-out is thrown in at the next wait."""
    Contender(bucket, time, "a").acquire().finish()
    round_ = Contender(bucket, time, "b").acquire()
    round_.step()
    round_.step()
    assert isinstance(round_.request, Wait)

    with pytest.raises(OutOfTime):
        round_.throw(OutOfTime())


def test_polls_are_drawn_at_random(bucket: Bucket, time: FakeTime) -> None:
    """So that waiters do not all look at the same moment: between a fifth of a poll and a whole one."""
    draws: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        draws.append((low, high))
        return high

    Contender(bucket, time, "a").acquire().finish()
    lock = Lock(LOCK, TTL, environment(time, "b", uniform=uniform))
    Round(lock.acquire(), MemoryObjectStore(bucket), time).finish()

    assert {(0.1, 0.5)} == set(draws)


@pytest.mark.parametrize(
    ("failure", "when", "key"),
    [
        ("time-out", "before", "no lock"),
        ("500", "before", "dead lock"),
        ("500", "before", "no lock"),
        ("409", "before", "no lock"),
        ("409", "before", "dead lock"),
        ("412", "before", "no lock"),
        ("412", "before", "dead lock"),
    ],
)
def test_a_store_that_fails_every_put_is_not_hammered(
    bucket: Bucket, time: FakeTime, failure: str, when: str, key: str
) -> None:
    """However the put of a lock fails, the round gives up or waits before long: no caller's deadline is overrun."""
    if key == "dead lock":
        bucket.write(LOCK, GO_BODY)
    contender = Contender(bucket, time, "a", ttl=0.4)
    round_ = contender.acquire()
    round_.step() if key == "no lock" else round_.throw(PreconditionFailed("held"))
    time.advance(1.0)
    contender.store.faults.append(Fault("put", FAILURES[failure], times=None))
    without_wait = 0
    try:
        for _ in range(200):
            if round_.over:
                round_ = contender.acquire()
            without_wait = 0 if isinstance(round_.request, Wait) else without_wait + 1
            assert without_wait <= 8
            round_.step()
    except (OutcomeUnknown, Unavailable):
        pass


@pytest.mark.parametrize("failure", ["time-out", "500"])
def test_a_lock_that_cannot_be_put_is_given_up(bucket: Bucket, time: FakeTime, failure: str) -> None:
    """A round that gets nowhere ends by itself, long before a TTL, and says why."""
    contender = Contender(bucket, time, "a")
    contender.store.faults.append(Fault("put", FAILURES[failure], times=None))
    began = time.now
    with pytest.raises(OutcomeUnknown, match=FAILURES[failure].reason):
        contender.acquire().finish()

    assert 4 == contender.store.counts["put"]
    assert time.now - began < 5


# -- giving back --------------------------------------------------------------------------------------------------


def test_a_lock_is_released_on_condition_of_its_version(bucket: Bucket, time: FakeTime) -> None:
    """One delete."""
    contender = Contender(bucket, time, "a")
    held = contender.acquire().finish()
    round_ = contender.release(held)
    round_.finish()

    assert [Delete(LOCK, held.version)] == round_.made
    assert {} == bucket.objects


@pytest.mark.parametrize(
    ("failure", "when"),
    [*((name, "before") for name in ("409", "503", "429", "time-out", "500")), ("time-out", "after"), ("500", "after")],
)
def test_a_release_is_repeated(bucket: Bucket, time: FakeTime, failure: str, when: str) -> None:
    """One failed delete does not keep every writer waiting for a TTL."""
    contender = Contender(bucket, time, "a")
    held = contender.acquire().finish()
    contender.store.faults.append(Fault("delete", FAILURES[failure], when))  # type: ignore[arg-type]
    contender.release(held).finish()

    assert {} == bucket.objects


def test_a_release_that_was_applied_does_not_touch_the_next_lock(
    bucket: Bucket, time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is lost, another takes the lock, and the repeated delete fails its condition: nobody is warned."""
    ours, theirs = Contender(bucket, time, "a"), Contender(bucket, time, "b")
    held = ours.acquire().finish()
    ours.store.faults.append(Fault("delete", FAILURES["time-out"], "after"))
    round_ = ours.release(held)
    round_.step()
    theirs.acquire().finish()
    with caplog.at_level(logging.WARNING, "metadatadb"):
        round_.finish()

    assert "b-1" == body_of(bucket)["nonce"]
    assert "" == caplog.text


@pytest.mark.parametrize("failure", ["403", "501", "409", "time-out"])
def test_a_lock_that_cannot_be_released_is_left(
    bucket: Bucket, time: FakeTime, caplog: pytest.LogCaptureFixture, failure: str
) -> None:
    """It is logged, others wait for it to expire, and we know it again."""
    contender = Contender(bucket, time, "a")
    held = contender.acquire().finish()
    contender.store.faults.append(Fault("delete", FAILURES[failure], times=None))
    with caplog.at_level(logging.WARNING, "metadatadb"):
        contender.release(held).finish()

    assert "could not release the lock .metadata/ns.lock" in caplog.text
    began = time.now
    contender.acquire().finish()
    assert began == time.now
    assert TTL <= waited_until_taken(Contender(bucket, time, "b"), time) <= TTL + 0.5


def test_a_release_out_of_time_is_no_error(bucket: Bucket, time: FakeTime) -> None:
    """A round that was told to end cleans up as far as it can without waiting."""
    contender = Contender(bucket, time, "a")
    held = contender.acquire().finish()
    contender.store.faults.append(Fault("delete", FAILURES["503"]))
    round_ = contender.release(held)
    round_.step()
    round_.throw(OutOfTime())

    assert round_.over
    assert LOCK in bucket.objects


class TestDeletesNotEnforced:
    """A store that ignores conditions on deletes."""

    @pytest.mark.parametrize(("age", "released"), [(0.0, True), (TTL / 2, True), (TTL / 2 + 0.1, False)])
    def test_a_lock_is_released_only_within_half_its_ttl(self, time: FakeTime, age: float, released: bool) -> None:
        """Later somebody may have taken it over, whose lock the delete would hit."""
        bucket = Bucket(clock=time.date, versions=etag, ignores=["delete"])
        contender = Contender(bucket, time, "a", deletes_enforced=False)
        held = contender.acquire().finish()
        time.advance(age)
        contender.release(held).finish()

        assert released == (LOCK not in bucket.objects)

    def test_a_delete_that_was_perhaps_applied_is_not_repeated(self, time: FakeTime) -> None:
        """It could hit whoever took the lock since."""
        bucket = Bucket(clock=time.date, versions=etag, ignores=["delete"])
        ours, theirs = (Contender(bucket, time, name, deletes_enforced=False) for name in "ab")
        held = ours.acquire().finish()
        ours.store.faults.append(Fault("delete", FAILURES["time-out"], "after"))
        round_ = ours.release(held)
        round_.step()
        theirs.acquire().finish()

        assert round_.over
        assert "b-1" == body_of(bucket)["nonce"]

    def test_a_lock_left_to_expire_does_not_keep_its_owner_waiting(self, time: FakeTime) -> None:
        """It knows its own nonce."""
        bucket = Bucket(clock=time.date, versions=etag, ignores=["delete"])
        contender = Contender(bucket, time, "a", deletes_enforced=False)
        held = contender.acquire().finish()
        time.advance(TTL - 1)
        contender.release(held).finish()

        assert 0 == waited_until_taken(contender, time)


def test_the_age_of_a_lock_counts_from_before_its_put(bucket: Bucket, time: FakeTime) -> None:
    """What is measured from the answer on would be too young by the time the request took."""
    contender = Contender(bucket, time, "a")
    round_ = contender.acquire()
    began = time.now
    version = Version("v")
    time.advance(7)
    round_.send(version)

    assert Held(version, began, "a-1") == round_.result
    assert timedelta(seconds=7) == timedelta(seconds=time.now - began)
