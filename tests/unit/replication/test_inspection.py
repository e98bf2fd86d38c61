"""Looking into a store without being a replica: what is found, and what does not keep the rest from being seen."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from metadatadb_core import ops
from metadatadb_core.errors import (
    BackendClosedError,
    BackendUnavailableError,
    CorruptStateError,
    UnsupportedFormatError,
)
from metadatadb_core.replication import Denied, NotModified, Unavailable
from metadatadb_core.replication.inspection import list_namespaces, ping, read_lock, read_state
from metadatadb_core.replication.spool import LOCKS_WORK, DirectorySpool, Target
from metadatadb_core.testing.object_store import FAILURES, Bucket, Fault, MemoryObjectStore
from tests.support.engine import LOCK, NS, STATE, FakeTime, Peer, backend_over, environment
from tests.unit.replication.conftest import OpenBackend


@pytest.fixture
def store(shared_bucket: Bucket) -> MemoryObjectStore:
    """A client of the bucket."""
    return MemoryObjectStore(shared_bucket)


class TestListing:
    """Which namespaces there are."""

    def test_states_locks_and_journals_tell_of_a_namespace(
        self, shared_bucket: Bucket, store: MemoryObjectStore
    ) -> None:
        """The root namespace, whose objects have no name before the dot, is one of them."""
        for key in ("jobs.json", "jobs.lock", ".json", "locked.lock", "old/rollup.json"):
            shared_bucket.write(f".metadata/{key}", b"{}")

        assert [
            ("", True, False, False),
            ("jobs", True, True, False),
            ("locked", False, True, False),
            ("old", False, False, True),
        ] == [
            (found.name, found.state is not None, found.lock is not None, found.journal)
            for found in list_namespaces(store, "")
        ]

    def test_what_belongs_to_no_namespace_is_left_out(self, shared_bucket: Bucket, store: MemoryObjectStore) -> None:
        """Probes, other objects, and names that no namespace can have."""
        for key in (".metadata/.probe-1", ".metadata/a b.json", ".metadata/x/y.json", "jobs.json", ".metadata/a.txt"):
            shared_bucket.write(key, b"{}")

        assert [] == list_namespaces(store, "")

    def test_another_prefix_is_another_store(self, shared_bucket: Bucket, store: MemoryObjectStore) -> None:
        """Teams that share a bucket do not see each other's."""
        shared_bucket.write("team-a/.metadata/jobs.json", b"{}")
        shared_bucket.write("team-b/.metadata/git.json", b"{}")

        assert ["jobs"] == [found.name for found in list_namespaces(store, "team-a/")]

    def test_a_denied_listing_is_told(self, store: MemoryObjectStore) -> None:
        """Not an empty store."""
        store.faults.append(Fault("list", FAILURES["403"]))
        with pytest.raises(Denied):
            list_namespaces(store, "")


class TestState:
    """What is stored of a namespace."""

    def test_the_state_and_its_record_are_read_apart(self, shared_bucket: Bucket, store: MemoryObjectStore) -> None:
        """What users stored, without the engine's own structure."""
        peer = Peer(shared_bucket, FakeTime())
        peer.add(3)
        peer.sync()
        state = read_state(store, "", NS)

        assert state is not None
        assert {"n": 3} == state.names
        assert (1, ["a-1"]) == (state.record.commits, [*state.record.writers])
        assert shared_bucket.objects[STATE].body == state.body

    def test_nothing_stored_is_none(self, store: MemoryObjectStore) -> None:
        """That is no error."""
        assert read_state(store, "", NS) is None

    def test_an_unchanged_state_is_not_sent_again(self, shared_bucket: Bucket, store: MemoryObjectStore) -> None:
        """Whoever watches asks on condition."""
        version = shared_bucket.write(STATE, b'{"n":1}')
        with pytest.raises(NotModified):
            read_state(store, "", NS, unless=version)

    def test_a_corrupt_state_is_told_with_its_key(self, shared_bucket: Bucket, store: MemoryObjectStore) -> None:
        """So that somebody can restore it."""
        shared_bucket.write(STATE, b"[]")
        with pytest.raises(CorruptStateError, match=STATE):
            read_state(store, "", NS)

    def test_a_journal_is_refused(self, shared_bucket: Bucket, store: MemoryObjectStore) -> None:
        """The namespace is not empty, whatever its missing state object seems to say."""
        shared_bucket.write(f".metadata/{NS}/rollup.json", b"{}")
        with pytest.raises(UnsupportedFormatError, match="journal"):
            read_state(store, "", NS)

    def test_a_passing_failure_is_waited_out(self, shared_bucket: Bucket, store: MemoryObjectStore) -> None:
        """As a replica would."""
        shared_bucket.write(STATE, b"{}")
        store.faults.append(Fault("get", FAILURES["503"]))

        assert read_state(store, "", NS) is not None

    def test_a_store_that_stays_away_is_told(self, store: MemoryObjectStore) -> None:
        """And is not asked for ever."""
        store.faults.append(Fault("get", FAILURES["never sent"], times=None))
        with pytest.raises(Unavailable):
            ping(store, "")


class TestLock:
    """Who holds a namespace's lock, and for how long."""

    def test_a_lock_is_read_as_its_holder_put_it(self, shared_bucket: Bucket, store: MemoryObjectStore) -> None:
        """Nonce, TTL and expiry; its age is the store's, and no other clock's."""
        peer = Peer(shared_bucket, FakeTime(), ttl=30.0)
        peer.add()
        peer.commit().step()
        lock = read_lock(store, "", NS)

        assert lock is not None
        assert ("a-2", 30.0) == (lock.nonce, lock.ttl)
        assert lock.expires_at is not None
        assert lock.age is not None
        assert 0 <= lock.age < 60

    def test_no_lock_is_none(self, store: MemoryObjectStore) -> None:
        """The namespace is free."""
        assert read_lock(store, "", NS) is None

    @pytest.mark.parametrize(
        "body", [b"locked", b"[]", b'{"nonce":1,"ttl":true}', b'{"ttl":1' + b"0" * 400 + b"}", b""]
    )
    def test_a_lock_of_somebody_elses_tells_less(
        self, body: bytes, shared_bucket: Bucket, store: MemoryObjectStore
    ) -> None:
        """The original's holds six bytes that say nothing."""
        version = shared_bucket.write(LOCK, body)
        lock = read_lock(store, "", NS)

        assert lock is not None
        assert (version, None, None, None) == (lock.version, lock.nonce, lock.ttl, lock.expires_at)

    def test_the_age_is_the_difference_of_the_stores_own_dates(self) -> None:
        """This machine's clock may be wrong by hours."""
        time = FakeTime()
        bucket = Bucket(clock=lambda: time.date() - timedelta(hours=5))
        bucket.write(LOCK, b"locked")
        time.advance(90)

        lock = read_lock(MemoryObjectStore(bucket), "", NS)

        assert lock is not None
        assert 90.0 == lock.age


class TestBackend:
    """What a backend tells of its store."""

    def test_a_backend_hands_out_its_store(self, open_backend: OpenBackend) -> None:
        """The very one that its namespaces lie in."""
        backend, store = open_backend(prefix="team/")

        assert (store, "team/", "memory store") == (backend.object_store(), backend.config.prefix, backend.name)

    def test_a_store_that_cannot_be_opened_is_a_public_error(self) -> None:
        """Not an outcome of a request."""

        def denied() -> MemoryObjectStore:
            raise Denied("no credentials")

        with closing(backend_over(denied)) as backend, pytest.raises(BackendUnavailableError) as caught:
            backend.object_store()

        assert caught.value.denied

    def test_a_closed_backend_has_none(self, open_backend: OpenBackend) -> None:
        """Nobody would close it."""
        backend, _ = open_backend()
        backend.close()
        with pytest.raises(BackendClosedError):
            backend.object_store()


def test_ops_that_were_sent_without_an_answer_are_unresolved(open_backend: OpenBackend) -> None:
    """Status tells them from those that surely are not in."""
    lost = Fault("put", FAILURES["time-out"], key=STATE, times=None)
    backend, store = open_backend()
    backend.flush(NS)
    backend.apply(NS, ops.IntAdd("n", 1))
    queued = backend.status(NS)
    store.faults.append(lost)
    with pytest.raises(TimeoutError):
        backend.flush(NS, timeout=0.2)
    sent = backend.status(NS)
    store.faults.clear()
    backend.flush(NS)
    flushed = backend.status(NS)

    assert [(1, 0), (1, 1), (0, 0)] == [(one.pending_ops, one.unresolved_ops) for one in (queued, sent, flushed)]


@pytest.mark.skipif(not LOCKS_WORK, reason="no file locks here")
def test_what_a_dead_process_never_sent_is_pending_and_not_unresolved(shared_bucket: Bucket, tmp_path: Path) -> None:
    """It is sealed, so that it is sent under one id, and that is all."""

    def start(name: str) -> Peer:
        time = FakeTime()
        target = Target("memory store", "", NS)
        spool = DirectorySpool(tmp_path, target, "never", environment(time, f"{name}-recovered"))
        return Peer(shared_bucket, time, name, spool=spool)

    dead = start("a")
    dead.add()
    dead.replica.spool.abandon()
    told = start("b").replica.describe()

    assert (1, 0) == (told["pending_ops"], told["unresolved_ops"])
