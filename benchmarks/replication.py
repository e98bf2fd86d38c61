"""Syncing a large namespace with an S3 server over HTTP, against the bare requests and bare msgspec.

Time is the CPU time of this process, so that what the server does, in a process of its own, does not count. Memory is
what Python's allocator has handed out.
"""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from benchmarks.harness import Comparison
from metadatadb_core import Namespace, connect
from metadatadb_core.ops import MapSet
from metadatadb_core.replication.config import ReplicationConfig
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.replica import Replica
from metadatadb_core.state import NamespaceState

ENTRIES = 100_000
TURNS = 12
BUCKET = "benchmark"


def comparisons() -> Iterator[Comparison]:
    import boto3

    from metadatadb_s3.testing import moto_credentials, moto_server

    with moto_credentials(), moto_server() as endpoint:
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket=BUCKET)
        url = f"s3://{BUCKET}?endpoint-url={endpoint}&sync-interval=1h"
        with connect(url) as store:
            namespace = store.namespace("large")
            etags = namespace.map("etags")
            with namespace.batch():
                for number in range(ENTRIES):
                    etags.set(f"repositories/{number:06}", number)
            namespace.flush(timeout=120)
            body = client.get_object(Bucket=BUCKET, Key=".metadata/large.json")["Body"].read()
            yield _flush(namespace, client, msgspec.json.decode(body))
            yield _stall(namespace, body)
            yield _load(url, client)  # a second store in this process, so that its client is there already
    yield _memory(body)
    yield _queueing()


def _in_turns(subject: Callable[[], object], against: Callable[[], object]) -> tuple[float, float]:
    """The least CPU time of each, taken in turns."""
    best = [float("inf"), float("inf")]
    for _ in range(TURNS):
        for side, call in enumerate((subject, against)):
            gc.collect()
            before = time.process_time()
            call()
            best[side] = min(best[side], time.process_time() - before)
    return best[0], best[1]


def _flush(namespace: Namespace, client: Any, stored: Any) -> Comparison:
    def flush() -> None:
        namespace.int("flushes").add(1)
        namespace.flush()

    def bare() -> None:
        client.put_object(Bucket=BUCKET, Key="bare.json", Body=msgspec.json.encode(stored))

    ours, floor = _in_turns(flush, bare)
    return Comparison(f"flush of one op, {ENTRIES:,} entries (CPU)", "msgspec encode, bare put", floor, ours, 2.5)


def _load(url: str, client: Any) -> Comparison:
    def load() -> None:
        with connect(url) as store:
            store.namespace("large").flush()

    def bare() -> None:
        msgspec.json.decode(client.get_object(Bucket=BUCKET, Key=".metadata/large.json")["Body"].read())

    ours, floor = _in_turns(load, bare)
    return Comparison(f"cold load, {ENTRIES:,} entries (CPU)", "bare get, msgspec decode", floor, ours, 1.5)


def _stall(namespace: Namespace, body: bytes) -> Comparison:
    """The longest that a read or write took while flushes ran, against the encode of the state."""
    state = NamespaceState.decode(body)
    encode = min(_timed(state.encode) for _ in range(TURNS))
    etags, longest, stop = namespace.map("etags"), 0.0, threading.Event()

    def use() -> None:
        nonlocal longest
        while not stop.is_set():
            longest = max(longest, _timed(lambda: etags.get("repositories/000001")))
            longest = max(longest, _timed(lambda: etags.set("repositories/000001", 1)))

    thread = threading.Thread(target=use)
    thread.start()
    for _ in range(3):
        namespace.int("flushes").add(1)
        namespace.flush()
    stop.set()
    thread.join()
    return Comparison("longest local read or write during a flush", "encode of the state", encode, longest, 1.0)


def _timed(call: Callable[[], object]) -> float:
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


def _memory(body: bytes) -> Comparison:
    """Bytes, not seconds; the ratio is what counts."""

    def allocated(make: Callable[[], object]) -> int:
        gc.collect()
        tracemalloc.start()
        kept = make()
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del kept
        return size

    plain = allocated(lambda: {f"repositories/{number:06}": number for number in range(ENTRIES)})
    loaded = allocated(lambda: NamespaceState.decode(body))
    return Comparison("memory of what was loaded (bytes as ns)", "the plain dict", plain * 1e-9, loaded * 1e-9, 1.3)


def _queueing() -> Comparison:
    """A write while the store is down, with many before it: it coalesces, and is as fast as the first ones."""
    replica = Replica("n", Environment(), lambda: None)
    limit = ReplicationConfig().max_pending_ops
    ops = [MapSet("etags", f"k{number % 100}", number) for number in range(1_000)]

    def apply() -> None:
        for op in ops:
            replica.apply((op,), limit=limit)

    first = min(_timed(apply) for _ in range(TURNS)) / len(ops)
    for _ in range(200):
        apply()
    later = min(_timed(apply) for _ in range(TURNS)) / len(ops)
    return Comparison("queued write after 200,000 others", "the first ones", first, later, 1.2)
