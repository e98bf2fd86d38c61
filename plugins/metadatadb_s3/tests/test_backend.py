"""Opening an S3 backend, by every way there is, and what goes wrong at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import boto3.session
import pytest

from metadatadb_core import Registry, Store, connect
from metadatadb_core.config import Duration
from metadatadb_core.errors import BackendUnavailableError, ConfigError, UnflushedOpsError
from metadatadb_core.testing.faulty_proxy import Answer, Drop, FaultyProxy
from metadatadb_s3 import S3Backend, S3BackendConfig, register_s3
from metadatadb_s3.client import client_config

SDK = {"boto3", "botocore", "urllib3"}


def test_knowing_of_the_backend_does_not_load_the_sdk() -> None:
    """Listing plugins, or printing the schema, must not cost half a second and 50 MB."""
    program = (
        "import sys, metadatadb_s3\n"
        "from metadatadb_core import Registry\n"
        "assert 'endpoint-url' in Registry().schema('s3')\n"
        f"print(sorted({SDK!r} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "[]" == loaded.stdout.strip()


def test_a_url_opens_a_store(bucket: str, s3_server: str) -> None:
    """Every attribute is a parameter, by its HCL name; the path is a folder in the bucket."""
    url = f"s3://{bucket}/team%20a?endpoint-url={s3_server}&sync-interval=5s"
    with connect(url) as store:
        store.namespace("app").int("n").add(1)
    with connect(url + "&lock-ttl=10s") as store:
        ns = store.namespace("app")
        ns.flush()

        assert 1 == ns.int("n").get()
    with connect(f"s3://{bucket}?endpoint-url={s3_server}&prefix=team%20a/") as store:
        ns = store.namespace("app")
        ns.flush()

        assert 1 == ns.int("n").get()


@pytest.mark.parametrize("url", ["s3://", "s3:///folder", "s3://user:secret@b", "s3://b:9000"])
def test_a_url_without_a_bucket_alone_is_refused(url: str) -> None:
    """A password in a URL ends up in logs, and must not be repeated there."""
    with pytest.raises(ConfigError) as caught:
        connect(url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["minio:9000", "ftp://minio", "http://", "http://minio:port", "http://me:secret@minio", "", "//minio"]
)
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    """The SDK would say so much later, and less clearly."""
    with pytest.raises(ConfigError, match="endpoint-url") as caught:
        S3BackendConfig(bucket="b", endpoint_url=endpoint)

    assert "endpoint-url" == caught.value.attribute
    assert "secret" not in str(caught.value)


def test_the_defaults_are_the_originals() -> None:
    """30 seconds each."""
    config = S3BackendConfig(bucket="b")

    assert (30.0, 30.0) == (config.lock_ttl.seconds, config.sync_interval.seconds)
    with pytest.raises(ConfigError):
        S3BackendConfig(bucket="")


def test_a_missing_bucket_is_reported_at_once(s3_server: str) -> None:
    """With the bucket, the endpoint and what to do."""
    with pytest.raises(BackendUnavailableError) as caught:
        S3Backend(S3BackendConfig(bucket="missing", endpoint_url=s3_server))

    assert not caught.value.denied
    for part in ("missing", s3_server, "NoSuchBucket", "create the bucket"):
        assert part in str(caught.value)


def test_denied_access_is_reported_at_once(config: S3BackendConfig, proxy: FaultyProxy) -> None:
    """With the permissions that are needed."""
    proxy.inject(Answer(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"}))
    with pytest.raises(BackendUnavailableError, match="s3:ListBucket") as caught:
        S3Backend(config)

    assert caught.value.denied


def test_missing_credentials_are_reported_at_once(config: S3BackendConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not taken for a store that may come back."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BackendUnavailableError, match="credentials") as caught:
        S3Backend(config)

    assert caught.value.denied


@pytest.mark.parametrize("fault", [Drop(applied=False), Answer(503), Answer(500)], ids=repr)
def test_a_bucket_that_cannot_be_reached_is_waited_for(
    config: S3BackendConfig, proxy: FaultyProxy, fault: Drop | Answer
) -> None:
    """A program must come up while the store is down, and work once it is back."""
    proxy.inject(fault)
    with Store(S3Backend(config)) as store:
        ns = store.namespace("app")
        ns.int("n").add(1)
        ns.flush()

        assert ns.status().loaded


def test_while_the_store_is_down_the_status_says_so_and_nothing_is_lost(bucket: str, proxy: FaultyProxy) -> None:
    """Opening succeeds, writes are kept, reads see them, and closing tells what could not be stored."""
    proxy.inject(Drop(applied=False), times=sys.maxsize)
    backend = S3Backend(S3BackendConfig(bucket=bucket, endpoint_url=proxy.url, load_timeout=Duration("1ms")))
    ns = Store(backend).namespace("app")
    ns.int("n").add(1)
    status = ns.status()
    seen = ns.int("n").get()
    with pytest.raises(UnflushedOpsError) as caught:
        backend.close(timeout=0)
    proxy.heal()
    backend.close()

    assert (False, 1, 1) == (status.loaded, status.pending_ops, seen)
    assert {"app": 1} == caught.value.pending


def test_a_client_provider_is_asked_once_and_its_client_is_left_open(bucket: str, s3_server: str) -> None:
    """Whoever made the client may use it for more."""
    config = S3BackendConfig(bucket=bucket)
    made: list[Any] = []

    def provide() -> Any:
        made.append(boto3.session.Session().client("s3", endpoint_url=s3_server, config=client_config(config)))
        return made[-1]

    registry = Registry()
    register_s3(registry, provide)
    with connect(f"s3://{bucket}", registry=registry) as store:
        ns = store.namespace("app")
        ns.int("n").add(1)
        ns.flush()
    (client,) = made
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]]
    client.close()

    assert [".metadata/app.json"] == keys


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("provided", [False, True])
def test_parent_and_child_go_on_side_by_side_after_a_fork(
    bucket: str, s3_server: str, in_child: Callable[[Callable[[], None]], int], provided: bool
) -> None:
    """Each with connections of its own; what was pending at the fork is the parent's, and counts once."""
    config = S3BackendConfig(bucket=bucket, endpoint_url=s3_server)
    made: list[Any] = []

    def provide() -> Any:
        made.append(boto3.session.Session().client("s3", endpoint_url=s3_server, config=client_config(config)))
        return made[-1]

    backend = S3Backend(config, provide if provided else None)
    ns = Store(backend).namespace("app")
    ns.int("n").add(1)
    ns.flush()
    ns.int("n").add(10)

    def child() -> None:
        ns.int("n").add(100)
        ns.flush()

    assert 0 == in_child(child)
    ns.int("n").add(1000)
    ns.flush()
    backend.close()
    for client in made:
        client.close()

    assert int(provided) == len(made)
    with Store(S3Backend(config)) as store:
        ns = store.namespace("app")
        ns.flush()

        assert 1111 == ns.int("n").get()


def test_an_unfit_client_is_refused_at_once(bucket: str) -> None:
    """At construction, where the mistake was made."""
    client: Any = boto3.session.Session().client("s3")
    with pytest.raises(ConfigError, match="client_config"):
        S3Backend(S3BackendConfig(bucket=bucket), lambda: client)
    client.close()


def test_a_backend_that_was_never_used_leaves_nothing_open(config: S3BackendConfig) -> None:
    """The client that the check was made with is given back."""
    from metadatadb_s3 import client

    S3Backend(config).close()

    assert config.endpoint_url not in {wanted.endpoint_url for wanted in client._clients._in_use}
