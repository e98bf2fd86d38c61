"""Two servers over HTTP, one strict and one real, and a proxy that fails on demand."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

from metadatadb_core.testing.faulty_proxy import FaultyProxy
from metadatadb_gcs import GCSBackendConfig
from metadatadb_gcs.client import GCSClient, borrow_client
from metadatadb_gcs.store import GCSObjectStore, open_store
from metadatadb_gcs.testing import NoServerHere, create_bucket, gcs_server


@pytest.fixture(scope="session", autouse=True)
def no_credentials() -> Iterator[None]:
    """Nothing of what this machine has configured is used, nor asked for at the address of a cloud's machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("NO_GCE_CHECK", "true")
        patch.setenv("CLOUDSDK_CONFIG", os.devnull)
        yield


@pytest.fixture(scope="session")
def strict_server() -> Iterator[str]:
    """The URL of a server that keeps every condition; all tests of a process share it, each with its bucket."""
    program = Path(__file__).with_name("strict_gcs.py")
    with subprocess.Popen([sys.executable, str(program)], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()  # which ends it


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The URL of fake-gcs-server, likewise."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(gcs_server())
        except NoServerHere as reason:
            pytest.skip(str(reason))
        yield url


def _bucket_at(url: str) -> str:
    name = f"bucket-{uuid.uuid4()}"
    create_bucket(url, name)
    return name


@pytest.fixture
def bucket(strict_server: str) -> str:
    """The name of a new, empty bucket of the strict server."""
    return _bucket_at(strict_server)


@pytest.fixture
def emulator_bucket(emulator: str) -> str:
    """The name of a new, empty bucket of fake-gcs-server."""
    return _bucket_at(emulator)


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
def proxy(strict_server: str) -> Iterator[FaultyProxy]:
    """In front of the strict server."""
    with FaultyProxy(strict_server) as proxy:
        yield proxy


@pytest.fixture
def config(bucket: str, proxy: FaultyProxy) -> GCSBackendConfig:
    """The bucket, by way of the proxy."""
    return GCSBackendConfig(bucket=bucket, endpoint_url=proxy.url)


@pytest.fixture
def client(config: GCSBackendConfig) -> Iterator[GCSClient]:
    """A client of the proxy, given back after the test."""
    client, give_back = borrow_client(config)
    yield client
    give_back()


@pytest.fixture
def store(client: GCSClient, config: GCSBackendConfig) -> GCSObjectStore:
    """The bucket, by way of the proxy."""
    return open_store(client, config, name="the bucket")
