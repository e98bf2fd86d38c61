"""Fork: a child finds the state whole and every lock free, whatever the parent's threads were doing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")

FORKS = 40

# Run in a process of its own: a fork of the test runner would drag its threads and fixtures along. A child that
# finds a lock held would wait for ever, so each has a deadline of its own: the alarm kills it.
PRELUDE = f"""
import os, signal, sys, threading, warnings
from metadatadb_core import Store
from metadatadb_memory import MemoryBackend

warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads forks is the point here
sys.setswitchinterval(1e-6)
store = Store(MemoryBackend())
ns = store.namespace("fleet")
done = threading.Event()

def check_in_children(check):
    failed = 0
    for _ in range({FORKS}):
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            try:
                check()
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        failed += os.waitpid(pid, 0)[1] != 0
    done.set()
    return failed

def in_threads(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    return threads
"""


def run(script: str) -> tuple[str, str]:
    """What the script printed, and what it and its children complained of."""
    finished = subprocess.run(
        [sys.executable, "-c", PRELUDE + script], capture_output=True, text=True, timeout=120, check=False
    )
    return finished.stdout, finished.stderr


def test_a_child_can_read_and_write_while_the_parents_threads_write() -> None:
    """They are inside the lock nearly all the time: the batches are long."""
    output = run("""
log, n, m = ns.list("log"), ns.int("n"), ns.map("m")

def write():
    while not done.is_set():
        with ns.batch():
            for value in range(300):
                m[str(value)] = value
            n.add(1)

def check():
    before = n.get()
    n.add(1)
    m["child"] = "here"
    log.extend([1, 2])
    with ns.batch():
        n.add(1)
        m["batch"] = "here"
    assert (before + 2, "here", "here", 2) == (n.get(), m["child"], m.entries()["batch"], len(log))
    Store(MemoryBackend()).namespace("fleet").int("n").add(1)
    assert [("fleet", 1)] == [(other.name, other.int("x").get() + 1) for other in [store.namespace("fleet")]]

threads = in_threads(write, write)
print(check_in_children(check))
for thread in threads:
    thread.join()
assert "child" not in m  # what a child writes is the child's
""")

    assert ("0\n", "") == output


def test_a_child_never_sees_half_of_a_batch() -> None:
    """The state is copied between writes, not inside one."""
    output = run("""
left, right = ns.int("left"), ns.int_map("right")

def move():
    while not done.is_set():
        with ns.batch():
            left.add(-1)
            for _ in range(50):
                ns.scalar("between").set(0)
            right.add("total", 1)

def check():
    assert 0 == left.get() + right["total"], (left.get(), right["total"])

threads = in_threads(move, move)
print(check_in_children(check))
for thread in threads:
    thread.join()
""")

    assert ("0\n", "") == output


def test_a_child_can_open_namespaces_and_batches_while_the_parents_threads_do() -> None:
    """A store has no lock of its own that a fork could copy while it is held."""
    output = run("""
def open_all():
    while not done.is_set():
        with ns.batch():
            store.namespace("fleet").int("n").add(1)

def check():
    with ns.batch(), store.namespace("fleet").batch():
        ns.int("n").add(1)
    store.namespace("other").int("n").add(1)

threads = in_threads(open_all, open_all)
print(check_in_children(check))
for thread in threads:
    thread.join()
""")

    assert ("0\n", "") == output


def test_a_batch_open_in_another_thread_does_not_reach_into_the_child() -> None:
    """That thread is not there to end it; the child's writes are its own."""
    output = run("""
opened = threading.Event()

def hold_a_batch():
    with ns.batch():
        ns.int("n").add(100)
        opened.set()
        done.wait()

def check():
    ns.int("n").add(1)
    assert 1 == ns.int("n").get()

threads = in_threads(hold_a_batch)
opened.wait()
print(check_in_children(check))
for thread in threads:
    thread.join()
assert 100 == ns.int("n").get()
""")

    assert ("0\n", "") == output


def test_threads_may_fork_at_once() -> None:
    """Each takes every lock, and lets go of what it took."""
    output = run("""
def write():
    while not done.is_set():
        ns.list("log").extend([1] * 200)

failed = []
writer = in_threads(write)
for thread in in_threads(*[lambda: failed.append(check_in_children(ns.int("n").add))] * 3):
    thread.join()
print(sum(failed))
writer[0].join()
""")

    assert ("0\n", "") == output


def test_a_child_can_open_a_namespace_while_the_parents_threads_open_others() -> None:
    """The backend has no lock either that a fork could copy while it is held."""
    output = run("""
def open_others():
    number = 0
    while not done.is_set() and number < 3000:
        number += 1
        store.namespace(f"n{number}")

def check():
    store.namespace("child").int("n").add(1)

threads = in_threads(open_others, open_others)
print(check_in_children(check))
for thread in threads:
    thread.join()
""")

    assert ("0\n", "") == output


def test_a_child_that_is_forked_inside_a_batch_writes_for_itself() -> None:
    """And leaving the block there too does not apply the parent's writes again."""
    script = """
with ns.batch():
    ns.int("n").add(1)
    pid = os.fork()
    if pid == 0:
        ns.int("child").add(10)
        inside = ns.int("child").get()
if pid == 0:
    os._exit(0 if (inside, ns.int("n").get()) == (10, 0) else 1)
print(os.waitpid(pid, 0)[1], ns.int("n").get(), ns.int("child").get())
"""
    assert ("0 1 0\n", "") == run(script)
