"""The suite for object stores passes what keeps the contract, and fails what does not, in the right places."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import pytest

from metadatadb_core.replication.object_store import Absent, ObjectInfo, ObjectStore, StoredObject, Version
from metadatadb_core.replication.outcomes import NotModified, OutcomeUnknown, PreconditionFailed, Rejected
from metadatadb_core.testing.bucket import Bucket, Condition, etag, random_version
from metadatadb_core.testing.object_store import MemoryObjectStore
from metadatadb_core.testing.object_store_suite import MakeStores, ObjectStoreSuite

pytest_plugins = ["pytester"]


class TestMemoryObjectStore(ObjectStoreSuite):
    """With versions that are new for each put, as SQLite and Redis stores draw them."""

    @pytest.fixture
    def make_stores(self) -> MakeStores:
        bucket = Bucket()
        return lambda count: [MemoryObjectStore(bucket) for _ in range(count)]


class TestMemoryObjectStoreWithETags(ObjectStoreSuite):
    """With versions that are hashes of the body, as S3 makes them."""

    @pytest.fixture
    def make_stores(self) -> MakeStores:
        bucket = Bucket(versions=etag)
        return lambda count: [MemoryObjectStore(bucket) for _ in range(count)]


class TestMemoryObjectStoreWithoutConditionalDeletes(ObjectStoreSuite):
    """A store that says that it ignores conditions on deletes passes what is left."""

    conditional_deletes = False

    @pytest.fixture
    def make_stores(self) -> MakeStores:
        bucket = Bucket(ignores={"delete"})
        return lambda count: [MemoryObjectStore(bucket) for _ in range(count)]


# -- stores that are broken in one way each --------------------------------------------------------------------------


class Client:
    """A client that passes everything on; each broken store overrides what it gets wrong."""

    ignores: tuple[Condition, ...] = ()
    versions: Callable[[bytes], Version] = staticmethod(random_version)

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        return self.bucket.get(key, unless=unless)

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        return self.bucket.put(key, body, **options)

    def delete(self, key: str, *, expect: Version) -> None:
        self.bucket.delete(key, expect=expect)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.bucket.list(prefix)

    def close(self) -> None:
        self.bucket.close()


class AbsenceIsAnError(Client):
    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        if (found := super().get(key, unless=unless)) is None:
            raise Rejected("404", status=404)
        return found


class EmptyIsAbsent(Client):
    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        found = super().get(key, unless=unless)
        return found if found is not None and found.body else None


class SendsUnchangedAgain(Client):
    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        return super().get(key)


class ComparesUnlessToAnyVersion(Client):
    """Once it has told a version, it takes every condition of a get for fulfilled."""

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        found = super().get(key)
        if found is not None and unless is not None:
            raise NotModified("not modified")
        return found


class LosesMetadata(Client):
    def put(self, key: str, body: bytes, **options: Any) -> Version:
        return super().put(key, body, expect=options["expect"])


class MergesMetadata(Client):
    def put(self, key: str, body: bytes, **options: Any) -> Version:
        before = self.bucket.objects.get(key)
        merged = {**(before.metadata if before else {}), **options.pop("metadata", {})}
        return super().put(key, body, metadata=merged, **options)


class ListsFoldersOnly(Client):
    """Its prefix is a folder's name."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = prefix.rstrip("/") + "/" if prefix else ""
        return iter([info for info in super().list("") if info.key.startswith(folder) or info.key == prefix])


class ListsByPattern(Client):
    """Its prefix is a pattern of SQL's LIKE, in which an underscore stands for any letter."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        def matches(key: str) -> bool:
            return len(key) >= len(prefix) and all(a in ("_", b) for a, b in zip(prefix, key, strict=False))

        return iter([info for info in super().list("") if matches(info.key)])


class ListsInOrderOfWriting(Client):
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        order = list(self.bucket.objects)
        return iter(sorted(super().list(prefix), key=lambda info: order.index(info.key)))


class ListsOnePage(Client):
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return iter([*super().list(prefix)][:1000])


class ListsLate(Client):
    """A listing shows what was there when somebody listed before."""

    index: ClassVar[WeakKeyDictionary[Bucket, list[ObjectInfo]]] = WeakKeyDictionary()

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        listed = self.index.get(self.bucket, [])
        self.index[self.bucket] = [*super().list("")]
        return (info for info in listed if info.key.startswith(prefix))


class ListsAnotherVersion(Client):
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return (ObjectInfo(info.key, Version(f'"{info.version}"'), info.size) for info in super().list(prefix))


class ListsFromCache(Client):
    """A listing is made once for each prefix, and again only after this client's own writes."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket)
        self.cache: dict[str, list[ObjectInfo]] = {}

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        self.cache.clear()
        return super().put(key, body, **options)

    def delete(self, key: str, *, expect: Version) -> None:
        self.cache.clear()
        super().delete(key, expect=expect)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        if prefix not in self.cache:
            self.cache[prefix] = [*super().list(prefix)]
        return iter(self.cache[prefix])


class PutsWhereNothingIs(Client):
    """A put that expects a version makes the object where there is none."""

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        if key not in self.bucket.objects and not isinstance(options["expect"], Absent):
            return self.bucket.write(key, body)
        return super().put(key, body, **options)


class DeletesNothingGladly(Client):
    """As S3's answer 204 to the delete of what is not there."""

    def delete(self, key: str, *, expect: Version) -> None:
        if key in self.bucket.objects:
            super().delete(key, expect=expect)


class LooksBeforeItWrites(Client):
    """Its condition and its write are two steps, with a way to the store in between."""

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        found = self.bucket.objects.get(key)
        expect = options.pop("expect")
        if (None if found is None else found.version) != (None if isinstance(expect, Absent) else expect):
            raise PreconditionFailed("not as expected")
        threading.Event().wait(0.001)
        return self.bucket.write(key, body, metadata=options.get("metadata"))


class LooksBeforeItDeletes(Client):
    def delete(self, key: str, *, expect: Version) -> None:
        found = self.bucket.objects.get(key)
        if found is None or found.version != expect:
            raise PreconditionFailed("not as expected")
        threading.Event().wait(0.001)
        self.bucket.objects.pop(key, None)


class CountsWrites(Client):
    """Knows which puts that a storage accepted are the fifth, the tenth and so on."""

    counts: ClassVar[WeakKeyDictionary[Bucket, Iterator[int]]] = WeakKeyDictionary()
    turn = threading.Lock()

    def is_fifth(self) -> bool:
        with self.turn:
            return next(self.counts.setdefault(self.bucket, itertools.count(1))) % 5 == 0


class LosesAWrite(CountsWrites):
    """One put in five is answered with a version, and not stored."""

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        with self.losing:
            before = dict(self.bucket.objects)
            version = super().put(key, body, **options)
            if self.is_fifth():
                self.bucket.objects.clear()
                self.bucket.objects.update(before)
            return version

    losing = threading.Lock()


class RepeatsByItself(CountsWrites):
    """One put in five is applied, its answer is lost, and the SDK sends it again: refused because of itself."""

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        version = super().put(key, body, **options)
        return super().put(key, body, **options) if self.is_fifth() else version


class SwallowsRefusals(Client):
    """What goes wrong with a write is logged, perhaps, and the caller is told the version that is there."""

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        try:
            return super().put(key, body, **options)
        except PreconditionFailed:
            found = self.bucket.objects.get(key)
            return Version("none") if found is None else found.version

    def delete(self, key: str, *, expect: Version) -> None:
        with suppress(PreconditionFailed):
            super().delete(key, expect=expect)


class RefusalIsRejected(Client):
    """A 412 is a 4xx, and any 4xx is useless to repeat."""

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        try:
            return super().put(key, body, **options)
        except PreconditionFailed as failure:
            raise Rejected(failure.reason, status=412) from failure


class NothingThereIsRejected(Client):
    """404 to a write that expects a version: no such key, as if it were no such bucket."""

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        if key not in self.bucket.objects and not isinstance(options["expect"], Absent):
            raise Rejected("no such key", status=404)
        return super().put(key, body, **options)

    def delete(self, key: str, *, expect: Version) -> None:
        if key not in self.bucket.objects:
            raise Rejected("no such key", status=404)
        super().delete(key, expect=expect)


class ConflictIsUnknown(Client):
    """Of two writes at once the second is answered 409, which surely was not applied, and is taken for a time-out."""

    busy = threading.Lock()

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        if not self.busy.acquire(blocking=False):
            raise OutcomeUnknown("conflict", status=409)
        try:
            threading.Event().wait(0.001)
            return super().put(key, body, **options)
        finally:
            self.busy.release()


class RaisesWhatTheSDKRaises(Client):
    """Its refusals are an exception of its own."""

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        try:
            return super().put(key, body, **options)
        except PreconditionFailed as failure:
            raise OSError(412, "Precondition Failed") from failure


class TruncatesBodies(Client):
    """It reads once from its socket, and takes what comes for all there is."""

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        found = super().get(key, unless=unless)
        return None if found is None else replace(found, body=found.body[:65536])


class SaysNotModifiedTooLong(Client):
    """An answer is kept for the version that was asked about, and given again."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket)
        self.unchanged: set[tuple[str, Version]] = set()

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        if unless is not None and (key, unless) in self.unchanged:
            raise NotModified("not modified, it was not a moment ago")
        try:
            return super().get(key, unless=unless)
        except NotModified:
            assert unless is not None
            self.unchanged.add((key, unless))
            raise


class WritesInPlace(Client):
    """A large body arrives in two halves."""

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        version = super().put(key, body, **options)
        if len(body) < 2**20 and len(body) > 50_000:
            whole = self.bucket.objects[key]
            torn = StoredObject(body[:50_000] + b"\xff" * (len(body) - 50_000), version, whole.metadata)
            self.bucket.objects[key] = torn
            threading.Event().wait(0.001)
            self.bucket.objects[key] = whole
        return version


class SharesABuffer(Client):
    """Not for threads: what it reads passes through one place."""

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        self.buffer = super().get(key, unless=unless)
        threading.Event().wait(0.0005)
        return self.buffer


class ClosesOnce(Client):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise ValueError("closed already")
        self.closed = True


class IgnoresPutAbsent(Client):
    ignores: tuple[Condition, ...] = ("put-absent",)


class IgnoresPutMatch(Client):
    ignores: tuple[Condition, ...] = ("put-match",)


class IgnoresDeleteCondition(Client):
    ignores: tuple[Condition, ...] = ("delete",)


class CountsVersionsFromOne(Client):
    """Versions count the writes of an object's present life; a put and its number are one step."""

    turn = threading.Lock()

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        with self.turn:
            return super().get(key, unless=unless)

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        with self.turn:
            before = self.bucket.objects.get(key)
            super().put(key, body, **options)
            version = Version(str(int(before.version) + 1 if before else 1))
            made = self.bucket.objects[key]
            self.bucket.objects[key] = StoredObject(made.body, version, made.metadata, made.modified)
            return version

    def delete(self, key: str, *, expect: Version) -> None:
        with self.turn:
            super().delete(key, expect=expect)


class VersionsOfTheBeginning(Client):
    versions = staticmethod(lambda body: etag(body[:5]))


class SkipsWhatIsThere(Client):
    """A put of the bytes that are stored is taken for done, and gets a version that nobody keeps."""

    def put(self, key: str, body: bytes, **options: Any) -> Version:
        found = self.bucket.objects.get(key)
        if found is not None and found.version == options["expect"] and found.body == body:
            return Version("made up")
        return super().put(key, body, **options)


class ClientOfItsOwnBucket(Client):
    """The fixture of somebody who misread it: each client has a storage of its own."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(Bucket())


class TextBodies(Client):
    def put(self, key: str, body: bytes, **options: Any) -> Version:
        text = body.decode("latin-1").replace("\r\n", "\n").encode("latin-1")
        return super().put(key, text, **options)


class QuotesKeysInListings(Client):
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return (
            ObjectInfo(info.key.replace("é", "%C3%A9"), info.version, info.size, info.modified)
            for info in super().list(prefix)
        )


def broken(kind: type[Client]) -> Callable[[int], list[ObjectStore]]:
    """`make_stores` for a kind of broken client; also called from the test file written below."""
    bucket = Bucket(ignores=kind.ignores, versions=kind.versions)
    return lambda count: [kind(bucket) for _ in range(count)]


EVERY_KEY = "test_any_key_can_be_used"

EXPECTED: Mapping[type[Client], set[str]] = {
    Client: set(),
    AbsenceIsAnError: {
        "test_a_missing_object_is_none",
        EVERY_KEY,
        "test_an_unchanged_object_is_not_sent_again",
        "test_a_write_is_read_by_every_client_at_once",
        "test_a_put_that_expects_a_version_is_refused_where_nothing_is",
        "test_a_key_can_be_used_again_after_a_delete",
        "test_a_delete_is_refused_where_nothing_is",
        "test_one_of_many_deletes_wins",
    },
    EmptyIsAbsent: {
        "test_a_body_comes_back_exactly",
        "test_metadata_comes_back",
        "test_a_put_replaces_all_of_an_object",
    },
    SendsUnchangedAgain: {"test_an_unchanged_object_is_not_sent_again"},
    ComparesUnlessToAnyVersion: {
        "test_an_unchanged_object_is_not_sent_again",
        "test_a_write_is_read_by_every_client_at_once",
    },
    LosesMetadata: {"test_metadata_comes_back", "test_a_put_replaces_all_of_an_object"},
    MergesMetadata: {"test_a_put_replaces_all_of_an_object"},
    ListsFoldersOnly: {"test_a_listing_stays_within_its_prefix"},
    ListsByPattern: {"test_a_listing_stays_within_its_prefix"},
    ListsInOrderOfWriting: {
        "test_a_listing_shows_every_object_once_in_order",
        "test_a_listing_stays_within_its_prefix",
        "test_a_long_listing_is_complete",
    },
    ListsOnePage: {"test_a_long_listing_is_complete"},
    ListsAnotherVersion: {
        "test_a_listing_shows_every_object_once_in_order",
        "test_a_write_is_listed_for_every_client_at_once",
        "test_put_get_and_list_agree_on_the_version",
    },
    ListsFromCache: {"test_a_write_is_listed_for_every_client_at_once"},
    QuotesKeysInListings: {EVERY_KEY, "test_a_listing_shows_every_object_once_in_order"},
    PutsWhereNothingIs: {
        "test_a_put_that_expects_a_version_is_refused_where_nothing_is",
    },
    DeletesNothingGladly: {"test_a_delete_is_refused_where_nothing_is", "test_one_of_many_deletes_wins"},
    LooksBeforeItWrites: {"test_one_of_many_puts_of_an_absent_object_wins", "test_no_increment_is_lost"},
    LooksBeforeItDeletes: {"test_one_of_many_deletes_wins"},
    WritesInPlace: {"test_no_reader_sees_half_an_object"},
    SharesABuffer: {"test_one_client_serves_many_threads"},
    ClosesOnce: {
        "test_closing_twice_does_nothing",
        "test_objects_outlive_their_clients",
        "test_versions_do_not_begin_again_after_a_delete",
    },
    IgnoresPutAbsent: {
        "test_a_put_that_expects_nothing_is_refused_where_something_is",
        "test_a_refused_write_does_no_harm_to_the_next",
        "test_one_of_many_puts_of_an_absent_object_wins",
    },
    IgnoresPutMatch: {
        "test_a_put_that_expects_a_version_is_refused_at_another",
        "test_a_put_that_expects_a_version_is_refused_where_nothing_is",
        "test_no_increment_is_lost",
    },
    IgnoresDeleteCondition: {
        "test_a_delete_is_refused_at_another_version",
        "test_a_delete_is_refused_where_nothing_is",
        "test_one_of_many_deletes_wins",
    },
    CountsVersionsFromOne: {"test_versions_do_not_begin_again_after_a_delete"},
    VersionsOfTheBeginning: {"test_different_bodies_have_different_versions"},
    SkipsWhatIsThere: {"test_a_body_that_is_put_again_has_a_version_that_holds"},
    ClientOfItsOwnBucket: {
        "test_a_long_listing_is_complete",
        "test_a_write_is_listed_for_every_client_at_once",
        "test_a_write_is_read_by_every_client_at_once",
        "test_closing_twice_does_nothing",
        "test_no_increment_is_lost",
        "test_no_reader_sees_half_an_object",
        "test_objects_outlive_their_clients",
        "test_one_of_many_puts_of_an_absent_object_wins",
    },
    TextBodies: {"test_a_body_comes_back_exactly"},
    ListsLate: {
        "test_a_listing_shows_every_object_once_in_order",
        "test_a_listing_stays_within_its_prefix",
        "test_a_long_listing_is_complete",
        "test_a_write_is_listed_for_every_client_at_once",
        EVERY_KEY,
        "test_one_client_serves_many_threads",
        "test_put_get_and_list_agree_on_the_version",
    },
    LosesAWrite: {
        "test_a_listing_shows_every_object_once_in_order",
        "test_a_listing_stays_within_its_prefix",
        "test_a_long_listing_is_complete",
        "test_different_bodies_have_different_versions",
        "test_no_increment_is_lost",
        "test_no_reader_sees_half_an_object",
        "test_one_client_serves_many_threads",
        "test_one_of_many_deletes_wins",
        "test_one_of_many_puts_of_an_absent_object_wins",
        "test_versions_do_not_begin_again_after_a_delete",
    },
    RepeatsByItself: {
        "test_a_listing_shows_every_object_once_in_order",
        "test_a_listing_stays_within_its_prefix",
        "test_a_long_listing_is_complete",
        "test_different_bodies_have_different_versions",
        "test_no_increment_is_lost",
        "test_no_reader_sees_half_an_object",
        "test_one_client_serves_many_threads",
        "test_one_of_many_deletes_wins",
        "test_one_of_many_puts_of_an_absent_object_wins",
        "test_versions_do_not_begin_again_after_a_delete",
    },
    SwallowsRefusals: {
        "test_a_delete_is_refused_at_another_version",
        "test_a_delete_is_refused_where_nothing_is",
        "test_a_put_that_expects_a_version_is_refused_at_another",
        "test_a_put_that_expects_a_version_is_refused_where_nothing_is",
        "test_a_put_that_expects_nothing_is_refused_where_something_is",
        "test_a_refused_write_does_no_harm_to_the_next",
        "test_no_increment_is_lost",
        "test_one_of_many_deletes_wins",
        "test_one_of_many_puts_of_an_absent_object_wins",
    },
    RefusalIsRejected: {
        "test_a_put_that_expects_a_version_is_refused_at_another",
        "test_a_put_that_expects_a_version_is_refused_where_nothing_is",
        "test_a_put_that_expects_nothing_is_refused_where_something_is",
        "test_a_refused_write_does_no_harm_to_the_next",
        "test_no_increment_is_lost",
        "test_one_of_many_puts_of_an_absent_object_wins",
    },
    NothingThereIsRejected: {
        "test_a_delete_is_refused_where_nothing_is",
        "test_a_put_that_expects_a_version_is_refused_where_nothing_is",
        "test_one_of_many_deletes_wins",
    },
    ConflictIsUnknown: {
        "test_a_long_listing_is_complete",
        "test_no_increment_is_lost",
        "test_one_client_serves_many_threads",
        "test_one_of_many_puts_of_an_absent_object_wins",
    },
    RaisesWhatTheSDKRaises: {
        "test_a_put_that_expects_a_version_is_refused_at_another",
        "test_a_put_that_expects_a_version_is_refused_where_nothing_is",
        "test_a_put_that_expects_nothing_is_refused_where_something_is",
        "test_a_refused_write_does_no_harm_to_the_next",
        "test_no_increment_is_lost",
        "test_one_of_many_puts_of_an_absent_object_wins",
    },
    TruncatesBodies: {
        "test_a_body_comes_back_exactly",
        "test_no_reader_sees_half_an_object",
    },
    SaysNotModifiedTooLong: {
        "test_an_unchanged_object_is_not_sent_again",
    },
}
"""Which tests each broken store must fail, and no others."""

SUITE_FILE = """
import sys

import pytest

from metadatadb_core.testing.object_store_suite import ObjectStoreSuite

broken_stores = sys.modules[{module!r}]


class TestBroken(ObjectStoreSuite):
    @pytest.fixture
    def make_stores(self):
        return broken_stores.broken(broken_stores.{kind})
"""


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_a_broken_store_fails_exactly_the_tests_of_what_it_breaks(
    kind: type[Client], pytester: pytest.Pytester
) -> None:
    """Each fault is found, and reported where it is rather than everywhere."""
    pytester.makepyfile(SUITE_FILE.format(module=__name__, kind=kind.__name__))
    run = pytester.inline_run("-p", "no:cacheprovider", "-p", "no:randomly", "-q", "--no-header", "--tb=no")
    passed, skipped, failed = run.listoutcomes()

    assert EXPECTED[kind] == {report.nodeid.rpartition("::")[2].partition("[")[0] for report in failed}
    assert [] == skipped
    assert passed or failed


def test_a_suite_without_its_fixture_says_so(pytester: pytest.Pytester) -> None:
    """Who forgets the one fixture is told its name."""
    pytester.makepyfile(
        "from metadatadb_core.testing.object_store_suite import ObjectStoreSuite\n\n\n"
        "class TestForgotten(ObjectStoreSuite):\n    pass\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly", "-k", "missing")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*TestForgotten needs a fixture make_stores; see ObjectStoreSuite*"])


def test_declared_delete_conditions_are_reported_as_skipped() -> None:
    """What a declaration takes away is named in the class, with the reason."""
    departures = TestMemoryObjectStoreWithoutConditionalDeletes.departures

    assert {
        "test_a_delete_is_refused_at_another_version",
        "test_a_delete_is_refused_where_nothing_is",
        "test_one_of_many_deletes_wins",
    } == set(departures)
    assert {"TestMemoryObjectStoreWithoutConditionalDeletes declares conditional_deletes = False"} == set(
        departures.values()
    )
    assert {} == ObjectStoreSuite.departures
