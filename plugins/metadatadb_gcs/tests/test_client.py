"""How clients are made, shared and given back, and whose credentials they send."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.auth import exceptions as auth
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import storage
from requests import Session
from requests.adapters import HTTPAdapter

from metadatadb_core.errors import BackendUnavailableError, ConfigError
from metadatadb_core.replication.object_store import ABSENT
from metadatadb_core.replication.outcomes import Denied, StoreFailure, Unavailable
from metadatadb_core.testing.faulty_proxy import Answer, FaultyProxy
from metadatadb_gcs import GCSBackendConfig
from metadatadb_gcs.client import borrow_client, check_client, session_of
from metadatadb_gcs.store import GCSObjectStore, open_store

CONFIG = GCSBackendConfig(bucket="b", endpoint_url="http://127.0.0.1:1")
KEY = ".metadata/app.json"


def test_backends_that_want_the_same_share_a_client() -> None:
    """One pool of connections for a process, whatever the number of buckets."""
    first, give_back_first = borrow_client(CONFIG)
    second, give_back_second = borrow_client(GCSBackendConfig(bucket="other", endpoint_url="http://127.0.0.1:1"))
    other, give_back_other = borrow_client(GCSBackendConfig(bucket="b", endpoint_url="http://127.0.0.1:2"))
    give_back_first()
    third, give_back_third = borrow_client(CONFIG)
    for give_back in (give_back_second, give_back_third, give_back_other):
        give_back()
    fourth, give_back_fourth = borrow_client(CONFIG)
    give_back_fourth()

    assert first is second
    assert first is third
    assert first is not other
    assert first is not fourth


def test_the_last_to_give_a_client_back_closes_its_connections(config: GCSBackendConfig) -> None:
    """And nobody before."""
    first, give_back_first = borrow_client(config)
    _, give_back_second = borrow_client(config)
    open_store(first, config, name="the bucket").get(KEY)
    pools = session_of(first).get_adapter(config.endpoint_url).poolmanager.pools
    in_use = len(pools)
    give_back_first()
    still = len(pools)
    give_back_second()

    assert (1, 1, 0) == (in_use, still, len(pools))


def test_threads_that_come_at_once_share_a_client() -> None:
    """And make one."""
    together = threading.Barrier(8)
    found: list[tuple[object, Callable[[], None]]] = []

    def borrow() -> None:
        together.wait()
        found.append(borrow_client(CONFIG))

    threads = [threading.Thread(target=borrow) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _, give_back in found:
        give_back()

    assert 8 == len(found)
    assert 1 == len({id(client) for client, _ in found})


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_has_a_client_of_its_own(
    bucket: str, strict_server: str, in_child: Callable[[Callable[[], None]], int]
) -> None:
    """Two processes on one connection would read each other's answers."""
    config = GCSBackendConfig(bucket=bucket, endpoint_url=strict_server)
    parents, give_back = borrow_client(config)
    inherited = open_store(parents, config, name="the bucket", close=give_back)
    inherited.put("from-parent", b"", expect=ABSENT)

    def child() -> None:
        client, give_back = borrow_client(config)
        assert client is not parents
        store = open_store(client, config, name="the bucket", close=give_back)
        assert store.get("from-parent") is not None
        store.put("from-child", b"", expect=ABSENT)
        store.close()
        inherited.close()  # must not close what the parent uses, nor wait for a lock that nobody holds here

    assert 0 == in_child(child)
    assert inherited.get("from-child") is not None
    inherited.close()


# -- clients of others -----------------------------------------------------------------------------------------


@pytest.fixture
def provided() -> Iterator[storage.Client]:
    """A client as somebody else would make it."""
    options = {"api_endpoint": "http://127.0.0.1:1"}
    client = storage.Client(project="p", credentials=AnonymousCredentials(), client_options=options)
    yield client
    client.close()


def test_a_client_of_the_sdk_is_accepted(provided: storage.Client) -> None:
    """As it comes, nothing needs to be set up."""
    check_client(provided)


def test_a_client_that_repeats_requests_is_refused(provided: storage.Client) -> None:
    """A recipe that is found everywhere mounts a larger pool, and repetition with it."""
    session_of(provided).mount("https://", HTTPAdapter(max_retries=3))
    check_client(provided)  # it is another address that is repeated to
    session_of(provided).mount("http://", HTTPAdapter(pool_maxsize=100))
    check_client(provided)
    session_of(provided).mount("http://", HTTPAdapter(pool_maxsize=100, max_retries=3))
    with pytest.raises(ConfigError, match=r"repeats requests.*max_retries"):
        check_client(provided)


def test_the_client_of_the_parent_is_refused_in_a_forked_child(provided: storage.Client) -> None:
    """A provider that returns one client again and again would have two processes on one connection."""
    with pytest.raises(ConfigError, match="forked from"):
        check_client(provided, inherited=provided)


def test_what_is_no_client_is_refused() -> None:
    """A session, say, or a bucket."""
    with Session() as session:
        for wrong in (session, None):
            with pytest.raises(ConfigError, match=r"not a google\.cloud\.storage\.Client"):
                check_client(wrong)  # type: ignore[arg-type]


# -- credentials -----------------------------------------------------------------------------------------------


def test_no_credentials_are_sent_where_others_can_read_them(
    config: GCSBackendConfig, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor looked for: an emulator wants none, and works on a machine that has some."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    client, give_back = borrow_client(config)
    open_store(client, config, name="the bucket", close=give_back).get(KEY)
    give_back()

    assert [None] == [seen.headers.get("authorization") for seen in proxy.received]


@pytest.mark.parametrize("endpoint", [None, "https://storage.example.com"])
def test_a_machine_without_credentials_is_told_how_to_get_some(endpoint: str | None) -> None:
    """At once, and not taken for a store that may come back."""
    with pytest.raises(BackendUnavailableError, match="gcloud auth application-default login") as caught:
        borrow_client(GCSBackendConfig(bucket="b", endpoint_url=endpoint))

    assert caught.value.denied


def test_the_variable_of_emulators_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the SDK itself: where it is set, no credentials are needed."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    client, give_back = borrow_client(GCSBackendConfig(bucket="b"))
    give_back()

    assert "http://127.0.0.1:9" == client.api_endpoint


class Tokens(Credentials):
    """Gives out a new token at each refresh, or fails to."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.token: Any = None if failure else "token-0"
        self.refreshed = 0
        self.failure = failure

    def refresh(self, request: object) -> None:
        self.refreshed += 1
        self.token = f"token-{self.refreshed}"
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def with_tokens(config: GCSBackendConfig) -> Iterator[Callable[[Tokens], GCSObjectStore]]:
    """The bucket, by way of the proxy, with those credentials."""
    clients: list[storage.Client] = []

    def make(tokens: Tokens) -> GCSObjectStore:
        options = {"api_endpoint": config.endpoint_url}
        clients.append(storage.Client(project="p", credentials=tokens, client_options=options))
        return open_store(clients[-1], config, name="the bucket")

    yield make
    for client in clients:
        client.close()


def test_a_put_that_was_not_let_in_is_sent_again_with_a_new_token(
    with_tokens: Callable[[Tokens], GCSObjectStore], proxy: FaultyProxy
) -> None:
    """The one repetition there is, by the client's session: a 401 says that nothing was carried out."""
    store = with_tokens(Tokens())
    proxy.inject(Answer(401), method="POST")
    version = store.put(KEY, b"x", expect=ABSENT)
    found = store.get(KEY)

    assert ["Bearer token-0", "Bearer token-1"] == [
        seen.headers["authorization"] for seen in proxy.received if seen.method == "POST"
    ]
    assert found is not None
    assert version == found.version


def test_who_is_never_let_in_is_denied(with_tokens: Callable[[Tokens], GCSObjectStore], proxy: FaultyProxy) -> None:
    """After a few new tokens."""
    proxy.inject(Answer(401), times=100)
    with pytest.raises(Denied, match="credentials"):
        with_tokens(Tokens()).put(KEY, b"x", expect=ABSENT)

    assert [] == proxy.forwarded


def lost_connection() -> auth.RefreshError:
    """As the credentials of a machine in the cloud report that nobody answers."""
    error = auth.RefreshError("no answer")
    error.__cause__ = auth.TransportError("no answer")
    return error


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (auth.RefreshError("invalid_grant: Bad Request"), Denied),
        (auth.RefreshError("try again", retryable=True), Unavailable),
        (auth.TransportError("no answer"), Unavailable),
        (lost_connection(), Unavailable),
    ],
    ids=repr,
)
def test_without_a_token_nothing_is_sent(
    with_tokens: Callable[[Tokens], GCSObjectStore],
    proxy: FaultyProxy,
    failure: Exception,
    outcome: type[StoreFailure],
) -> None:
    """So it was surely not applied, whatever became of the token."""
    with pytest.raises(outcome):
        with_tokens(Tokens(failure)).put(KEY, b"x", expect=ABSENT)

    assert [] == proxy.received


def test_an_anonymous_put_that_is_not_let_in_is_denied(
    client: Any, config: GCSBackendConfig, proxy: FaultyProxy
) -> None:
    """There is no other token to try with."""
    proxy.inject(Answer(401), method="POST")
    with pytest.raises(Denied):
        open_store(client, config, name="the bucket").put(KEY, b"x", expect=ABSENT)

    assert 1 == len(proxy.received)
