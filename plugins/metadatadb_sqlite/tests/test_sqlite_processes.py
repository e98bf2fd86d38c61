"""Several processes on one file: they race, they fork, and they are killed at any moment."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from metadatadb_core.replication.object_store import ABSENT
from metadatadb_sqlite.store import SQLiteObjectStore

PROCESSES = 4
INCREMENTS = 100
CONTESTS = 40
KILLS = 12

WORKER = """
import hashlib, os, sys, time
from pathlib import Path
from metadatadb_sqlite.store import SQLiteObjectStore
from metadatadb_core.replication.object_store import ABSENT
from metadatadb_core.replication.outcomes import PreconditionFailed, Unavailable

path, synchronous = Path(sys.argv[1]), sys.argv[2]
store = SQLiteObjectStore(path, synchronous=synchronous)

def say(word):
    os.write(1, f"{word}\\n".encode())

def persistently(request):
    while True:
        try:
            return request()
        except Unavailable:
            continue
"""

INCREMENT = """
say("ready")
sys.stdin.readline()
for _ in range(int(sys.argv[3])):
    while True:
        found = persistently(lambda: store.get("counter"))
        try:
            persistently(lambda: store.put("counter", b"%d" % (int(found.body) + 1), expect=found.version))
            break
        except PreconditionFailed:
            continue
store.close()
"""

CONTEST = """
say("ready")
sys.stdin.readline()
for contest in range(int(sys.argv[3])):
    try:
        persistently(lambda: store.put(f"contest/{contest}", str(os.getpid()).encode(), expect=ABSENT))
        say(contest)
    except PreconditionFailed:
        pass
store.close()
"""

# Numbered bodies of changing size, each with its own digest, so that a torn one shows; a number is said only once
# its put was acknowledged.
WRITE_FOREVER = """
key, pause = sys.argv[3], float(sys.argv[4])
say("ready")
number = 0
found = persistently(lambda: store.get(key))
version = found.version if found else ABSENT
if found:
    number = int(found.body[64:84])
while True:
    number += 1
    payload = b"%020d" % number + bytes([number % 251]) * (number * 7919 % 60_000)
    body = hashlib.sha256(payload).hexdigest().encode() + payload
    version = persistently(lambda: store.put(key, body, expect=version))
    say(number)
    time.sleep(pause)
"""


@contextmanager
def worker(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that runs `script`, and is gone afterwards."""
    command = [sys.executable, "-W", "error", "-c", WORKER + script, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.read().splitlines()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def run_together(script: str, path: Path, *arguments: object) -> list[list[str]]:
    """What each of several processes said that began at the same moment."""
    with ExitStack() as stack:
        processes = [stack.enter_context(worker(script, path, *arguments)) for _ in range(PROCESSES)]
        for process in processes:
            assert "ready" == next_line(process)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [lines(process) for process in processes]
        assert [0] * PROCESSES == [process.wait() for process in processes]
    return said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "meta.db"


# -- races -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("synchronous", ["full", "off"])
def test_no_increment_of_any_process_is_lost(path: Path, synchronous: str) -> None:
    """Processes that read a counter and put it back plus one, on condition of what they read, lose nothing."""
    with closing(SQLiteObjectStore(path)) as store:
        store.put("counter", b"0", expect=ABSENT)
        run_together(INCREMENT, path, synchronous, INCREMENTS)
        found = store.get("counter")

    assert found is not None
    assert b"%d" % (PROCESSES * INCREMENTS) == found.body


def test_one_process_wins_each_put_of_an_absent_object(path: Path) -> None:
    """Also while the file does not exist yet, and all of them make it."""
    said = run_together(CONTEST, path, "full", CONTESTS)

    assert sorted(map(str, range(CONTESTS))) == sorted(contest for won in said for contest in won)


# -- deaths ------------------------------------------------------------------------------------------------

needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


def check(path: Path, key: str, acknowledged: int) -> None:
    """Nothing that was acknowledged is lost, nothing is torn; the one write that was under way may be in or not."""
    with closing(SQLiteObjectStore(path)) as store:
        found = store.get(key)
    if found is None:
        assert 0 == acknowledged
        return
    digest, payload = found.body[:64], found.body[64:]
    number = int(payload[:20])

    assert hashlib.sha256(payload).hexdigest().encode() == digest
    assert number in (acknowledged, acknowledged + 1)


@needs_sigkill
@pytest.mark.parametrize("synchronous", ["full", "normal", "off"])
def test_a_killed_process_tears_and_loses_nothing(path: Path, synchronous: str) -> None:
    """Killed in the middle of whatever it was doing, many times over; the other process on the file goes on."""
    chance = random.Random(20260101)
    with worker(WRITE_FOREVER, path, synchronous, "survivor", 0.002) as survivor:
        assert "ready" == next_line(survivor)
        last = 0
        for _ in range(KILLS):
            with worker(WRITE_FOREVER, path, synchronous, "victim", 0) as victim:
                assert "ready" == next_line(victim)
                said = [int(next_line(victim)) for _ in range(chance.randrange(1, 25))]
                victim.send_signal(signal.SIGKILL)
                said += [int(line) for line in lines(victim)]
            check(path, "victim", said[-1])
            goes_on = int(next_line(survivor))
            assert goes_on > last
            last = goes_on
        survivor.send_signal(signal.SIGKILL)
        rest = lines(survivor)
        check(path, "survivor", int(rest[-1]) if rest else last)


@needs_sigkill
def test_a_process_that_is_killed_while_it_makes_the_file_leaves_a_usable_one(tmp_path: Path) -> None:
    """At the first moments of a new file there are several steps; none of them stops whoever comes next."""
    chance = random.Random(20260102)
    for turn in range(KILLS):
        path = tmp_path / f"{turn}.db"
        with worker(WRITE_FOREVER, path, "full", "victim", 0) as victim:
            assert "ready" == next_line(victim)
            # A number of looks at the file instead of a number of microseconds.
            for _ in range(chance.randrange(0, 6000)):
                path.exists()
            victim.send_signal(signal.SIGKILL)
            said = lines(victim)
        check(path, "victim", int(said[-1]) if said else 0)
        with closing(SQLiteObjectStore(path)) as store:
            store.put("next", b"", expect=ABSENT)


# -- forks -------------------------------------------------------------------------------------------------

FORK = """
import json
from metadatadb_sqlite import channel

version = store.put("k", b"parent", expect=ABSENT)
store.get("k")
connections = [id(store._reads._connection), id(store._writes._connection)]
pid = {fork}
if pid == 0:
    inherited = len(channel._inherited)
    found = store.get("k")
    store.put("k", b"child", expect=found.version)
    store.put("child", b"%d" % (inherited + len(channel._inherited)), expect=ABSENT)
    store.close()
    os._exit(0)
_, status = os.waitpid(pid, 0)
after = store.get("k")
store.put("k", b"parent again", expect=after.version)
print(json.dumps([os.waitstatus_to_exitcode(status), after.body.decode(), store.get("k").body.decode()]))
store.close()
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@needs_fork
@pytest.mark.parametrize(
    ("fork", "inherited"), [("os.fork()", b"0"), ("__import__('ctypes').CDLL(None).fork()", b"2")], ids=["python", "c"]
)
def test_a_forked_child_uses_connections_of_its_own(path: Path, fork: str, inherited: bytes) -> None:
    """Python closes them before it forks; a child that was forked behind its back puts them aside, unclosed."""
    with worker(FORK.replace("{fork}", fork), path, "full") as process:
        said = lines(process)
        assert 0 == process.wait()
    with closing(SQLiteObjectStore(path)) as store:
        found = store.get("child")

    assert [0, "child", "parent again"] == json.loads(said[0])
    assert found is not None
    assert inherited == found.body


FORK_UNDER_LOAD = """
import threading

store.put("k", b"0", expect=ABSENT)
done = threading.Event()

def write(number):
    version = store.put(f"own/{number}", b"", expect=ABSENT)
    while not done.is_set():
        version = store.put(f"own/{number}", b"x" * 1000, expect=version)
        store.get("k")

threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for turn in range(20):
    pid = os.fork()
    if pid == 0:
        found = store.get("k")
        persistently(lambda: store.put("k", b"%d" % (int(found.body) + 1), expect=found.version))
        store.close()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
done.set()
for thread in threads:
    thread.join()
say(store.get("k").body.decode())
store.close()
"""


@needs_fork
def test_forks_in_the_middle_of_writes_do_no_harm(path: Path) -> None:
    """Children of a process whose threads are writing neither hang nor lose a write."""
    with worker("import warnings\nwarnings.simplefilter('ignore')\n" + FORK_UNDER_LOAD, path, "off") as process:
        said = lines(process)
        assert 0 == process.wait()

    assert ["20"] == said
