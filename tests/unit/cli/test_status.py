"""`status`: how namespaces stand."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from metadatadb_core import Store
from metadatadb_core.replication import ABSENT
from metadatadb_sqlite.store import SQLiteObjectStore
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_show import spoil


def put_lock(target: str, namespace: str, body: bytes) -> None:
    """As a holder would that is gone."""
    store = SQLiteObjectStore(Path(urlsplit(target).path))
    store.put(f".metadata/{namespace}.lock", body, expect=ABSENT)
    store.close()


@pytest.fixture
def written(target: str, store: Store) -> str:
    """A store with two commits by one writer."""
    for _ in range(2):
        store.namespace("jobs").int("runs").add(1)
        store.namespace("jobs").flush()
    return target


def test_it_tells_what_is_stored_and_who_wrote_it(written: str, metadatadb: Command) -> None:
    """The record's writers, the last first."""
    said = metadatadb("status", "jobs", "-t", written, "--json")
    (jobs,) = said.document["namespaces"]
    (writer,) = jobs["writers"]

    assert 0 == said.status
    assert (1, 2, None, None) == (jobs["structures"], jobs["commits"], jobs["lock"], jobs["problem"])
    assert (2, 2) == (writer["sequence"], writer["commit"])
    assert jobs["bytes"] > 0
    assert jobs["version"]
    assert jobs["modified"]


def test_people_read_the_same(written: str, metadatadb: Command) -> None:
    """A line for each."""
    facts = dict(
        line.split(maxsplit=1)
        for line in metadatadb("status", "jobs", "-t", written).out.splitlines()
        if not line.startswith(" ")
    )

    assert ("jobs", "2", "1", "free") == (facts["namespace"], facts["commits"], facts["writers"], facts["lock"])


def test_without_a_namespace_all_are_told(written: str, store: Store, metadatadb: Command) -> None:
    """Apart."""
    store.namespace("git").int("x").add(1)
    store.namespace("git").flush()

    assert ["git", "jobs"] == [
        one["namespace"] for one in metadatadb("status", "-t", written, "--json").document["namespaces"]
    ]
    assert "\n\nnamespace   jobs\n" in metadatadb("status", "-t", written).out


def test_a_lock_is_told_with_its_holder_and_age(written: str, metadatadb: Command) -> None:
    """By the store's own clock."""
    put_lock(written, "jobs", b'{"nonce":"somebody","ttl":30}')
    (jobs,) = metadatadb("status", "jobs", "-t", written, "--json").document["namespaces"]

    assert ("somebody", 30.0) == (jobs["lock"]["holder"], jobs["lock"]["ttl"])
    assert 0 <= jobs["lock"]["age"] < 60
    assert "held by somebody, for " in metadatadb("status", "jobs", "-t", written).out


def test_a_lock_of_the_original_has_no_name(written: str, metadatadb: Command) -> None:
    """It says when it expires, and its body says nothing."""
    store = SQLiteObjectStore(Path(urlsplit(written).path))
    store.put(".metadata/jobs.lock", b"locked", expect=ABSENT, metadata={"Expires-At": "2026-01-31T12:00:00Z"})
    store.close()

    assert "held by a replica of the Go original, for " in metadatadb("status", "jobs", "-t", written).out


def test_a_corrupt_namespace_keeps_no_other_from_being_told(written: str, store: Store, metadatadb: Command) -> None:
    """The answer as a whole is no, though."""
    store.namespace("git").int("x").add(1)
    store.namespace("git").flush()
    spoil(written, "git")
    said = metadatadb("status", "-t", written, "--json")
    git, jobs = said.document["namespaces"]

    assert 1 == said.status
    assert "is corrupt" in git["problem"]
    assert (None, 2) == (jobs["problem"], jobs["commits"])


def test_an_unknown_namespace_is_refused(written: str, metadatadb: Command) -> None:
    """Nothing is stored of it, and nobody holds its lock."""
    said = metadatadb("status", "jbos", "-t", written)

    assert 1 == said.status
    assert "did you mean 'jobs'?" in said.err


def test_another_backend_tells_what_it_says_of_itself(metadatadb: Command) -> None:
    """`Backend.status` is all there is."""
    (jobs,) = metadatadb("status", "jobs", "-t", "memory://", "--json").document["namespaces"]

    assert (True, 0) == (jobs["backend"]["loaded"], jobs["backend"]["pending_ops"])
    assert 1 == metadatadb("status", "-t", "memory://").status


@pytest.mark.parametrize("body", [b"", b"garbage", b'{"nonce":5}'])
def test_a_lock_that_cannot_be_read_is_nobodys(body: bytes, written: str, metadatadb: Command) -> None:
    """Nor is it the original's, which says when it expires."""
    put_lock(written, "jobs", body)
    said = metadatadb("status", "jobs", "-t", written)

    assert "held by somebody unknown, since it cannot be read, for " in said.out
