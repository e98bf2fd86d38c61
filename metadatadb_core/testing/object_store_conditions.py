"""What the engine's exactly-once rests on: conditions that hold under any race, and versions that tell bodies apart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytest

from metadatadb_core.replication.object_store import ABSENT, Absent, ObjectStore, Version
from metadatadb_core.replication.outcomes import PreconditionFailed, Unavailable
from metadatadb_core.testing.concurrency import run_together
from metadatadb_core.testing.object_store_objects import KEY, OpenStores

__all__ = ["ConditionTests", "RaceTests", "VersionTests", "conditional_deletes"]

T = TypeVar("T")
Test = TypeVar("Test", bound=Callable[..., object])

RACERS = 16
CLIENTS = 4
INCREMENTS = 4
"""What each racer adds to one counter."""

MEETING_TIMEOUT = 60.0
"""Seconds after which a racer that does not come to the start fails the race."""

ATTEMPTS = 10_000
"""More tries than any fair store makes a racer need."""


def conditional_deletes(test: Test) -> Test:
    """Mark a test that holds only where conditions on deletes are enforced."""
    test.__dict__["_metadatadb_conditional_deletes"] = True
    return test


class ConditionTests:
    """A write whose condition does not hold is refused and changes nothing."""

    def test_a_put_that_expects_nothing_is_refused_where_something_is(self, store: ObjectStore) -> None:
        """A put that expects ABSENT raises PreconditionFailed where there is an object, and leaves it alone.

        A failure means that two replicas hold one lock, and that a first write wipes out what is stored. Usually
        the header If-None-Match is not sent, or not supported by the store.
        """
        first = store.put(KEY, b"first", expect=ABSENT)
        with pytest.raises(PreconditionFailed):
            store.put(KEY, b"second", expect=ABSENT)
        with pytest.raises(PreconditionFailed):
            store.put(KEY, b"first", expect=ABSENT)

        assert (b"first", first) == _content(store)

    def test_a_put_that_expects_a_version_is_refused_at_another(self, store: ObjectStore) -> None:
        """A put that expects a version raises PreconditionFailed at any other, older or of another object.

        A failure means lost updates: of two replicas that read the same state, the second overwrites the first.
        Usually the header If-Match is not sent, or not supported by the store.
        """
        first = store.put(KEY, b"first", expect=ABSENT)
        second = store.put(KEY, b"second", expect=first)
        other = store.put(KEY + ".other", b"other", expect=ABSENT)
        for stale in (first, other):
            with pytest.raises(PreconditionFailed):
                store.put(KEY, b"third", expect=stale)

        assert (b"second", second) == _content(store)

    def test_a_put_that_expects_a_version_is_refused_where_nothing_is(self, store: ObjectStore) -> None:
        """A put that expects a version raises PreconditionFailed where there is no object, and makes none.

        A failure means that a state that somebody reset comes back, or that the reset is reported as an error
        to wait out. Usually the store answers 404 here, and that is not sorted into PreconditionFailed.
        """
        version = store.put(KEY, b"first", expect=ABSENT)
        with pytest.raises(PreconditionFailed):
            store.put(KEY + ".other", b"second", expect=version)
        store.delete(KEY, expect=version)
        with pytest.raises(PreconditionFailed):
            store.put(KEY, b"second", expect=version)

        assert store.get(KEY) is None
        assert store.get(KEY + ".other") is None

    def test_a_key_can_be_used_again_after_a_delete(self, store: ObjectStore) -> None:
        """A delete that expects the current version removes the object; a put that expects ABSENT then works.

        A failure means that a lock can be taken only once. Usually a delete leaves a marker that counts as an
        object.
        """
        version = store.put(KEY, b"first", expect=ABSENT)
        store.delete(KEY, expect=version)
        gone = store.get(KEY)
        again = store.put(KEY, b"second", expect=ABSENT)

        assert gone is None
        assert (b"second", again) == _content(store)

    def test_a_refused_write_does_no_harm_to_the_next(self, store: ObjectStore) -> None:
        """After a put was refused, the same client's next one works.

        A failure means that one conflict ends a replica. Usually a transaction is left open.
        """
        version = store.put(KEY, b"start", expect=ABSENT)
        for turn in range(3):
            with pytest.raises(PreconditionFailed):
                store.put(KEY, b"refused", expect=ABSENT)
            version = store.put(KEY, b"%d" % turn, expect=version)

        assert (b"2", version) == _content(store)

    @conditional_deletes
    def test_a_delete_is_refused_at_another_version(self, store: ObjectStore) -> None:
        """A delete that expects a version raises PreconditionFailed at any other, and removes nothing.

        A failure means that a replica whose lock was taken over removes the lock of its successor. Usually the
        store ignores If-Match on deletes; the engine can live with that, if the suite is told:
        ``conditional_deletes = False``.
        """
        first = store.put(KEY, b"first", expect=ABSENT)
        second = store.put(KEY, b"second", expect=first)
        with pytest.raises(PreconditionFailed):
            store.delete(KEY, expect=first)

        assert (b"second", second) == _content(store)

    @conditional_deletes
    def test_a_delete_is_refused_where_nothing_is(self, store: ObjectStore) -> None:
        """A delete raises PreconditionFailed where there is no object, whether there never was one or no longer is.

        A failure means that a replica does not learn that its lock was taken from it. Usually the store answers
        204 or 404 here, and that is not sorted into PreconditionFailed.
        """
        version = store.put(KEY, b"first", expect=ABSENT)
        store.delete(KEY, expect=version)
        for key in (KEY, KEY + ".other"):
            with pytest.raises(PreconditionFailed):
                store.delete(key, expect=version)

        assert store.get(KEY) is None


class VersionTests:
    """A version never names two bodies of one key. That equal bodies have equal versions is allowed (an ETag)."""

    def test_different_bodies_have_different_versions(self, store: ObjectStore) -> None:
        """No version of a key is given to a second body, whatever is put in between.

        A failure means that a replica holds a state for current that is not. Usually a version is a time with
        too coarse a grain, or a hash that is too short.
        """
        bodies = [b"body %d" % (turn % 7) for turn in range(30)]
        versions: list[Version] = []
        for body in bodies:
            versions.append(store.put(KEY, body, expect=versions[-1] if versions else ABSENT))

        assert 7 <= len(set(versions))
        assert len(set(versions)) == len(set(zip(versions, bodies, strict=True)))

    def test_versions_do_not_begin_again_after_a_delete(self, open_stores: OpenStores) -> None:
        """A key that is deleted and made again, by whichever client, gets versions it never had for other bodies.

        A failure means that a put of a replica that slept through it all succeeds, and undoes what it never saw.
        Usually the version is a counter that is kept with the object or with the client.
        """
        seen: dict[Version, bytes] = {}
        for life in range(4):
            (store,) = open_stores(1)
            version: Version | Absent = ABSENT
            for turn in range(3):
                body = f"{life}:{turn}".encode()
                version = store.put(KEY, body, expect=version)
                assert body == seen.setdefault(version, body)
            assert not isinstance(version, Absent)
            store.delete(KEY, expect=version)
            store.close()

        assert 12 == len(seen)

    def test_a_body_that_is_put_again_has_a_version_that_holds(self, store: ObjectStore) -> None:
        """A put of the very bytes that are stored is applied, and what it returns is the object's version.

        A failure means that a repeated put makes its own replica lose track. Usually such a put is taken for
        done without looking at its condition, or returns a version that the store did not keep.
        """
        first = store.put(KEY, b"same", expect=ABSENT)
        second = store.put(KEY, b"same", expect=first)
        third = store.put(KEY, b"other", expect=second)
        back = store.put(KEY, b"same", expect=third)

        assert (b"same", back) == _content(store)
        assert third not in (first, second, back)

    def test_put_get_and_list_agree_on_the_version(self, store: ObjectStore) -> None:
        """The version that `put` returned is the one that `get` and `list` show, spelt the same.

        A failure means that conditions made from the one do not fit the other. Usually one has quotes around
        it, or belongs to the bucket rather than to the object.
        """
        first = store.put(KEY, b"1", expect=ABSENT)
        second = store.put(KEY, b"2", expect=first)

        assert (b"2", second) == _content(store)
        assert [second] == [info.version for info in store.list(KEY)]


class RaceTests:
    """16 threads on 4 clients; each condition holds for one of them."""

    def test_one_of_many_puts_of_an_absent_object_wins(self, open_stores: OpenStores) -> None:
        """Of 16 puts at once that expect ABSENT exactly one succeeds, and its body is what is stored.

        A failure means that two replicas hold one lock. Usually the store looks first and writes afterwards, in
        two steps, or the client repeats a put that had been applied and so reports its own success as a refusal.
        """
        stores = open_stores(CLIENTS)
        for turn in range(5):
            key = f"{KEY}.{turn}"
            won: list[tuple[bytes, Version]] = []

            def race(racer: int, key: str = key, won: list[tuple[bytes, Version]] = won) -> None:
                body = b"racer %d" % racer
                try:
                    version = _persistently(partial(stores[racer % CLIENTS].put, key, body, expect=ABSENT))
                except PreconditionFailed:
                    return
                won.append((body, version))

            run_together(*(partial(race, racer) for racer in range(RACERS)))

            assert 1 == len(won)
            assert won[0] == _content(stores[0], key)

    def test_no_increment_is_lost(self, open_stores: OpenStores) -> None:
        """16 threads that read a counter and put it back plus one, on condition of what they read, lose nothing.

        A failure means lost updates. Usually condition and write are two steps of the store, or of the plugin.
        """
        stores = open_stores(CLIENTS)
        stores[0].put(KEY, b"0", expect=ABSENT)
        # All of them read before any of them writes, so that the first round is a race on every machine.
        all_have_read = threading.Barrier(RACERS)

        def increment(store: ObjectStore, have_read: Callable[[], object]) -> None:
            for _ in range(ATTEMPTS):
                found = _persistently(partial(store.get, KEY))
                have_read()
                have_read = _nothing
                assert found is not None
                try:
                    store.put(KEY, b"%d" % (int(found.body) + 1), expect=found.version)
                except (PreconditionFailed, Unavailable):
                    continue
                return
            raise AssertionError(f"none of {ATTEMPTS} attempts got through")

        def race(racer: int) -> None:
            store = stores[racer % CLIENTS]
            increment(store, partial(all_have_read.wait, MEETING_TIMEOUT))
            for _ in range(INCREMENTS - 1):
                increment(store, _nothing)

        run_together(*(partial(race, racer) for racer in range(RACERS)))

        assert b"%d" % (RACERS * INCREMENTS) == _content(stores[0])[0]

    @conditional_deletes
    def test_one_of_many_deletes_wins(self, open_stores: OpenStores) -> None:
        """Of 16 deletes at once of one version exactly one succeeds.

        A failure means that two replicas believe that they replaced one expired lock. Usually a delete looks
        first and removes afterwards, in two steps.
        """
        stores = open_stores(CLIENTS)
        for turn in range(5):
            version = stores[0].put(KEY, b"%d" % turn, expect=ABSENT)
            won: list[int] = []

            def race(racer: int, version: Version = version, won: list[int] = won) -> None:
                try:
                    _persistently(partial(stores[racer % CLIENTS].delete, KEY, expect=version))
                except PreconditionFailed:
                    return
                won.append(racer)

            run_together(*(partial(race, racer) for racer in range(RACERS)))

            assert 1 == len(won)
            assert stores[0].get(KEY) is None

    def test_no_reader_sees_half_an_object(self, open_stores: OpenStores) -> None:
        """While one client replaces a large body, others read one body or the other, each with its own version.

        A failure means that a state is decoded that nobody wrote. Usually body and version are read in two steps,
        or an object is written in place.
        """
        writer, *readers = open_stores(CLIENTS)
        done = threading.Event()
        version = writer.put(KEY, _uniform(0), expect=ABSENT)
        written = {version: 0}
        seen: set[tuple[Version, int]] = set()

        def write() -> None:
            last = version
            try:
                for turn in range(1, 40):
                    last = _persistently(partial(writer.put, KEY, _uniform(turn), expect=last))
                    written[last] = turn
            finally:
                done.set()

        def read(reader: ObjectStore) -> None:
            last_look = False
            while not last_look:
                last_look = done.is_set()
                found = _persistently(partial(reader.get, KEY))
                assert found is not None
                whole = found.body == _uniform(found.body[0])
                assert whole, "a body with parts of two puts"  # and not the bytes, which are many
                seen.add((found.version, found.body[0]))

        run_together(write, *(partial(read, reader) for reader in readers))

        assert seen <= set(written.items())


def _uniform(turn: int) -> bytes:
    """A large body that is the same byte throughout, so that half of it shows."""
    return bytes([turn]) * (100_000 + turn)


def _nothing() -> None:
    pass


def _content(store: ObjectStore, key: str = KEY) -> tuple[bytes, Version]:
    found = store.get(key)
    assert found is not None
    return found.body, found.version


def _persistently(request: Callable[[], T]) -> T:
    """Make a request until the store has time for it: Unavailable says that nothing was applied."""
    for _ in range(ATTEMPTS):
        try:
            return request()
        except Unavailable:
            continue
    raise AssertionError(f"Unavailable {ATTEMPTS} times")
