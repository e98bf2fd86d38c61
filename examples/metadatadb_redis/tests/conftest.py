"""A real Redis server for these tests, and a relay in front of it that loses what it is told to."""

from __future__ import annotations

import os
import shutil
import socket
import socketserver
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from redis import Redis

from metadatadb_redis import RedisBackendConfig
from metadatadb_redis.store import RedisObjectStore
from metadatadb_redis.testing import RedisServer


@pytest.fixture(scope="session")
def needs_redis() -> None:
    """Skips where there is no server to test with."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not on PATH")


@pytest.fixture(scope="session")
def shared_server(needs_redis: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for the whole session."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """A server with nothing in it, for tests that leave its settings alone."""
    with closing(Redis(port=shared_server.port)) as client:
        client.flushall()
    return shared_server


@pytest.fixture
def own_server(needs_redis: None, tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may do anything to."""
    directory = tmp_path / "redis"
    directory.mkdir()
    with RedisServer(directory) as server:
        yield server


@pytest.fixture
def admin(own_server: RedisServer) -> Iterator[Any]:
    """A client of `own_server`, to change its settings and to see what is stored."""
    with closing(Redis(port=own_server.port)) as client:
        yield client


@pytest.fixture
def make_config() -> Callable[..., RedisBackendConfig]:
    """The configuration for a port."""
    return lambda port, **options: RedisBackendConfig(host="127.0.0.1", port=port, **options)


@pytest.fixture
def store(server: RedisServer, make_config: Callable[..., RedisBackendConfig]) -> Iterator[RedisObjectStore]:
    """A client of `server`."""
    with closing(RedisObjectStore(make_config(server.port))) as store:
        yield store


@pytest.fixture
def own_store(own_server: RedisServer, make_config: Callable[..., RedisBackendConfig]) -> Iterator[RedisObjectStore]:
    """A client of `own_server`."""
    with closing(RedisObjectStore(make_config(own_server.port))) as store:
        yield store


class Relay(socketserver.ThreadingTCPServer):
    """Passes on what clients and server say to each other, and counts the scripts.

    Attributes:
        port: where it listens.
        loses: "request": a script is not passed on. "answer": it is, and its answer is not. "half": of the answer only
            the beginning is. The connection is then closed.
        scripts: how many were sent by clients.
    """

    def __init__(self, server: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.server = server
        self.port: int = self.server_address[1]
        self.loses: Literal["request", "answer", "half"] | None = None
        self.scripts = 0


class _Passing(socketserver.BaseRequestHandler):
    server: Relay
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.server)) as server, suppress(OSError):
            while request := self.request.recv(2**20):
                script = b"EVAL" in request
                self.server.scripts += script
                if script and self.server.loses == "request":
                    return
                server.sendall(request)
                answer = server.recv(2**20)
                if script and self.server.loses is not None:
                    if self.server.loses == "half":
                        self.request.sendall(answer[: len(answer) // 2])
                    return
                self.request.sendall(answer)


@pytest.fixture
def relay(server: RedisServer) -> Iterator[Relay]:
    """In front of `server`; clients of it are to be closed by the test."""
    with Relay(server.port) as relay:
        serving = threading.Thread(target=relay.serve_forever, args=(0.01,))
        serving.start()
        yield relay
        relay.shutdown()
        serving.join()


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
