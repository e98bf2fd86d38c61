"""Moving namespaces by way of a real server: to S3 and back, over a network that fails, and broken off with Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from click.testing import CliRunner, Result

from metadatadb_core.cli.app import application
from metadatadb_core.testing.faulty_proxy import Answer, Drop, Fault, FaultyProxy, Hold, Truncate
from tests.support.contents import contents, fill, keys, put_state, records
from tests.unit.cli.conftest import Terminal

DEADLINE_SECONDS: Final = 60.0

posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")


def command(*words: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(application, words, catch_exceptions=False)


def _argv(*words: str) -> list[str]:
    return [sys.executable, "-m", "metadatadb_core.cli", *words]


def report(said: Result) -> dict[str, Any]:
    """What the command reports."""
    document: dict[str, Any] = msgspec.json.decode(said.stdout)
    return document


def statuses(document: dict[str, Any]) -> dict[str, str]:
    """What has become of each namespace."""
    return {row["namespace"]: row["status"] for row in document["namespaces"]}


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A SQLite store with four namespaces."""
    url = f"sqlite://{(tmp_path / 'source.db').as_posix()}"
    fill(url)
    return url


@pytest.fixture
def bucket(s3_bucket: str, s3_server: str) -> str:
    """An empty bucket."""
    return f"s3://{s3_bucket}?endpoint-url={s3_server}"


@pytest.fixture
def proxied(s3_bucket: str, s3_proxy: FaultyProxy) -> Iterator[str]:
    """The same bucket, by way of the proxy."""
    yield f"s3://{s3_bucket}?endpoint-url={s3_proxy.url}"
    s3_proxy.heal()


def test_to_s3_and_back_nothing_changes(source: str, bucket: str, tmp_path: Path) -> None:
    """Keys, values and ints that are easily lost on the way arrive to the byte; no lock and no probe is left."""
    back = f"sqlite://{(tmp_path / 'back.db').as_posix()}"
    there, and_back = command("copy", source, bucket, "--json"), command("copy", bucket, back, "--json")

    assert (0, 0) == (there.exit_code, and_back.exit_code)
    assert {"written"} == {*statuses(report(there)).values(), *statuses(report(and_back)).values()}
    assert contents(source) == contents(bucket) == contents(back)
    assert sorted(keys(source)) == sorted(keys(bucket)) == sorted(keys(back))


def test_by_way_of_a_file_to_s3_and_back_nothing_changes(source: str, bucket: str, tmp_path: Path) -> None:
    """A pipe will do."""
    back = f"sqlite://{(tmp_path / 'back.db').as_posix()}"
    file = str(tmp_path / "backup.jsonl")
    with subprocess.Popen(_argv("export", "-t", source), stdout=subprocess.PIPE) as exporting:
        imported = subprocess.run(
            _argv("import", "-", "-t", f"{bucket}&prefix=team/"),
            stdin=exporting.stdout,
            capture_output=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    assert (0, 0) == (exporting.returncode, imported.returncode)
    assert 0 == command("export", "-t", f"{bucket}&prefix=team/", "-o", file).exit_code
    assert 0 == command("import", file, "-t", back).exit_code
    assert contents(source) == contents(f"{bucket}&prefix=team/") == contents(back)
    assert [] == keys(bucket)


# -- a network that fails --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Drop(applied=True),
        Drop(applied=True, reset=True),
        Drop(applied=False),
        Answer(500, applied=True),
        Answer(500),
        Answer(503),
        Answer(429),
        Answer(412, applied=True),
    ],
    ids=repr,
)
def test_an_answer_that_is_lost_is_no_failure(fault: Fault, source: str, proxied: str, s3_proxy: FaultyProxy) -> None:
    """Whether the put was applied is found out, and it takes effect once: the commit counter says so."""
    s3_proxy.inject(fault, method="PUT", target="nasty.json")
    said = command("copy", source, proxied, "--json")

    assert (0, "written") == (said.exit_code, statuses(report(said))["nasty"])
    assert contents(source) == contents(proxied)
    assert 1 == records(proxied)["nasty"].commits
    assert sorted(keys(source)) == sorted(keys(proxied))


def test_a_lock_whose_answers_are_lost_is_given_back(source: str, proxied: str, s3_proxy: FaultyProxy) -> None:
    """Taken once and released once."""
    s3_proxy.inject(Drop(applied=True), method="PUT", target="nasty.lock")
    s3_proxy.inject(Drop(applied=True), method="DELETE", target="nasty.lock")
    said = command("copy", source, proxied)

    assert 0 == said.exit_code
    assert sorted(keys(source)) == sorted(keys(proxied))


def test_a_body_that_is_cut_off_is_read_again(bucket: str, proxied: str, tmp_path: Path, s3_proxy: FaultyProxy) -> None:
    """Half a state is never taken for one."""
    fill(bucket)
    s3_proxy.inject(Truncate(-5), method="GET", target="nasty.json", times=2)
    back = f"sqlite://{(tmp_path / 'back.db').as_posix()}"

    assert 0 == command("copy", proxied, back).exit_code
    assert contents(bucket) == contents(back)


def test_a_store_that_is_gone_in_the_middle_is_told_and_the_same_command_goes_on(
    source: str, bucket: str, proxied: str, s3_proxy: FaultyProxy
) -> None:
    """What was copied stays; of the one under way it is said that nobody knows."""
    s3_proxy.inject(Drop(applied=False), target="emptied.json", method="PUT", times=1000)
    said = command("copy", source, proxied, "--json")
    s3_proxy.heal()
    there = contents(bucket)
    again = command("copy", source, proxied, "--json")

    assert (1, {"": "written", "by-hand": "written", "emptied": "unknown", "nasty": "not begun"}) == (
        said.exit_code,
        statuses(report(said)),
    )
    assert "what ended it: " in msgspec.json.decode(said.stderr.splitlines()[-1])["error"]["message"]
    assert {"", "by-hand"} == set(there)
    assert {"": "unchanged", "by-hand": "unchanged", "emptied": "written", "nasty": "written"} == statuses(
        report(again)
    )
    assert contents(source) == contents(bucket)


def test_a_namespace_that_may_not_be_written_leaves_the_others(
    source: str, bucket: str, proxied: str, s3_proxy: FaultyProxy
) -> None:
    """Each is told, with what the store said."""
    denied = Answer(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})
    s3_proxy.inject(denied, target="emptied.json", method="PUT", times=1000)
    said = command("copy", source, proxied, "--json")

    assert {"": "written", "by-hand": "written", "emptied": "failed", "nasty": "written"} == statuses(report(said))
    assert (1, {"", "by-hand", "nasty"}) == (said.exit_code, set(contents(bucket)))
    assert [] == [key for key in keys(bucket) if key.endswith(".lock")]


def test_a_store_that_does_not_keep_conditions_is_not_written_to(
    source: str, bucket: str, proxied: str, s3_proxy: FaultyProxy
) -> None:
    """A lock there is no lock, and a put may overwrite anything."""
    s3_proxy.inject(Answer(501), method="PUT", target=".probe-", times=1000)
    said = command("copy", source, proxied)

    assert (1, {}) == (said.exit_code, contents(bucket))
    assert "does not enforce put-if-absent" in said.stderr


# -- Ctrl-C ----------------------------------------------------------------------------------------------------


class Copying:
    """A copy under way, as a process of its own."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(_argv(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait until it was noticed."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stderr is not None
        assert "Ctrl-C again" in self.process.stderr.readline()

    def end(self) -> subprocess.CompletedProcess[str]:
        """Wait for the end, and return what was said."""
        out, err = self.process.communicate(timeout=DEADLINE_SECONDS)
        return subprocess.CompletedProcess((), self.process.returncode, out, err)


@posix_only
@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("place", ["emptied.lock", "emptied.json"])
def test_a_copy_that_is_interrupted_leaves_nothing_half_done(
    place: str, applied: bool, source: str, bucket: str, proxied: str, s3_proxy: FaultyProxy
) -> None:
    """What is under way is finished, no lock is left, what was done is told, and the same command does the rest."""
    hold = Hold(applied=applied)
    s3_proxy.inject(hold, method="PUT", target=place)
    copying = Copying("copy", source, proxied)
    hold.wait_until_held()
    copying.interrupt()
    hold.release()
    said = copying.end()
    there = contents(bucket)
    again = command("copy", source, proxied, "--json")

    assert 130 == said.returncode
    assert f"interrupted: {len(there)} of 4 namespaces are at s3://" in said.stderr
    assert {"", "by-hand"} <= set(there) <= {"", "by-hand", "emptied"}
    assert {name: contents(source)[name] for name in there} == there
    assert "nasty      " in said.stdout
    assert 0 == again.exit_code
    assert dict.fromkeys(there, "unchanged") == {
        name: status for name, status in statuses(report(again)).items() if name in there
    }
    assert contents(source) == contents(bucket)
    assert sorted(keys(source)) == sorted(keys(bucket))


@posix_only
def test_an_interrupted_copy_leaves_no_lock(source: str, bucket: str, proxied: str, s3_proxy: FaultyProxy) -> None:
    """Also if Ctrl-C comes while it waits to try again."""
    hold = Hold(applied=True)
    s3_proxy.inject(hold, method="PUT", target="emptied.lock")
    s3_proxy.inject(Drop(applied=False), method="PUT", target="emptied.json", times=1000)
    copying = Copying("copy", source, proxied)
    hold.wait_until_held()
    copying.interrupt()
    hold.release()
    said = copying.end()

    assert 130 == said.returncode
    assert "interrupted: 2 of 4 namespaces are at s3://" in said.stderr
    assert {"", "by-hand"} == set(contents(bucket))
    assert [] == [key for key in keys(bucket) if key.endswith(".lock")]


@posix_only
def test_before_anything_is_written_ctrl_c_ends_it_at_once(
    source: str, bucket: str, proxied: str, s3_proxy: FaultyProxy
) -> None:
    """While it looks whether anything would be overwritten."""
    hold = Hold(applied=False)
    s3_proxy.inject(hold, method="GET", target="emptied.json")
    copying = Copying("copy", source, proxied)
    hold.wait_until_held()
    copying.process.send_signal(signal.SIGINT)
    said = copying.end()
    hold.release()

    assert 130 == said.returncode
    assert said.stderr.startswith("error: interrupted; nothing was written to s3://")
    assert [] == keys(bucket)


@posix_only
def test_an_export_that_is_interrupted_leaves_no_file(
    bucket: str, proxied: str, tmp_path: Path, s3_proxy: FaultyProxy
) -> None:
    """Neither a part of one."""
    fill(bucket)
    hold = Hold(applied=False)
    s3_proxy.inject(hold, method="GET", target="emptied.json")
    exporting = Copying("export", "-t", proxied, "-o", str(tmp_path / "backup.jsonl"))
    hold.wait_until_held()
    exporting.process.send_signal(signal.SIGINT)
    said = exporting.end()
    hold.release()

    assert (130, []) == (said.returncode, list(tmp_path.iterdir()))


@posix_only
@pytest.mark.parametrize("words", [("copy",), ("export", "-o", os.devnull, "-t")], ids=["copy", "export"])
def test_the_progress_counts_namespaces(
    words: tuple[str, ...], source: str, bucket: str, proxied: str, tmp_path: Path, s3_proxy: FaultyProxy
) -> None:
    """Each takes its requests, however small it is."""
    fill(bucket)
    hold = Hold(applied=False)
    s3_proxy.inject(hold, method="GET", target="emptied.json")
    destinations = [source] if words == ("copy",) else []
    terminal = Terminal("-m", "metadatadb_core.cli", *words, proxied, *destinations)
    try:
        hold.wait_until_held()
        terminal.wait_for("2/4")
        hold.release()
        terminal.wait()
    finally:
        terminal.close()


def test_a_conflict_is_told_before_anything_is_written(source: str, bucket: str) -> None:
    """With one that stands in the way at S3."""
    put_state(bucket, "nasty", b'{"mine":1}')
    said = command("copy", source, bucket)

    assert (1, {"nasty": b'{"mine":1}'}) == (said.exit_code, contents(bucket))
