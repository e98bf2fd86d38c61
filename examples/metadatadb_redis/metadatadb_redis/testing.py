"""A Redis server of one's own, for tests; needs the program redis-server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

__all__ = ["RedisServer"]

_READY_SECONDS: Final = 20.0
_PORTS_TRIED: Final = 5


@final
class RedisServer:
    """A server on a free port of the loopback interface, which writes each change to a file before it answers.

    Args:
        directory: where it keeps its files.
        options: more of its options, as they are given on its command line: ``"--databases", "2"``.

    Attributes:
        options: the same; what is added holds from the next start.
        port: where it listens.

    Raises:
        FileNotFoundError: redis-server is not installed.
        RuntimeError: it did not start.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server is not on PATH: install it, with apt-get install redis-server, say")
        self._directory = directory
        self._command = [program, "--bind", "127.0.0.1", "--dir", str(directory), "--logfile", "redis.log"]
        self._command += ["--save", "", "--appendonly", "yes", "--appendfsync", "no"]
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        for _ in range(_PORTS_TRIED):  # somebody else may take it before the server does
            self.port = _free_port()
            try:
                self.start()
            except RuntimeError:
                if "in use" not in self._log():
                    raise
            else:
                return
        raise RuntimeError(f"no free port for redis-server: {self._log()}")

    @property
    def process(self) -> int:
        """Its process id."""
        assert self._process is not None, "the server is stopped"
        return self._process.pid

    def start(self) -> None:
        """Start it, again on its port, and wait until it answers (also if only that it is loading its data)."""
        command = [*self._command, "--port", str(self.port), *self.options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"redis-server did not start: {self._log()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it as its operator would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return bool(connection.recv(64))
        except OSError:
            return False

    def _log(self) -> str:
        log = self._directory / "redis.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else "it wrote no log"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
