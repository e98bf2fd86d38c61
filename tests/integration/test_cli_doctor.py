"""``metadatadb doctor`` and ``bench`` on a real server: what it denies or mistakes fails the line that says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any, Final

import msgspec
import pytest
from click.testing import CliRunner, Result

from metadatadb_core.cli.app import application
from metadatadb_core.cli.session import CONNECT_SECONDS
from metadatadb_core.testing.faulty_proxy import Answer, Drop, FaultyProxy, Hold
from tests.support.contents import contents, fill, keys

DEADLINE_SECONDS: Final = 60.0
DENIED: Final = Answer(
    403, b"<Error><Code>AccessDenied</Code><Message>No</Message></Error>", {"Content-Type": "application/xml"}
)
ALWAYS: Final = 100_000


@pytest.fixture
def proxied(s3_bucket: str, s3_proxy: FaultyProxy) -> str:
    """A bucket, by way of the proxy."""
    return f"s3://{s3_bucket}?endpoint-url={s3_proxy.url}"


@pytest.fixture
def bucket(s3_bucket: str, s3_server: str) -> str:
    """The same bucket, straight."""
    return f"s3://{s3_bucket}?endpoint-url={s3_server}"


def _argv(*words: str) -> list[str]:
    return [sys.executable, "-m", "metadatadb_core.cli", *words]


def command(*words: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(application, words, catch_exceptions=False)


def doctor(target: str) -> tuple[int, dict[str, str], dict[str, str]]:
    """The exit status; what is no pass, by check; and what was found there."""
    said = command("doctor", target, "--json")
    findings: list[dict[str, Any]] = msgspec.json.decode(said.stdout)["findings"]
    wrong = {finding["check"]: finding["verdict"] for finding in findings if finding["verdict"] != "pass"}
    assert "skip" == wrong.pop("spool")
    return said.exit_code, wrong, {finding["check"]: finding["detail"] for finding in findings}


def test_a_sound_bucket_is_healthy(bucket: str) -> None:
    """And holds afterwards what it held before."""
    fill(bucket)
    before = keys(bucket), contents(bucket)
    status, wrong, _ = doctor(bucket)

    assert (0, {}) == (status, wrong)
    assert before == (keys(bucket), contents(bucket))


def test_a_bucket_that_is_missing_fails(s3_server: str) -> None:
    """The server answers, and has no such bucket."""
    status, wrong, details = doctor(f"s3://no-such-bucket?endpoint-url={s3_server}")

    assert (1, "fail", False) == (status, wrong["bucket"], "connection" in wrong)
    assert "NoSuchBucket" in details["bucket"]
    assert "cannot be tried, since the store could not be opened" == details["put-if-match"]


def test_access_that_is_denied_fails_as_credentials(proxied: str, s3_proxy: FaultyProxy) -> None:
    """Whether the credentials or what they may do is wrong, nobody tells."""
    s3_proxy.inject(DENIED, times=ALWAYS)
    status, wrong, details = doctor(proxied)

    assert (1, "fail", "skip", False) == (status, wrong["credentials"], wrong["bucket"], "connection" in wrong)
    assert "AccessDenied" in details["credentials"]


def test_no_credentials_at_all_fail_without_a_request(
    proxied: str, s3_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    said = command("doctor", proxied, "--json")
    findings = {finding["check"]: finding for finding in msgspec.json.decode(said.stdout)["findings"]}

    assert ("skip", "fail", []) == (
        findings["connection"]["verdict"],
        findings["credentials"]["verdict"],
        s3_proxy.received,
    )
    assert "NoCredentialsError" in findings["credentials"]["detail"]


@pytest.mark.parametrize(
    ("method", "target", "failing", "others"),
    [
        ("DELETE", "", "delete", {"conditional delete": "skip", "latency": "skip", "cleanup": "warn"}),
        ("GET", "list-type=2", "list", {"list after write": "skip", "locks": "skip", "states": "skip"}),
        ("PUT", "", "put", {"delete": "skip", "put-if-absent": "skip", "clock": "skip"}),
    ],
)
def test_a_permission_that_is_missing_fails_by_name(
    method: str, target: str, failing: str, others: dict[str, str], proxied: str, s3_proxy: FaultyProxy
) -> None:
    """All that can be tried without it is tried."""
    s3_proxy.inject(DENIED, method=method, target=target, times=ALWAYS)
    status, wrong, details = doctor(proxied)

    assert (1, "fail") == (status, wrong[failing])
    assert others == {check: wrong.get(check) for check in others}
    assert {"fail": 1} == {"fail": list(wrong.values()).count("fail")}
    assert "AccessDenied" in details[failing]


def test_what_cannot_be_removed_is_named(bucket: str, proxied: str, s3_proxy: FaultyProxy) -> None:
    """It is all that is left."""
    s3_proxy.inject(DENIED, method="DELETE", times=ALWAYS)
    _, _, details = doctor(proxied)

    assert sorted(keys(bucket)) == sorted(details["cleanup"].removeprefix("could not be removed: ").split(", "))


def test_a_store_that_does_not_implement_conditions_fails(proxied: str, s3_proxy: FaultyProxy) -> None:
    """It says 501 to what it does not know."""
    s3_proxy.inject(Answer(501), method="PUT", times=ALWAYS)
    status, wrong, details = doctor(proxied)

    assert (1, "fail") == (status, wrong["put"])
    assert "does not implement conditional requests" in details["put"]


def test_answers_that_are_lost_now_and_then_are_no_failure(proxied: str, bucket: str, s3_proxy: FaultyProxy) -> None:
    """And leave nothing behind."""
    s3_proxy.inject(Drop(applied=True), method="PUT", times=5)
    status, wrong, _ = doctor(proxied)

    assert (0, {}, []) == (status, wrong, keys(bucket))


def test_a_server_that_is_not_there_is_told_within_five_seconds(bucket: str) -> None:
    """Not after all the retries of an SDK."""
    began = time.monotonic()
    status, wrong, details = doctor("s3://bucket?endpoint-url=http://127.0.0.1:9")

    assert time.monotonic() - began < 5
    assert (1, "fail", "skip") == (status, wrong["connection"], wrong["credentials"])
    assert "cannot be reached" in details["connection"]


def test_a_server_that_never_answers_is_told_within_five_seconds(proxied: str, s3_proxy: FaultyProxy) -> None:
    """The connection is accepted, and that is all. As a process, which leaves that connection to itself."""
    s3_proxy.inject(Hold(applied=False))
    said = subprocess.run(
        _argv("doctor", proxied, "--json"), capture_output=True, timeout=DEADLINE_SECONDS, check=False
    )
    findings = {finding["check"]: finding for finding in msgspec.json.decode(said.stdout)["findings"]}

    assert (1, "fail") == (said.returncode, findings["connection"]["verdict"])
    assert f"gave no answer within {CONNECT_SECONDS:g} s" in findings["connection"]["detail"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize(
    ("words", "method", "place", "name"),
    [
        (["doctor"], "PUT", ".doctor-", "SIGINT"),
        (["doctor"], "DELETE", ".doctor-", "SIGTERM"),
        (["doctor"], "PUT", ".doctor-", "SIGHUP"),
        (["bench", "--seconds", "2"], "PUT", "bench-", "SIGINT"),
        (["bench", "--seconds", "2"], "DELETE", "bench-", "SIGTERM"),
    ],
)
def test_who_is_asked_to_end_leaves_nothing_behind(
    words: list[str], method: str, place: str, name: str, bucket: str, proxied: str, s3_proxy: FaultyProxy
) -> None:
    """By Ctrl-C or another such signal: what is under way is finished, and then removed."""
    number = getattr(signal, name)
    hold = Hold(applied=False)
    s3_proxy.inject(hold, method=method, target=place)
    with subprocess.Popen(_argv(*words, proxied), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        hold.wait_until_held()
        process.send_signal(number)
        assert process.stderr is not None
        assert "Ctrl-C again" in process.stderr.readline()
        hold.release()
        _, err = process.communicate(timeout=DEADLINE_SECONDS)

    assert (128 + number, True) == (process.returncode, err.startswith("error: interrupted"))
    assert [] == keys(bucket)


def test_a_bench_counts_the_requests_of_a_flush(bucket: str) -> None:
    """Two for the lock, two for the state; nothing is left."""
    said = command("bench", bucket, "--seconds", "1", "--json")
    flushes = msgspec.json.decode(said.stdout)["measured"]["flushes"]

    assert (0, 4.0, []) == (said.exit_code, flushes["requests"], keys(bucket))


def test_a_bench_on_a_store_that_cannot_be_written_says_so(proxied: str, bucket: str, s3_proxy: FaultyProxy) -> None:
    """In a word, and soon."""
    s3_proxy.inject(DENIED, method="PUT", times=ALWAYS)
    said = command("bench", proxied, "--seconds", "1")

    assert (1, []) == (said.exit_code, keys(bucket))
    assert "AccessDenied" in said.stderr
    assert "Traceback" not in said.stderr
