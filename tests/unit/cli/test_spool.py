"""`spool`: what dead processes have left, listed and brought in."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from metadatadb_core import Store, connect
from metadatadb_core.replication.spool import LOCKS_WORK
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_status import put_lock

pytestmark = pytest.mark.skipif(not LOCKS_WORK, reason="this platform has no file locks that tell who lives")

_DYING = """
import os, sys
from metadatadb_core import connect
store = connect(sys.argv[1])
store._backend.sync_only_when_told()
for name in sys.argv[2:]:
    namespace = store.namespace(name)
    namespace.flush()
    namespace.int("runs").add(1)
    namespace.int("seconds").add(60)
os._exit(9)
"""


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool directory, empty."""
    directory = tmp_path / "spool"
    directory.mkdir()
    return directory


@pytest.fixture
def die(target: str, spool: Path) -> Callable[..., None]:
    """Has a process die that had written to those namespaces, and not flushed."""

    def die(*namespaces: str, url: str = target) -> None:
        url += f"?spool={spool.as_posix()}&sync-interval=1h"
        assert 9 == subprocess.run([sys.executable, "-c", _DYING, url, *namespaces], check=False).returncode

    return die


def test_an_empty_directory_holds_nothing(spool: Path, metadatadb: Command) -> None:
    """That is how it should be."""
    said = metadatadb("spool", str(spool))

    assert (0, f"{spool} holds nothing\n") == (said.status, said.out)


def test_a_missing_directory_is_used_wrongly(spool: Path, metadatadb: Command) -> None:
    """Nothing is made."""
    assert 2 == metadatadb("spool", str(spool / "missing")).status


def test_leftovers_are_listed(spool: Path, target: str, die: Callable[..., None], metadatadb: Command) -> None:
    """With where they belong."""
    die("jobs")
    said = metadatadb("spool", str(spool), "--json")
    (file,) = said.document["files"]

    assert 0 == said.status
    assert ("left", target, "", "jobs", 2, False) == (
        file["state"],
        file["store"],
        file["prefix"],
        file["namespace"],
        file["ops"],
        file["sent"],
    )
    assert "left" in metadatadb("spool", str(spool)).out.splitlines()[1].split()


def test_times_are_told_as_everywhere(spool: Path, die: Callable[..., None], metadatadb: Command) -> None:
    """In UTC, with a Z."""
    die("jobs")
    (file,) = metadatadb("spool", str(spool), "--json").document["files"]

    assert re.fullmatch(r"20[-0-9]{8}T[:0-9]{8}(\.\d+)?Z", file["created"])
    assert re.search(r" 20[-0-9]{8} [:0-9]{8}Z ", metadatadb("spool", str(spool)).out)


def test_replay_brings_them_into_the_store_once(
    spool: Path, target: str, store: Store, die: Callable[..., None], metadatadb: Command
) -> None:
    """However often it is tried."""
    die("jobs", "git")
    first = metadatadb("spool", str(spool), "--replay", "-t", target, "--json")
    second = metadatadb("spool", str(spool), "--replay", "-t", target, "--json")

    assert (0, 0) == (first.status, second.status)
    assert [("git", 2, True), ("jobs", 2, True)] == [
        (one["namespace"], one["ops"], one["done"]) for one in first.document["replayed"]
    ]
    assert ([], []) == (first.document["files"], second.document["replayed"])
    assert (1, 60) == (store.namespace("jobs").int("runs").get(), store.namespace("jobs").int("seconds").get())


def test_what_a_living_process_holds_is_left_alone(spool: Path, target: str, store: Store, metadatadb: Command) -> None:
    """It will flush it itself."""
    with connect(f"{target}?spool={spool.as_posix()}&sync-interval=1h") as living:
        living._backend.sync_only_when_told()  # type: ignore[attr-defined]
        jobs = living.namespace("jobs")
        jobs.flush()
        jobs.int("runs").add(1)
        said = metadatadb("spool", str(spool), "--replay", "-t", target, "--json")
        (file,) = said.document["files"]

        assert ("held", []) == (file["state"], said.document["replayed"])
        assert 0 == store.namespace("jobs").int("runs").get()


def test_what_is_for_another_store_is_left_alone(
    spool: Path, target: str, tmp_path: Path, die: Callable[..., None], metadatadb: Command
) -> None:
    """A directory may serve several."""
    die("jobs")
    said = metadatadb("spool", str(spool), "--replay", "-t", f"sqlite://{(tmp_path / 'other.db').as_posix()}", "--json")

    assert (0, [], 1) == (said.status, said.document["replayed"], len(said.document["files"]))
    assert (
        "nothing was left for that store"
        in metadatadb("spool", str(spool), "--replay", "-t", target + "?prefix=a/").out
    )


def test_what_cannot_be_brought_in_stays(
    spool: Path,
    target: str,
    store: Store,
    die: Callable[..., None],
    metadatadb: Command,
    in_process: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Until somebody tries again; the process that tried has let go of it."""
    die("jobs", "git")
    put_lock(target, "jobs", b'{"nonce":"somebody","ttl":3600}')
    said = in_process("spool", str(spool), "--replay", "-t", target, "--timeout", "0.3", "--json")
    git, jobs = msgspec.json.decode(said.stdout)["replayed"]
    again = metadatadb("spool", str(spool), "--json").document["files"]

    assert 1 == said.returncode
    assert "Traceback" not in said.stderr
    assert (True, False) == (git["done"], jobs["done"])
    assert [("jobs", "left", 2)] == [(file["namespace"], file["state"], file["ops"]) for file in again]
    assert 0 == metadatadb("unlock", "jobs", "--force", "--yes", "-t", target).status
    assert 0 == metadatadb("spool", str(spool), "--replay", "-t", target).status
    assert 1 == store.namespace("jobs").int("runs").get()


def test_a_file_that_cannot_be_read_is_listed_with_the_reason(spool: Path, metadatadb: Command) -> None:
    """And keeps nothing else from being seen."""
    (spool / "jobs.1-2.spool").write_bytes(b"no spool file at all")
    (file,) = metadatadb("spool", str(spool), "--json").document["files"]

    assert "unreadable" == file["state"]
    assert "no spool file" in file["problem"]


def test_replay_needs_a_store(spool: Path, metadatadb: Command) -> None:
    """Which one, it cannot guess."""
    said = metadatadb("spool", str(spool), "--replay")

    assert 2 == said.status
    assert "add --target URL" in said.err


class TestUnreadable:
    """What cannot be read may have been acknowledged."""

    @pytest.fixture
    def damaged(self, spool: Path, die: Callable[..., None]) -> Path:
        """What a dead process left of jobs, with its beginning gone."""
        die("jobs")
        (file,) = spool.iterdir()
        file.write_bytes(b"\0" * 40 + file.read_bytes()[40:])
        return file

    @pytest.mark.parametrize("form", ["", "?prefix=other/"])
    def test_replay_does_not_succeed(self, form: str, damaged: Path, target: str, metadatadb: Command) -> None:
        """Nobody knows whether it belongs to that store."""
        said = metadatadb("spool", str(damaged.parent), "--replay", "-t", f"{target}{form}")

        assert 1 == said.status
        assert "nothing was left" not in said.out
        assert (
            f"{damaged.name}: not brought in: it is no spool file, or its beginning is damaged; "
            "what is in it may have been acknowledged\n"
        ) in said.out
        assert damaged.exists()

    def test_what_can_be_read_is_brought_in_all_the_same(
        self, damaged: Path, target: str, store: Store, die: Callable[..., None], metadatadb: Command
    ) -> None:
        """With a warning that does not speak of ops that were never applied."""
        die("jobs")
        said = metadatadb("spool", str(damaged.parent), "--replay", "-t", target)

        assert 1 == said.status
        assert 1 == store.namespace("jobs").int("runs").get()
        assert (
            f"{damaged} is left as it is: it is no spool file, or its beginning is damaged; "
            "what is in it may have been acknowledged, and is not brought in\n"
        ) in said.err
        assert "apply them again" not in said.err

    def test_to_look_at_it_is_no_failure(self, damaged: Path, metadatadb: Command) -> None:
        """It is listed with the reason."""
        said = metadatadb("spool", str(damaged.parent), "--json")
        (file,) = said.document["files"]

        assert (0, "unreadable") == (said.status, file["state"])

    def test_the_reason_is_that_it_cannot_be_read(self, spool: Path, metadatadb: Command) -> None:
        """Nothing of ops that were to be recorded there."""
        (spool / "jobs.1-2.spool").mkdir()
        (file,) = metadatadb("spool", str(spool), "--json").document["files"]

        assert ("unreadable", "Is a directory") == (file["state"], file["problem"])
