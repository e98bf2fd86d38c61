"""Files that cannot be used, and disks that fill up: each is sorted into the right outcome, and named."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from metadatadb_core import ops
from metadatadb_core.errors import BackendUnavailableError
from metadatadb_core.replication.object_store import ABSENT
from metadatadb_core.replication.outcomes import Denied, OutcomeUnknown, Rejected, StoreFailure, Unavailable
from metadatadb_sqlite import SQLiteBackend, SQLiteBackendConfig, database
from metadatadb_sqlite.failures import failed_commit, failed_statement
from metadatadb_sqlite.store import SQLiteObjectStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "meta.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteObjectStore]:
    with closing(SQLiteObjectStore(path, busy_timeout=0.05)) as store:
        yield store


def open_backend(path: Path) -> SQLiteBackend:
    return SQLiteBackend(SQLiteBackendConfig(path=str(path)))


# -- files that cannot be used -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/meta.db", "directory does not exist; create it"),
        (".", "is a directory; name a file in it"),
        ("file/meta.db", "cannot be made"),
        ("garbage.db", "damaged, or is not a SQLite database"),
        ("foreign.db", "is a database of another program"),
        ("newer.db", "newer release of metadatadb-sqlite"),
    ],
)
def test_a_path_that_cannot_be_used_is_refused_at_once(tmp_path: Path, name: str, reason: str) -> None:
    """The constructor says which file, and what to do; the file is left as it was."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "garbage.db").write_bytes(b"garbage" * 1000)
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with closing(SQLiteObjectStore(tmp_path / "newer.db")) as newer:
        newer.check()
    with closing(sqlite3.connect(tmp_path / "newer.db")) as connection:
        connection.execute("PRAGMA user_version = 2")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(BackendUnavailableError, match=reason) as caught:
        open_backend(tmp_path / name)

    assert not caught.value.denied
    assert isinstance(caught.value.cause, Rejected)
    assert str((tmp_path / name).absolute()) in str(caught.value)
    assert before == {file: file.read_bytes() for file in tmp_path.iterdir()}


def test_a_damaged_page_is_rejected_and_named(path: Path, store: SQLiteObjectStore) -> None:
    """Damage that shows only when an object is read is reported then; a restored copy is used at once."""
    with closing(SQLiteObjectStore(path)) as writer:
        writer.put("k", b"x" * 20_000, expect=ABSENT)
    shutil.copy(path, path.with_suffix(".copy"))
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(Rejected, match=r"meta\.db is damaged.*restore it from a backup"):
        store.get("k")
    path.with_suffix(".copy").replace(path)

    assert store.get("k") is not None


def test_a_truncated_file_is_rejected(path: Path, store: SQLiteObjectStore) -> None:
    """A file that lost its end is damaged, not empty."""
    with closing(SQLiteObjectStore(path)) as writer:
        writer.put("k", b"x" * 20_000, expect=ABSENT)
    os.truncate(path, 4096)
    with pytest.raises(Rejected, match=r"meta\.db is damaged"):
        store.get("k")


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from metadatadb_sqlite import SQLiteBackend, SQLiteBackendConfig
from metadatadb_sqlite.store import SQLiteObjectStore
from metadatadb_core.errors import BackendUnavailableError
from metadatadb_core.replication.object_store import ABSENT
from metadatadb_core.replication.outcomes import StoreFailure

path = Path(sys.argv[1])
if os.geteuid() == 0:  # permission bits mean nothing to root, and nobody may not pass through root's directories
    os.chroot(path.parent)
    os.setgid(65534)
    os.setuid(65534)
    path = Path("/") / path.name
store = SQLiteObjectStore(path)
try:
    store.put("k2", b"2", expect=ABSENT)
except StoreFailure as failure:
    print(type(failure).__name__, failure.reason)
store.close()
try:
    SQLiteBackend(SQLiteBackendConfig(path=str(path)))
except BackendUnavailableError as error:
    print(error.denied)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
@pytest.mark.parametrize(
    ("exists", "directory_mode", "file_mode"),
    [(False, 0o555, 0o600), (True, 0o555, 0o644), (True, 0o777, 0o444), (True, 0o777, 0o000)],
    ids=["directory-read-only", "both-read-only", "file-read-only", "file-unreadable"],
)
def test_what_may_not_be_written_is_denied(tmp_path: Path, exists: bool, directory_mode: int, file_mode: int) -> None:
    """A user without the right to write is told so, with the file's name, by each put and by the constructor."""
    directory = tmp_path / "data"
    directory.mkdir()
    path = directory / "meta.db"
    if exists:
        with closing(SQLiteObjectStore(path)) as store:
            store.put("k", b"1", expect=ABSENT)
        path.chmod(file_mode & ~0o200 if os.geteuid() else file_mode)
    directory.chmod(directory_mode)
    try:
        run = subprocess.run([sys.executable, "-c", UNPRIVILEGED, str(path)], capture_output=True, text=True)
    finally:
        directory.chmod(0o755)
    if "PermissionError" in run.stderr and "chroot" in run.stderr:
        pytest.skip("this root may not change its root directory")
    refused, denied = run.stdout.splitlines() or (run.stderr, "")

    assert refused.startswith("Denied")
    assert "meta.db cannot be" in refused
    assert "give this user write access" in refused
    assert "True" == denied


# -- files that cannot be used just now --------------------------------------------------------------------


def test_a_locked_file_can_be_read_and_is_written_later(path: Path, store: SQLiteObjectStore) -> None:
    """While another process is in a transaction, a put is Unavailable and a get is answered."""
    version = store.put("k", b"1", expect=ABSENT)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match=r"meta\.db is busy: another process"):
            store.put("k", b"2", expect=version)
        meanwhile = store.get("k")
        other.execute("ROLLBACK")
    store.put("k", b"3", expect=version)
    afterwards = store.get("k")

    assert meanwhile is not None
    assert afterwards is not None
    assert (b"1", b"3") == (meanwhile.body, afterwards.body)


def test_a_backend_opens_on_a_locked_file(path: Path) -> None:
    """Busy is no mistake of whoever opens it: writes are queued, and flushed once the file is free."""
    with closing(SQLiteObjectStore(path)) as store:
        store.check()
    config = SQLiteBackendConfig(path=str(path), lock_ttl="100ms")  # type: ignore[arg-type]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        backend = SQLiteBackend(config)
        backend.apply("jobs", ops.IntAdd("x", 1))
        other.execute("ROLLBACK")
    backend.flush("jobs")
    backend.close()
    with closing(SQLiteObjectStore(path)) as store:
        found = store.get(".metadata/jobs.json")

    assert found is not None


def test_a_full_file_keeps_what_it_has(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A put that finds no room is Unavailable: nothing is wrong with it, and it will do once there is room."""
    monkeypatch.setattr(database, "_EVERY_CONNECTION", ("PRAGMA max_page_count = 10",))
    with closing(SQLiteObjectStore(path)) as store:
        version = store.put("k", b"1", expect=ABSENT)
        with pytest.raises(Unavailable, match=r"no room for .*meta\.db: its disk or quota is full"):
            store.put("k", b"2" * 100_000, expect=version)
        kept = store.get("k")
        store.put("k", b"3", expect=version)

    assert kept is not None
    assert (b"1", version) == (kept.body, kept.version)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB, where one can be mounted."""
    directory = tmp_path / "small"
    directory.mkdir()
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("needs mount of Linux")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(directory)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def test_a_full_disk_tears_nothing_and_loses_nothing(small_disk: Path) -> None:
    """On a real disk without room a put fails, reads go on, and once there is room the same put works."""
    ballast = small_disk / "ballast"
    with closing(SQLiteObjectStore(small_disk / "meta.db")) as store:
        version = store.put("k", b"1" * 50_000, expect=ABSENT)
        store.get("k")
        with pytest.raises(OSError, match="No space left"):
            _fill(ballast)
        failures: list[StoreFailure] = []
        for _ in range(3):
            try:
                store.put("k", b"2" * 60_000, expect=version)
            except (Unavailable, OutcomeUnknown) as failure:
                failures.append(failure)
        meanwhile = store.get("k")
        ballast.unlink()
        store.put("k", b"3" * 60_000, expect=version)
        afterwards = store.get("k")

    assert 3 == len(failures)
    assert all("disk or quota is full" in failure.reason for failure in failures)
    assert meanwhile is not None
    assert afterwards is not None
    assert (b"1" * 50_000, b"3" * 60_000) == (meanwhile.body, afterwards.body)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


# -- the table of outcomes ---------------------------------------------------------------------------------


def an_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    error.sqlite_errorname = f"code {code}"
    return error


BEFORE_COMMIT = {
    sqlite3.SQLITE_BUSY: Unavailable,
    sqlite3.SQLITE_BUSY_SNAPSHOT: Unavailable,
    sqlite3.SQLITE_LOCKED: Unavailable,
    sqlite3.SQLITE_PROTOCOL: Unavailable,
    sqlite3.SQLITE_FULL: Unavailable,
    sqlite3.SQLITE_IOERR_WRITE: Unavailable,
    sqlite3.SQLITE_INTERRUPT: Unavailable,
    sqlite3.SQLITE_READONLY: Denied,
    sqlite3.SQLITE_READONLY_DIRECTORY: Denied,
    sqlite3.SQLITE_PERM: Denied,
    sqlite3.SQLITE_CORRUPT: Rejected,
    sqlite3.SQLITE_NOTADB: Rejected,
    sqlite3.SQLITE_TOOBIG: Rejected,
    sqlite3.SQLITE_ERROR: Rejected,
}


@pytest.mark.parametrize("code", BEFORE_COMMIT)
def test_an_error_before_the_commit_is_never_unknown(path: Path, code: int) -> None:
    """What was not committed was surely not applied; who can help, time or a person, decides the rest."""
    failure = failed_statement(an_error(code), path)

    assert BEFORE_COMMIT[code] is type(failure)
    assert "what SQLite says" in failure.reason


@pytest.mark.parametrize("code", [code for code, kind in BEFORE_COMMIT.items() if code & 0xFF not in (5, 6, 15)])
def test_an_error_of_the_commit_is_unknown(path: Path, code: int) -> None:
    """The log may hold it already, and a recovery would find it there; the engine has to look."""
    assert OutcomeUnknown is type(failed_commit(an_error(code), path))


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED])
def test_a_commit_that_got_no_lock_did_nothing(path: Path, code: int) -> None:
    """That one case is sure, and may be tried again."""
    assert Unavailable is type(failed_commit(an_error(code), path))


def test_a_failed_commit_leaves_the_store_usable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is replaced, the transaction is gone, and the next put works."""
    monkeypatch.setattr(database, "_EVERY_CONNECTION", ("PRAGMA foreign_keys = ON",))
    with closing(SQLiteObjectStore(path)) as store:
        version = store.put("k", b"1", expect=ABSENT)
        with pytest.raises(OutcomeUnknown, match=r"meta\.db: a write could not be completed, perhaps it was"):
            store._writes.write(_break_deferred_key)
        store.put("k", b"2", expect=version)
        found = store.get("k")

    assert found is not None
    assert b"2" == found.body


def _break_deferred_key(connection: sqlite3.Connection) -> bool:
    """A change that SQLite refuses only when it is committed."""
    connection.execute("UPDATE objects SET body = x''")
    connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    connection.execute("INSERT INTO child VALUES (1)")
    return True
