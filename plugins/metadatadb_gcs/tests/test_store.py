"""The object store over HTTP, through a proxy that shows what was sent and that fails on demand."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from metadatadb_core.config import Duration
from metadatadb_core.replication.object_store import ABSENT, MAX_OBJECT_BYTES, StoredObject, Version
from metadatadb_core.replication.outcomes import (
    Denied,
    NotModified,
    OutcomeUnknown,
    PreconditionFailed,
    Rejected,
    StoreFailure,
    Unavailable,
)
from metadatadb_core.testing.faulty_proxy import Answer, Drop, FaultyProxy, Hold, SeenRequest, Truncate
from metadatadb_gcs import GCSBackendConfig
from metadatadb_gcs.api import BucketAPI
from metadatadb_gcs.client import GCSClient, borrow_client, session_of
from metadatadb_gcs.store import GCSObjectStore, open_store, time_limits

KEY = ".metadata/app.json"
MEDIA = "alt=media"
RESOURCE = "fields=generation"

JSON = {"Content-Type": "application/json; charset=UTF-8"}
TOO_BUSY = Answer(503, b'{"error": {"code": 503, "errors": [{"reason": "backendError"}]}}', JSON)


def condition_of_last(proxy: FaultyProxy) -> tuple[str, dict[str, str]]:
    """Method and conditions."""
    seen = proxy.received[-1]
    params = parse_qs(urlsplit(seen.target).query)
    return seen.method, {name: values[0] for name, values in params.items() if name.startswith("if")}


def resource_of(seen: SeenRequest) -> dict[str, object]:
    """The first part of an upload."""
    resource: dict[str, object] = json.loads(seen.body.split(b"\r\n\r\n")[1].split(b"\r\n")[0])
    return resource


# -- what is sent ----------------------------------------------------------------------------------------------


def test_a_put_that_expects_nothing_is_conditional_on_generation_0(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """It is the condition that the store then enforces."""
    store.put(KEY, b"body", expect=ABSENT)

    assert ("POST", {"ifGenerationMatch": "0"}) == condition_of_last(proxy)


def test_a_write_that_expects_a_version_is_conditional_on_its_generation(
    store: GCSObjectStore, proxy: FaultyProxy
) -> None:
    """The version is the generation, in decimal."""
    first = store.put(KEY, b"1", expect=ABSENT)
    second = store.put(KEY, b"2", expect=first)
    put = condition_of_last(proxy)
    store.delete(KEY, expect=second)

    assert first.isdecimal()
    assert ("POST", {"ifGenerationMatch": first}) == put
    assert ("DELETE", {"ifGenerationMatch": second}) == condition_of_last(proxy)


def test_an_unchanged_object_costs_one_request_and_no_body(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """So that an idle replica costs next to nothing."""
    version = store.put(KEY, b"body", expect=ABSENT)
    before = len(proxy.received)
    with pytest.raises(NotModified) as caught:
        store.get(KEY, unless=version)

    assert 304 == caught.value.status
    assert 1 == len(proxy.received) - before
    assert ("GET", {"ifGenerationNotMatch": version}) == condition_of_last(proxy)


def test_a_large_body_is_one_request(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """The SDK sends what is larger than 8 MB in several, each of which can be lost."""
    body = bytes(20_000_000)
    store.put(KEY, body, expect=ABSENT)
    found = store.get(KEY)

    assert ["POST", "GET", "GET"] == [seen.method for seen in proxy.received]
    assert found is not None
    assert body == found.body


def test_an_object_is_not_to_be_cached(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """Where everybody may read the bucket, a cache would answer with what was there an hour ago."""
    store.put(KEY, b"{}", expect=ABSENT, content_type="application/json", metadata={"Expires-At": "soon"})
    resource = resource_of(proxy.received[0])

    assert ("no-store", "application/json", {"Expires-At": "soon"}) == (
        resource["cacheControl"],
        resource["contentType"],
        resource["metadata"],
    )


def test_a_body_that_is_damaged_on_its_way_is_not_stored(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """It goes with its hash, by which the store looks at what arrives."""
    store.put(KEY, b"right", expect=ABSENT)
    body = proxy.received[0].body

    assert base64.b64decode(str(resource_of(proxy.received[0])["md5Hash"])).hex() == "7c4f29407893c334a6cb7a87bf045c0d"
    assert b"\r\n\r\nright\r\n" in body


def test_the_project_is_charged_for_every_request(bucket: str, proxy: FaultyProxy) -> None:
    """A requester-pays bucket refuses requests without."""
    config = GCSBackendConfig(bucket=bucket, endpoint_url=proxy.url, project="payer")
    client, give_back = borrow_client(config)
    store = open_store(client, config, name="the bucket", close=give_back)
    version = store.put(KEY, b"1", expect=ABSENT)
    store.get(KEY)
    keys = [info.key for info in store.list("")]
    store.delete(KEY, expect=version)
    store.close()

    assert [KEY] == keys
    assert 5 == len(proxy.received)
    assert all("userProject=payer" in seen.target for seen in proxy.received)


def test_a_project_that_cannot_be_charged_is_told(bucket: str, strict_server: str) -> None:
    """With the attribute to correct."""
    config = GCSBackendConfig(bucket=bucket, endpoint_url=strict_server, project="nobodys")
    client, give_back = borrow_client(config)
    store = open_store(client, config, name="the bucket", close=give_back)
    with pytest.raises(Rejected, match="attribute project"):
        store.get(KEY)
    store.close()


def test_a_listing_of_several_pages_asks_for_each(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """What the first page leaves out is asked for by the token it came with; a page may be empty."""
    item = '{"name": "%s", "generation": "1", "size": "2", "updated": "2026-11-22T20:56:38.123Z"}'
    page = '{"kind": "storage#objects", "nextPageToken": "%s", "items": [%s]}'
    proxy.inject(Answer(200, (page % ("x=/&", item % "a")).encode(), JSON), target="prefix=")
    proxy.inject(Answer(200, b'{"kind": "storage#objects", "nextPageToken": "y"}', JSON), target="pageToken=x%3D%2F%26")
    proxy.inject(Answer(200, (page % ("", item % "b")).encode(), JSON), target="pageToken=y")

    assert [("a", "1", 2), ("b", "1", 2)] == [(info.key, info.version, info.size) for info in store.list("")]


# -- what is found ---------------------------------------------------------------------------------------------


def test_an_object_has_the_stores_own_times(store: GCSObjectStore) -> None:
    """An expired lock is told by the store's clock alone: both times are its, and comparable."""
    store.put(KEY, b"", expect=ABSENT)
    found = store.get(KEY)

    assert found is not None
    assert found.modified is not None
    assert found.server_date is not None
    assert timedelta(seconds=-1) <= found.server_date - found.modified < timedelta(minutes=1)


def test_an_answer_without_a_date_has_none(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """Then nobody can tell the lock's age by the store's clock."""
    version = store.put(KEY, b"x", expect=ABSENT)
    for date in ({}, {"Date": "yesterday"}):
        proxy.inject(Answer(200, resource(generation=version), {**JSON, **date}), target=RESOURCE)
        found = store.get(KEY)

        assert found is not None
        assert found.server_date is None


def test_an_object_that_is_too_large_is_refused_unread(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """Its size is known before its body is asked for."""
    version = store.put(KEY, b"x", expect=ABSENT)
    too_large = resource(generation=version, size=str(MAX_OBJECT_BYTES + 1))
    proxy.inject(Answer(200, too_large, JSON), target=RESOURCE)
    with pytest.raises(Rejected, match="not read"):
        store.get(KEY)

    assert [] == [seen for seen in proxy.received if MEDIA in seen.target]


def resource(**fields: str) -> bytes:
    """What the store says of an object besides its body."""
    return json.dumps({"size": "1", **fields}).encode()


def found_while(change: Callable[[], object], store: GCSObjectStore, proxy: FaultyProxy) -> StoredObject | None:
    """What a get finds, where `change` comes between its two requests."""
    hold = Hold(applied=False)
    proxy.inject(hold, target=MEDIA)
    found: list[StoredObject | None] = []
    reader = threading.Thread(target=lambda: found.append(store.get(KEY)))
    reader.start()
    hold.wait_until_held()
    change()
    hold.release()
    reader.join()
    return found[0]


def test_a_body_is_never_given_the_metadata_of_another_version(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """The two come in two answers: what is replaced between them is read again."""
    first = store.put(KEY, b"1", expect=ABSENT, metadata={"of": "1"})
    replaced: list[Version] = []
    found = found_while(lambda: replaced.append(store.put(KEY, b"2", expect=first, metadata={"of": "2"})), store, proxy)

    assert found is not None
    assert (b"2", replaced[0], {"of": "2"}) == (found.body, found.version, found.metadata)


def test_an_object_that_is_deleted_while_it_is_read_is_gone(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """And not half an object."""
    version = store.put(KEY, b"1", expect=ABSENT)

    assert found_while(lambda: store.delete(KEY, expect=version), store, proxy) is None


def test_an_object_that_changes_all_the_time_is_not_read_for_ever(
    store: GCSObjectStore, bucket: str, proxy: FaultyProxy
) -> None:
    """The engine comes back to it."""
    store.put(KEY, b"1", expect=ABSENT)
    gone = Answer(404, f"No such object: {bucket}/{KEY}".encode())
    proxy.inject(gone, target=MEDIA, times=100)
    with pytest.raises(Unavailable, match="replaced"):
        store.get(KEY)

    assert 9 == len(proxy.received)


def test_what_somebody_stored_compressed_is_read(
    store: GCSObjectStore, client: GCSClient, config: GCSBackendConfig
) -> None:
    """A state that was restored with a tool that compresses is served uncompressed, and without a length or a hash
    of that.
    """
    api = BucketAPI(session_of(client), client.api_endpoint, config.bucket, project=None, timeout=(5, 5))
    resource = {"name": KEY, "contentEncoding": "gzip", "contentType": "application/json"}
    api.insert(gzip.compress(b'{"a":1}'), resource=resource, generation=None)
    found = store.get(KEY)

    assert found is not None
    assert b'{"a":1}' == found.body


def test_a_store_that_does_not_know_the_condition_of_a_get_is_understood(
    store: GCSObjectStore, proxy: FaultyProxy
) -> None:
    """An emulator may send what it was asked not to."""
    version = store.put(KEY, b"x", expect=ABSENT)
    proxy.inject(Answer(200, resource(generation=version), JSON), target=RESOURCE)
    with pytest.raises(NotModified):
        store.get(KEY, unless=version)


@pytest.mark.parametrize("generation", [{}, {"generation": ""}, {"generation": "none"}], ids=str)
def test_an_object_without_a_generation_is_none(
    store: GCSObjectStore, proxy: FaultyProxy, generation: dict[str, str]
) -> None:
    """Nobody could build on it."""
    store.put(KEY, b"x", expect=ABSENT)
    proxy.inject(Answer(200, resource(**generation), JSON), target=RESOURCE)
    with pytest.raises(OutcomeUnknown):
        store.get(KEY)


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"generation":"x"}'])
def test_a_put_that_is_not_answered_by_a_generation_is_no_success(
    store: GCSObjectStore, proxy: FaultyProxy, body: bytes
) -> None:
    """The put was applied, but nobody could build on it; the engine reads again."""
    proxy.inject(Answer(200, body, applied=True), method="POST")
    with pytest.raises(OutcomeUnknown):
        store.put(KEY, b"x", expect=ABSENT)

    assert store.get(KEY) is not None


# -- what fails ------------------------------------------------------------------------------------------------

Call = Callable[[GCSObjectStore], object]

CALLS: dict[str, Call] = {
    "GET": lambda store: store.get(KEY),
    "POST": lambda store: store.put(KEY, b"new", expect=ABSENT),
    "DELETE": lambda store: store.delete(KEY, expect=Version("1")),
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
        (TOO_BUSY, Unavailable),
        (Answer(408), OutcomeUnknown),
        (Answer(429), Unavailable),
        (Answer(409), Unavailable),
        (Answer(403), Denied),
        (Answer(413), Rejected),
        (Answer(302, headers={"Location": "/elsewhere"}), Rejected),
    ],
    ids=repr,
)
def test_no_request_is_repeated(
    store: GCSObjectStore, proxy: FaultyProxy, method: str, fault: Drop | Answer, outcome: type[StoreFailure]
) -> None:
    """The SDK, left to itself, repeats many of these, and reports a conflict with its own first attempt."""
    proxy.inject(fault, times=10)
    with pytest.raises(outcome) as caught:
        CALLS[method](store)

    assert outcome is caught.type
    assert [method] == [seen.method for seen in proxy.received]


def test_a_put_over_another_version_fails(store: GCSObjectStore) -> None:
    """Whether that is newer, or gone."""
    first = store.put(KEY, b"1", expect=ABSENT)
    second = store.put(KEY, b"2", expect=first)
    with pytest.raises(PreconditionFailed) as moved:
        store.put(KEY, b"3", expect=first)
    with pytest.raises(PreconditionFailed) as delete_moved:
        store.delete(KEY, expect=first)
    store.delete(KEY, expect=second)
    with pytest.raises(PreconditionFailed) as gone:
        store.put(KEY, b"3", expect=second)
    with pytest.raises(PreconditionFailed):
        store.delete(KEY, expect=second)

    assert [412, 412, 412] == [one.value.status for one in (moved, delete_moved, gone)]


def test_a_404_for_an_object_is_a_failed_condition_only_where_one_was_expected(
    store: GCSObjectStore, bucket: str, proxy: FaultyProxy
) -> None:
    """A put that expects no object cannot fail because there is none."""
    proxy.inject(Answer(404, f"No such object: {bucket}/{KEY}".encode()), method="POST", times=2)
    with pytest.raises(PreconditionFailed):
        store.put(KEY, b"x", expect=Version("1"))
    with pytest.raises(Rejected):
        store.put(KEY, b"x", expect=ABSENT)


def test_a_lost_answer_leaves_the_put_applied(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """Which is why it must not be reported as a failure, nor sent again."""
    proxy.inject(Drop(applied=True), method="POST")
    with pytest.raises(OutcomeUnknown):
        store.put(KEY, b"new", expect=ABSENT)
    found = store.get(KEY)

    assert found is not None
    assert b"new" == found.body
    with pytest.raises(PreconditionFailed):
        store.put(KEY, b"new", expect=ABSENT)


def test_a_put_can_land_after_its_sender_gave_up(bucket: str, proxy: FaultyProxy) -> None:
    """A time-out says nothing: the put may be applied long after it."""
    config = GCSBackendConfig(bucket=bucket, endpoint_url=proxy.url, lock_ttl=Duration("1s"))
    client, give_back = borrow_client(config)
    store = open_store(client, config, name="the bucket", close=give_back)
    hold = Hold(applied=False)
    proxy.inject(hold, method="POST")
    with pytest.raises(OutcomeUnknown):
        store.put(KEY, b"late", expect=ABSENT)
    before = store.get(KEY)
    hold.release()
    after = store.get(KEY)
    store.close()

    assert before is None
    assert after is not None


@pytest.mark.parametrize("ttl", [0.5, 1.0, 10.0, 30.0, 3600.0])
def test_a_request_ends_within_half_the_ttl_of_its_lock(ttl: float) -> None:
    """Connect and read together: a holder knows that it may have lost the lock before anybody may take it."""
    connect, answer = time_limits(ttl)

    assert 0 < connect
    assert 0 < answer
    assert connect + answer <= ttl / 2


@pytest.mark.parametrize("at", [0, 1, -1])
@pytest.mark.parametrize("target", [MEDIA, RESOURCE])
def test_a_truncated_object_is_not_an_object(store: GCSObjectStore, proxy: FaultyProxy, target: str, at: int) -> None:
    """Half a state object must be neither decoded nor taken for a corrupt one."""
    store.put(KEY, b'{"a":1}' * 1000, expect=ABSENT)
    proxy.inject(Truncate(at), target=target)
    with pytest.raises(OutcomeUnknown):
        store.get(KEY)

    assert store.get(KEY) is not None


def test_a_truncated_answer_to_a_put_says_nothing(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """Not even whether it was one."""
    proxy.inject(Truncate(5), method="POST")
    with pytest.raises(OutcomeUnknown):
        store.put(KEY, b"x", expect=ABSENT)


def test_a_body_that_was_damaged_is_not_a_body(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """Its length is right, its hash is not."""
    version = store.put(KEY, b"right", expect=ABSENT)
    headers = {"X-Goog-Generation": version, "X-Goog-Hash": "crc32c=AAAAAA==,md5=fE8pQHiTwzSmy3qHvwRcDQ=="}
    proxy.inject(Answer(200, b"wrong", headers), target=MEDIA)
    with pytest.raises(OutcomeUnknown, match="damaged"):
        store.get(KEY)
    proxy.inject(Answer(200, b"right", headers), target=MEDIA)

    assert store.get(KEY) is not None


def test_a_truncated_listing_is_not_a_listing(store: GCSObjectStore, proxy: FaultyProxy) -> None:
    """Else objects would seem to be gone."""
    store.put(KEY, b"", expect=ABSENT)
    proxy.inject(Truncate(-20), target="prefix=")
    with pytest.raises(OutcomeUnknown):
        list(store.list(""))


def test_a_store_that_does_not_listen_is_unavailable(bucket: str, strict_server: str) -> None:
    """A refused connection carried nothing."""
    with FaultyProxy(strict_server) as proxy:
        url = proxy.url
    config = GCSBackendConfig(bucket=bucket, endpoint_url=url)
    client, give_back = borrow_client(config)
    store = open_store(client, config, name="the bucket", close=give_back)
    for call in ALL_CALLS:
        with pytest.raises(Unavailable):
            call(store)
    store.close()


@pytest.mark.parametrize("server", ["strict_server", "emulator"])
def test_a_missing_bucket_is_not_an_empty_one(server: str, request: pytest.FixtureRequest) -> None:
    """An empty namespace would be built in its place. What fake-gcs-server says of it does not tell one 404 from
    another, and is looked into.
    """
    config = GCSBackendConfig(bucket="missing", endpoint_url=request.getfixturevalue(server))
    client, give_back = borrow_client(config)
    store = open_store(client, config, name="the bucket", close=give_back)
    for call in ALL_CALLS:
        with pytest.raises(Rejected, match="create the bucket"):
            call(store)
    store.close()


PAGE = b"<html><body>404: not here</body></html>"


def test_an_address_where_something_else_listens_is_not_an_empty_bucket(
    store: GCSObjectStore, proxy: FaultyProxy
) -> None:
    """Every web server knows 404, and many answer everything with 200."""
    for listing in (Answer(404, PAGE), Answer(200, b"{}", JSON)):
        proxy.inject(Answer(404, PAGE), target=RESOURCE)
        proxy.inject(listing, target="prefix=")
        with pytest.raises(Rejected, match="endpoint-url"):
            store.get(KEY)
    proxy.inject(Answer(404, PAGE), target=RESOURCE)
    proxy.inject(Answer(200, b"<html>"), target="prefix=")
    with pytest.raises(OutcomeUnknown):
        store.get(KEY)


@pytest.mark.parametrize(
    ("fault", "outcome"), [(Answer(403), Denied), (Answer(500), OutcomeUnknown), (Drop(applied=False), OutcomeUnknown)]
)
def test_a_404_that_cannot_be_looked_into_is_not_absence(
    store: GCSObjectStore, proxy: FaultyProxy, fault: Answer | Drop, outcome: type[StoreFailure]
) -> None:
    """What came of the second look is reported."""
    proxy.inject(Answer(404, PAGE), target=RESOURCE)
    proxy.inject(fault, target="prefix=")
    with pytest.raises(outcome):
        store.get(KEY)


def test_closing_twice_does_nothing(client: GCSClient, config: GCSBackendConfig) -> None:
    """See `ObjectStore.close`: what is given back twice would be taken from somebody else."""
    closed: list[int] = []
    store = open_store(client, config, name="the bucket", close=lambda: closed.append(1))
    store.close()
    store.close()

    assert [1] == closed
