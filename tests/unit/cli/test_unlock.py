"""`unlock`: a lock whose holder is gone, and one whose holder is not."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from metadatadb_core import Store
from metadatadb_core.cli.commands.unlock import _remove
from metadatadb_core.cli.failures import Refusal
from metadatadb_core.replication import ABSENT
from metadatadb_core.replication.inspection import StoredLock, read_lock
from metadatadb_core.testing.object_store import FAILURES, Bucket, Fault, MemoryObjectStore
from metadatadb_sqlite.store import SQLiteObjectStore
from tests.support.engine import LOCK, NS, backend_over
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_status import put_lock


def lock_of(target: str) -> StoredLock | None:
    """The lock of the namespace jobs."""
    store = SQLiteObjectStore(Path(urlsplit(target).path))
    lock = read_lock(store, "", "jobs")
    store.close()
    return lock


def test_a_free_lock_needs_no_freeing(target: str, store: Store, metadatadb: Command) -> None:
    """That is what was wanted."""
    store.namespace("jobs").int("runs").add(1)
    store.namespace("jobs").flush()
    said = metadatadb("unlock", "jobs", "-t", target)

    assert (0, "jobs: the lock is free\n") == (said.status, said.out)


def test_a_namespace_that_is_not_there_has_no_lock(target: str, store: Store, metadatadb: Command) -> None:
    """It was probably misspelt."""
    store.namespace("jobs").int("runs").add(1)
    store.namespace("jobs").flush()
    said = metadatadb("unlock", "jbos", "-t", target)

    assert (1, "") == (said.status, said.out)
    assert f"error: nothing is stored of namespace 'jbos' in {target}; did you mean 'jobs'?\n" == said.err


@pytest.mark.parametrize("key", [".metadata/jobs.json", ".metadata/jobs/rollup.json"])
def test_a_namespace_that_cannot_be_read_may_be_free(key: str, target: str, metadatadb: Command) -> None:
    """Its lock is another object."""
    objects = SQLiteObjectStore(Path(urlsplit(target).path))
    objects.put(key, b"[]", expect=ABSENT)
    objects.close()

    assert 0 == metadatadb("unlock", "jobs", "-t", target).status


def test_an_expired_lock_is_taken_over_and_given_back(target: str, metadatadb: Command) -> None:
    """Its holder and age are shown before."""
    put_lock(target, "jobs", b'{"nonce":"dead","ttl":0.1}')
    said = metadatadb("unlock", "jobs", "-t", f"{target}?lock-ttl=200ms")

    assert (0, "jobs: the lock is free now\n") == (said.status, said.out)
    assert re.search(r"jobs: held by dead, for \S+ now, claimed for 0\.1s", said.err)
    assert lock_of(target) is None


def test_a_lock_that_may_be_alive_is_left_alone(target: str, metadatadb: Command) -> None:
    """The longer of its TTL and ours counts."""
    put_lock(target, "jobs", b'{"nonce":"alive","ttl":3600}')
    said = metadatadb("unlock", "jobs", "--timeout", "0.3", "-t", f"{target}?lock-ttl=100ms")
    lock = lock_of(target)

    assert 1 == said.status
    assert "the lock is still held after 0.3 s" in said.err
    assert lock is not None
    assert "alive" == lock.nonce


def test_force_removes_it_at_once(target: str, metadatadb: Command) -> None:
    """When somebody has said that it is meant."""
    put_lock(target, "jobs", b'{"nonce":"alive","ttl":3600}')
    said = metadatadb("unlock", "jobs", "--force", "--yes", "--json", "-t", target)

    assert 0 == said.status
    assert ("alive", True) == (said.document["lock"]["holder"], said.document["forced"])
    assert lock_of(target) is None


def test_force_without_anybody_to_ask_does_nothing(target: str, metadatadb: Command) -> None:
    """A script has to say --yes."""
    put_lock(target, "jobs", b'{"nonce":"alive","ttl":3600}')
    said = metadatadb("unlock", "jobs", "--force", "-t", target)

    assert 2 == said.status
    assert "add --yes" in said.err
    assert lock_of(target) is not None


@pytest.mark.parametrize(("answer", "status", "left"), [("y\n", 0, False), ("n\n", 1, True), ("", 130, True)])
def test_a_person_is_asked(
    answer: str, status: int, left: bool, target: str, metadatadb: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And may change their mind, or press Ctrl-D."""
    put_lock(target, "jobs", b'{"nonce":"alive","ttl":3600}')
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda stream: True)
    said = metadatadb("unlock", "jobs", "--force", "-t", target, input=answer, env={"TERM": "dumb"})

    assert status == said.status
    assert left == (lock_of(target) is not None)


class TestRemoval:
    """Exactly that lock is removed, whatever becomes of the answers."""

    @pytest.fixture
    def bucket(self) -> Bucket:
        """The storage, with a lock in it."""
        bucket = Bucket()
        bucket.write(LOCK, b'{"nonce":"seen","ttl":3600}')
        return bucket

    def removing(self, bucket: Bucket, *faults: Fault, seen: StoredLock | None = None) -> None:
        """Remove the lock that was seen."""
        client = MemoryObjectStore(bucket)
        seen = seen or read_lock(client, "", NS)
        assert seen is not None
        client.faults.extend(faults)
        backend = backend_over(client)
        try:
            _remove(backend, NS, seen)
        finally:
            client.faults.clear()
            backend.close()

    def test_the_next_holders_lock_stays(self, bucket: Bucket) -> None:
        """It changed hands while somebody was asked."""
        seen = read_lock(bucket, "", NS)
        bucket.write(LOCK, b'{"nonce":"next","ttl":3600}')
        with pytest.raises(Refusal, match="changed hands"):
            self.removing(bucket, seen=seen)

        assert b"next" in bucket.objects[LOCK].body

    def test_a_lost_answer_is_no_failure(self, bucket: Bucket) -> None:
        """The lock is gone, which is found out by trying again."""
        self.removing(bucket, Fault("delete", FAILURES["time-out"], when="after", key=LOCK))

        assert LOCK not in bucket.objects
