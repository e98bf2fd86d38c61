"""A real S3 server for these tests, and a proxy in front of it that fails on demand."""

from __future__ import annotations

import os
import traceback
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metadatadb_core.testing.faulty_proxy import FaultyProxy
from metadatadb_s3 import S3BackendConfig
from metadatadb_s3.client import borrow_client
from metadatadb_s3.store import S3ObjectStore
from metadatadb_s3.testing import moto_credentials, moto_server


@pytest.fixture(scope="session", autouse=True)
def credentials() -> Iterator[None]:
    """Those that the server accepts, and nothing of what this machine has configured."""
    with moto_credentials():
        yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of a server that all tests of a process share, each with a bucket of its own."""
    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
def s3_client(s3_server: str, credentials: None) -> Iterator[Any]:
    """A client of the server. Held for the session, it is what backends of the default configuration share."""
    client, give_back = borrow_client(S3BackendConfig(bucket="any", endpoint_url=s3_server))
    yield client
    give_back()


@pytest.fixture
def bucket(s3_client: Any) -> str:
    """The name of a new, empty bucket."""
    name = f"bucket-{uuid.uuid4()}"
    s3_client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def in_child() -> Callable[[Callable[[], None]], int]:
    """Runs a function in a forked child; returns its exit status."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    return _in_child


def _in_child(task: Callable[[], None]) -> int:
    process = os.fork()
    if not process:
        try:
            task()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.fixture
def proxy(s3_server: str) -> Iterator[FaultyProxy]:
    """In front of the server."""
    with FaultyProxy(s3_server) as proxy:
        yield proxy


@pytest.fixture
def config(bucket: str, proxy: FaultyProxy) -> S3BackendConfig:
    """The bucket, by way of the proxy."""
    return S3BackendConfig(bucket=bucket, endpoint_url=proxy.url)


@pytest.fixture
def store(config: S3BackendConfig) -> Iterator[S3ObjectStore]:
    """The bucket, by way of the proxy."""
    client, give_back = borrow_client(config)
    store = S3ObjectStore(client, config.bucket, close=give_back)
    yield store
    store.close()
