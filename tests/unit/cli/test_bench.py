"""``metadatadb bench``: figures, and a store that holds what it held before."""

from __future__ import annotations

import sys

import pytest

from metadatadb_core.cli import benchmark
from metadatadb_core.errors import BackendUnavailableError
from metadatadb_core.events import SyncFinished, subscribe
from tests.support.contents import contents, fill, keys
from tests.unit.cli.conftest import Command

COMMAND = sys.modules["metadatadb_core.cli.commands.bench"]  # its package has the command of that name in its place


def test_it_measures_and_leaves_nothing_behind(target: str, metadatadb: Command) -> None:
    """Rates, percentiles, and what a flush costs: four requests, and no body is read."""
    fill(target)
    before = keys(target), contents(target)
    said = metadatadb("bench", target, "--seconds", "0.2", "--json")
    measured = said.document["measured"]
    flushes = measured["flushes"]
    seconds = flushes["seconds"]

    assert (0, target) == (said.status, said.document["store"])
    assert said.document["namespace"].startswith("metadatadb-bench-")
    assert 0 < measured["writes_per_second"] < measured["reads_per_second"]
    assert 1 <= seconds["count"]
    assert 0 < seconds["p50"] <= seconds["p90"] <= seconds["p99"] <= seconds["max"]
    assert (4, 0, 0) == (flushes["requests"], flushes["bytes_received"], flushes["lock_waits"])
    assert 1000 < flushes["bytes_sent"]
    assert before == (keys(target), contents(target))


def test_people_get_the_same_in_words(target: str, metadatadb: Command) -> None:
    """Within 40 columns."""
    said = metadatadb("bench", target, "--seconds", "0.1", columns=40)

    assert 0 == said.status
    assert ["local writes", "local reads", "flushes measured"] == [line[:20].strip() for line in said.out.splitlines()][
        -11:-8
    ]
    assert "requests per flush  4\n" in said.out.replace(" \n", "\n").replace("  \n", "\n")
    assert 40 >= max(map(len, said.out.splitlines()))


def test_it_takes_as_long_as_it_is_told(target: str, metadatadb: Command) -> None:
    """And no time at all is no measurement."""
    assert 2 == metadatadb("bench", target, "--seconds", "0").status
    assert 2 == metadatadb("bench", target, "--seconds", "1e9").status


def test_a_backend_without_requests_tells_none(metadatadb: Command) -> None:
    """What it does at a flush is its own affair."""
    said = metadatadb("bench", "memory://", "--seconds", "0.1", "--json")

    assert (0, None, None) == (
        said.status,
        said.document["measured"]["flushes"]["requests"],
        said.document["measured"]["flushes"]["bytes_sent"],
    )
    assert "requests per flush" not in metadatadb("bench", "memory://", "--seconds", "0.1").out


def test_a_flush_that_fails_leaves_nothing_behind(
    target: str, metadatadb: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is told, and what was written until then is removed."""
    synced: list[SyncFinished] = []

    def measure(*arguments: object) -> None:
        benchmark.measure(*arguments)  # type: ignore[arg-type]
        raise BackendUnavailableError("the store is gone")

    monkeypatch.setattr(COMMAND, "measure", measure)
    unsubscribe = subscribe("test", synced.append)
    said = metadatadb("bench", target, "--seconds", "0.1")
    unsubscribe()

    assert (1, "error: the store is gone\n") == (said.status, said.err)
    assert {"write"} < {event.kind for event in synced}
    assert [] == keys(target)


def test_what_could_not_be_removed_is_named(target: str, metadatadb: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can remove it then knows what."""

    def remove(*_: object) -> None:
        raise BackendUnavailableError("the store is gone")

    monkeypatch.setattr(COMMAND, "_remove", remove)
    said = metadatadb("bench", target, "--seconds", "0.1", "--json")

    assert 0 == said.status
    assert f"the namespace {said.document['namespace']} was left behind; remove it" in said.err
    assert [f".metadata/{said.document['namespace']}.json"] == keys(target)
