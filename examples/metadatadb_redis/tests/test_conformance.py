"""The Redis backend and its object store against the conformance suites, on a real server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metadatadb_core.testing import BackendSuite, Capability, MakeBackends, MakeStores, ObjectStoreSuite
from metadatadb_redis import RedisBackend, RedisBackendConfig
from metadatadb_redis.store import RedisObjectStore
from metadatadb_redis.testing import RedisServer


class TestRedisObjectStore(ObjectStoreSuite):
    """Conditions, races, and versions that tell bodies apart."""

    @pytest.fixture
    def make_stores(self, server: RedisServer, make_config: Callable[..., RedisBackendConfig]) -> MakeStores:
        config = make_config(server.port)
        return lambda count: [RedisObjectStore(config) for _ in range(count)]


class TestRedisBackend(BackendSuite):
    """Replicas that share a server."""

    capabilities = frozenset({Capability.PERSISTENT, Capability.SHARED})

    @pytest.fixture
    def make_backends(self, server: RedisServer, make_config: Callable[..., RedisBackendConfig]) -> MakeBackends:
        config = make_config(server.port, prefix="team-a/")
        return lambda count: [RedisBackend(config) for _ in range(count)]
