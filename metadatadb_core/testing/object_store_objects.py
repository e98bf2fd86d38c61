"""What an object store must do with objects: keep them whole, find them, list them, and let go of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TypeAlias

import pytest

from metadatadb_core.replication.object_store import ABSENT, ObjectStore, Version
from metadatadb_core.replication.outcomes import NotModified
from metadatadb_core.testing.concurrency import run_together

__all__ = ["KEY", "ClientTests", "ListTests", "ObjectTests", "OpenStores"]

OpenStores: TypeAlias = Callable[[int], list[ObjectStore]]

KEY = ".metadata/conformance.json"

BODIES = {
    "empty": b"",
    "json": b'{"x":1}',
    "every-byte": bytes(range(256)),
    "newlines": b"\r\n\n\r",
    "megabyte": bytes(range(256)) * 4096,
}

KEYS = [
    "x",
    ".metadata/.json",
    ".metadata/conformance.lock",
    "team-a/.metadata/conformance.json",
    "a/b/c/d/e",
    "UPPER and lower_%2F+&=?#'\"",
    "é/ü",
]

MANY = 1100
"""More objects than one page of a listing of S3 or GCS holds."""

CLOCK_GRAIN = timedelta(seconds=1)
"""HTTP stores give times in whole seconds."""


class ObjectTests:
    """One client, one object at a time."""

    def test_a_missing_object_is_none(self, store: ObjectStore) -> None:
        """`get` of a key that was never put is None, also with ``unless``.

        A failure means that a new namespace is an error, or an error passes for a new namespace. Usually
        NoSuchKey is not told from other failures.
        """
        assert store.get(KEY) is None
        assert store.get(KEY, unless=Version("of-something")) is None

    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
    def test_a_body_comes_back_exactly(self, store: ObjectStore, body: bytes) -> None:
        """`get` returns the bytes that were put, any bytes, any number of them, at the version `put` returned.

        A failure means that state is damaged on its way. Usually bytes were treated as text, an empty body
        as no object, or a large one was sent in parts.
        """
        version = store.put(KEY, body, expect=ABSENT)
        found = store.get(KEY)

        assert found is not None
        assert (True, version) == (body == found.body, found.version)

    @pytest.mark.parametrize("key", KEYS)
    def test_any_key_can_be_used(self, store: ObjectStore, key: str) -> None:
        """Keys with slashes, spaces, percent signs and letters of any script are put, got, listed and deleted.

        A failure means that a prefix that operators like cannot be used. Usually a key was put into a URL or
        a pattern without being quoted, or was quoted twice.
        """
        version = store.put(key, b"body", expect=ABSENT)
        found = store.get(key)
        listed = [info.key for info in store.list(key)]
        store.delete(key, expect=version)

        assert found is not None
        assert (b"body", [key]) == (found.body, listed)
        assert store.get(key) is None

    def test_metadata_comes_back(self, store: ObjectStore) -> None:
        """User metadata is returned with the object; the case of its names may have changed.

        A failure means that replicas of the Go original cannot see when a lock expires. Usually metadata is
        sent and not read, or read from another place than it was sent to.
        """
        store.put(KEY, b"", expect=ABSENT, metadata={"Expires-At": "2030-01-02T03:04:05Z", "other": "x y"})
        found = store.get(KEY)

        assert found is not None
        assert {"expires-at": "2030-01-02T03:04:05Z", "other": "x y"} == _lower(found.metadata)

    def test_a_put_replaces_all_of_an_object(self, store: ObjectStore) -> None:
        """Body and metadata of an object are those of its last put; nothing is merged.

        A failure means that a new lock carries an old one's expiry. Usually metadata that was not given is
        left as it was.
        """
        first = store.put(KEY, b"a longer body", expect=ABSENT, metadata={"a": "1", "b": "1"})
        second = store.put(KEY, b"short", expect=first, metadata={"b": "2"})
        replaced = store.get(KEY)
        store.put(KEY, b"", expect=second)
        emptied = store.get(KEY)

        assert replaced is not None
        assert emptied is not None
        assert (b"short", {"b": "2"}) == (replaced.body, _lower(replaced.metadata))
        assert (b"", {}) == (emptied.body, _lower(emptied.metadata))

    def test_a_content_type_is_accepted(self, store: ObjectStore) -> None:
        """A put may name the type of its content.

        A failure means that the state cannot be put at all: it is put as application/json. Usually the parameter
        is missing, or is passed on to a call that has none.
        """
        store.put(KEY, b"{}", expect=ABSENT, content_type="application/json")

        assert store.get(KEY) is not None

    def test_an_unchanged_object_is_not_sent_again(self, store: ObjectStore) -> None:
        """`get` unless the object is at a version raises NotModified while it is, and returns it once it is not.

        A failure means that an idle replica downloads the whole state in every round, or never sees what others
        wrote. Usually the condition is dropped, or versions are compared in two spellings (with and without
        quotes).
        """
        first = store.put(KEY, b"1", expect=ABSENT)
        with pytest.raises(NotModified):
            store.get(KEY, unless=first)
        second = store.put(KEY, b"2", expect=first)
        changed = store.get(KEY, unless=first)
        with pytest.raises(NotModified):
            store.get(KEY, unless=second)
        store.delete(KEY, expect=second)

        assert changed is not None
        assert (b"2", second) == (changed.body, changed.version)
        assert store.get(KEY, unless=second) is None

    def test_times_are_the_store_s_own_and_agree(self, store: ObjectStore) -> None:
        """Where the store tells when an object was written and what time it is, both have a time zone, and the
        first is not after the second.

        A failure means that the age of a lock is computed wrong, and that a live holder's lock is taken over.
        Usually one of the two is the client's clock, or local time.
        """
        store.put(KEY, b"1", expect=ABSENT)
        found = store.get(KEY)

        assert found is not None
        for moment in (found.modified, found.server_date):
            assert moment is None or moment.tzinfo is not None
        if found.modified is not None and found.server_date is not None:
            assert found.modified <= found.server_date + CLOCK_GRAIN


class ListTests:
    """What a listing shows."""

    def test_a_listing_shows_every_object_once_in_order(self, store: ObjectStore) -> None:
        """`list` yields key, size and version of each object, in the order of the keys.

        A failure means that tools that look for namespaces miss some or see them twice. Usually the order is
        that of writing, or the version is spelt in another way than in `put` and `get`.
        """
        versions = {
            key: store.put(key, b"x" * size, expect=ABSENT)
            for size, key in enumerate(["b", "a/2", "a/10", "B", "a.b", "\u00e9", "a"])
        }
        listed = list(store.list(""))

        assert ["B", "a", "a.b", "a/10", "a/2", "b", "\u00e9"] == [info.key for info in listed]
        assert versions == {info.key: info.version for info in listed}
        assert {"b": 0, "a/2": 1, "a/10": 2, "B": 3, "a.b": 4, "\u00e9": 5, "a": 6} == {
            info.key: info.size for info in listed
        }

    def test_a_listing_stays_within_its_prefix(self, store: ObjectStore) -> None:
        """`list` shows exactly the keys that begin with its prefix: text, not a folder and not a pattern.

        A failure means that one team's namespaces show up among another's. Usually the prefix is taken for a
        folder's name, or for a pattern in which "_" and "%" stand for anything.
        """
        for key in ("team/x", "team_a/x", "team_a/y/z", "team_a", "team_ab", "teamXa/x", "Team_a/x", "team%/x", "u"):
            store.put(key, b"", expect=ABSENT)

        assert ["team_a/x", "team_a/y/z"] == [info.key for info in store.list("team_a/")]
        assert ["team_a", "team_a/x", "team_a/y/z", "team_ab"] == [info.key for info in store.list("team_a")]
        assert ["team%/x"] == [info.key for info in store.list("team%")]
        assert [] == [info.key for info in store.list("nobody/")]

    def test_an_empty_listing_is_empty(self, store: ObjectStore) -> None:
        """`list` of nothing yields nothing, and what was deleted is not listed.

        A failure means that an empty store is an error, or that deleted objects are left as markers. Usually an
        answer without a list of objects in it is not read as an empty one.
        """
        version = store.put(KEY, b"", expect=ABSENT)
        store.delete(KEY, expect=version)

        assert [] == list(store.list(""))

    def test_a_long_listing_is_complete(self, open_stores: OpenStores) -> None:
        """`list` yields all objects, also when they are more than the store gives in one answer.

        A failure means that everything beyond the first page is invisible. Usually the continuation is not
        followed.
        """
        stores = open_stores(4)
        keys = [f"many/{index:04}" for index in range(MANY)]

        def put(share: int) -> None:
            for key in keys[share::8]:
                stores[share % 4].put(key, b"", expect=ABSENT)

        run_together(*(partial(put, share) for share in range(8)))

        assert keys == [info.key for info in stores[0].list("many/")]


class ClientTests:
    """Several clients of one storage, and the end of a client."""

    def test_a_write_is_read_by_every_client_at_once(self, open_stores: OpenStores) -> None:
        """What one client put, replaced or deleted, every other sees from then on.

        A failure means that a flush reports as durable and visible what others do not see; two holders of one
        lock follow. Usually there is a cache in between, or the fixture gives each client a storage of its own.
        """
        writer, *readers = open_stores(3)
        first = writer.put(KEY, b"1", expect=ABSENT)
        after_put = [reader.get(KEY) for reader in readers]
        second = writer.put(KEY, b"2", expect=first)
        after_replacement = [reader.get(KEY, unless=first) for reader in readers]
        writer.delete(KEY, expect=second)
        after_delete = [reader.get(KEY) for reader in readers]

        assert [(b"1", first)] * 2 == [(found.body, found.version) for found in after_put if found]
        assert [(b"2", second)] * 2 == [(found.body, found.version) for found in after_replacement if found]
        assert [None, None] == after_delete

    def test_a_write_is_listed_for_every_client_at_once(self, open_stores: OpenStores) -> None:
        """What one client put or deleted shows in the listings of every other from then on.

        A failure means that segments of a journal can be missed. Usually listings are cached, or eventually
        consistent.
        """
        writer, reader = open_stores(2)
        before = [info.version for info in reader.list("a/")]
        version = writer.put("a/1", b"1", expect=ABSENT)
        listed = [info.version for info in reader.list("a/")]
        writer.delete("a/1", expect=version)

        assert ([], [version], []) == (before, listed, [info.version for info in reader.list("a/")])

    def test_objects_outlive_their_clients(self, open_stores: OpenStores) -> None:
        """An object is there, at its version, for a client that is opened after its writer was closed.

        A failure means that durable is not durable. Usually objects are kept by the client, or written only some
        time after `put` has returned; or the fixture gives each client a storage of its own.
        """
        (first,) = open_stores(1)
        version = first.put(KEY, b"kept", expect=ABSENT)
        first.close()
        found = open_stores(1)[0].get(KEY)

        assert found is not None
        assert (b"kept", version) == (found.body, found.version)

    def test_closing_twice_does_nothing(self, open_stores: OpenStores) -> None:
        """`close` may be called again, by anybody, used or not, and leaves other clients alone.

        A failure means that an application's clean-up raises, or that one backend's end is another's. Usually
        clients share a connection and do not count who uses it.
        """
        used, unused, other = open_stores(3)
        version = used.put(KEY, b"1", expect=ABSENT)
        for store in (used, unused):
            store.close()
            store.close()
        run_together(used.close, unused.close)

        replaced = other.put(KEY, b"2", expect=version)
        found = other.get(KEY)

        assert found is not None
        assert (b"2", replaced) == (found.body, found.version)

    def test_one_client_serves_many_threads(self, store: ObjectStore) -> None:
        """16 threads that use one client, each on a key of its own, never see each other's objects.

        A failure means that answers are mixed up. Usually a connection, cursor or buffer of the client is used
        by two threads at once.
        """

        def work(number: int) -> None:
            key, version = f"own/{number}", None
            for turn in range(8):
                body = f"{number}:{turn}".encode() * 100
                version = store.put(key, body, expect=ABSENT if version is None else version)
                found = store.get(key)
                assert found is not None
                assert (body, version) == (found.body, found.version)

        run_together(*(partial(work, number) for number in range(16)))

        assert 16 == len(list(store.list("own/")))


def _lower(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in metadata.items()}
