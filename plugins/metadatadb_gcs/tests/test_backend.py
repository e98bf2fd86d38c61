"""Opening a GCS backend, by every way there is, and what goes wrong at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from metadatadb_core import Registry, Store, connect
from metadatadb_core.config import Duration
from metadatadb_core.errors import BackendUnavailableError, ConfigError, UnflushedOpsError, UnsafeStoreError
from metadatadb_core.testing.faulty_proxy import Answer, Drop, FaultyProxy
from metadatadb_gcs import GCSBackend, GCSBackendConfig, client, register_gcs

SDK = {"google", "requests", "urllib3"}


def test_knowing_of_the_backend_does_not_load_the_sdk() -> None:
    """Listing plugins, or printing the schema, must not cost half a second and 50 MB."""
    program = (
        "import sys, metadatadb_gcs\n"
        "from metadatadb_core import Registry\n"
        "assert 'endpoint-url' in Registry().schema('gcs')\n"
        # Packages that share the name "google" may be loaded by a .pth file of their own, without any of their code.
        "loaded = {name for name, module in sys.modules.items() if getattr(module, '__file__', None)}\n"
        f"print(sorted({SDK!r} & {{name.partition('.')[0] for name in loaded}}))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "[]" == loaded.stdout.strip()


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
def test_a_url_opens_a_store(bucket: str, strict_server: str, scheme: str) -> None:
    """Every attribute is a parameter, by its HCL name; the path is a folder in the bucket."""
    url = f"{scheme}://{bucket}/team%20a?endpoint-url={strict_server}&sync-interval=5s"
    with connect(url) as store:
        store.namespace("app").int("n").add(1)
    with connect(url + "&lock-ttl=10s&project=payer") as store:
        ns = store.namespace("app")
        ns.flush()

        assert 1 == ns.int("n").get()
    with connect(f"{scheme}://{bucket}?endpoint-url={strict_server}&prefix=team%20a/") as store:
        ns = store.namespace("app")
        ns.flush()

        assert 1 == ns.int("n").get()


@pytest.mark.parametrize("url", ["gs://", "gs:///folder", "gs://user:secret@b", "gs://b:9000"])
def test_a_url_without_a_bucket_alone_is_refused(url: str) -> None:
    """A password in a URL ends up in logs, and must not be repeated there."""
    with pytest.raises(ConfigError) as caught:
        connect(url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    ["gcs:4443", "ftp://gcs", "http://", "http://gcs:port", "http://me:secret@gcs", "", "//gcs", "http://gcs?secret"],
)
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    """The SDK would say so much later, and less clearly."""
    with pytest.raises(ConfigError, match="endpoint-url") as caught:
        GCSBackendConfig(bucket="b", endpoint_url=endpoint)

    assert "endpoint-url" == caught.value.attribute
    assert "secret" not in str(caught.value)


def test_an_endpoint_may_end_in_a_slash(emulator: str, emulator_bucket: str) -> None:
    """As people copy it from where it is shown."""
    GCSBackend(GCSBackendConfig(bucket=emulator_bucket, endpoint_url=f"{emulator}/")).close()


def test_the_defaults_are_the_originals() -> None:
    """30 seconds each."""
    config = GCSBackendConfig(bucket="b")

    assert (30.0, 30.0) == (config.lock_ttl.seconds, config.sync_interval.seconds)
    with pytest.raises(ConfigError):
        GCSBackendConfig(bucket="")


@pytest.mark.parametrize("server", ["strict_server", "emulator"])
def test_a_missing_bucket_is_reported_at_once(server: str, request: pytest.FixtureRequest) -> None:
    """With the bucket, the endpoint and what to do."""
    url = request.getfixturevalue(server)
    with pytest.raises(BackendUnavailableError) as caught:
        GCSBackend(GCSBackendConfig(bucket="missing", endpoint_url=url))

    assert not caught.value.denied
    for part in ("gs://missing", url, "404", "create the bucket"):
        assert part in str(caught.value)


def test_a_wrong_project_is_reported_at_once(bucket: str, strict_server: str) -> None:
    """With the attribute to correct."""
    with pytest.raises(BackendUnavailableError, match="attribute project"):
        GCSBackend(GCSBackendConfig(bucket=bucket, endpoint_url=strict_server, project="nobodys"))


def test_denied_access_is_reported_at_once(config: GCSBackendConfig, proxy: FaultyProxy) -> None:
    """With the permissions that are needed."""
    proxy.inject(Answer(403, b'{"error": {"code": 403, "errors": [{"reason": "forbidden"}]}}'))
    with pytest.raises(BackendUnavailableError, match=r"storage\.objects\.list") as caught:
        GCSBackend(config)

    assert caught.value.denied


def test_missing_credentials_are_reported_at_once() -> None:
    """And not taken for a store that may come back."""
    with pytest.raises(BackendUnavailableError, match="credentials") as caught:
        GCSBackend(GCSBackendConfig(bucket="b"))

    assert caught.value.denied


@pytest.mark.parametrize("fault", [Drop(applied=False), Answer(503), Answer(500)], ids=repr)
def test_a_bucket_that_cannot_be_reached_is_waited_for(
    config: GCSBackendConfig, proxy: FaultyProxy, fault: Drop | Answer
) -> None:
    """A program must come up while the store is down, and work once it is back."""
    proxy.inject(fault)
    with Store(GCSBackend(config)) as store:
        ns = store.namespace("app")
        ns.int("n").add(1)
        ns.flush()

        assert ns.status().loaded


def test_while_the_store_is_down_the_status_says_so_and_nothing_is_lost(bucket: str, proxy: FaultyProxy) -> None:
    """Opening succeeds, writes are kept, reads see them, and closing tells what could not be stored."""
    proxy.inject(Drop(applied=False), times=sys.maxsize)
    backend = GCSBackend(GCSBackendConfig(bucket=bucket, endpoint_url=proxy.url, load_timeout=Duration("1ms")))
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


def make_client(url: str) -> Any:
    """As whoever has a client already would have made it."""
    options = {"api_endpoint": url}
    return storage.Client(project="p", credentials=AnonymousCredentials(), client_options=options)


def test_a_client_provider_is_asked_once_and_its_client_is_left_open(bucket: str, strict_server: str) -> None:
    """Whoever made the client may use it for more."""
    made: list[Any] = []

    def provide() -> Any:
        made.append(make_client(strict_server))
        return made[-1]

    registry = Registry()
    register_gcs(registry, provide)
    with connect(f"gs://{bucket}", registry=registry) as store:
        ns = store.namespace("app")
        ns.int("n").add(1)
        ns.flush()
    (only,) = made
    found = GCSBackend(GCSBackendConfig(bucket=bucket), lambda: only)
    value = Store(found).namespace("app").int("n").get()
    found.close()
    only.close()

    assert 1 == value


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("provided", [False, True])
def test_parent_and_child_go_on_side_by_side_after_a_fork(
    bucket: str, strict_server: str, in_child: Callable[[Callable[[], None]], int], provided: bool
) -> None:
    """Each with connections of its own; what was pending at the fork is the parent's, and counts once."""
    config = GCSBackendConfig(bucket=bucket, endpoint_url=strict_server)
    made: list[Any] = []

    def provide() -> Any:
        made.append(make_client(strict_server))
        return made[-1]

    backend = GCSBackend(config, provide if provided else None)
    ns = Store(backend).namespace("app")
    ns.int("n").add(1)
    ns.flush()
    ns.int("n").add(10)

    def child() -> None:
        ns.int("n").add(100)
        ns.flush()
        assert 2 * int(provided) == len(made)
        assert int(not provided) == len(client._clients._in_use)

    assert 0 == in_child(child)
    ns.int("n").add(1000)
    ns.flush()
    backend.close()
    for one in made:
        one.close()

    assert int(provided) == len(made)
    with Store(GCSBackend(config)) as store:
        ns = store.namespace("app")
        ns.flush()

        assert 1111 == ns.int("n").get()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_client_that_was_provided_before_a_fork_is_refused_after_it(
    bucket: str, strict_server: str, in_child: Callable[[Callable[[], None]], int]
) -> None:
    """Rather than that two processes read each other's answers."""
    only = make_client(strict_server)
    backend = GCSBackend(GCSBackendConfig(bucket=bucket), lambda: only)
    ns = Store(backend).namespace("app")
    ns.flush()

    def child() -> None:
        with pytest.raises(ConfigError, match="forked from"):
            ns.flush()

    assert 0 == in_child(child)
    backend.close()
    only.close()


def test_an_unfit_client_is_refused_at_once(bucket: str) -> None:
    """At construction, where the mistake was made."""
    with pytest.raises(ConfigError, match="client_provider"):
        GCSBackend(GCSBackendConfig(bucket=bucket), lambda: None)


def test_a_backend_that_was_never_used_leaves_nothing_open(config: GCSBackendConfig) -> None:
    """The client that the check was made with is given back."""
    GCSBackend(config).close()

    assert config.endpoint_url not in {wanted.endpoint_url for wanted in client._clients._in_use}


def test_a_backend_that_could_not_be_opened_leaves_nothing_open(config: GCSBackendConfig, proxy: FaultyProxy) -> None:
    """Nor does one whose bucket is denied."""
    proxy.inject(Answer(403))
    with pytest.raises(BackendUnavailableError):
        GCSBackend(config)

    assert config.endpoint_url not in {wanted.endpoint_url for wanted in client._clients._in_use}


def test_a_store_that_ignores_conditions_is_refused(config: GCSBackendConfig, proxy: FaultyProxy) -> None:
    """By name, before anything of a namespace is written to it."""
    backend = GCSBackend(config)
    ns = Store(backend).namespace("app")
    proxy.inject(Answer(200, b'{"generation": "1"}'), method="POST", times=2)
    ns.int("n").add(1)
    with pytest.raises(UnsafeStoreError, match=f"gs://.* at {proxy.url}"):
        ns.flush()
    ns.discard_pending()
    backend.close()

    assert all(b".probe-" in seen.body for seen in proxy.received if seen.method == "POST")


def test_a_store_that_ignores_conditions_of_deletes_is_used_with_a_warning(
    emulator: str, emulator_bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    """fake-gcs-server is one; the engine then takes care of when it gives a lock back."""
    with Store(GCSBackend(GCSBackendConfig(bucket=emulator_bucket, endpoint_url=emulator))) as store:
        ns = store.namespace("app")
        for _ in range(3):
            ns.int("n").add(1)
            ns.flush()

    assert 1 == sum("conditions on deletes" in record.getMessage() for record in caplog.records)
