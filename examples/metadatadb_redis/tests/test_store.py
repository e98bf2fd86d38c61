"""What the conformance suite cannot know of: how objects lie in Redis, and what else lies there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metadatadb_core.replication import ABSENT, NotModified, PreconditionFailed, Rejected, Version
from metadatadb_redis import RedisBackendConfig
from metadatadb_redis.store import RedisObjectStore
from metadatadb_redis.testing import RedisServer

KEY = ".metadata/app.json"


@pytest.mark.parametrize("prefix", ["a*", "a?", "[ab]", "[^a]", "\\a", "a\\*", "a-b", "^a", "ab]", "é*"])
def test_a_prefix_is_text_and_no_pattern(store: RedisObjectStore, prefix: str) -> None:
    """Characters that mean something in a pattern of SCAN stand for themselves."""
    for key in ("a", "ab", "abc", "aab", "a*b", "b", "c", "\\ab", "éa", f"{prefix}x"):
        store.put(key, b"", expect=ABSENT)
    every = [info.key for info in store.list("")]

    assert [key for key in every if key.startswith(prefix)] == [info.key for info in store.list(prefix)]


def test_what_somebody_else_stored_is_not_taken_for_an_object(own_store: RedisObjectStore, admin: Any) -> None:
    """It is not listed, read as absent, overwritten or removed."""
    admin.set("text", "theirs")
    admin.hset("hash", mapping={"field": "theirs"})
    admin.set(b"\xff", "no UTF-8")
    for key in ("text", "hash"):
        with pytest.raises(Rejected, match="another prefix"):
            own_store.get(key)
        with pytest.raises(PreconditionFailed):
            own_store.put(key, b"ours", expect=ABSENT)
        with pytest.raises((PreconditionFailed, Rejected)):
            own_store.put(key, b"ours", expect=Version("0" * 32))
        with pytest.raises((PreconditionFailed, Rejected)):
            own_store.delete(key, expect=Version("0" * 32))

    assert [] == list(own_store.list(""))
    assert (b"theirs", {b"field": b"theirs"}) == (admin.get("text"), admin.hgetall("hash"))


def test_an_object_is_one_hash(own_store: RedisObjectStore, admin: Any) -> None:
    """With its type and metadata beside its body: whoever looks with redis-cli finds their way."""
    version = own_store.put(KEY, b"{}", expect=ABSENT, content_type="application/json", metadata={"a": "é"})
    stored = admin.hgetall(KEY)

    assert {b"version", b"body", b"type", b"metadata", b"modified"} == set(stored)
    assert (version.encode(), b"{}", b"application/json") == (stored[b"version"], stored[b"body"], stored[b"type"])
    assert '{"a":"é"}'.encode() == stored[b"metadata"]


def test_a_key_that_a_scan_comes_upon_twice_is_listed_once(store: RedisObjectStore, monkeypatch: Any) -> None:
    """Redis may do so when its table shrinks meanwhile; here each answer of SCAN is made to say everything twice."""
    request = store._connections.request

    def scanning_twice(*command: Any) -> Any:
        answer = request(*command)
        return [answer[0], answer[1] * 2] if command[0] == "SCAN" else answer

    monkeypatch.setattr(store._connections, "request", scanning_twice)
    for key in ("b", "a"):
        store.put(key, b"", expect=ABSENT)

    assert ["a", "b"] == [info.key for info in store.list("")]


def test_a_listing_is_complete_while_others_write(server: RedisServer, make_config: Any) -> None:
    """What is there all the time is listed, in order, however the table is rehashed meanwhile."""
    config = make_config(server.port)
    with closing(RedisObjectStore(config)) as reader, closing(RedisObjectStore(config)) as writer:
        keys = [f"kept/{number:04}" for number in range(1500)]
        for key in keys:
            writer.put(key, b"", expect=ABSENT)
        done = threading.Event()

        def churn() -> None:
            while not done.is_set():
                made = [(f"kept/x{number}", writer.put(f"kept/x{number}", b"", expect=ABSENT)) for number in range(300)]
                for key, version in made:
                    writer.delete(key, expect=version)

        churning = threading.Thread(target=churn)
        churning.start()
        try:
            listings = [[info.key for info in reader.list("kept/")] for _ in range(20)]
        finally:
            done.set()
            churning.join()

    for listing in listings:
        assert sorted(set(listing)) == listing
        assert keys == [key for key in listing if not key.startswith("kept/x")]


def test_times_are_the_server_s(store: RedisObjectStore) -> None:
    """To the microsecond, in UTC; the server's date goes on while the object stays."""
    before = datetime.now(UTC)
    store.put(KEY, b"", expect=ABSENT)
    first, second = store.get(KEY), store.get(KEY)
    after = datetime.now(UTC)

    assert first is not None
    assert second is not None
    assert first.modified is not None
    assert first.modified == second.modified
    assert first.server_date is not None
    assert second.server_date is not None
    assert before - timedelta(seconds=1) <= first.modified <= first.server_date < second.server_date
    assert second.server_date <= after + timedelta(seconds=1)


def test_what_was_put_survives_a_killed_server(own_server: RedisServer, own_store: RedisObjectStore) -> None:
    """With its version, on which the next put rests; the client finds the new server by itself."""
    version = own_store.put(KEY, b"1", expect=ABSENT, metadata={"a": "b"})
    own_server.kill()
    own_server.start()
    found = own_store.get(KEY)
    second = own_store.put(KEY, b"2", expect=version)

    assert found is not None
    assert (b"1", version, {"a": "b"}) == (found.body, found.version, dict(found.metadata))
    with pytest.raises(NotModified):
        own_store.get(KEY, unless=second)


def test_versions_do_not_come_back_after_a_flush_of_everything(own_store: RedisObjectStore, admin: Any) -> None:
    """What another body once had is a condition that no longer holds, whoever began anew."""
    old = own_store.put(KEY, b"old", expect=ABSENT)
    admin.flushall()
    new = own_store.put(KEY, b"new", expect=ABSENT)
    with pytest.raises(PreconditionFailed):
        own_store.put(KEY, b"lost", expect=old)

    assert old != new


def test_connections_are_bounded_and_closed(
    own_server: RedisServer, make_config: Callable[..., RedisBackendConfig], admin: Any
) -> None:
    """However many threads ask at once; after `close` none is left."""
    store = RedisObjectStore(make_config(own_server.port))
    threads = [threading.Thread(target=lambda: [store.get(KEY) for _ in range(20)]) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    in_use = len(admin.client_list()) - 1
    store.close()
    store.close()

    assert 1 <= in_use <= 16
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    while len(admin.client_list()) > 1 and datetime.now(UTC) < deadline:
        threading.Event().wait(0.01)
    assert 1 == len(admin.client_list())
