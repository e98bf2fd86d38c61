"""The object store over HTTP, through a proxy that shows what was sent and that fails on demand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial

import pytest
from botocore.response import StreamingBody

from metadatadb_core.config import Duration
from metadatadb_core.replication import object_store
from metadatadb_core.replication.object_store import ABSENT, Version
from metadatadb_core.replication.outcomes import (
    Denied,
    NotModified,
    OutcomeUnknown,
    PreconditionFailed,
    Rejected,
    StoreFailure,
    Unavailable,
)
from metadatadb_core.testing.faulty_proxy import Answer, Drop, FaultyProxy, Hold, Truncate
from metadatadb_s3 import S3BackendConfig
from metadatadb_s3.client import borrow_client
from metadatadb_s3.store import S3ObjectStore

KEY = ".metadata/app.json"

SLOW_DOWN = Answer(503, b"<Error><Code>SlowDown</Code></Error>", {"Content-Type": "application/xml"})


def headers_of_last(proxy: FaultyProxy) -> dict[str, str]:
    return dict(proxy.received[-1].headers)


def test_an_object_that_is_too_large_is_not_read(
    store: S3ObjectStore, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its length is announced; nothing of the body is taken from the connection, and the next request goes well."""
    store.put(KEY, b"x" * 1001, expect=ABSENT)
    store.put("small", b"x" * 1000, expect=ABSENT)
    monkeypatch.setattr(object_store, "MAX_OBJECT_BYTES", 1000)
    read: list[object] = []
    monkeypatch.setattr(StreamingBody, "read", lambda stream, amt=None: read.append(stream))
    with pytest.raises(Rejected, match=r"\.metadata/app\.json has 1001 bytes"):
        store.get(KEY)
    monkeypatch.undo()
    found = store.get("small")

    assert [] == read
    assert found is not None
    assert 1000 == len(found.body)


# -- what is sent ----------------------------------------------------------------------------------------------


def test_a_put_that_expects_nothing_sends_if_none_match(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """It is the condition that the store then enforces."""
    store.put(KEY, b"body", expect=ABSENT)
    sent = headers_of_last(proxy)

    assert ("*", None) == (sent["if-none-match"], sent.get("if-match"))


def test_a_write_that_expects_a_version_sends_if_match(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """The version is the ETag to the letter, with its quotes."""
    first = store.put(KEY, b"1", expect=ABSENT)
    second = store.put(KEY, b"2", expect=first)
    put = headers_of_last(proxy)
    store.delete(KEY, expect=second)
    delete = headers_of_last(proxy)

    assert first.startswith('"')
    assert (first, None) == (put["if-match"], put.get("if-none-match"))
    assert second == delete["if-match"]


def test_an_unchanged_object_costs_one_request_and_no_body(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """So that an idle replica costs next to nothing."""
    version = store.put(KEY, b"body", expect=ABSENT)
    before = len(proxy.received)
    with pytest.raises(NotModified):
        store.get(KEY, unless=version)

    assert 1 == len(proxy.received) - before
    assert version == headers_of_last(proxy)["if-none-match"]


def test_a_large_body_is_one_put(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """Parts would be put together without the condition that counts."""
    body = bytes(20_000_000)
    store.put(KEY, body, expect=ABSENT)

    assert [("PUT", len(body))] == [(seen.method, len(seen.body)) for seen in proxy.received]


def test_no_checksums_are_sent_that_other_stores_do_not_know(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """The SDK would add a trailer with a checksum of its own by default."""
    store.put(KEY, b"body", expect=ABSENT)
    store.get(KEY)
    put, get = (seen.headers for seen in proxy.received)

    assert b"body" == proxy.received[0].body
    assert [] == [name for name in (*put, *get) if "checksum" in name or name == "x-amz-trailer"]


def test_the_expiry_of_a_lock_is_sent_as_metadata_and_as_expires(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """Go replicas read the metadata; the header is for people and for rules of the bucket."""
    store.put(KEY, b"", expect=ABSENT, metadata={"Expires-At": "2026-11-22T21:56:38+01:00"})
    sent = headers_of_last(proxy)

    assert "2026-11-22T21:56:38+01:00" == sent["x-amz-meta-expires-at"]
    assert datetime(2026, 11, 22, 20, 56, 38, tzinfo=UTC) == parsedate_to_datetime(sent["expires"])


def test_an_expiry_that_is_no_date_is_metadata_only(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """Metadata is somebody else's text and may be anything."""
    store.put(KEY, b"", expect=ABSENT, metadata={"Expires-At": "soon"})
    sent = headers_of_last(proxy)

    assert ("soon", None) == (sent["x-amz-meta-expires-at"], sent.get("expires"))


def test_a_listing_of_several_pages_asks_for_each(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """What the first page leaves out is asked for by the token it came with."""
    page = (
        b"<ListBucketResult><IsTruncated>%s</IsTruncated>%s<Contents><Key>%s</Key><ETag>&quot;e&quot;</ETag>"
        b"<Size>1</Size><LastModified>2026-11-22T20:56:38.000Z</LastModified></Contents></ListBucketResult>"
    )
    token = b"<NextContinuationToken>next</NextContinuationToken>"
    proxy.inject(Answer(200, page % (b"true", token, b"a")), target="list-type=2")
    proxy.inject(Answer(200, page % (b"false", b"", b"b")), target="continuation-token=next")

    assert ["a", "b"] == [info.key for info in store.list("")]


# -- what is found ---------------------------------------------------------------------------------------------


def test_an_object_has_the_stores_own_times(store: S3ObjectStore) -> None:
    """An expired lock is told by the store's clock alone: both times are its, and comparable."""
    store.put(KEY, b"", expect=ABSENT)
    found = store.get(KEY)

    assert found is not None
    assert found.modified is not None
    assert found.server_date is not None
    assert timedelta(0) <= found.server_date - found.modified < timedelta(minutes=1)


def test_an_answer_without_a_date_has_none(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """Then nobody can tell the lock's age by the store's clock."""
    for date in ({}, {"Date": "yesterday"}):
        proxy.inject(Answer(200, b"x", {"ETag": '"e"', **date}), method="GET")
        found = store.get(KEY)

        assert found is not None
        assert found.server_date is None


def test_an_answer_without_an_etag_is_no_success(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """The put was applied, but nobody could build on it; the engine reads again."""
    proxy.inject(Answer(200, applied=True), method="PUT")
    with pytest.raises(OutcomeUnknown):
        store.put(KEY, b"x", expect=ABSENT)

    assert store.get(KEY) is not None


# -- what fails ------------------------------------------------------------------------------------------------

Call = Callable[[S3ObjectStore], object]

CALLS: dict[str, Call] = {
    "GET": lambda store: store.get(KEY),
    "PUT": lambda store: store.put(KEY, b"new", expect=ABSENT),
    "DELETE": lambda store: store.delete(KEY, expect=Version('"e"')),
}

ALL_CALLS: tuple[Call, ...] = (*CALLS.values(), lambda store: list(store.list("")))


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Drop(applied=True), OutcomeUnknown),
        (Drop(applied=True, reset=True), OutcomeUnknown),
        (Drop(applied=False), OutcomeUnknown),
        (Answer(500), OutcomeUnknown),
        (Answer(500, applied=True), OutcomeUnknown),
        (Answer(503), OutcomeUnknown),
        (SLOW_DOWN, Unavailable),
        (Answer(429), Unavailable),
        (Answer(409), Unavailable),
        (Answer(403), Denied),
        (Answer(413), Rejected),
    ],
    ids=repr,
)
def test_no_request_is_repeated_by_the_sdk(
    store: S3ObjectStore, proxy: FaultyProxy, method: str, fault: Drop | Answer, outcome: type[StoreFailure]
) -> None:
    """The SDK, left to itself, repeats nearly all of these, and reports a conflict with its own first attempt."""
    proxy.inject(fault, times=10)
    with pytest.raises(outcome) as caught:
        CALLS[method](store)

    assert outcome is caught.type
    assert [method] == [seen.method for seen in proxy.received]


def test_the_environment_cannot_turn_repetition_on(
    config: S3BackendConfig, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_MAX_ATTEMPTS is set on many machines."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    client, give_back = borrow_client(config)
    proxy.inject(SLOW_DOWN, times=10)
    with pytest.raises(Unavailable):
        S3ObjectStore(client, config.bucket).put(KEY, b"x", expect=ABSENT)
    give_back()

    assert 1 == len(proxy.received)


def test_a_lost_answer_leaves_the_put_applied(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """Which is why it must not be reported as a failure, nor sent again."""
    proxy.inject(Drop(applied=True), method="PUT")
    with pytest.raises(OutcomeUnknown):
        store.put(KEY, b"new", expect=ABSENT)
    found = store.get(KEY)

    assert found is not None
    assert b"new" == found.body
    with pytest.raises(PreconditionFailed):
        store.put(KEY, b"new", expect=ABSENT)


def test_a_put_can_land_after_its_sender_gave_up(bucket: str, proxy: FaultyProxy) -> None:
    """A time-out says nothing: the put may be applied long after it."""
    config = S3BackendConfig(bucket=bucket, endpoint_url=proxy.url, lock_ttl=Duration("1s"))
    client, give_back = borrow_client(config)
    store = S3ObjectStore(client, bucket, close=give_back)
    hold = Hold(applied=False)
    proxy.inject(hold, method="PUT")
    with pytest.raises(OutcomeUnknown):
        store.put(KEY, b"late", expect=ABSENT)
    before = store.get(KEY)
    hold.release()
    after = store.get(KEY)
    store.close()

    assert before is None
    assert after is not None


@pytest.mark.parametrize("at", [0, 1, -1])
def test_a_truncated_body_is_not_a_body(store: S3ObjectStore, proxy: FaultyProxy, at: int) -> None:
    """Half a state object must be neither decoded nor taken for a corrupt one."""
    store.put(KEY, b'{"a":1}' * 1000, expect=ABSENT)
    proxy.inject(Truncate(at), method="GET")
    with pytest.raises(OutcomeUnknown):
        store.get(KEY)

    assert store.get(KEY) is not None


def test_a_truncated_listing_is_not_a_listing(store: S3ObjectStore, proxy: FaultyProxy) -> None:
    """Else objects would seem to be gone."""
    store.put(KEY, b"", expect=ABSENT)
    proxy.inject(Truncate(-20), target="list-type=2")
    with pytest.raises(OutcomeUnknown):
        list(store.list(""))


def test_a_store_that_does_not_listen_is_unavailable(bucket: str, s3_server: str) -> None:
    """A refused connection carried nothing."""
    with FaultyProxy(s3_server) as proxy:
        url = proxy.url
    client, give_back = borrow_client(S3BackendConfig(bucket=bucket, endpoint_url=url))
    store = S3ObjectStore(client, bucket, close=give_back)
    for call in ALL_CALLS:
        with pytest.raises(Unavailable):
            call(store)
    store.close()


def test_a_missing_bucket_is_not_an_empty_one(s3_server: str) -> None:
    """An empty namespace would be built in its place."""
    client, give_back = borrow_client(S3BackendConfig(bucket="missing", endpoint_url=s3_server))
    store = S3ObjectStore(client, "missing", close=give_back)
    for call in ALL_CALLS:
        with pytest.raises(Rejected, match="NoSuchBucket"):
            call(store)
    store.close()


def test_without_credentials_access_is_denied(
    config: S3BackendConfig, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent, and the message says what is missing."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    client, give_back = borrow_client(config)
    with pytest.raises(Denied, match="credentials"):
        S3ObjectStore(client, config.bucket).get(KEY)
    give_back()

    assert [] == proxy.received


def test_a_name_that_cannot_be_is_rejected(store: S3ObjectStore, config: S3BackendConfig) -> None:
    """The SDK refuses it before it is sent."""
    client, give_back = borrow_client(config)
    elsewhere = S3ObjectStore(client, "no such name!", close=give_back)
    for call in (partial(elsewhere.get, KEY), partial(store.put, KEY, b"", expect=ABSENT, metadata={"x": "é"})):
        with pytest.raises(Rejected):
            call()
    elsewhere.close()


def test_closing_twice_does_nothing(config: S3BackendConfig) -> None:
    """See `ObjectStore.close`: what is given back twice would be taken from somebody else."""
    closed: list[int] = []
    client, give_back = borrow_client(config)
    store = S3ObjectStore(client, config.bucket, close=lambda: closed.append(1))
    store.close()
    store.close()
    give_back()

    assert [1] == closed
