"""The store in a SQLite file: the suite of the core, its file, its connections, and the ends of its clients."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from metadatadb_core.replication import object_store
from metadatadb_core.replication.object_store import ABSENT
from metadatadb_core.replication.outcomes import NotModified, Rejected, Unavailable
from metadatadb_core.testing.concurrency import run_together
from metadatadb_core.testing.object_store_suite import MakeStores, ObjectStoreSuite
from metadatadb_sqlite import database
from metadatadb_sqlite import store as sqlite_store
from metadatadb_sqlite.store import SQLiteObjectStore


class TestSQLiteObjectStore(ObjectStoreSuite):
    """Durable, as it is by default."""

    @pytest.fixture
    def make_stores(self, tmp_path: Path) -> MakeStores:
        return lambda count: [SQLiteObjectStore(tmp_path / "meta.db") for _ in range(count)]


class TestSQLiteObjectStoreWithoutSync(ObjectStoreSuite):
    """Without waiting for the disk, which makes races tighter."""

    @pytest.fixture
    def make_stores(self, tmp_path: Path) -> MakeStores:
        return lambda count: [SQLiteObjectStore(tmp_path / "meta.db", synchronous="off") for _ in range(count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "meta.db"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
@pytest.mark.parametrize("umask", [0, 0o022], ids=oct)
def test_only_its_owner_can_read_the_file_and_its_companions(path: Path, umask: int) -> None:
    """State is as private as its owner can make it, whatever the umask allows."""
    before = os.umask(umask)
    try:
        with closing(SQLiteObjectStore(path)) as store:
            store.put("k", b"secret", expect=ABSENT)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)

    assert {"meta.db": 0o600, "meta.db-wal": 0o600, "meta.db-shm": 0o600} == modes


def test_an_object_that_is_too_large_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite knows its length without its body; the version that one has is not modified whatever its length."""
    with closing(SQLiteObjectStore(path)) as store:
        version = store.put("large", b"x" * 1001, expect=ABSENT)
        store.put("small", b"x" * 1000, expect=ABSENT)
        bodies: list[object] = []
        monkeypatch.setattr(sqlite_store, "MAX_OBJECT_BYTES", 1000)
        monkeypatch.setattr(sqlite_store, "check_size", lambda key, size: bodies.append((key, size)))
        large, small = store.get("large"), store.get("small")
        monkeypatch.undo()
        monkeypatch.setattr(object_store, "MAX_OBJECT_BYTES", 1000)
        with pytest.raises(Rejected, match="large has 1001 bytes"):
            store.get("large")
        with pytest.raises(NotModified):
            store.get("large", unless=version)

    assert [("large", 1001), ("small", 1000)] == bodies
    assert (None, b"x" * 1000) == (large and large.body, small and small.body)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_an_existing_file_keeps_the_permissions_its_owner_gave_it(path: Path) -> None:
    """Who shares a file with a group does so on purpose."""
    path.touch(0o660)
    path.chmod(0o660)
    with closing(SQLiteObjectStore(path)) as store:
        store.put("k", b"shared", expect=ABSENT)

        assert {0o660} == {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}


@pytest.mark.skipif(os.name == "nt", reason="needs permission to make links")
def test_a_link_leads_to_the_file(tmp_path: Path) -> None:
    """A path may be a link, also to a file that is not there yet; it is made where the link points, as private."""
    (tmp_path / "data").mkdir()
    (tmp_path / "meta.db").symlink_to(tmp_path / "data" / "real.db")
    with closing(SQLiteObjectStore(tmp_path / "meta.db")) as store:
        store.put("k", b"1", expect=ABSENT)

    assert 0o600 == stat.S_IMODE((tmp_path / "data" / "real.db").stat().st_mode)


def test_a_closed_store_leaves_one_file(path: Path) -> None:
    """The last client to close moves the log into the file."""
    stores = [SQLiteObjectStore(path) for _ in range(3)]
    for index, store in enumerate(stores):
        store.put(f"k{index}", b"1", expect=ABSENT)
        store.get("k0")
    for store in stores:
        store.close()

    assert ["meta.db"] == [file.name for file in path.parent.iterdir()]


def test_a_closed_store_refuses_requests(path: Path) -> None:
    """They were surely not made."""
    store = SQLiteObjectStore(path)
    store.close()
    with pytest.raises(Unavailable, match="closed"):
        store.put("k", b"1", expect=ABSENT)
    with pytest.raises(Unavailable, match="closed"):
        store.get("k")

    assert not path.exists()


def test_many_clients_may_make_the_file_at_once(tmp_path: Path) -> None:
    """Whoever comes second, at whichever of its steps, finds a file that is on its way, and not an error."""
    for turn in range(10):
        path = tmp_path / f"{turn}.db"

        def check(path: Path = path) -> None:
            with closing(SQLiteObjectStore(path, synchronous="off")) as store:
                store.check()

        run_together(*[check] * 12)


def test_a_file_that_is_just_being_made_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite does not wait by itself where a log is turned on while another process is writing."""
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as other, closing(SQLiteObjectStore(path)) as store:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(time, "sleep", lambda seconds: other.execute("ROLLBACK"))
        store.check()

        assert not other.in_transaction


def test_a_file_that_was_made_between_two_looks_is_ours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that appears just now is not taken for another program's."""
    look = database._pragma

    def look_and_let_another_make_it(connection: sqlite3.Connection, name: str) -> int:
        seen = look(connection, name)
        monkeypatch.setattr(database, "_pragma", look)
        with closing(SQLiteObjectStore(path)) as other:
            other.check()
        return seen

    monkeypatch.setattr(database, "_pragma", look_and_let_another_make_it)
    with closing(SQLiteObjectStore(path)) as store:
        store.put("k", b"1", expect=ABSENT)


def test_a_log_that_was_made_between_two_looks_is_no_leftover(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log beside a file that was not there a moment ago is that file's."""
    exists = os.path.lexists
    with ExitStack() as stack:

        def let_another_make_it_and_look(companion: str) -> bool:
            monkeypatch.setattr(os.path, "lexists", exists)
            other = stack.enter_context(closing(sqlite3.connect(path)))
            other.execute("PRAGMA journal_mode = WAL")
            other.execute("PRAGMA user_version = 0")
            return exists(companion)

        monkeypatch.setattr(os.path, "lexists", let_another_make_it_and_look)
        store = stack.enter_context(closing(SQLiteObjectStore(path)))
        store.put("k", b"1", expect=ABSENT)

        assert store.get("k") is not None


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_no_descriptor_is_left_open(path: Path) -> None:
    """Neither by clients that were closed, nor by attempts to open what cannot be used."""
    (path.parent / "garbage.db").write_bytes(b"garbage" * 1000)
    for _ in range(20):
        with closing(SQLiteObjectStore(path)) as store:
            store.check()
        for name in ("garbage.db", "missing/meta.db"):
            with closing(SQLiteObjectStore(path.parent / name)) as store, pytest.raises(Exception, match="db"):
                store.check()
    opened = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            opened.append(str(descriptor.readlink()))
        except FileNotFoundError:  # that of the listing itself
            continue

    assert [] == [name for name in opened if str(path.parent) in name]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of an open file")
def test_no_write_goes_to_a_file_that_was_removed(path: Path) -> None:
    """A file that is removed under an open client is noticed: what is written to it would be lost."""
    with closing(SQLiteObjectStore(path)) as store:
        store.put("k", b"1", expect=ABSENT)
        store.get("k")
        path.unlink()
        with pytest.raises(Unavailable, match=r"is gone.*put the file back"):
            store.put("k2", b"2", expect=ABSENT)
        for name in ("meta.db-wal", "meta.db-shm"):
            (path.parent / name).unlink()
        store.put("k3", b"3", expect=ABSENT)

        assert ["k3"] == [info.key for info in store.list("")]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of an open file")
def test_a_file_that_was_put_back_is_used_again(path: Path) -> None:
    """What was there before it was moved away is there again."""
    with closing(SQLiteObjectStore(path)) as store:
        version = store.put("k", b"1", expect=ABSENT)
        path.rename(path.with_suffix(".away"))
        with pytest.raises(Unavailable, match="is gone"):
            store.get("k")
        path.with_suffix(".away").rename(path)
        store.put("k", b"2", expect=version)
        found = store.get("k")

    assert found is not None
    assert b"2" == found.body


def test_times_are_those_of_this_machine(path: Path) -> None:
    """Both the time of writing and that of reading, to the microsecond, in UTC."""
    before = datetime.now(UTC)
    with closing(SQLiteObjectStore(path)) as store:
        store.put("k", b"1", expect=ABSENT)
        found = store.get("k")
        (listed,) = store.list("")

    assert found is not None
    assert found.modified is not None
    assert found.server_date is not None
    assert before - timedelta(seconds=1) <= found.modified <= found.server_date
    assert listed.modified == found.modified


@pytest.mark.parametrize(("synchronous", "expected"), [("full", 2), ("normal", 1), ("off", 0)])
def test_synchronous_is_what_was_asked_for(
    path: Path, synchronous: Literal["full", "normal", "off"], expected: int
) -> None:
    """SQLite is told, and keeps the log that makes "normal" safe against the end of a process."""
    from metadatadb_sqlite.database import open_database

    with closing(open_database(path, synchronous=synchronous, busy_timeout=1)) as connection:
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]

    assert [expected, "wal"] == found


def test_the_table_can_be_read_with_the_sqlite_shell(path: Path) -> None:
    """An operator may look: keys, types and bodies are plain, and the file says whose it is."""
    with closing(SQLiteObjectStore(path)) as store:
        store.put("k", b'{"a":1}', expect=ABSENT, content_type="application/json", metadata={"Expires-At": "x"})
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT key, content_type, metadata, body FROM objects").fetchall()
        (application,) = connection.execute("PRAGMA application_id").fetchone()

    assert [("k", "application/json", '{"Expires-At":"x"}', b'{"a":1}')] == rows
    assert b"mddb" == application.to_bytes(4, "big")


def test_an_interrupted_write_keeps_nobody_out(path: Path) -> None:
    """An interrupt in the middle of a write ends its transaction."""
    with closing(SQLiteObjectStore(path)) as store, closing(SQLiteObjectStore(path, busy_timeout=0.01)) as other:
        version = store.put("k", b"1", expect=ABSENT)
        with pytest.raises(KeyboardInterrupt):
            store._writes.write(_interrupted)
        other.put("k", b"2", expect=version)
        found = store.get("k")

    assert found is not None
    assert b"2" == found.body


def _interrupted(connection: sqlite3.Connection) -> bool:
    connection.execute("DELETE FROM objects")
    raise KeyboardInterrupt
