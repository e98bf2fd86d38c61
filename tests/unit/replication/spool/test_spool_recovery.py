"""What a process leaves in its spool when it dies, another one brings in: once, wherever death came."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from metadatadb_core import ops
from metadatadb_core.errors import CommitUnknownError, SpoolError
from metadatadb_core.replication.outcomes import OutcomeUnknown, PreconditionFailed
from metadatadb_core.replication.record import MAX_WRITERS, BatchId
from metadatadb_core.replication.requests import Put
from metadatadb_core.replication.spool import DirectorySpool, Fsync, Target, leftovers, records
from metadatadb_core.replication.spool import directory as directory_module
from metadatadb_core.replication.spool.directory import SUFFIX
from metadatadb_core.testing.object_store import Bucket
from tests.support.engine import LOCK, NS, STATE, FakeTime, Peer, Round, environment, stored

TARGET = Target("memory store", "", NS)


class Machine:
    """Processes over one bucket that share a spool directory and die at will."""

    def __init__(self, directory: Path, fsync: Fsync = "never") -> None:
        self.bucket = Bucket()
        self.time = FakeTime()
        self.wall_error = 0.0
        self.directory = directory
        self._fsync = fsync

    def start(self, name: str, target: Target = TARGET) -> Peer:
        """A process; it recovers what the dead left."""
        spool_environment = environment(self.time, f"{name}-recovered", wall_error=self.wall_error)
        self.spool = DirectorySpool(self.directory, target, self._fsync, spool_environment)
        return Peer(self.bucket, self.time, name, spool=self.spool)

    def files(self) -> list[Path]:
        """All that there is in the directory."""
        return sorted(self.directory.iterdir()) if self.directory.exists() else []


def die(peer: Peer) -> None:
    """Be killed: descriptors are closed, and nothing else happens."""
    peer.replica.spool.abandon()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One whose spool is not made yet."""
    return Machine(tmp_path / "var" / "spool")


def test_what_was_not_flushed_is_recovered(machine: Machine) -> None:
    """It is visible at once, and goes into the store under an id of its own."""
    first = machine.start("a")
    first.append("one")
    first.append("two")
    die(first)
    second = machine.start("b")
    second.append("three")
    visible = second.entries
    second.sync()

    assert ["one", "two", "three"] == visible
    assert ["one", "two", "three"] == stored(machine.bucket)["l"]
    assert [] == machine.files()


def test_a_write_that_was_flushed_leaves_nothing(machine: Machine) -> None:
    """The file goes when its batch is in the store."""
    peer = machine.start("a")
    peer.append("one")
    before = len(machine.files())
    peer.sync()

    assert (1, []) == (before, machine.files())


def test_a_process_that_only_reads_makes_no_file(machine: Machine) -> None:
    """Nor the directory."""
    machine.start("a").sync()

    assert not machine.directory.exists()


def deaths() -> list[int]:
    """After how many requests of a round a process may die: the round of one that writes makes five."""
    return list(range(6))


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("second_death", [None, *deaths()])
@pytest.mark.parametrize("first_death", deaths())
def test_wherever_death_comes_each_write_counts_once(
    machine: Machine, first_death: int, second_death: int | None, answered: bool
) -> None:
    """Before a request, or after it was applied and before it was answered; and again while recovering."""
    first = machine.start("a")
    first.append("one")
    run(first.commit(), first_death, answered)
    first.append("two")
    die(first)
    if second_death is not None:
        second = machine.start("b")
        second.append("three")
        run(second.commit(), second_death, answered)
        die(second)
    machine.time.advance(1000)
    last = machine.start("c")
    last.append("four")
    last.sync()
    expected = ["one", "two", *(["three"] if second_death is not None else []), "four"]

    assert expected == stored(machine.bucket)["l"]
    assert expected == last.entries
    assert [] == machine.files()


def run(round_: Round[None], requests: int, answered: bool) -> None:
    """Go on for so many requests; then die, before the next is made or after it was applied."""
    for _ in range(requests):
        if round_.over:
            return
        round_.step()
    if not answered and isinstance(round_.request, Put):
        request = round_.request
        with suppress(PreconditionFailed):
            round_._store.put(request.key, request.body, expect=request.expect)
    round_.crash()


def test_a_put_of_the_dead_that_lands_late_counts_once(machine: Machine) -> None:
    """It was under way when its sender died, and lands while its heir is about to send the same batch."""
    first = machine.start("a")
    first.append("one")
    round_ = first.commit()
    round_.go_on_until(Put, STATE)
    late = round_.request
    assert isinstance(late, Put)
    round_.crash()
    die(first)
    machine.time.advance(1000)
    second = machine.start("b")
    round_ = second.commit()
    round_.go_on_until(Put, STATE)
    second.store.put(late.key, late.body, expect=late.expect)
    round_.finish()
    second.sync()

    assert ["one"] == stored(machine.bucket)["l"]
    assert [] == machine.files()


def test_a_sealed_batch_is_on_the_disk_before_it_is_sent(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under every policy: a machine that forgot the id would send the ops again under another."""
    synced: list[tuple[bytes, bool]] = []
    real = os.fsync
    peer = machine.start("a")

    def fsync(descriptor: int) -> None:
        synced.append((b"".join(path.read_bytes() for path in machine.files()), STATE in machine.bucket.objects))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    peer.append("one")
    before = len(synced)
    peer.commit().finish()
    content, sent = synced[0]

    assert 0 == before
    assert b" seal " in content
    assert b" attempt 0\n" in content
    assert not sent


def test_nothing_is_sent_while_a_seal_cannot_be_recorded(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The round fails, what is pending stays, and the next one sends it."""
    peer = machine.start("a")
    peer.append("one")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        for _ in range(2):
            with pytest.raises(SpoolError):
                peer.commit().finish()
    sent = STATE in machine.bucket.objects
    peer.sync()

    assert (False, False) == (sent, LOCK in machine.bucket.objects)
    assert ["one"] == stored(machine.bucket)["l"]


def test_a_write_that_cannot_be_recorded_is_not_applied(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be repeated; reads go on, and so do writes once there is room."""
    peer = machine.start("a")
    peer.append("one")

    def full(descriptor: int, content: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(SpoolError) as caught:
            peer.append("two")
        seen = peer.entries
    peer.append("three")
    peer.sync()

    assert (["one"], False) == (seen, caught.value.recorded)
    assert ["one", "three"] == stored(machine.bucket)["l"]


def test_two_living_processes_do_not_share_a_spool(machine: Machine) -> None:
    """Each has its own files, and takes none of the other's."""
    first, second = machine.start("a"), machine.start("b")
    first.append("one")
    second.append("two")
    third = machine.start("c")

    assert 2 == len(machine.files())
    assert [] == third.entries


def test_only_one_heir_takes_what_is_left(machine: Machine) -> None:
    """The one that is first."""
    first = machine.start("a")
    first.append("one")
    die(first)
    second, third = machine.start("b"), machine.start("c")
    third.sync()
    second.sync()

    assert (["one"], ["one"]) == (second.entries, stored(machine.bucket)["l"])


def test_several_dead_leave_several_inheritances(machine: Machine) -> None:
    """In the order in which each wrote, and the processes in the order in which they began."""
    for name in ("a", "b"):
        peer = machine.start(name)
        peer.append(f"{name}1")
        peer.commit().crash()
        peer.append(f"{name}2")
        held = machine.files()
        die(peer)
        machine.time.advance(1000)
        assert len(held) >= 1
    heir = machine.start("c")
    heir.sync()

    assert ["a1", "a2", "b1", "b2"] == stored(machine.bucket)["l"]


def test_an_heir_that_dies_too_leaves_what_it_inherited_first(machine: Machine) -> None:
    """Also where the machine's clock was set back meanwhile."""
    for name in ("a", "b", "c"):
        peer = machine.start(name)
        peer.append(name)
        die(peer)
        machine.wall_error -= 1000.0

    assert ["a", "b", "c"] == machine.start("d").entries


@pytest.mark.parametrize(
    "other", [Target("another store", "", NS), Target("memory store", "other/", NS), Target("memory store", "", "ns2")]
)
def test_what_belongs_elsewhere_is_left_alone(machine: Machine, other: Target) -> None:
    """Another store, prefix or namespace."""
    first = machine.start("a", other)
    first.append("one")
    die(first)
    second = machine.start("b")

    assert [] == second.entries
    assert 1 == len(machine.files())


def test_a_forked_child_begins_with_nothing(machine: Machine) -> None:
    """What is recorded is the parent's, and so are its files."""
    parent = machine.start("a")
    parent.append("one")
    before = machine.files()
    spool = parent.replica.spool
    child = os.fork()
    if not child:
        with parent.replica.state.lock:
            parent.replica.forget_pending()
        parent.append("from the child")
        os._exit(0 if len(machine.files()) == 2 and spool is parent.replica.spool else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    parent.sync()
    heir = machine.start("b")
    heir.sync()

    assert (0, 1) == (status, len(before))
    assert ["one", "from the child"] == stored(machine.bucket)["l"]


def test_what_is_discarded_does_not_come_back(machine: Machine) -> None:
    """Sealed or not."""
    peer = machine.start("a")
    peer.append("one")
    round_ = peer.commit()
    round_.go_on_until(Put, STATE)
    round_.crash()
    peer.append("two")
    dropped = peer.replica.discard()
    die(peer)

    assert 2 == len(dropped)
    assert [] == machine.files()
    assert [] == machine.start("b").entries


def test_a_discard_that_fails_discards_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since it would come back."""

    def fail(self: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    peer = machine.start("a")
    peer.append("one")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)
        with pytest.raises(SpoolError):
            peer.replica.discard()

    assert 1 == peer.replica.pending


def test_after_a_discard_that_failed_half_way_what_is_pending_is_sent(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was forgotten, though some of it is recorded no more."""
    peer = machine.start("a")
    peer.append("one")
    round_ = peer.commit()
    round_.go_on_until(Put, STATE)
    round_.crash()
    peer.append("two")
    unlink = Path.unlink
    removed: list[Path] = []

    def fail_after_one(self: Path, missing_ok: bool = False) -> None:
        if removed:
            raise OSError(30, "Read-only file system")
        removed.append(self)
        unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail_after_one)
        with pytest.raises(SpoolError):
            peer.replica.discard()
    peer.sync()

    assert ["one", "two"] == stored(machine.bucket)["l"]
    assert [] == machine.files()


def test_a_discard_outlives_the_machine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the files are gone is on the disk when it returns."""
    synced: list[list[Path]] = []
    peer = machine.start("a")
    peer.append("one")
    monkeypatch.setattr(directory_module, "sync_directory", lambda path: synced.append(machine.files()))
    peer.replica.discard()

    assert [[]] == synced


def test_a_file_that_cannot_be_removed_does_no_harm(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its batch is known to be in the store; it is tried again with the next."""
    peer = machine.start("a")
    peer.append("one")

    def fail(self: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "metadatadb"):
        patch.setattr(Path, "unlink", fail)
        peer.sync()
    kept = len(machine.files())
    peer.append("two")
    peer.sync()

    assert (1, []) == (kept, machine.files())
    assert "in the store already" in caplog.text
    assert ["one", "two"] == stored(machine.bucket)["l"]


def test_a_counter_that_never_rests_does_not_fill_the_disk(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is down, the queue stays short by coalescing, and so does its record."""
    monkeypatch.setattr("metadatadb_core.replication.spool.directory._COMFORTABLE_BYTES", 2000)
    peer = machine.start("a")
    longest = 0
    for _ in range(1000):
        peer.add()
        longest = max(longest, sum(path.stat().st_size for path in machine.files()))
    die(peer)
    heir = machine.start("b")

    assert 1000 == heir.count
    assert longest < 5000


def test_a_record_that_cannot_be_shortened_is_as_good(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for the shorter one beside it, say."""
    monkeypatch.setattr("metadatadb_core.replication.spool.directory._COMFORTABLE_BYTES", 2000)
    peer = machine.start("a")
    peer.add()
    real: Callable[..., Path] = Path.replace

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    for _ in range(100):
        peer.add()
    monkeypatch.setattr(Path, "replace", real)
    die(peer)

    assert 101 == machine.start("b").count
    assert [] == [path for path in machine.files() if path.suffix != SUFFIX]


def test_a_batch_nobody_can_judge_is_for_the_operator(machine: Machine) -> None:
    """It was sent, and so many others have written since that the record has forgotten its writer."""
    first = machine.start("a")
    first.append("one")
    round_ = first.commit()
    round_.go_on_until(Put, STATE)
    round_.crash()
    die(first)
    machine.time.advance(1000)
    for number in range(MAX_WRITERS + 2):
        other = Peer(machine.bucket, machine.time, f"other-{number}")
        other.add()
        other.sync()
    heir = machine.start("b")
    heir.append("two")
    with pytest.raises(CommitUnknownError):
        heir.commit().finish()
    dropped = heir.replica.discard()

    assert [ops.ListAppend("l", "one"), ops.ListAppend("l", "two")] == dropped


def test_a_batch_that_was_never_sent_is_never_in_doubt(machine: Machine) -> None:
    """Whoever died before the first put left no doubt, however many have written since."""
    first = machine.start("a")
    first.append("one")
    die(first)
    for number in range(MAX_WRITERS + 2):
        other = Peer(machine.bucket, machine.time, f"other-{number}")
        other.add()
        other.sync()
    heir = machine.start("b")
    heir.sync()

    assert ["one"] == stored(machine.bucket)["l"]


def test_an_answer_that_is_lost_and_a_death_count_once(machine: Machine) -> None:
    """The put took effect, its answer did not arrive, and the process died before it asked."""
    first = machine.start("a")
    first.append("one")
    round_ = first.commit()
    round_.go_on_until(Put, STATE)
    request = round_.request
    assert isinstance(request, Put)
    first.store.put(request.key, request.body, expect=request.expect)
    round_.throw(OutcomeUnknown("lost"))
    round_.crash()
    die(first)
    machine.time.advance(1000)
    heir = machine.start("b")
    heir.sync()

    assert ["one"] == stored(machine.bucket)["l"]
    assert [] == machine.files()


class TestDamage:
    def test_a_damaged_file_is_kept_and_the_rest_of_it_recovered(
        self, machine: Machine, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Somebody may want to see what the disk did."""
        first = machine.start("a")
        for entry in ("one", "two", "three"):
            first.append(entry)
        die(first)
        (path,) = machine.files()
        path.write_bytes(path.read_bytes().replace(b"two", b"twx"))
        heir = machine.start("b")
        heir.sync()

        assert ["one", "three"] == stored(machine.bucket)["l"]
        assert [path.with_suffix(".damaged")] == machine.files()
        assert "lost 1 records" in caplog.text

    @pytest.mark.parametrize("torn", [1, 20, 40], ids="{} bytes".format)
    def test_a_torn_tail_does_not_hide_the_seal_of_an_heir(self, machine: Machine, torn: int) -> None:
        """The heir sends what it recovered and dies; the next one knows under which id, and nothing counts twice."""
        first = machine.start("a")
        first.append("one")
        die(first)
        (path,) = machine.files()
        with path.open("ab") as file:
            file.write(records.operations([ops.ListAppend("l", "cut short")])[:torn])
        second = machine.start("b")
        run(second.commit(), 3, answered=False)  # the put took effect, and nobody learnt of it
        die(second)
        machine.time.advance(1000)
        machine.start("c").sync()

        assert ["one"] == stored(machine.bucket)["l"]
        assert [] == machine.files()

    def test_a_damaged_file_is_recovered_again_when_its_heir_dies(self, machine: Machine) -> None:
        """That it was kept to be looked at already is no reason to leave it."""
        first = machine.start("a")
        for entry in ("one", "two", "three"):
            first.append(entry)
        die(first)
        (path,) = machine.files()
        path.write_bytes(path.read_bytes().replace(b"two", b"twx"))
        die(machine.start("b"))
        machine.start("c").sync()

        assert ["one", "three"] == stored(machine.bucket)["l"]
        assert [path.with_suffix(".damaged")] == machine.files()

    def test_a_copy_of_a_sealed_file_does_not_count(self, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
        """Somebody saved the file under another name, beside it."""
        first = machine.start("a")
        first.append("one")
        first.commit().go_on_until(Put, STATE)
        die(first)
        (path,) = machine.files()
        copy = path.with_name(f"{NS}.00000000000000000009-copy{SUFFIX}")
        copy.write_bytes(path.read_bytes())
        machine.time.advance(1000)
        machine.start("b").sync()

        assert ["one"] == stored(machine.bucket)["l"]
        assert "is a copy of" in caplog.text
        assert 1 == len(machine.files())

    def test_a_pipe_is_left_where_it_is(self, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
        """Reading it would not come to an end, for those who only look into the directory as well."""
        machine.directory.mkdir(parents=True)
        path = machine.directory / f"{NS}.0-0{SUFFIX}"
        os.mkfifo(path)
        peer = machine.start("a")
        peer.append("one")
        peer.sync()
        (leftover,) = leftovers(machine.directory)

        assert [path] == machine.files()
        assert "no regular file" in caplog.text
        assert "no regular file" in str(leftover.problem)

    @pytest.mark.parametrize("content", [b"", b"hello\n", records._line(b"spool", b'{"format":2}')])
    def test_what_is_no_spool_file_is_left_where_it_is(
        self, machine: Machine, caplog: pytest.LogCaptureFixture, content: bytes
    ) -> None:
        """Also one that a newer version wrote."""
        machine.directory.mkdir(parents=True)
        path = machine.directory / f"{NS}.0-0{SUFFIX}"
        path.write_bytes(content)
        peer = machine.start("a")
        peer.append("one")
        peer.sync()

        assert [path] == machine.files()
        assert "is left as it is" in caplog.text

    def test_a_directory_that_is_none_lets_reads_go_on(self, machine: Machine) -> None:
        """A write says what is wrong, and is not applied."""
        machine.directory.parent.mkdir()
        machine.directory.write_bytes(b"")
        peer = machine.start("a")
        peer.refresh().finish()
        with pytest.raises(SpoolError, match=r"File exists|Not a directory"):
            peer.append("one")

        assert [] == peer.entries

    def test_what_was_never_finished_is_swept_away_in_time(self, machine: Machine) -> None:
        """Its maker died before the file had a name; a young one may yet get it."""
        machine.directory.mkdir(parents=True)
        old, young = machine.directory / f"{NS}.1.new", machine.directory / f"{NS}.2.new"
        for path in (old, young):
            path.write_bytes(b"")
        yesterday = time.time() - 86400
        os.utime(old, (yesterday, yesterday))
        machine.start("a")

        assert [young] == machine.files()


def test_the_directory_is_its_users_alone(machine: Machine) -> None:
    """It is made with the first write."""
    machine.start("a").append("one")

    assert 0o700 == machine.directory.stat().st_mode & 0o777


@pytest.mark.parametrize("namespace", ["", "x" * 300])
def test_any_namespace_can_be_spooled(machine: Machine, namespace: str) -> None:
    """The root namespace, and one whose name is too long for a file's."""
    target = Target("memory store", "", namespace)
    first = machine.start("a", target)
    first.append("one")
    die(first)

    assert ["one"] == machine.start("b", target).entries


def test_what_is_left_can_be_looked_at(machine: Machine) -> None:
    """Without taking anything."""
    first = machine.start("a")
    first.append("one")
    first.commit().finish()
    first.append("two")
    first.append("three")
    round_ = first.commit()
    round_.go_on_until(Put, STATE)
    round_.crash()
    first.append("four")
    die(first)
    second = machine.start("b", Target("memory store", "", "other"))
    second.append("five")
    (machine.directory / f"odd{SUFFIX}").write_bytes(b"odd")
    found = list(leftovers(machine.directory))

    assert [
        (TARGET, 2, False, BatchId("a-1", 2), None),
        (TARGET, 1, False, None, None),
        (None, 0, False, None, "it is no spool file, or its beginning is damaged"),
        (Target("memory store", "", "other"), 1, True, None, None),
    ] == [(file.target, file.ops, file.held, file.batch, file.problem) for file in found]
    assert {os.getpid()} == {file.process for file in found if file.problem is None}
    assert [path.stat().st_size for path in machine.files()] == [file.bytes for file in found]
