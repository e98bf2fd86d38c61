"""A backend with a spool: what is recorded when, and that its reads do without."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from metadatadb_core import ops
from metadatadb_core.errors import ConfigError, SpoolError
from metadatadb_core.replication import ReplicatedBackend, ReplicationConfig
from metadatadb_core.replication import config as config_module
from metadatadb_core.replication.spool import leftovers
from metadatadb_core.settings import Settings
from metadatadb_core.testing.object_store import Bucket, MemoryObjectStore
from tests.support.engine import NS, backend_over, opened, stored, wait_until


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The spool's."""
    return tmp_path / "spool"


@pytest.fixture
def fsyncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that are synced."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    return synced


def spooled(directory: Path, bucket: Bucket, **options: Any) -> ReplicatedBackend:
    """A backend that syncs only when told to."""
    backend = backend_over(MemoryObjectStore(bucket), spool=str(directory), **options)
    opened(backend)
    return backend


def configured(attributes: dict[str, object]) -> ReplicationConfig:
    """The configuration with those attributes, as HCL and URLs make it."""
    return Settings.from_mapping(attributes).configure(ReplicationConfig, {})


def kept(directory: Path) -> list[int]:
    """How many ops each file holds."""
    return [file.ops for file in leftovers(directory)] if directory.exists() else []


def test_a_write_is_in_the_spool_when_it_returns(directory: Path) -> None:
    """And no longer once it was flushed."""
    bucket = Bucket()
    backend = spooled(directory, bucket)
    backend.apply(NS, ops.IntAdd("n", 1), ops.IntAdd("n", 2))
    before = kept(directory)
    backend.flush(NS)
    backend.close()

    assert ([2], []) == (before, kept(directory))
    assert {"n": 3} == stored(bucket)


def test_without_the_option_nothing_is_written(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Anywhere."""
    monkeypatch.chdir(tmp_path)
    backend = backend_over(MemoryObjectStore(Bucket()))
    backend.apply(NS, ops.IntAdd("n", 1))
    backend.close()

    assert [] == list(tmp_path.iterdir())


def test_always_syncs_before_a_write_returns(directory: Path, fsyncs: list[int]) -> None:
    """The file, and with the first write the directory."""
    backend = spooled(directory, Bucket(), spool_fsync="always")
    backend.apply(NS, ops.IntAdd("n", 1))
    first = len(fsyncs)
    backend.apply(NS, ops.IntAdd("n", 1))
    second = len(fsyncs)
    backend.close()

    assert (2, 3) == (first, second)


def test_never_leaves_it_to_the_system(directory: Path, fsyncs: list[int]) -> None:
    """But for what is sealed, which is synced before it is sent."""
    backend = spooled(directory, Bucket(), spool_fsync="never")
    backend.apply(NS, ops.IntAdd("n", 1))
    before = len(fsyncs)
    backend.flush(NS)
    after = len(fsyncs)
    backend.close()

    assert (0, 2) == (before, after)


def test_interval_syncs_in_the_background(directory: Path, fsyncs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anybody's waiting for it."""
    monkeypatch.setattr("metadatadb_core.replication.backend._SPOOL_SYNC_SECONDS", 0.01)
    backend = backend_over(MemoryObjectStore(Bucket()), spool=str(directory))
    backend.flush(NS)
    backend.apply(NS, ops.IntAdd("n", 1))
    wait_until(lambda: len(fsyncs) >= 2, "the spool is synced")
    backend.close()


def test_a_disk_that_fails_in_the_background_is_logged(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Writes go on: what is recorded is safe from the death of the process."""

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("metadatadb_core.replication.backend._SPOOL_SYNC_SECONDS", 0.01)
    backend = backend_over(MemoryObjectStore(Bucket()), spool=str(directory))
    backend.flush(NS)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        backend.apply(NS, ops.IntAdd("n", 1))
        wait_until(lambda: "Input/output error" in caplog.text, "the failure is logged")
    backend.close()


def test_a_disk_that_fails_before_a_write_returns_is_an_error(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says that the write stands: it is queued, and will be flushed."""

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    bucket = Bucket()
    backend = spooled(directory, bucket, spool_fsync="always")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(SpoolError) as caught:
            backend.apply(NS, ops.IntAdd("n", 1))
    backend.close()

    assert caught.value.recorded
    assert {"n": 1} == stored(bucket)


def test_reads_do_without_the_spool(directory: Path) -> None:
    """Where it cannot be written at all."""
    directory.write_bytes(b"")
    bucket = Bucket()
    other = backend_over(MemoryObjectStore(bucket))
    other.apply(NS, ops.IntAdd("n", 5))
    other.close()
    backend = spooled(directory, bucket)
    with pytest.raises(SpoolError):
        backend.apply(NS, ops.IntAdd("n", 1))
    seen = backend.query(NS, ops.IntGet("n"))
    backend.close()

    assert 5 == seen


def test_readers_do_not_wait_for_the_disk(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that waits for its fsync holds nobody up."""
    entered, go_on = threading.Event(), threading.Event()
    backend = spooled(directory, Bucket(), spool_fsync="always")

    def fsync(descriptor: int) -> None:
        entered.set()
        go_on.wait(30)

    monkeypatch.setattr(os, "fsync", fsync)
    writer = threading.Thread(target=backend.apply, args=(NS, ops.SetAdd("s", "one")))
    writer.start()
    entered.wait(30)
    seen = backend.query(NS, ops.SetMembers("s"))
    waiting = writer.is_alive()
    go_on.set()
    writer.join()
    backend.close()

    assert (["one"], True) == (seen, waiting)


def test_a_child_has_a_spool_of_its_own(directory: Path) -> None:
    """The parent's stays the parent's; what the child leaves when it is killed is the next one's."""
    bucket = Bucket()
    backend = spooled(directory, bucket)
    backend.apply(NS, ops.ListAppend("l", "parent"))
    child = os.fork()
    if not child:
        backend.apply(NS, ops.ListAppend("l", "child"))
        os._exit(len(kept(directory)))
    left = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    heir = spooled(directory, bucket)
    heir.close()
    backend.close()

    assert 2 == left
    assert {"l": ["child", "parent"]} == stored(bucket)
    assert [] == kept(directory)


def test_a_relative_directory_is_where_the_backend_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the program is when it writes."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    backend = spooled(Path("spool"), Bucket())
    monkeypatch.chdir(tmp_path / "elsewhere")
    backend.apply(NS, ops.IntAdd("n", 1))
    found = kept(tmp_path / "spool")
    backend.close()

    assert [1] == found


def test_the_option_says_what_is_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty name, a policy that is none, a system without locks."""
    with pytest.raises(ConfigError, match="'spool' is empty"):
        configured({"spool": ""})
    with pytest.raises(ConfigError, match="spool-fsync"):
        configured({"spool-fsync": "sometimes"})
    monkeypatch.setattr(config_module, "LOCKS_WORK", False)
    with pytest.raises(ConfigError, match="POSIX"):
        configured({"spool": "/var/spool"})
