"""The engine over S3, on a real server over HTTP, behind a proxy that loses, refuses and delays."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest

from metadatadb_core import Duration, Namespace, Store
from metadatadb_core.errors import BackendUnavailableError, CorruptStateError, UnsafeStoreError
from metadatadb_core.testing.faulty_proxy import Answer, Drop, Fault, FaultyProxy, Hold, Truncate
from metadatadb_s3 import S3Backend, S3BackendConfig

HOUR = Duration("1h")
ETAG = {"ETag": '"of-nothing"'}


class Open:
    """Opens namespaces of backends of their own, over one bucket, by way of the proxy; closed after the test."""

    def __init__(self, config: S3BackendConfig, stack: ExitStack) -> None:
        self._config = config
        self._stack = stack

    def __call__(self, **changes: Any) -> Namespace:
        # Nothing is synced but by a flush, so that requests can be counted.
        config = msgspec.structs.replace(self._config, **{"sync_interval": HOUR, **changes})
        return self._stack.enter_context(Store(S3Backend(config))).namespace("app")


@pytest.fixture
def replica(s3_config: S3BackendConfig, s3_proxy: FaultyProxy) -> Iterator[Open]:
    with ExitStack() as stack:
        stack.callback(s3_proxy.heal)
        yield Open(s3_config, stack)


def requests_since(proxy: FaultyProxy, start: int) -> list[tuple[str, str]]:
    """Method and suffix of what was sent."""
    return [(seen.method, seen.target.rpartition(".")[2]) for seen in proxy.received[start:]]


# -- what it costs ---------------------------------------------------------------------------------------------


def test_an_idle_sync_is_one_request_without_a_body(replica: Open, s3_proxy: FaultyProxy) -> None:
    """A conditional get that is answered 304, whatever the size of the namespace."""
    ns = replica()
    ns.int("n").add(1)
    ns.flush()
    start = len(s3_proxy.received)
    ns.flush()

    assert [("GET", "json")] == requests_since(s3_proxy, start)
    assert "if-none-match" in s3_proxy.received[-1].headers


def test_an_uncontended_flush_is_four_requests(replica: Open, s3_proxy: FaultyProxy) -> None:
    """Take the lock, look, write, give it back."""
    ns = replica()
    ns.int("n").add(1)
    ns.flush()
    start = len(s3_proxy.received)
    ns.int("n").add(1)
    ns.flush()

    assert [("PUT", "lock"), ("GET", "json"), ("PUT", "json"), ("DELETE", "lock")] == requests_since(s3_proxy, start)


# -- exactly once ----------------------------------------------------------------------------------------------

LOCK, STATE = "/.metadata/app.lock", "/.metadata/app.json"


FAULTS: tuple[Fault, ...] = (
    Drop(applied=True),
    Drop(applied=True, reset=True),
    Drop(applied=False),
    Answer(500, applied=True),
    Answer(500),
    Answer(503, applied=True),
    Answer(409),
    Answer(429),
    Truncate(5),
)
OWN_SUCCESS = Answer(412, applied=True)
"""What a client that repeats puts by itself makes of a lost answer."""

WRITES = (("PUT", LOCK), ("PUT", STATE), ("DELETE", LOCK))


@pytest.mark.parametrize(
    ("method", "target", "fault"),
    [
        *((method, target, fault) for method, target in (("GET", STATE), *WRITES) for fault in FAULTS),
        *((method, target, OWN_SUCCESS) for method, target in WRITES),
    ],
    ids=repr,
)
def test_an_op_counts_once_whatever_request_fails(
    replica: Open, s3_proxy: FaultyProxy, method: str, target: str, fault: Fault
) -> None:
    """Whether the failing request was applied or not, and whatever was answered."""
    ours, theirs = replica(lock_ttl=Duration("3s")), replica(lock_ttl=Duration("3s"))
    ours.int("n").add(1)
    ours.flush()
    s3_proxy.inject(fault, method=method, target=target)
    ours.int("n").add(10)
    ours.flush()
    theirs.int("n").add(100)
    theirs.flush()
    ours.flush()

    assert (111, 111) == (ours.int("n").get(), theirs.int("n").get())


def test_a_put_that_lands_late_counts_once(replica: Open, s3_proxy: FaultyProxy) -> None:
    """It was given up on and sent again; when it arrives at last, its condition no longer holds."""
    ns = replica(lock_ttl=Duration("2s"))
    ns.int("n").add(1)
    ns.flush()
    late = Hold(applied=False)
    s3_proxy.inject(late, method="PUT", target=STATE)
    ns.int("n").add(10)
    ns.flush()
    late.release()
    ns.int("n").add(100)
    ns.flush()
    fresh = replica()
    fresh.flush()

    assert (111, 111) == (ns.int("n").get(), fresh.int("n").get())


# -- what the Go original stores -------------------------------------------------------------------------------


def test_a_state_of_the_original_is_read_and_extended(replica: Open, s3_bucket: str, s3_client: Any) -> None:
    """Byte for byte as it writes it; what we do not touch comes out as it was."""
    theirs = (
        r'{"clones":{"\"repo-a\"":7},"labels":{"\"a\\u003cb\\u003e\\u0026é\\u2028\"":{"a":[1,null,"x"]}},"sc":"hello"}'
    )
    key = ".metadata/app.json"
    s3_client.put_object(Bucket=s3_bucket, Key=key, Body=theirs.encode(), ContentType="application/json")
    ns = replica()
    ns.flush()
    before = ns.int_map("clones").get("repo-a")
    ns.int_map("clones").add("repo-a", 1)
    ns.flush()
    answer = s3_client.get_object(Bucket=s3_bucket, Key=key)
    stored = json.loads(answer["Body"].read())
    expected = json.loads(theirs)
    expected["clones"]['"repo-a"'] = 8

    assert 7 == before
    assert "application/json" == answer["ContentType"]
    assert expected == {name: value for name, value in stored.items() if name != ".metadatadb"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"Expires-At": "2001-02-03T04:05:06Z"},
        {"Expires-At": "2101-02-03T04:05:06+01:00"},
        {"Expires-At": "soon"},
        {},
    ],
    ids=str,
)
def test_a_lock_that_a_dead_replica_of_the_original_left_is_taken_over(
    replica: Open, s3_bucket: str, s3_client: Any, metadata: dict[str, str]
) -> None:
    """After a TTL, whatever its Expires-At says: the clock of a machine that died is nobody's."""
    s3_client.put_object(Bucket=s3_bucket, Key=".metadata/app.lock", Body=b"locked", Metadata=metadata)
    ns = replica(lock_ttl=Duration("1s"))
    ns.int("n").add(1)
    ns.flush()
    keys = [entry["Key"] for entry in s3_client.list_objects_v2(Bucket=s3_bucket)["Contents"]]

    assert 0 == ns.status().pending_ops
    assert [".metadata/app.json"] == keys


def test_our_lock_tells_the_original_when_it_expires(replica: Open, s3_proxy: FaultyProxy) -> None:
    """In the metadata, as RFC 3339 in whole seconds and UTC, and in the header Expires."""
    ns = replica()
    ns.int("n").add(1)
    ns.flush()
    (lock,) = (seen for seen in s3_proxy.received if seen.method == "PUT" and seen.target.endswith(".lock"))

    assert "*" == lock.headers["if-none-match"]
    assert lock.headers["x-amz-meta-expires-at"].endswith("Z")
    assert lock.headers["expires"].endswith("GMT")


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "denied", "advice"),
    [
        (403, "AccessDenied", True, "s3:ListBucket"),
        (403, "RequestTimeTooSkewed", True, "clock"),
        (400, "ExpiredToken", True, "credentials"),
        (404, "NoSuchBucket", False, "create the bucket"),
        (413, "EntityTooLarge", False, "too large"),
    ],
)
def test_a_store_that_refuses_later_loses_nothing(
    replica: Open, s3_proxy: FaultyProxy, status: int, code: str, denied: bool, advice: str
) -> None:
    """Reads go on, what is pending stays, the error says what to do, and once that is done the flush goes through."""
    ns = replica()
    ns.int("n").add(1)
    ns.flush()
    body = f"<Error><Code>{code}</Code></Error>".encode()
    answer = Answer(status, body, {"Content-Type": "application/xml"})
    s3_proxy.inject(answer, method="PUT", target=STATE, times=sys.maxsize)
    ns.int("n").add(10)
    with pytest.raises(BackendUnavailableError, match=advice) as caught:
        ns.flush()
    during = (ns.int("n").get(), ns.status().pending_ops)
    s3_proxy.heal()
    ns.flush()
    fresh = replica()
    fresh.flush()

    assert denied == caught.value.denied
    assert (11, 1) == during
    assert 11 == fresh.int("n").get()


def test_a_store_that_ignores_conditions_is_refused(replica: Open, s3_proxy: FaultyProxy) -> None:
    """By name, before anything of a namespace is written to it."""
    ns = replica()
    s3_proxy.inject(Answer(200, headers=ETAG), method="PUT", target=".probe", times=2)
    ns.int("n").add(1)
    with pytest.raises(UnsafeStoreError, match=f"s3://.* at {s3_proxy.url}"):
        ns.flush()
    written = [seen.target for seen in s3_proxy.received if seen.method == "PUT" and ".probe" not in seen.target]

    assert [] == written


def test_a_corrupt_state_is_left_alone(replica: Open, s3_bucket: str, s3_client: Any) -> None:
    """It is complete and no JSON object: somebody has to look at it."""
    s3_client.put_object(Bucket=s3_bucket, Key=".metadata/app.json", Body=b"[1]")
    ns = replica()
    ns.int("n").add(1)
    with pytest.raises(CorruptStateError, match=r"\.metadata/app\.json"):
        ns.flush()
    left = s3_client.get_object(Bucket=s3_bucket, Key=".metadata/app.json")["Body"].read()
    pending = ns.discard_pending()

    assert b"[1]" == left
    assert 1 == len(pending)
