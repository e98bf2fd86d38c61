"""Backends that are closed after the test, whatever is wrong with their stores by then."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from metadatadb_core.replication import ReplicatedBackend
from metadatadb_core.testing.object_store import Bucket, MemoryObjectStore
from tests.support.engine import backend_over

OpenBackend = Callable[..., tuple[ReplicatedBackend, MemoryObjectStore]]


@pytest.fixture
def shared_bucket() -> Bucket:
    """The storage that the backends of a test share."""
    return Bucket()


@pytest.fixture
def open_backend(shared_bucket: Bucket) -> Iterator[OpenBackend]:
    """A function that opens a backend over a client of its own, with options as the configuration has them."""
    opened: list[tuple[ReplicatedBackend, MemoryObjectStore]] = []

    def open_backend(*faults: object, **options: object) -> tuple[ReplicatedBackend, MemoryObjectStore]:
        store = MemoryObjectStore(shared_bucket)
        store.faults.extend(faults)  # type: ignore[arg-type]
        backend = backend_over(store, **options)  # type: ignore[arg-type]
        opened.append((backend, store))
        return backend, store

    yield open_backend
    for backend, store in opened:
        store.faults.clear()
        for namespace in list(backend._syncers):
            backend.discard_pending(namespace)
        backend.close()
