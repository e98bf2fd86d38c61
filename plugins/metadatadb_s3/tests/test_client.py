"""How clients are set up, shared and given back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import boto3.session
import pytest
from botocore.config import Config

from metadatadb_core.config import Duration
from metadatadb_core.errors import ConfigError
from metadatadb_core.replication.object_store import ABSENT
from metadatadb_s3 import S3BackendConfig
from metadatadb_s3.client import borrow_client, check_client, client_config
from metadatadb_s3.store import S3ObjectStore

CONFIG = S3BackendConfig(bucket="b", endpoint_url="http://127.0.0.1:1")


@pytest.mark.parametrize("ttl", ["500ms", "1s", "10s", "30s", "1h"])
def test_a_request_ends_within_half_the_ttl_of_its_lock(ttl: str) -> None:
    """Connect and read together: a holder knows that it may have lost the lock before anybody may take it."""
    settings: Any = client_config(S3BackendConfig(bucket="b", lock_ttl=Duration(ttl)))

    assert 0 < settings.connect_timeout
    assert 0 < settings.read_timeout
    assert settings.connect_timeout + settings.read_timeout <= Duration(ttl) / 2


def test_backends_that_want_the_same_share_a_client() -> None:
    """One pool of connections for a process, whatever the number of buckets."""
    first, give_back_first = borrow_client(CONFIG)
    second, give_back_second = borrow_client(S3BackendConfig(bucket="other", endpoint_url="http://127.0.0.1:1"))
    other, give_back_other = borrow_client(S3BackendConfig(bucket="b", endpoint_url="http://127.0.0.1:2"))
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


def test_threads_that_come_at_once_share_a_client() -> None:
    """The SDK's sessions are not safe to make clients from in several threads at once."""
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
    bucket: str, s3_server: str, in_child: Callable[[Callable[[], None]], int]
) -> None:
    """Two processes on one connection would read each other's answers."""
    config = S3BackendConfig(bucket=bucket, endpoint_url=s3_server)
    parents, give_back = borrow_client(config)
    inherited = S3ObjectStore(parents, bucket, close=give_back)
    inherited.put("from-parent", b"", expect=ABSENT)

    def child() -> None:
        client, give_back = borrow_client(config)
        assert client is not parents
        store = S3ObjectStore(client, bucket, close=give_back)
        assert store.get("from-parent") is not None
        store.put("from-child", b"", expect=ABSENT)
        store.close()
        inherited.close()  # must not close what the parent uses, nor wait for a lock that nobody holds here

    assert 0 == in_child(child)
    assert inherited.get("from-child") is not None
    inherited.close()


def test_a_provided_client_that_is_set_up_as_asked_is_accepted() -> None:
    """The configuration that errors and documentation name is one that passes."""
    client: Any = boto3.session.Session().client("s3", config=client_config(CONFIG))
    check_client(client, CONFIG)
    client.close()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"connect_timeout": 1, "read_timeout": 1}, "repeats"),
        ({"connect_timeout": 1, "read_timeout": 1, "retries": {"max_attempts": 1}}, "repeats"),
        ({"retries": {"total_max_attempts": 1}}, "waits"),
        ({"connect_timeout": 10, "read_timeout": 10, "retries": {"total_max_attempts": 1}}, "waits"),
        ({"connect_timeout": 1, "read_timeout": None, "retries": {"total_max_attempts": 1}}, "waits"),
    ],
    ids=repr,
)
def test_a_provided_client_that_would_do_harm_is_refused(settings: dict[str, Any], complaint: str) -> None:
    """And the error says how to make one that does not."""
    client: Any = boto3.session.Session().client("s3", config=Config(**settings))
    with pytest.raises(ConfigError, match=f"{complaint}.*client_config"):
        check_client(client, CONFIG)
    client.close()


def test_the_client_of_the_parent_is_refused_in_a_forked_child() -> None:
    """A provider that returns one client again and again would have two processes on one connection."""
    client: Any = boto3.session.Session().client("s3", config=client_config(CONFIG))
    with pytest.raises(ConfigError, match="forked from"):
        check_client(client, CONFIG, inherited=client)
    client.close()


def test_what_is_no_client_is_refused() -> None:
    """A session, say, or a resource."""
    for wrong in (boto3.session.Session(), None):
        with pytest.raises(ConfigError, match="not a boto3 S3 client"):
            check_client(wrong, CONFIG)  # type: ignore[arg-type]


def test_an_unknown_profile_is_a_mistake_of_the_configuration() -> None:
    """It names the attribute."""
    with pytest.raises(ConfigError, match="no profile 'nobody'") as caught:
        borrow_client(S3BackendConfig(bucket="b", profile="nobody"))

    assert "profile" == caught.value.attribute


def test_a_region_that_cannot_be_is_a_mistake_of_the_configuration() -> None:
    """It names the attribute."""
    with pytest.raises(ConfigError, match="not a region") as caught:
        borrow_client(S3BackendConfig(bucket="b", region="not a region!"))

    assert "region" == caught.value.attribute
