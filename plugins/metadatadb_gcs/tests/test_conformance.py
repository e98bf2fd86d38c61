"""The GCS backend and its object store against the conformance suites, over HTTP.

On the strict server of these tests everything holds. fake-gcs-server, which others wrote and test, ignores the
conditions of deletes, as its class declares.
"""

from __future__ import annotations

import pytest

from metadatadb_core.testing import BackendSuite, Capability, MakeBackends
from metadatadb_core.testing.object_store_suite import MakeStores, ObjectStoreSuite
from metadatadb_gcs import GCSBackend, GCSBackendConfig
from metadatadb_gcs.client import borrow_client
from metadatadb_gcs.store import GCSObjectStore, open_store


def stores_in(bucket: str, url: str) -> MakeStores:
    config = GCSBackendConfig(bucket=bucket, endpoint_url=url)

    def make() -> GCSObjectStore:
        client, give_back = borrow_client(config)
        return open_store(client, config, name="the bucket", close=give_back)

    return lambda count: [make() for _ in range(count)]


def backends_in(bucket: str, url: str) -> MakeBackends:
    config = GCSBackendConfig(bucket=bucket, endpoint_url=url, prefix="team-a/")
    return lambda count: [GCSBackend(config) for _ in range(count)]


class TestStoreOnTheStrictServer(ObjectStoreSuite):
    """Conditions, races, and versions that tell bodies apart."""

    @pytest.fixture
    def make_stores(self, strict_server: str, bucket: str) -> MakeStores:
        return stores_in(bucket, strict_server)


class TestBackendOnTheStrictServer(BackendSuite):
    """Replicas that share a bucket."""

    capabilities = frozenset({Capability.PERSISTENT, Capability.SHARED})

    @pytest.fixture
    def make_backends(self, strict_server: str, bucket: str) -> MakeBackends:
        return backends_in(bucket, strict_server)


class TestStoreOnFakeGCSServer(ObjectStoreSuite):
    """A server that nobody here wrote; puts are conditional, deletes are not."""

    conditional_deletes = False

    @pytest.fixture
    def make_stores(self, emulator: str, emulator_bucket: str) -> MakeStores:
        return stores_in(emulator_bucket, emulator)


class TestBackendOnFakeGCSServer(BackendSuite):
    """The engine on a store that ignores conditions on deletes."""

    capabilities = frozenset({Capability.PERSISTENT, Capability.SHARED})

    @pytest.fixture
    def make_backends(self, emulator: str, emulator_bucket: str) -> MakeBackends:
        return backends_in(emulator_bucket, emulator)
