"""Opening a Redis backend, by every way there is, what goes wrong at once, and what a crash of the server costs."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from metadatadb_core import Duration, Registry, Store, connect
from metadatadb_core.errors import BackendUnavailableError, ConfigError, UnflushedOpsError
from metadatadb_core.replication import ABSENT
from metadatadb_redis import RedisBackend, RedisBackendConfig, register_redis
from metadatadb_redis.store import RedisObjectStore
from metadatadb_redis.testing import RedisServer

MakeConfig = Callable[..., RedisBackendConfig]


def test_knowing_of_the_backend_does_not_load_redis_py() -> None:
    """Listing plugins, or printing the schema, must not cost what its users pay."""
    program = (
        "import sys, metadatadb_redis\n"
        "from metadatadb_core import Registry\n"
        "assert 'database' in Registry().schema('redis')\n"
        "print('redis' in sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "False" == loaded.stdout.strip()


# -- what to connect to ----------------------------------------------------------------------------------------------


@pytest.fixture
def located() -> Callable[[str], RedisBackendConfig]:
    """The configuration that a URL becomes."""
    made: list[RedisBackendConfig] = []

    class Seen(Exception):
        """Enough."""

    def make(config: RedisBackendConfig) -> Any:
        made.append(config)
        raise Seen

    from metadatadb_redis.plugin import from_url

    registry = Registry()
    registry.register("redis", "Only looks", make, RedisBackendConfig, from_url)

    def located(url: str) -> RedisBackendConfig:
        with pytest.raises(Seen):
            connect(url, registry=registry)
        return made[-1]

    return located


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host", {"host": "host"}),
        ("redis://host:6380/2", {"host": "host", "port": 6380, "database": 2}),
        ("redis://host/", {"host": "host"}),
        ("redis://[::1]:6380", {"host": "::1", "port": 6380}),
        ("redis://:p%40ss%2F@host", {"host": "host", "password": "p@ss/"}),
        ("redis://me:pass@host/1", {"host": "host", "username": "me", "password": "pass", "database": 1}),
        ("rediss://host", {"host": "host", "tls": True}),
        ("redis://host?prefix=a/&lock-ttl=9s", {"host": "host", "prefix": "a/", "lock_ttl": Duration("9s")}),
        ("redis://host?password=secret", {"host": "host", "password": "secret"}),
    ],
)
def test_a_url_says_it_all(located: Callable[[str], RedisBackendConfig], url: str, expected: dict[str, object]) -> None:
    """Server, database, login and TLS by their places, everything else as a parameter."""
    assert RedisBackendConfig(**{"tls": False, **expected}) == located(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis:///0",
        "redis://me:secret@",
        "redis://host/name",
        "redis://host/1/2",
        "redis://host/-1",
        "redis://host/\u00b2",
        "redis://me:secret/more@host",
        "redis://me:12/secret@host",
        "redis://host:port",
        "redis://host:0",
        "redis://me:secret@host:70000",
        "redis://me:secret@host?databas=1",
    ],
)
def test_a_url_that_makes_no_sense_is_refused_and_not_repeated(url: str) -> None:
    """What is misplaced in it may be a password, and errors end up in logs."""
    registry = Registry()
    register_redis(registry)
    with pytest.raises(ConfigError) as caught:
        connect(url, registry=registry)

    assert "secret" not in f"{caught.value} {caught.value!r}"


def test_secrets_are_shown_nowhere(
    own_server: RedisServer, make_config: MakeConfig, admin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the configuration's repr, in errors, events' names, logs or status."""
    admin.config_set("requirepass", "hush")
    caplog.set_level(logging.DEBUG)
    config = make_config(own_server.port, username="default", password="s3cr3t")
    with pytest.raises(BackendUnavailableError) as caught:
        RedisBackend(config)
    admin.config_set("requirepass", "s3cr3t")
    with closing(RedisBackend(config)) as backend:
        backend.flush("app")
        admin.config_set("requirepass", "other")
        admin.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(BackendUnavailableError) as later:
            backend.flush("app")
        status = backend.status("app")
    shown = [repr(config), caught.value, later.value, later.value.__cause__, status, caplog.text, vars(caught.value)]

    assert f"redis://127.0.0.1:{own_server.port}/0" in str(caught.value)
    assert [] == [text for text in map(str, shown) if "s3cr3t" in text]


# -- opening ---------------------------------------------------------------------------------------------------------


def test_a_url_opens_a_store(server: RedisServer) -> None:
    """The plugin is found by its entry point; its prefix and its database keep namespaces apart."""
    for url in ("/0?prefix=a/", "/0", "/1", "/0?prefix=a/"):
        with connect(f"redis://127.0.0.1:{server.port}{url}") as store:
            store.namespace("app").int("n").add(1)
    counted = []
    for url in ("/0?prefix=a/", "/0", "/1"):
        with connect(f"redis://127.0.0.1:{server.port}{url}") as store:
            store.namespace("app").flush()
            counted.append(store.namespace("app").int("n").get())

    assert [2, 1, 1] == counted


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"database": 99}], ids=["login", "database"])
def test_what_no_waiting_cures_is_reported_at_once(
    own_server: RedisServer, make_config: MakeConfig, admin: Any, wrong: dict[str, Any]
) -> None:
    """Where the mistake was made, rather than in the first flush."""
    if "password" in wrong:
        admin.config_set("requirepass", "right")
    config = make_config(own_server.port, **wrong)
    with pytest.raises(BackendUnavailableError) as caught:
        RedisBackend(config)

    assert ("password" in wrong) is caught.value.denied
    assert config.server in str(caught.value)


def test_a_server_that_is_down_is_waited_for(own_server: RedisServer, make_config: MakeConfig) -> None:
    """Opening succeeds, writes are kept, reads see them, and closing tells what could not be stored."""
    own_server.kill()
    backend = RedisBackend(make_config(own_server.port, load_timeout="1ms"))
    ns = Store(backend).namespace("app")
    ns.int("n").add(1)
    status, seen = ns.status(), ns.int("n").get()
    with pytest.raises(UnflushedOpsError) as caught:
        backend.close(timeout=0)
    own_server.start()
    backend.close()

    assert (False, 1, 1) == (status.loaded, status.pending_ops, seen)
    assert {"app": 1} == caught.value.pending


@pytest.mark.parametrize(
    ("policy", "limit", "warned"),
    [("allkeys-lru", "100mb", True), ("allkeys-lru", "0", False), ("volatile-lru", "100mb", False)],
)
def test_a_server_that_may_drop_keys_is_warned_of(
    own_server: RedisServer,
    make_config: MakeConfig,
    admin: Any,
    caplog: pytest.LogCaptureFixture,
    policy: str,
    limit: str,
    warned: bool,
) -> None:
    """With a limit and a policy that takes any key, a namespace may be gone; ours have no expiry to go by."""
    admin.config_set("maxmemory-policy", policy)
    admin.config_set("maxmemory", limit)
    RedisBackend(make_config(own_server.port)).close()

    assert warned is ("maxmemory-policy to noeviction" in caplog.text)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_parent_and_child_go_on_side_by_side_after_a_fork(
    server: RedisServer, make_config: MakeConfig, in_child: Callable[[Callable[[], None]], int]
) -> None:
    """Each with connections of its own; what was pending at the fork is the parent's, and counts once."""
    config = make_config(server.port)
    backend = RedisBackend(config)
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

    with Store(RedisBackend(config)) as store:
        store.namespace("app").flush()

        assert 1111 == store.namespace("app").int("n").get()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not on PATH")
def test_tls_is_checked(needs_redis: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a certificate of an authority that this machine trusts, for the name in the URL; any other is no server."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    request += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(request, check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    try:
        server = RedisServer(tmp_path, *options, "--tls-auth-clients", "no")
    except RuntimeError as error:
        pytest.skip(f"this redis-server has no TLS: {error}")

    def reason(host: str) -> str:
        with closing(RedisObjectStore(RedisBackendConfig(host=host, port=port, tls=True))) as store:
            try:
                store.put("key", b"", expect=ABSENT)
            except Exception as failure:
                return str(failure)
        return "stored"

    with server:
        untrusted = reason("localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        other_name = reason("127.0.0.1")
        trusted = reason("localhost")

    assert "CERTIFICATE_VERIFY_FAILED" in untrusted
    assert "mismatch" in other_name
    assert "stored" == trusted


# -- crashes ---------------------------------------------------------------------------------------------------------


def test_no_op_is_lost_or_doubled_while_the_server_is_killed_again_and_again(
    own_server: RedisServer, make_config: MakeConfig
) -> None:
    """Killed in the middle of whatever three writing replicas do; what it has answered, it had written to its file."""
    config = make_config(own_server.port, sync_interval="20ms", lock_ttl="1s")
    stores = [Store(RedisBackend(config)) for _ in range(3)]
    applied = [0] * len(stores)
    done = threading.Event()

    def write(number: int) -> None:
        counter = stores[number].namespace("app").int("n")
        while not done.is_set():
            counter.add(1)
            applied[number] += 1
            done.wait(0.0005)

    writing = [threading.Thread(target=write, args=(number,)) for number in range(len(stores))]
    for thread in writing:
        thread.start()
    for _ in range(8):
        done.wait(0.15)
        own_server.kill()
        own_server.start()
    done.set()
    for thread in writing:
        thread.join()
    for _ in range(2):
        for store in stores:
            store.namespace("app").flush()
    totals = [store.namespace("app").int("n").get() for store in stores]
    for store in stores:
        store.close()

    assert [sum(applied)] * len(stores) == totals
    assert sum(applied) > 0
