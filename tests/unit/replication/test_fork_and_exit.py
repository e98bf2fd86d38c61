"""Forks, and how processes end: children begin anew, and nothing that was accepted is dropped in silence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from metadatadb_core import Store
from metadatadb_core.testing.object_store import MemoryObjectStore
from tests.support.engine import backend_over

ROOT = Path(__file__).parents[3]

# An object store in a directory, so that processes can share one: a lock file makes each request atomic.
STORE = """
import contextlib, fcntl, hashlib, json, multiprocessing, os, pathlib, sys, threading, time
from metadatadb_core import Store, ops
from metadatadb_core.replication import *

class DirectoryStore:
    opened = []

    def __init__(self, root):
        self.root = pathlib.Path(root)
        DirectoryStore.opened.append(os.getpid())
        self.pid = os.getpid()
        self.mutex = threading.Lock()

    @contextlib.contextmanager
    def locked(self):
        assert self.pid == os.getpid(), "a client that was inherited"
        # Locks of a process, which no child inherits, and of its threads.
        with self.mutex, open(self.root / "guard", "ab") as guard:
            fcntl.lockf(guard, fcntl.LOCK_EX)
            yield

    def path(self, key):
        return self.root / key.replace("/", "%")

    def read(self, key):
        try:
            body = self.path(key).read_bytes()
        except FileNotFoundError:
            return None
        return StoredObject(body, Version(hashlib.sha256(body).hexdigest()))

    def get(self, key, *, unless=None):
        with self.locked():
            found = self.read(key)
            if found is not None and found.version == unless:
                raise NotModified("not modified")
            return found

    def put(self, key, body, *, expect, content_type="", metadata={}):
        with self.locked():
            found = self.read(key)
            if (found.version if found else ABSENT) != expect:
                raise PreconditionFailed("not at that version")
            self.path(key).write_bytes(body)
            return self.read(key).version

    def delete(self, key, *, expect):
        with self.locked():
            found = self.read(key)
            if found is None or found.version != expect:
                raise PreconditionFailed("not at that version")
            self.path(key).unlink()

    def list(self, prefix):
        raise NotImplementedError

    def close(self):
        pass

def open_backend(root, **options):
    options = {"sync_interval": "1h", "lock_ttl": "2s", **options}
    return ReplicatedBackend(lambda: DirectoryStore(root), name="directory", config=ReplicationConfig(**options))

root = sys.argv[1]
"""


def run(script: str, root: Path, *, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, and check how it ended."""
    path = root / "script.py"
    path.write_text(STORE + textwrap.dedent(script))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-W", "default::DeprecationWarning", str(path), str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children too
        process.communicate()
        raise
    assert code == process.returncode, errors
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def state(root: Path, namespace: str = "ns") -> dict[str, object]:
    """The stored state, without the record."""
    stored = json.loads((root / f".metadata%{namespace}.json").read_bytes())
    return {name: value for name, value in stored.items() if name != ".metadatadb"}


def writers(root: Path) -> int:
    """How many writers the stored record knows."""
    stored = json.loads((root / ".metadata%ns.json").read_bytes())
    return len(stored[".metadatadb"]["writers"])


def lock_is_free(root: Path) -> bool:
    """Whether nobody holds the lock."""
    return not (root / ".metadata%ns.lock").exists()


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


class TestExit:
    """The interpreter ends, and nobody has called close."""

    def test_the_interpreter_flushes_at_its_exit(self, tmp_path: Path) -> None:
        """By atexit, inline."""
        run(
            """
            backend = open_backend(root)
            backend.apply("ns", ops.IntAdd("n", 1))
            """,
            tmp_path,
        )

        assert {"n": 1} == state(tmp_path)
        assert lock_is_free(tmp_path)

    def test_an_exit_by_an_exception_flushes_too(self, tmp_path: Path) -> None:
        """What was accepted before is not less durable."""
        run(
            """
            backend = open_backend(root)
            backend.apply("ns", ops.IntAdd("n", 1))
            raise SystemExit(3)
            """,
            tmp_path,
            code=3,
        )

        assert {"n": 1} == state(tmp_path)

    def test_what_cannot_be_flushed_is_reported_with_counts(self, tmp_path: Path) -> None:
        """There is nobody left to raise to, so it goes to stderr."""
        done = run(
            """
            backend = open_backend(root)
            backend.apply("ns", ops.ListAppend("l", 1), ops.ListAppend("l", 2))
            backend.flush("ns")
            backend.apply("ns", ops.ListAppend("l", 1), ops.ListAppend("l", 2))
            def deny(*args, **options):
                raise Denied("no longer allowed")
            DirectoryStore.put = deny
            """,
            tmp_path,
        )

        assert "ops not flushed: 2 in 'ns'" in done.stderr
        assert "no longer allowed" in done.stderr

    def test_what_a_close_could_not_flush_is_flushed_at_exit(self, tmp_path: Path) -> None:
        """Also if somebody has used the closed backend since."""
        run(
            """
            backend = open_backend(root)
            backend.apply("ns", ops.IntAdd("n", 1))
            put = DirectoryStore.put

            def deny(*args, **options):
                raise Denied("not now")

            DirectoryStore.put = deny
            for use in (backend.close, lambda: backend.query("ns", ops.IntGet("n"))):
                try:
                    use()
                except Exception:
                    pass
            DirectoryStore.put = put
            """,
            tmp_path,
        )

        assert {"n": 1} == state(tmp_path)

    def test_a_backend_that_was_closed_does_nothing_at_exit(self, tmp_path: Path) -> None:
        """And one that was never used neither."""
        done = run(
            """
            with Store(open_backend(root)) as store:
                store.namespace("ns").int("n").add(1)
            unused = open_backend(root)
            """,
            tmp_path,
        )

        assert "" == done.stderr
        assert {"n": 1} == state(tmp_path)

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_a_multiprocessing_child_flushes_at_its_exit(self, tmp_path: Path, method: str) -> None:
        """It skips atexit: multiprocessing's own finalizers do it, for a backend opened there or inherited."""
        run(
            f"""
            def work(root):
                backend = open_backend(root)
                backend.apply("ns", ops.IntAdd("n", 1))

            def work_inherited(root):
                inherited.apply("ns", ops.IntAdd("inherited", 1))

            if __name__ == "__main__":
                context = multiprocessing.get_context({method!r})
                inherited = open_backend(root)
                inherited.apply("ns", ops.IntAdd("parent", 1))
                children = [context.Process(target=work, args=(root,)) for _ in range(3)]
                if {method!r} == "fork":
                    children.append(context.Process(target=work_inherited, args=(root,)))
                for child in children:
                    child.start()
                for child in children:
                    child.join()
                    assert child.exitcode == 0, child.exitcode
            """,
            tmp_path,
        )
        expected = {"n": 3, "parent": 1} | ({"inherited": 1} if method == "fork" else {})

        assert expected == state(tmp_path)
        assert lock_is_free(tmp_path)


class TestFork:
    """A forked child has the parent's memory, and none of its threads."""

    def test_the_child_drops_what_is_pending_and_the_parent_flushes_it(self, tmp_path: Path) -> None:
        """Once, under the parent's id; the child writes under one of its own, over a client of its own."""
        run(
            """
            backend = open_backend(root)
            backend.apply("ns", ops.IntAdd("n", 1))
            backend.flush("ns")
            backend.apply("ns", ops.IntAdd("n", 10))
            pid = os.fork()
            if pid == 0:
                assert backend.status("ns").pending_ops == 0
                backend.apply("ns", ops.IntAdd("n", 100))
                backend.flush("ns")
                assert backend.query("ns", ops.IntGet("n")) == 101
                backend.close()
                assert DirectoryStore.opened == [os.getppid(), os.getpid()], DirectoryStore.opened
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert backend.status("ns").pending_ops == 1
            backend.flush("ns")
            assert backend.query("ns", ops.IntGet("n")) == 111
            """,
            tmp_path,
        )

        assert {"n": 111} == state(tmp_path)
        assert 2 == writers(tmp_path)

    def test_a_put_under_way_at_the_fork_is_the_parents(self, tmp_path: Path) -> None:
        """The child does not send it again, nor does it believe that it is in its own state."""
        run(
            """
            backend = open_backend(root)
            backend.apply("ns", ops.IntAdd("n", 1))
            backend.flush("ns")
            put, under_way, go_on = DirectoryStore.put, threading.Event(), threading.Event()
            def held(self, key, body, **options):
                if key.endswith(".json"):
                    under_way.set()
                    go_on.wait(20)
                return put(self, key, body, **options)
            DirectoryStore.put = held
            backend.apply("ns", ops.IntAdd("n", 10))
            flush = threading.Thread(target=backend.flush, args=("ns",))
            flush.start()
            under_way.wait(20)
            ready, child_is_done = os.pipe(), os.pipe()
            pid = os.fork()
            if pid == 0:
                DirectoryStore.put = put
                assert backend.query("ns", ops.IntGet("n")) == 1
                backend.apply("ns", ops.IntAdd("n", 100))
                os.write(ready[1], b"x")
                backend.flush("ns")
                backend.apply("ns", ops.IntAdd("n", 1000))
                backend.close()
                os._exit(0)
            os.read(ready[0], 1)
            go_on.set()
            assert os.waitpid(pid, 0)[1] == 0
            flush.join()
            backend.flush("ns")
            assert backend.query("ns", ops.IntGet("n")) == 1111
            """,
            tmp_path,
        )

        assert {"n": 1111} == state(tmp_path)

    def test_a_child_that_only_reads_is_kept_in_sync(self, tmp_path: Path) -> None:
        """Through a handle that the parent made: the first read in the child starts what syncs it there."""
        run(
            """
            backend = open_backend(root, sync_interval="50ms")
            counter = Store(backend).namespace("ns").int("n")
            counter.add(1)
            backend.flush("ns")
            pid = os.fork()
            if pid == 0:
                deadline = time.monotonic() + 20
                while counter.get() != 3:
                    assert time.monotonic() < deadline, counter.get()
                    time.sleep(0.01)
                os._exit(0)
            counter.add(2)
            backend.flush("ns")
            assert os.waitpid(pid, 0)[1] == 0
            """,
            tmp_path,
        )

    def test_a_backend_may_be_closed_in_the_child(self, tmp_path: Path) -> None:
        """Handles made in the parent then say so; the parent's go on."""
        run(
            """
            from metadatadb_core import BackendClosedError
            backend = open_backend(root)
            counter = Store(backend).namespace("ns").int("n")
            counter.add(1)
            backend.flush("ns")
            pid = os.fork()
            if pid == 0:
                backend.close()
                for use in (counter.get, lambda: counter.add(1)):
                    try:
                        use()
                    except BackendClosedError:
                        continue
                    os._exit(1)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            counter.add(1)
            assert counter.get() == 2
            """,
            tmp_path,
        )

        assert {"n": 2} == state(tmp_path)

    def test_a_grandchild_has_an_id_of_its_own(self, tmp_path: Path) -> None:
        """Also where the child between has used nothing."""
        run(
            """
            backend = open_backend(root)
            backend.apply("ns", ops.IntAdd("n", 1))
            backend.flush("ns")
            child = os.fork()
            if child == 0:
                grandchild = os.fork()
                backend.apply("ns", ops.IntAdd("n", 1))
                backend.close()
                if grandchild:
                    assert os.waitpid(grandchild, 0)[1] == 0
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            """,
            tmp_path,
        )

        assert {"n": 3} == state(tmp_path)
        assert 3 == writers(tmp_path)

    def test_a_close_that_failed_before_the_fork_stays_the_parents(self, tmp_path: Path) -> None:
        """The child does not flush it when it ends."""
        run(
            """
            from metadatadb_core import UnflushedOpsError
            backend = open_backend(root)
            backend.flush("ns")
            backend.apply("ns", ops.IntAdd("n", 1))
            put = DirectoryStore.put
            def deny(*args, **options):
                raise Denied("not now")
            DirectoryStore.put = deny
            try:
                backend.close()
            except UnflushedOpsError:
                pass
            DirectoryStore.put = put
            pid = os.fork()
            if pid == 0:
                backend.close()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert not os.path.exists(root + "/.metadata%ns.json")
            backend.close()
            """,
            tmp_path,
        )

        assert {"n": 1} == state(tmp_path)
        assert 1 == writers(tmp_path)

    def test_forks_amid_writing_threads_deadlock_nobody(self, tmp_path: Path) -> None:
        """Locks are held across a fork and released on both sides: each child can read, write and flush."""
        run(
            """
            backend = open_backend(root, sync_interval="20ms")
            backend.apply("ns", ops.IntAdd("n", 0))
            stop, written = threading.Event(), []
            def write():
                count = 0
                while not stop.is_set():
                    backend.apply("ns", ops.IntAdd("n", 1), ops.IntAdd("twin", 1))
                    count += 1
                written.append(count)
            def flush():
                while not stop.is_set():
                    backend.flush("ns")
            threads = [threading.Thread(target=target) for target in (write, write, flush)]
            sys.setswitchinterval(1e-5)
            for thread in threads:
                thread.start()
            children = []
            for _ in range(8):
                pid = os.fork()
                if pid == 0:
                    backend.apply("ns", ops.IntAdd("n", 1), ops.IntAdd("twin", 1))
                    assert backend.query("ns", ops.IntGet("n")) == backend.query("ns", ops.IntGet("twin"))
                    backend.close(timeout=25)
                    os._exit(0)
                children.append(pid)
            for pid in children:
                assert os.waitpid(pid, 0)[1] == 0
            stop.set()
            for thread in threads:
                thread.join()
            backend.close(timeout=25)
            (pathlib.Path(root) / "expected").write_text(str(sum(written) + len(children)))
            """,
            tmp_path,
        )
        expected = int((tmp_path / "expected").read_text())

        assert {"n": expected, "twin": expected} == state(tmp_path)


def test_a_child_may_be_forked_while_another_thread_opens_the_namespace(tmp_path: Path) -> None:
    """That thread holds a lock which nobody in the child would ever release."""
    run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        backend = open_backend(root)
        opening, forked = threading.Event(), threading.Event()
        make_syncer = backend._make_syncer

        def make_slowly(namespace):
            opening.set()
            forked.wait()
            return make_syncer(namespace)

        backend._make_syncer = make_slowly
        other = threading.Thread(target=lambda: backend.apply("ns", ops.IntAdd("n", 1)))
        other.start()
        opening.wait()
        pid = os.fork()
        if pid == 0:
            import signal
            signal.alarm(20)
            del backend._make_syncer
            backend.apply("ns", ops.IntAdd("n", 10))
            backend.flush("ns")
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        forked.set()
        other.join()
        backend.close()
        sys.exit(os.waitstatus_to_exitcode(status))
        """,
        tmp_path,
    )

    assert {"n": 11} == state(tmp_path)


def test_a_close_by_a_signal_handler_does_not_wait_for_what_it_interrupted(tmp_path: Path) -> None:
    """Neither for a flush nor for a close of the same thread: both could only go on after it."""
    done = run(
        """
        import signal
        backend = open_backend(root)
        waits = []
        put = DirectoryStore.put

        def interrupted(self, key, *args, **options):
            if key.endswith("ns.json"):
                signal.raise_signal(signal.SIGTERM)
            return put(self, key, *args, **options)

        def stop(*_):
            began = time.monotonic()
            try:
                backend.close()
            except Exception as error:
                waits.append([type(error).__name__, time.monotonic() - began < 5])

        signal.signal(signal.SIGTERM, stop)
        backend.apply("ns", ops.IntAdd("n", 1))
        DirectoryStore.put = interrupted
        backend.flush("ns")
        backend2 = open_backend(root)
        backend, first = backend2, backend
        backend.apply("ns", ops.IntAdd("n", 1))
        backend.close()
        print(json.dumps(waits))
        """,
        tmp_path,
    )

    assert [["UnflushedOpsError", True], ["RuntimeError", True]] == json.loads(done.stdout)
    assert {"n": 2} == state(tmp_path)


def test_a_handle_does_not_pickle() -> None:
    """The error says what to do instead."""
    backend = backend_over(MemoryObjectStore())
    store = Store(backend)
    namespace = store.namespace("ns")
    for handle in (store, namespace, namespace.int("n"), namespace.map("m")):
        with pytest.raises(TypeError, match="open the store in the child"):
            handle.__reduce__()
    store.close()
