"""Real servers over HTTP, on free ports of the loopback interface: started once for a process, empty for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from metadatadb_core.testing.faulty_proxy import FaultyProxy
from metadatadb_s3 import S3BackendConfig
from metadatadb_s3.client import borrow_client
from metadatadb_s3.testing import moto_credentials, moto_server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of moto's S3 server, in a process of its own."""
    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
def s3_client(s3_server: str) -> Iterator[Any]:
    """A boto3 client of it, to look at what is stored, and to store what somebody else would have."""
    with moto_credentials():
        client, give_back = borrow_client(S3BackendConfig(bucket="any", endpoint_url=s3_server))
        yield client
        give_back()


@pytest.fixture
def s3_bucket(s3_client: Any) -> str:
    """The name of a new, empty bucket."""
    name = f"bucket-{uuid.uuid4()}"
    s3_client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3_proxy(s3_server: str) -> Iterator[FaultyProxy]:
    """A proxy in front of the server that counts requests, and fails on demand."""
    with FaultyProxy(s3_server) as proxy:
        yield proxy


@pytest.fixture
def s3_config(s3_bucket: str, s3_proxy: FaultyProxy) -> S3BackendConfig:
    """The bucket, by way of the proxy."""
    return S3BackendConfig(bucket=s3_bucket, endpoint_url=s3_proxy.url)
