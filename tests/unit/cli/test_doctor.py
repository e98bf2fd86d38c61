"""``metadatadb doctor``: a line for each thing a deployment depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metadatadb_core import Backend, Registry
from metadatadb_core.cli.connection import not_connected
from metadatadb_core.errors import BackendUnavailableError
from metadatadb_core.ops import Op, ReadOp
from metadatadb_core.replication.checkup import CHECKS, Verdict
from metadatadb_core.replication.outcomes import Denied
from tests.support.contents import contents, fill, keys, put_state
from tests.unit.cli.conftest import Command

FIRST = ["configuration", "connection", "credentials", "bucket"]


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    """The verdict of each check."""
    return {finding["check"]: finding["verdict"] for finding in document["findings"]}


def test_a_sound_store_is_healthy(target: str, metadatadb: Command) -> None:
    """Each check is told, and the store is as it was."""
    fill(target)
    before = keys(target), contents(target)
    said = metadatadb("doctor", target, "--json")

    assert (0, True, target) == (said.status, said.document["healthy"], said.document["target"])
    assert [*FIRST, *(check.name for check in CHECKS), "cleanup", "spool"] == list(verdicts(said.document))
    assert {"pass", "skip"} == set(verdicts(said.document).values())
    assert ["spool"] == [check for check, verdict in verdicts(said.document).items() if verdict == "skip"]
    assert before == (keys(target), contents(target))


def test_people_get_a_line_each_and_what_to_do(target: str, metadatadb: Command) -> None:
    """Below what failed."""
    put_state(target, "jobs", b"[]")
    said = metadatadb("doctor", target)
    lines = said.out.splitlines()
    failed = next(number for number, line in enumerate(lines) if line.startswith("fail"))

    assert 1 == said.status
    assert "pass put-if-absent: of 8 writers at once exactly one won, 3 times" in lines
    assert "fail states: jobs: JSON, but list instead of an object" == lines[failed]
    assert lines[failed + 1].strip().startswith("> restore .metadata/jobs.json from a backup")
    assert "20 passed, 1 failed, 1 skipped" == lines[-1]


def test_a_warning_is_no_failure(target: str, metadatadb: Command) -> None:
    """It is to be looked at."""
    said = metadatadb("doctor", f"{target}?lock-ttl=1us", "--json")

    assert (0, "warn") == (said.status, verdicts(said.document)["latency"])


def test_a_narrow_terminal_shows_all_of_it(target: str, metadatadb: Command) -> None:
    """Within 40 columns."""
    put_state(target, "jobs", b"[]")
    said = metadatadb("doctor", target, columns=40)

    assert 40 >= max(map(len, said.out.splitlines()))


def test_a_configuration_with_mistakes_fails_and_all_else_is_skipped(metadatadb: Command) -> None:
    """With what is wrong, and why the rest was not tried."""
    said = metadatadb("doctor", "sqlite:///x.db?lock-tll=1s", "--json")
    configuration = said.document["findings"][0]

    assert (1, False) == (said.status, said.document["healthy"])
    assert ("fail", True) == (configuration["verdict"], "did you mean 'lock-ttl'?" in configuration["detail"])
    assert {"cannot be tried, since configuration failed"} == {
        finding["detail"] for finding in said.document["findings"][1:]
    }


def test_a_file_whose_directory_is_missing_fails(tmp_path: Path, metadatadb: Command) -> None:
    """It is what a bucket is elsewhere."""
    said = metadatadb("doctor", f"sqlite://{tmp_path.as_posix()}/nowhere/meta.db", "--json")

    assert ("pass", "skip", "skip", "fail") == tuple(verdicts(said.document)[check] for check in FIRST)
    assert 1 == said.status


def findings(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The last finding of each check."""
    return {finding["check"]: finding for finding in document["findings"]}


@pytest.mark.parametrize(
    ("path", "check", "detail"),
    [
        ("damaged.db", "bucket", "is damaged, or is not a SQLite database: restore it from a backup"),
        ("nowhere/meta.db", "bucket", "its directory does not exist; create it"),
    ],
)
def test_what_says_what_to_do_gets_no_other_advice(
    path: str, check: str, detail: str, tmp_path: Path, metadatadb: Command
) -> None:
    """A file is no bucket."""
    (tmp_path / "damaged.db").write_bytes(b"no database" * 1000)
    finding = findings(metadatadb("doctor", f"sqlite://{tmp_path.as_posix()}/{path}", "--json").document)[check]

    assert ("fail", None) == (finding["verdict"], finding["advice"])
    assert detail in finding["detail"]


@pytest.mark.parametrize(("status", "advised"), [(None, False), (403, True)])
def test_only_a_server_is_told_other_credentials(status: int | None, advised: bool) -> None:
    """Whoever may not write a file has none, and is told what to do by the failure."""
    cause = Denied("give this user write access to it", status=status)
    found = {finding.check: finding for finding in not_connected(BackendUnavailableError("no", cause=cause))}

    assert (Verdict.FAIL, advised) == (found["credentials"].verdict, found["credentials"].advice is not None)


def test_a_spool_that_is_a_file_is_told_to_be_none(target: str, tmp_path: Path, metadatadb: Command) -> None:
    """Who owns it has nothing to do with that."""
    file = tmp_path / "spool"
    file.touch()
    spool = findings(metadatadb("doctor", f"{target}?spool={file.as_posix()}", "--json").document)["spool"]

    assert ("fail", "name a directory, which need not be there yet") == (spool["verdict"], spool["advice"])
    assert "Not a directory" in spool["detail"]


def test_the_spool_is_looked_at_where_there_is_one(target: str, tmp_path: Path, metadatadb: Command) -> None:
    """Also if the store cannot be reached: it lies on this machine."""
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "left.spool").write_bytes(b"something")
    with_store = metadatadb("doctor", f"{target}?spool={spool.as_posix()}", "--json")
    without = metadatadb("doctor", f"sqlite:///no/where.db?spool={spool.as_posix()}", "--json")

    assert ["warn", "warn"] == [verdicts(said.document)["spool"] for said in (with_store, without)]
    assert b"something" == (spool / "left.spool").read_bytes()


# -- backends that keep their state in a way of their own ------------------------------------------------------


def test_of_another_backend_its_methods_are_tried(metadatadb: Command) -> None:
    """And it is said that no more can be."""
    said = metadatadb("doctor", "memory://", "--json")

    assert {"configuration": "pass", "write and read": "pass", "flush": "pass", "store": "skip", "cleanup": "pass"} == (
        verdicts(said.document)
    )
    assert 0 == said.status


class Broken(Backend):
    """Forgets what is written, and cannot flush."""

    def apply(self, namespace: str, *ops: Op) -> None:
        """See `Backend.apply`."""

    def query(self, namespace: str, op: ReadOp[Any]) -> Any:
        """See `Backend.query`."""
        return None

    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        """See `Backend.flush`."""
        raise BackendUnavailableError("the disk is on fire")

    def close(self, *, timeout: float | None = None) -> None:
        """See `Backend.close`."""


def test_a_backend_that_forgets_and_cannot_flush_fails(metadatadb: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by name; what may be left behind is named."""
    monkeypatch.setattr(Registry, "create", lambda *_: Broken())
    said = metadatadb("doctor", "memory://", "--json")

    assert {
        "configuration": "pass",
        "write and read": "fail",
        "flush": "fail",
        "store": "skip",
        "cleanup": "warn",
    } == verdicts(said.document)
    assert 1 == said.status


@pytest.mark.parametrize("name", ["missing.hcl", "missing", "."])
def test_a_file_that_cannot_be_read_is_used_wrongly(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadatadb: Command
) -> None:
    """There is no configuration in which anything could be wrong."""
    monkeypatch.chdir(tmp_path)
    said = metadatadb("doctor", name)

    assert (2, "") == (said.status, said.out)
    assert said.err.startswith(f"error: cannot read {name}: ")
