"""All or nothing: what is said of ops that did not make it is true."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from metadatadb_core import Namespace, Store, ops
from metadatadb_core.cli.committing import commit
from metadatadb_core.cli.failures import CommandError, Interrupted, Refusal
from metadatadb_core.cli.targets import OpenTarget
from metadatadb_core.errors import BackendUnavailableError
from metadatadb_core.ops import Op
from metadatadb_core.testing.object_store import FAILURES, Bucket, Fault, Hold, MemoryObjectStore
from tests.support.engine import LOCK, NS, STATE, backend_over, stored, wait_until

TEN: list[Op] = [ops.IntAdd("n", 4), ops.IntAdd("n", 6)]


@pytest.fixture
def bucket() -> Bucket:
    """The storage."""
    return Bucket()


@pytest.fixture
def client(bucket: Bucket) -> MemoryObjectStore:
    """The client of the target."""
    return MemoryObjectStore(bucket)


@pytest.fixture
def target(client: MemoryObjectStore) -> Iterator[OpenTarget]:
    """A store in memory, with faults."""
    backend = backend_over(client)
    backend.sync_only_when_told()
    target = OpenTarget("memory store", backend, Store(backend))
    yield target
    client.faults.clear()
    target.close()


def run(
    target: OpenTarget,
    *,
    check: Callable[[], object] = lambda: None,
    timeout: float = 30.0,
    stop: threading.Event | None = None,
) -> None:
    """Commit ten."""
    commit(target, NS, TEN, check=check, timeout=timeout, stop=stop or threading.Event())


def said(target: OpenTarget, **options: float) -> str:
    """What a commit that fails says."""
    with pytest.raises(CommandError) as caught:
        run(target, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_ops_are_in_the_store_when_it_returns(bucket: Bucket, target: OpenTarget) -> None:
    """All of them."""
    run(target)

    assert {"n": 10} == stored(bucket)


def test_what_the_check_raises_ends_it(bucket: Bucket, target: OpenTarget) -> None:
    """Before anything is applied."""

    def refuse() -> None:
        raise Refusal("no")

    with pytest.raises(Refusal, match=r"^no$"):
        run(target, check=refuse)

    assert {} == stored(bucket)


def test_a_lock_that_is_held_leaves_nothing_behind(bucket: Bucket, target: OpenTarget) -> None:
    """It was never sent: that is certain, and said so."""
    bucket.write(LOCK, b'{"nonce":"other","ttl":3600}')

    assert said(target, timeout=0.3).endswith("; nothing was applied")
    assert 0 == target.backend.query(NS, ops.IntGet("n"))


def test_a_lost_answer_is_found_out(bucket: Bucket, client: MemoryObjectStore, target: OpenTarget) -> None:
    """The put was applied, and everything after it is read again."""
    client.faults.append(Fault("put", FAILURES["time-out"], when="after", key=STATE))
    run(target)

    assert {"n": 10} == stored(bucket)


def test_a_put_without_an_answer_is_not_called_nothing(client: MemoryObjectStore, target: OpenTarget) -> None:
    """It may land yet: to apply it again could count it twice."""
    target.backend.flush(NS)
    client.faults.append(Fault("put", FAILURES["time-out"], key=STATE, times=None))

    assert "whether it was applied is not known" in said(target, timeout=0.3)


def test_a_store_that_denies_writing_leaves_nothing_behind(client: MemoryObjectStore, target: OpenTarget) -> None:
    """The probe before the first write is refused, and nothing else is sent."""
    client.faults.append(Fault("put", FAILURES["403"], times=None))

    assert "the store cannot be used: access denied; nothing was applied" == said(target)


def test_a_store_that_cannot_be_read_leaves_nothing_behind(client: MemoryObjectStore, target: OpenTarget) -> None:
    """What is there has to be known before anything is changed."""
    client.faults.append(Fault("get", FAILURES["never sent"], times=None))

    assert "the store cannot be used: connection refused; nothing was applied" == said(target, timeout=0.2)


def test_a_flush_that_fails_after_all_was_durable_is_no_failure(
    bucket: Bucket, target: OpenTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the store decides, and not how the flush ended."""
    flush = Namespace.flush

    def failing(namespace: Namespace, *, timeout: float | None = None) -> None:
        flush(namespace, timeout=timeout)
        if stored(bucket):
            raise BackendUnavailableError("gone in the last moment")

    monkeypatch.setattr(Namespace, "flush", failing)
    run(target)

    assert {"n": 10} == stored(bucket)


def test_to_stop_before_the_flush_applies_nothing(bucket: Bucket, target: OpenTarget) -> None:
    """Ctrl-C while the input was checked."""
    stop = threading.Event()
    with pytest.raises(Interrupted, match="nothing was applied"):
        run(target, check=stop.set, stop=stop)

    assert {} == stored(bucket)
    assert [] == target.backend.discard_pending(NS)


def test_to_stop_amid_the_put_tells_that_it_was_applied(
    bucket: Bucket, client: MemoryObjectStore, target: OpenTarget
) -> None:
    """A request that is under way is brought to its end, and its outcome told."""
    stop = threading.Event()
    hold = Hold("put", key=STATE)
    client.faults.append(hold)
    outcome: list[BaseException] = []

    def task() -> None:
        try:
            run(target, stop=stop)
        except Interrupted as error:
            outcome.append(error)

    thread = threading.Thread(target=task)
    thread.start()
    wait_until(hold.reached.is_set, "the put is under way")
    stop.set()
    hold.resume.set()
    thread.join()

    assert ["interrupted, after everything had been applied"] == list(map(str, outcome))
    assert {"n": 10} == stored(bucket)
    assert LOCK not in bucket.objects
