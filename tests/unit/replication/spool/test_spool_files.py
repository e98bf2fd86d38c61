"""Spool files: one process's each, whole records or none, on the disk when that is said."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metadatadb_core.errors import SpoolError
from metadatadb_core.replication.spool.file import SpoolFile, claim, is_held


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file is to be."""
    return tmp_path / "jobs.1.spool"


@pytest.fixture
def file(path: Path) -> Iterator[SpoolFile]:
    """A file of this process."""
    file = SpoolFile.create(path, b"start\n")
    yield file
    file.close()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes, as if the disk were full then."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def fsyncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that are synced, in order."""
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return synced


def test_a_file_is_its_users_alone(file: SpoolFile, path: Path) -> None:
    """It holds what the application stores."""
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_records_are_appended(file: SpoolFile, path: Path) -> None:
    """In order, after what the file began with."""
    file.append(b"one\n")
    file.append(b"two\n")

    assert b"start\none\ntwo\n" == path.read_bytes()


def test_a_record_that_does_not_fit_is_not_there_at_all(file: SpoolFile, path: Path) -> None:
    """A full disk takes part of a write: that part goes, and later records come in its place."""
    file.append(b"one\n")
    with largest_file(13), pytest.raises(SpoolError) as caught:
        file.append(b"too long\n")
    after = path.read_bytes()
    file.append(b"two\n")

    assert (str(path), False) == (caught.value.path, caught.value.recorded)
    assert b"start\none\n" == after
    assert b"start\none\ntwo\n" == path.read_bytes()


def test_what_is_left_of_a_record_that_could_not_be_removed_is_written_over(
    file: SpoolFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next record goes where the last good one ends."""

    def fail(descriptor: int, length: int) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "ftruncate", fail)
    with largest_file(9), pytest.raises(SpoolError):
        file.append(b"one\n")
    file.append(b"two\n")

    assert b"start\ntwo\n" == path.read_bytes()


def test_a_file_that_cannot_be_made_is_not_there(path: Path) -> None:
    """Neither under its name nor under the one it had before."""
    with largest_file(3), pytest.raises(SpoolError):
        SpoolFile.create(path, b"start\n")

    assert [] == list(path.parent.iterdir())


def test_a_file_that_replaces_another_is_on_the_disk_before(
    file: SpoolFile, path: Path, fsyncs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a machine that dies could have neither."""
    real: Callable[..., Path] = Path.replace
    synced_before: list[int] = []

    def replace(self: Path, target: Path) -> Path:
        synced_before.append(len(fsyncs))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    SpoolFile.create(path, b"shorter\n", replaces=True).close()

    assert [1] == synced_before
    assert b"shorter\n" == path.read_bytes()


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """And says which file."""
    with pytest.raises(SpoolError, match="No such file or directory"):
        SpoolFile.create(tmp_path / "gone" / "a.spool", b"")


def test_a_living_process_keeps_its_file(file: SpoolFile, path: Path) -> None:
    """Nobody else takes it."""
    assert claim(path) is None
    assert is_held(path)


def test_what_a_dead_process_had_can_be_claimed_once(path: Path) -> None:
    """By another process that looks while the first still lives, and again when it has been killed."""
    program = (
        "import sys, pathlib\n"
        "from metadatadb_core.replication.spool.file import SpoolFile\n"
        "file = SpoolFile.create(pathlib.Path(sys.argv[1]), b'theirs')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"ready\n" == process.stdout.readline()
        alive = claim(path)
        process.kill()
        process.wait()
    first, second = claim(path), claim(path)

    assert (None, None) == (alive, second)
    assert first is not None
    with first.reading() as stream:
        assert b"theirs" == stream.read()
    first.close()


def test_a_forked_child_does_not_keep_the_file_of_its_parent(path: Path) -> None:
    """It closes its copy; the parent's lock is not touched by that."""
    file = SpoolFile.create(path, b"")
    to_child, to_parent = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        file.abandon()
        os.write(to_parent[1], b".")
        os.read(to_child[0], 1)
        os._exit(0)
    os.read(to_parent[0], 1)
    held = is_held(path)
    file.close()
    held_by_the_child = is_held(path)
    os.write(to_child[1], b".")
    os.waitpid(child, 0)
    for descriptor in (*to_child, *to_parent):
        os.close(descriptor)

    assert (True, False) == (held, held_by_the_child)


def test_a_file_that_is_replaced_while_it_is_claimed_is_not_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner removed it between our opening and our locking it: what we have locked is nobody's."""
    SpoolFile.create(path, b"old").close()
    real = os.open

    def open_then_replace(name: Path, flags: int, *mode: int) -> int:
        descriptor = real(name, flags, *mode)
        if name == path:
            path.unlink()
            path.write_bytes(b"new")
        return descriptor

    monkeypatch.setattr(os, "open", open_then_replace)

    assert claim(path) is None


def test_what_is_not_there_cannot_be_claimed(path: Path) -> None:
    """Somebody else was faster."""
    assert claim(path) is None
    assert not is_held(path)


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """Whoever may write into the directory cannot make us write elsewhere."""
    (tmp_path / "elsewhere").write_bytes(b"")
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SpoolError):
        claim(path)


class TestSync:
    def test_what_is_on_the_disk_is_not_synced_again(self, file: SpoolFile, fsyncs: list[int]) -> None:
        """The file, and once the directory that it is in."""
        file.sync()
        file.sync()
        file.append(b"one\n")
        file.sync()

        assert 3 == len(fsyncs)

    def test_threads_that_come_together_share_one_fsync(self, file: SpoolFile, monkeypatch: pytest.MonkeyPatch) -> None:
        """While one waits for the disk, the others append; the next fsync is for all of them."""
        file.sync()
        entered, go_on = threading.Event(), threading.Event()
        calls: list[int] = []

        def fsync(descriptor: int) -> None:
            calls.append(descriptor)
            entered.set()
            go_on.wait(30)

        monkeypatch.setattr(os, "fsync", fsync)
        file.append(b"one\n")
        threads = [threading.Thread(target=file.sync) for _ in range(8)]
        threads[0].start()
        entered.wait(30)
        file.append(b"two\n")
        for thread in threads[1:]:
            thread.start()
        go_on.set()
        for thread in threads:
            thread.join()

        assert 2 == len(calls)

    def test_a_failure_says_that_the_ops_are_recorded(self, file: SpoolFile, monkeypatch: pytest.MonkeyPatch) -> None:
        """They were appended, and are not to be applied again."""

        def fail(descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(SpoolError, match="Input/output error") as caught:
            file.sync()

        assert caught.value.recorded

    def test_after_a_failure_everything_is_written_again(
        self, file: SpoolFile, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another fsync alone would succeed without having written what the first one could not."""
        file.append(b"one\n")
        real_fsync, real_pwrite = os.fsync, os.pwrite
        written: list[bytes] = []

        def fail(descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        def pwrite(descriptor: int, content: bytes, offset: int) -> int:
            written.append(bytes(content))
            return real_pwrite(descriptor, content, offset)

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(SpoolError):
            file.sync()
        monkeypatch.setattr(os, "fsync", real_fsync)
        monkeypatch.setattr(os, "pwrite", pwrite)
        file.sync()

        assert [b"start\none\n"] == written
        assert b"start\none\n" == path.read_bytes()

    def test_a_file_that_was_removed_needs_none(self, file: SpoolFile, fsyncs: list[int]) -> None:
        """What it held is in the store."""
        file.append(b"one\n")
        file.remove()
        file.sync()

        assert [] == fsyncs


def test_a_removed_file_is_gone(file: SpoolFile, path: Path) -> None:
    """For good."""
    file.remove()

    assert not path.exists()


def test_a_file_that_cannot_be_removed_stays_locked(
    file: SpoolFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody takes it for a dead one's; it can be tried again."""

    def fail(self: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    real: Callable[..., None] = Path.unlink
    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(SpoolError, match="Read-only"):
        file.remove()
    monkeypatch.setattr(Path, "unlink", real)

    assert is_held(path)
    file.remove()
    assert not path.exists()
