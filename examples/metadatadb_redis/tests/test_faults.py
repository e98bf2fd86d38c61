"""Each way in which a request can fail, on a real server, is the outcome that tells the engine what to do."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis import exceptions as sdk

from metadatadb_core.replication import ABSENT, Denied, OutcomeUnknown, Rejected, StoreFailure, Unavailable, Version
from metadatadb_redis import RedisBackendConfig
from metadatadb_redis.faults import failed_connection, failed_request
from metadatadb_redis.store import RedisObjectStore
from metadatadb_redis.testing import RedisServer

KEY = ".metadata/app.json"
NOWHERE = Version("0" * 32)

MakeConfig = Callable[..., RedisBackendConfig]


def failures(store: RedisObjectStore) -> list[type[StoreFailure]]:
    """What each kind of request comes to."""
    kinds: list[type[StoreFailure]] = []
    for request in (
        lambda: store.get(KEY),
        lambda: store.put(KEY, b"1", expect=ABSENT),
        lambda: store.put(KEY, b"1", expect=NOWHERE),
        lambda: store.delete(KEY, expect=NOWHERE),
        lambda: list(store.list("")),
    ):
        with pytest.raises(StoreFailure) as caught:
            request()
        kinds.append(type(caught.value))
    return kinds


# -- the way there and back ------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_was_sent_nothing(needs_redis: None, make_config: MakeConfig) -> None:
    """Refused, or with a name that leads nowhere: the same may be tried again."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with closing(RedisObjectStore(make_config(nobody.getsockname()[1]))) as store:
            assert [Unavailable] * 5 == failures(store)
    with closing(RedisObjectStore(RedisBackendConfig(host="nowhere.invalid"))) as store:
        assert [Unavailable] * 5 == failures(store)


def test_a_server_that_does_not_take_the_connection_was_sent_nothing(make_config: MakeConfig) -> None:
    """It listens and says nothing: the login is where time runs out, and no request was made yet."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = make_config(silent.getsockname()[1], lock_ttl="200ms", password="secret")
        with closing(RedisObjectStore(config)) as store:
            assert [Unavailable] * 5 == failures(store)


def test_a_lost_request_is_unknown(relay: Any, store: RedisObjectStore, make_config: MakeConfig) -> None:
    """Nobody can tell it from a lost answer."""
    with closing(RedisObjectStore(make_config(relay.port))) as relayed:
        relayed.get(KEY)
        relay.loses = "request"
        with pytest.raises(OutcomeUnknown):
            relayed.put(KEY, b"1", expect=ABSENT)

    assert store.get(KEY) is None


@pytest.mark.parametrize("loses", ["answer", "half"])
def test_a_lost_answer_is_unknown_and_the_write_is_sent_once(
    relay: Any, store: RedisObjectStore, make_config: MakeConfig, loses: str
) -> None:
    """redis-py must not send it again: it would report its own success as a conflict."""
    with closing(RedisObjectStore(make_config(relay.port))) as relayed:
        assert relayed.get(KEY) is None
        relay.loses, relay.scripts = loses, 0
        with pytest.raises(OutcomeUnknown):
            relayed.put(KEY, b"1", expect=ABSENT)
        sent = relay.scripts
        relay.loses = None
        found = relayed.get(KEY)

    assert 1 == sent
    assert found is not None
    assert b"1" == found.body


def test_a_truncated_body_is_unknown(relay: Any, store: RedisObjectStore, make_config: MakeConfig) -> None:
    """Half of a state must never be taken for a state."""
    store.put(KEY, b"x" * 100_000, expect=ABSENT)
    with closing(RedisObjectStore(make_config(relay.port))) as relayed:
        assert relayed.get("other") is None
        relay.loses = "half"
        with pytest.raises(OutcomeUnknown):
            relayed.get(KEY)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped here")
def test_a_server_that_does_not_answer_in_time_may_have_written(
    own_server: RedisServer, own_store: RedisObjectStore, make_config: MakeConfig
) -> None:
    """It was sent, and is carried out when the server goes on: nothing but Unknown is true."""
    own_store.get(KEY)
    with closing(RedisObjectStore(make_config(own_server.port, lock_ttl="3s"))) as store:
        store.get(KEY)
        os.kill(own_server.process, signal.SIGSTOP)
        try:
            with pytest.raises(OutcomeUnknown):
                store.put(KEY, b"late", expect=ABSENT)
        finally:
            os.kill(own_server.process, signal.SIGCONT)
    _await(lambda: own_store.get(KEY) is not None)


def test_an_idle_connection_that_the_server_closed_is_replaced(own_store: RedisObjectStore, admin: Any) -> None:
    """A server that was restarted, or that closes idle clients, costs no failed request."""
    own_store.get(KEY)
    admin.client_kill_filter(_type="normal", skipme=True)

    assert own_store.put(KEY, b"1", expect=ABSENT)


# -- what the server says --------------------------------------------------------------------------------------------


def test_a_login_that_is_refused_is_denied(own_server: RedisServer, make_config: MakeConfig, admin: Any) -> None:
    """With no password, a wrong one, or an unknown user."""
    admin.config_set("requirepass", "right")
    for login in ({}, {"password": "wrong"}, {"username": "nobody", "password": "right"}):
        with closing(RedisObjectStore(make_config(own_server.port, **login))) as store:
            assert [Denied] * 5 == failures(store)
    with closing(RedisObjectStore(make_config(own_server.port, password="right"))) as store:
        assert store.get(KEY) is None


def test_a_password_that_is_asked_for_on_an_open_connection_is_denied(
    own_server: RedisServer, own_store: RedisObjectStore, admin: Any
) -> None:
    """Who was logged in and no longer may be, is told so in the middle."""
    own_store.get(KEY)
    admin.acl_setuser("default", enabled=True, nopass=True, reset_passwords=False, commands=["-eval"])
    with pytest.raises(Denied, match=r"\+eval"):
        own_store.get(KEY)


def test_a_user_without_rights_is_denied(own_server: RedisServer, make_config: MakeConfig, admin: Any) -> None:
    """The error names the commands and the keys that have to be allowed; with just these it works."""
    needed = "+eval +scan +hget +hmget +hset +hstrlen +del +exists +type +time +select"
    admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~team-a/*", *needed.split())
    admin.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all", "-hset", "-del", "-scan")
    with closing(RedisObjectStore(make_config(own_server.port, username="app", password="pw"))) as store:
        version = store.put(f"team-a/{KEY}", b"1", expect=ABSENT)
        version = store.put(f"team-a/{KEY}", b"2", expect=version)
        listed = [info.key for info in store.list("team-a/")]
        store.delete(f"team-a/{KEY}", expect=version)
        with pytest.raises(Denied, match="prefix"):
            store.get(KEY)
        with pytest.raises(Denied, match="prefix"):
            store.put(KEY, b"1", expect=ABSENT)
    with closing(RedisObjectStore(make_config(own_server.port, username="reader", password="pw"))) as store:
        assert store.get(KEY) is None
        with pytest.raises(Denied, match=r"\+hset"):
            store.put(KEY, b"1", expect=ABSENT)
        with pytest.raises(Denied):
            list(store.list(""))

    assert [f"team-a/{KEY}"] == listed


def test_a_database_that_is_not_there_is_rejected(server: RedisServer, make_config: MakeConfig) -> None:
    """Its number is a mistake that no waiting cures."""
    with closing(RedisObjectStore(make_config(server.port, database=99))) as store:
        assert [Rejected] * 5 == failures(store)


def test_a_server_with_too_many_clients_was_sent_nothing(
    own_server: RedisServer, make_config: MakeConfig, admin: Any
) -> None:
    """It says so before it takes a request."""
    admin.config_set("maxclients", 1)
    with closing(RedisObjectStore(make_config(own_server.port))) as store:
        assert [Unavailable] * 5 == failures(store)


def test_a_replica_takes_no_write_and_is_asked_anew(own_store: RedisObjectStore, admin: Any) -> None:
    """After a failover the name may lead to another server: the same is tried again, on a new connection."""
    version = own_store.put(KEY, b"1", expect=ABSENT)
    admin.replicaof("127.0.0.1", "1")
    opened = admin.info("stats")["total_connections_received"]
    for _ in range(2):
        with pytest.raises(Unavailable, match="name the primary"):
            own_store.put(KEY, b"2", expect=version)
    found = own_store.get(KEY)
    admin.config_set("replica-serve-stale-data", "no")
    with pytest.raises(Unavailable, match="lost its primary"):
        own_store.get(KEY)
    admin.replicaof("NO", "ONE")

    assert found is not None
    assert (b"1", version) == (found.body, found.version)
    assert opened + 2 <= admin.info("stats")["total_connections_received"]
    assert own_store.put(KEY, b"2", expect=version)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"maxmemory": "1", "maxmemory-policy": "noeviction"}, "maxmemory"),
        ({"min-replicas-to-write": "1"}, "min-replicas-to-write"),
    ],
)
def test_a_server_that_takes_no_write_now_has_written_nothing(
    own_store: RedisObjectStore, admin: Any, settings: dict[str, str], advice: str
) -> None:
    """Memory that is full, replicas that are missing: it may pass, the object is as it was, and reads go on."""
    version = own_store.put(KEY, b"1", expect=ABSENT, metadata={"a": "1"})
    for name, value in settings.items():
        admin.config_set(name, value)
    with pytest.raises(Unavailable, match=advice):
        own_store.put(KEY, b"2" * 1000, expect=version, metadata={"a": "2"})
    found = own_store.get(KEY)

    assert found is not None
    assert (b"1", version, {"a": "1"}) == (found.body, found.version, dict(found.metadata))


def test_a_server_that_cannot_save_takes_no_write(
    own_server: RedisServer, own_store: RedisObjectStore, admin: Any, tmp_path: Path
) -> None:
    """Redis refuses writes until a snapshot succeeds again."""
    admin.config_set("appendonly", "no")
    admin.config_set("save", "3600 1000000")
    shutil.rmtree(tmp_path / "redis")
    admin.bgsave()
    _await(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")

    with pytest.raises(Unavailable, match="cannot save"):
        own_store.put(KEY, b"1", expect=ABSENT)


def test_a_server_that_is_busy_with_a_script_is_tried_again(
    own_server: RedisServer, make_config: MakeConfig, admin: Any
) -> None:
    """It has not looked at the request."""
    admin.config_set("busy-reply-threshold", "1")

    def spin() -> None:
        with closing(Redis(port=own_server.port)) as client, pytest.raises(sdk.ResponseError, match="SCRIPT KILL"):
            client.eval("while true do end", 0)

    spinning = threading.Thread(target=spin)
    with closing(RedisObjectStore(make_config(own_server.port))) as store:
        store.get(KEY)  # so that the connection is there
        spinning.start()
        try:
            _await(lambda: _is_busy(admin))
            with pytest.raises(Unavailable, match="script"):
                store.get(KEY)
        finally:
            admin.script_kill()
            spinning.join()

        assert store.get(KEY) is None


def test_a_server_that_loads_its_data_is_tried_again(
    own_server: RedisServer, own_store: RedisObjectStore, admin: Any
) -> None:
    """What it has not loaded yet must not pass for absent."""
    admin.config_set("appendonly", "no")
    admin.mset({f"key:{number}": "x" * 100 for number in range(2000)})
    version = own_store.put(KEY, b"1", expect=ABSENT)
    admin.save()
    own_server.kill()
    loading = ("--appendonly", "no", "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
    own_server.options += loading
    own_server.start()
    with pytest.raises(Unavailable, match="just started"):
        own_store.get(KEY)
    _await(lambda: not admin.info("persistence")["loading"])
    found = own_store.get(KEY)

    assert found is not None
    assert version == found.version


@pytest.fixture
def cluster_store(needs_redis: None, tmp_path: Path, make_config: MakeConfig) -> Iterator[RedisObjectStore]:
    """A client of a node of a cluster, to which no key belongs yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        bus = str(probe.getsockname()[1])
    with (
        RedisServer(tmp_path, "--cluster-enabled", "yes", "--cluster-port", bus) as server,
        closing(RedisObjectStore(make_config(server.port))) as store,
    ):
        yield store


def test_a_cluster_is_refused_with_a_reason(cluster_store: RedisObjectStore) -> None:
    """Its keys lie on several servers, of which this client knows one."""
    with pytest.raises(Unavailable, match="Redis Cluster, which is not supported"):
        cluster_store.get(KEY)


# -- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (sdk.MovedError("1 127.0.0.1:7000"), Rejected),
        (sdk.AskError("2 127.0.0.1:7000"), Rejected),
        (sdk.ClusterCrossSlotError("keys"), Rejected),
        (sdk.TryAgainError("later"), Unavailable),
        (sdk.ResponseError("unknown command 'EVAL', with args beginning with:"), Rejected),
        (sdk.ResponseError("DENIED Redis is running in protected mode"), Denied),
        (sdk.ResponseError("ACL failure in script: User app has no permissions to run the 'hset' command"), Denied),
        (sdk.ResponseError("upstream failure"), OutcomeUnknown),
        (sdk.ResponseError("something new"), OutcomeUnknown),
        (sdk.ResponseError(""), OutcomeUnknown),
        (sdk.InvalidResponse("Protocol Error"), OutcomeUnknown),
        (sdk.ConnectionError("reset"), OutcomeUnknown),
        (sdk.TimeoutError("late"), OutcomeUnknown),
        (OSError("what"), OutcomeUnknown),
    ],
    ids=lambda value: str(value) or "nothing" if isinstance(value, Exception) else value.__name__,
)
def test_an_answer_that_nobody_has_heard_of_is_unknown(answer: Exception, outcome: type[StoreFailure]) -> None:
    """A proxy in between has words of its own, and may have passed the request on."""
    assert outcome is type(failed_request(answer))


@pytest.mark.parametrize("error", [sdk.ConnectionError("refused"), sdk.TimeoutError("late"), OSError("what")], ids=repr)
def test_what_was_never_sent_was_not_applied(error: Exception) -> None:
    """The same error that is unknown once the request is on its way."""
    assert Unavailable is type(failed_connection(error))


def _is_busy(admin: Any) -> bool:
    try:
        admin.ping()
    except sdk.ResponseError as error:
        return "BUSY" in str(error)
    return False


def _await(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError(f"not within {seconds:g}s")
