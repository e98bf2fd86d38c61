"""The engine over an object store in memory passes the conformance suite for backends."""

from __future__ import annotations

import pytest

from metadatadb_core.replication import ReplicatedBackend, ReplicationConfig
from metadatadb_core.testing import BackendSuite, Capability, MakeBackends
from metadatadb_core.testing.object_store import Bucket, MemoryObjectStore, etag


class TestReplicatedBackend(BackendSuite):
    """Replicas that also sync by themselves, every now and then, while the tests run."""

    capabilities = frozenset({Capability.PERSISTENT, Capability.SHARED})

    @pytest.fixture
    def make_backends(self) -> MakeBackends:
        """Backends over one bucket whose versions are ETags, each with a client of its own."""
        bucket = Bucket(versions=etag)
        config = ReplicationConfig(sync_interval="100ms", lock_ttl="500ms")  # type: ignore[arg-type]

        def make() -> ReplicatedBackend:
            return ReplicatedBackend(lambda: MemoryObjectStore(bucket), name="memory store", config=config)

        return lambda count: [make() for _ in range(count)]
