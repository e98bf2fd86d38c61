"""The checkup of a store: each thing that is wrong fails the line that says so, and nothing is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metadatadb_core import Duration, ops
from metadatadb_core.replication import ReplicationConfig
from metadatadb_core.replication.checkup import CHECKS, Finding, Verdict, check_spool, examine, skip_all, worst
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.object_store import Version
from metadatadb_core.replication.outcomes import Denied, PreconditionFailed
from metadatadb_core.replication.spool import DirectorySpool, Target
from metadatadb_core.testing.object_store import FAILURES, Bucket, Fault, MemoryObjectStore

PASS, SKIP, WARN, FAIL = Verdict.PASS, Verdict.SKIP, Verdict.WARN, Verdict.FAIL
DENIED = FAILURES["403"]
CONFIG = ReplicationConfig(prefix="team/")


def findings(store: MemoryObjectStore, config: ReplicationConfig = CONFIG) -> list[Finding]:
    """All that a checkup finds."""
    return list(examine(store, config, Environment(), threading.Event()))


def wrong(found: list[Finding]) -> dict[str, Verdict]:
    """The verdicts that are no pass, by check."""
    return {finding.check: finding.verdict for finding in found if finding.verdict is not PASS}


def the(found: list[Finding], check: str) -> Finding:
    """The one finding of that check."""
    (finding,) = [finding for finding in found if finding.check == check]
    return finding


def test_a_sound_store_passes_every_check() -> None:
    """And holds afterwards what it held before; what was written had keys of the checkup's own."""
    store = MemoryObjectStore()
    found = findings(store)

    assert {} == wrong(found)
    assert [*(check.name for check in CHECKS), "cleanup"] == [finding.check for finding in found]
    assert {} == store.bucket.objects
    assert {True} == {
        request.key.startswith("team/.metadata/.doctor-")
        for request in store.log
        if request.method in ("put", "delete")
    }


@pytest.mark.parametrize(("ignored", "failing"), [("put-absent", "put-if-absent"), ("put-match", "put-if-match")])
def test_a_store_that_ignores_a_condition_of_puts_fails(ignored: str, failing: str) -> None:
    """Several writers are told that theirs is stored; nothing else is wrong with it."""
    store = MemoryObjectStore(Bucket(ignores=[ignored]))  # type: ignore[list-item]
    found = findings(store)

    assert {failing: FAIL} == wrong(found)
    assert the(found, failing).detail == "8 of 8 writers at once were told that theirs is stored, instead of one"
    assert "enforces conditional writes" in str(the(found, failing).advice)
    assert {} == store.bucket.objects


def test_a_store_that_ignores_conditions_of_deletes_is_a_warning() -> None:
    """It can be used, with care."""
    found = findings(MemoryObjectStore(Bucket(ignores=["delete"])))

    assert {"conditional delete": WARN} == wrong(found)
    assert "lock-ttl" in str(the(found, "conditional delete").advice)


def test_a_delete_that_is_refused_and_done_is_not_enforced() -> None:
    """Somebody on the way repeats it, and hands on what came of the second."""
    store = MemoryObjectStore(Bucket(ignores=["delete"]))
    delete = store.delete

    def delete_twice(key: str, *, expect: Version) -> None:
        found = store.bucket.objects.get(key)
        delete(key, expect=expect)
        if found is not None and found.body == b"keep":
            raise PreconditionFailed("it is gone")

    store.delete = delete_twice  # type: ignore[method-assign]

    assert WARN is the(findings(store), "conditional delete").verdict


def test_a_store_that_tells_every_writer_that_it_lost_fails() -> None:
    """It is safe, and of no use."""
    store = MemoryObjectStore()
    store.faults.append(Fault(on="put", when="after", outcome=PreconditionFailed("no"), times=None))
    found = findings(store)

    assert FAIL is the(found, "put-if-absent").verdict


def test_answers_that_are_lost_in_a_race_are_no_failure() -> None:
    """What is stored then tells that one of those has won that got no answer."""
    store = MemoryObjectStore()
    store.faults.append(Fault(on="put", when="after", outcome=FAILURES["time-out"], times=None))

    assert {} == wrong(findings(store))


@pytest.mark.parametrize(
    ("method", "failing", "skipped"),
    [
        (
            "get",
            "get",
            {"put", "delete", "put-if-absent", "put-if-match", "conditional delete", "read after write"}
            | {"list after write", "clock", "latency", "locks", "states"},
        ),
        ("list", "list", {"list after write", "locks", "states", "journals", "leftovers"}),
        (
            "put",
            "put",
            {"delete", "put-if-absent", "put-if-match", "conditional delete", "read after write"}
            | {"list after write", "clock", "latency"},
        ),
        ("delete", "delete", {"conditional delete", "latency"}),
    ],
)
def test_a_permission_that_is_missing_fails_by_name(method: str, failing: str, skipped: set[str]) -> None:
    """What cannot be tried without it is skipped, and says why; all else is tried."""
    store = MemoryObjectStore()
    store.faults.append(Fault(on=method, outcome=DENIED, times=None))  # type: ignore[arg-type]
    found = findings(store)
    verdicts = wrong(found)
    left_behind = {"cleanup": WARN} if verdicts.pop("cleanup", None) else {}

    assert {failing: FAIL, **dict.fromkeys(skipped, SKIP)} == verdicts
    assert "access denied" == the(found, failing).detail
    assert str(the(found, failing).advice).startswith("allow these credentials to")
    assert {True} == {"cannot be tried, since " in one.detail for one in found if one.verdict is SKIP}
    assert ({"cleanup": WARN} if method == "delete" else {}) == left_behind


def test_what_cannot_be_removed_is_named() -> None:
    """Whoever may remove it then knows what."""
    store = MemoryObjectStore()
    store.faults.append(Fault(on="delete", outcome=DENIED, times=None))
    found = findings(store)

    assert {} != store.bucket.objects
    assert sorted(store.bucket.objects) == sorted(
        the(found, "cleanup").detail.removeprefix("could not be removed: ").split(", ")
    )


@pytest.mark.parametrize("stage", ["put", "put-if-match", "latency", "states"])
def test_a_checkup_that_is_stopped_cleans_up(stage: str) -> None:
    """As by Ctrl-C; nothing more is begun."""
    store, stop = MemoryObjectStore(), threading.Event()
    found = []
    for finding in examine(store, CONFIG, Environment(), stop):
        found.append(finding.check)
        if finding.check == stage:
            stop.set()

    assert [stage, "cleanup"] == found[-2:]
    assert {} == store.bucket.objects


def test_a_checkup_that_is_abandoned_cleans_up() -> None:
    """Whatever ends the one who asks for findings."""
    store = MemoryObjectStore()
    checkup = examine(store, CONFIG, Environment(), threading.Event())
    while next(checkup).check != "put":
        pass

    assert {} != store.bucket.objects
    checkup.close()  # type: ignore[attr-defined]
    assert {} == store.bucket.objects


@pytest.mark.parametrize(("seconds", "text"), [(3600, "3600 s ahead of ours"), (-90, "90 s behind ours")])
def test_a_clock_that_is_far_off_is_a_warning(seconds: int, text: str) -> None:
    """By how much, and on which side."""
    store = MemoryObjectStore(Bucket(clock=lambda: datetime.now(UTC) + timedelta(seconds=seconds)))
    found = findings(store)

    assert {"clock": WARN} == wrong(found)
    assert f"the store's is {text}" == the(found, "clock").detail
    assert seconds == pytest.approx(the(found, "clock").figures["offset"], abs=5)


def test_requests_that_take_long_for_the_lock_are_a_warning() -> None:
    """A flush must be over before its lock can be taken over."""
    found = findings(MemoryObjectStore(), ReplicationConfig(lock_ttl=Duration("1us")))

    assert {"latency": WARN} == wrong(found)
    assert "set a longer lock-ttl" in str(the(found, "latency").advice)
    assert {"put_p50", "put_p90", "put_p99", "get_p50", "get_p90", "get_p99"} < set(the(found, "latency").figures)


def test_leftover_locks_are_told_with_their_age() -> None:
    """One that is older than its TTL has no holder any more."""
    now = datetime.now(UTC)
    ages = iter([timedelta(seconds=100), timedelta(seconds=5)])
    clock: Callable[[], datetime] = lambda: now - next(ages, timedelta())  # noqa: E731
    store = MemoryObjectStore(Bucket(clock=clock))
    store.bucket.write("team/.metadata/dead.lock", b'{"nonce":"a","ttl":30}')
    store.bucket.write("team/.metadata/young.lock", b'{"nonce":"b","ttl":30}')
    dead, young = [finding for finding in findings(store) if finding.check == "locks"]

    assert (WARN, "dead has one, 100 s old, with a TTL of 30 s") == (dead.verdict, dead.detail)
    assert "metadatadb unlock dead" in str(dead.advice)
    assert (PASS, "young has one, 5 s old, with a TTL of 30 s: a flush may be under way") == (
        young.verdict,
        young.detail,
    )


def test_every_state_that_cannot_be_read_is_told() -> None:
    """Each by the name of its namespace; the others are counted."""
    store = MemoryObjectStore()
    for name, body in {"": b"[]", "good": b'{"n":1}', "newer": b'{".metadatadb":{"format":99}}'}.items():
        store.bucket.write(f"team/.metadata/{name}.json", body)
    corrupt, newer, rest = [finding for finding in findings(store) if finding.check == "states"]

    assert FAIL is corrupt.verdict
    assert "the root namespace: JSON, but list instead of an object" == corrupt.detail
    assert "team/.metadata/.json" in str(corrupt.advice)
    assert FAIL is newer.verdict
    assert "upgrade metadatadb-core" in str(newer.advice)
    assert (PASS, "1 can be read, 7 bytes") == (rest.verdict, rest.detail)


def test_namespaces_of_the_journal_design_are_a_warning() -> None:
    """They are refused here, which is no concern of those who do not use them."""
    store = MemoryObjectStore()
    store.bucket.write("team/.metadata/git/rollup.json", b"{}")
    found = findings(store)

    assert {"journals": WARN} == wrong(found)
    assert the(found, "journals").detail.endswith("refused here: git")


def test_what_killed_trials_have_left_is_a_warning() -> None:
    """If it is so old that none of them can be going on; who made it is told by the key."""
    now = datetime.now(UTC)
    ages = iter([timedelta(hours=2), timedelta(hours=3), timedelta(minutes=5), timedelta(hours=4)])
    clock: Callable[[], datetime] = lambda: now - next(ages, timedelta())  # noqa: E731
    store = MemoryObjectStore(Bucket(clock=clock))
    names = [".doctor-a-1", ".probe-b", ".doctor-c-1", "jobs.json"]
    for name in names:
        store.bucket.write(f"team/.metadata/{name}", b"{}")
    found = findings(store)

    assert {"leftovers": WARN} == wrong(found)
    assert the(found, "leftovers").detail.endswith("killed: team/.metadata/.doctor-a-1, team/.metadata/.probe-b")
    assert "remove them" in str(the(found, "leftovers").advice)
    assert {f"team/.metadata/{name}" for name in names} == set(store.bucket.objects)


def test_of_many_that_killed_trials_have_left_some_are_named() -> None:
    """And the others counted."""
    store = MemoryObjectStore(Bucket(clock=lambda: datetime.now(UTC) - timedelta(hours=2)))
    for number in range(12):
        store.bucket.write(f"team/.metadata/.doctor-a-{number}", b"")

    assert the(findings(store), "leftovers").detail.endswith(".doctor-a-7 and 2 more")


def test_a_trial_does_not_take_its_own_for_what_others_left() -> None:
    """Although the store's clock is far behind."""
    store = MemoryObjectStore(Bucket(clock=lambda: datetime.now(UTC) - timedelta(hours=2)))

    assert {"clock": WARN} == wrong(findings(store))


def test_a_denial_without_a_server_blames_no_credentials() -> None:
    """A file that is read-only, say: the failure says what to do."""
    store = MemoryObjectStore()
    store.faults.append(Fault(on="put", outcome=Denied("give this user write access"), times=None))

    assert the(findings(store), "put").advice is None


def test_a_store_that_shows_old_versions_fails() -> None:
    """A cache in front of it, say."""
    store = MemoryObjectStore()
    fresh, stale = store.bucket.get, {}

    def get(key: str, **condition: object) -> object:
        return stale.setdefault(key, fresh(key))

    store.bucket.get = get  # type: ignore[method-assign,assignment]
    found = findings(store)

    assert FAIL is the(found, "read after write").verdict
    assert "no cache" in str(the(found, "read after write").advice)


def test_a_store_that_lists_late_fails() -> None:
    """What was written is missing from the listing."""
    store = MemoryObjectStore()
    store.bucket.list = lambda prefix: iter(())  # type: ignore[method-assign]

    assert {"list after write": FAIL} == wrong(findings(store))


def test_a_store_that_pretends_to_delete_fails() -> None:
    """A lock would never be released."""
    store = MemoryObjectStore()
    store.bucket.delete = lambda key, *, expect: None  # type: ignore[method-assign]
    found = findings(store)

    assert "what was removed is still read" == the(found, "delete").detail
    assert FAIL is the(found, "delete").verdict


def test_all_checks_are_skipped_with_one_reason() -> None:
    """Where there is no store to try them on."""
    assert [(check.name, SKIP, "why") for check in CHECKS] == [
        (finding.check, finding.verdict, finding.detail) for finding in skip_all("why")
    ]


def test_the_worst_verdict_is_what_counts() -> None:
    """A failure above a warning, and both above what was skipped."""
    assert PASS is worst([])
    assert [SKIP, WARN, FAIL, FAIL] == [
        worst(Finding("a", verdict, "") for verdict in verdicts)
        for verdicts in ([PASS, SKIP], [WARN, SKIP], [FAIL, WARN], [PASS, FAIL])
    ]


# -- the spool -------------------------------------------------------------------------------------------------


def test_no_spool_is_nothing_to_check() -> None:
    """That it could be had is said."""
    (finding,) = check_spool("spool", None)

    assert (SKIP, True) == (finding.verdict, finding.detail.startswith("no spool is configured"))


def test_a_spool_that_is_not_there_yet_is_fine(tmp_path: Path) -> None:
    """It is made when it is needed."""
    (finding,) = check_spool("spool", str(tmp_path / "spool"))

    assert PASS is finding.verdict


def test_a_spool_that_is_no_directory_fails(tmp_path: Path) -> None:
    """With what the system says."""
    (tmp_path / "spool").write_text("")
    (finding,) = check_spool("spool", str(tmp_path / "spool"))

    assert (FAIL, f"{tmp_path}/spool cannot be read: Not a directory") == (finding.verdict, finding.detail)


def test_what_a_living_process_holds_is_fine_and_what_a_dead_one_left_is_not(tmp_path: Path) -> None:
    """The living one will flush it; of the dead one's the ops are counted, and what was damaged is told."""
    spool = DirectorySpool(tmp_path, Target("s3://builds", "", "git"), "never", Environment())
    spool.append([ops.IntAdd("n", 1), ops.IntAdd("n", 2)])
    (living,) = check_spool("spool", str(tmp_path))
    (file,) = tmp_path.iterdir()
    (tmp_path / f"dead{file.suffix}").write_bytes(file.read_bytes())
    (tmp_path / f"odd{file.suffix}").write_bytes(b"something else")
    dead, odd = check_spool("spool", str(tmp_path))
    spool.discard()

    assert (PASS, "files in use: 1") == (living.verdict, living.detail.rpartition("; ")[2])
    assert WARN is dead.verdict
    assert ": 2 ops of process " in dead.detail
    assert " for s3://builds, namespace 'git'" in dead.detail
    assert (WARN, True) == (odd.verdict, "it is no spool file" in odd.detail)
