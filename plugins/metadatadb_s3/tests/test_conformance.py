"""The S3 backend and its object store against the conformance suites, on moto's server over HTTP.

Moto enforces what the suites ask for: If-None-Match: * and If-Match on puts, If-Match on deletes, 404 NoSuchKey
where nothing is. That it does so under a race is due to `moto_server`, which serves one request at a time.
"""

from __future__ import annotations

import pytest

from metadatadb_core.replication.object_store import ObjectStore
from metadatadb_core.testing import BackendSuite, Capability, MakeBackends
from metadatadb_core.testing.object_store_suite import MakeStores, ObjectStoreSuite
from metadatadb_s3 import S3Backend, S3BackendConfig
from metadatadb_s3.client import borrow_client
from metadatadb_s3.store import S3ObjectStore


class TestS3ObjectStore(ObjectStoreSuite):
    """Conditions, races, and versions that tell bodies apart."""

    @pytest.fixture
    def make_stores(self, s3_server: str, bucket: str) -> MakeStores:
        config = S3BackendConfig(bucket=bucket, endpoint_url=s3_server)

        def make() -> ObjectStore:
            client, give_back = borrow_client(config)
            return S3ObjectStore(client, bucket, close=give_back)

        return lambda count: [make() for _ in range(count)]


class TestS3Backend(BackendSuite):
    """Replicas that share a bucket."""

    capabilities = frozenset({Capability.PERSISTENT, Capability.SHARED})

    @pytest.fixture
    def make_backends(self, s3_server: str, bucket: str) -> MakeBackends:
        config = S3BackendConfig(bucket=bucket, endpoint_url=s3_server, prefix="team-a/")
        return lambda count: [S3Backend(config) for _ in range(count)]
