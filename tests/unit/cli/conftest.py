"""The command as it is typed: in this process for most tests, as a process of its own where that matters."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import pytest
from click.testing import CliRunner

from metadatadb_core import Store, connect
from metadatadb_core.cli import output
from metadatadb_core.cli.app import application

_DEADLINE_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 1.0

_ABOUT_STREAMS: Final = {
    *("COLORTERM", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE"),
    "PYTHONUNBUFFERED",
}

# The terminal becomes the one that controls the new session, so that Ctrl-C is a signal to whoever runs on it.
_ON_A_TERMINAL: Final = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Said:
    """What a run of the command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        (line,) = self.out.splitlines()
        return msgspec.json.decode(line)

    @property
    def error(self) -> Any:
        """The error that stands as JSON on stderr."""
        return msgspec.json.decode(self.err.splitlines()[-1])["error"]


Command: TypeAlias = Callable[..., Said]


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where nobody has configured anything, with a pipe for a terminal."""
    for name in list(os.environ):
        if name.startswith("METADATADB_") or name in _ABOUT_STREAMS:
            monkeypatch.delenv(name)


@pytest.fixture
def metadatadb(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in this process: ``metadatadb("show", "jobs", input="", env={}, columns=40)``.

    Columns are those of a terminal; a pipe has no end of them.
    """

    def run(
        *words: str, input: str | bytes | None = None, env: dict[str, str] | None = None, columns: int | None = None
    ) -> Said:
        with monkeypatch.context() as patch:
            if columns is not None:
                patch.setattr(output, "_UNLIMITED", columns)
            result = CliRunner().invoke(application, words, input=input, env=env, catch_exceptions=False)
        return Said(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def in_process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command as a process of its own, with pipes."""

    def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "metadatadb_core.cli", *words],
            capture_output=True,
            text=True,
            timeout=_DEADLINE_SECONDS,
            **options,
        )

    return run


@pytest.fixture
def target(tmp_path: Path) -> str:
    """The URL of a SQLite file, the real store of these tests."""
    return f"sqlite://{(tmp_path / 'meta.db').as_posix()}"


@pytest.fixture
def store(target: str) -> Iterator[Store]:
    """The store at `target`; what a test writes there it flushes."""
    with connect(target) as store:
        yield store


class Terminal:
    """A process on a terminal of its own, where Ctrl-C is a key.

    Args:
        words: what is run.
        columns, rows: the size of the terminal.
        env: the environment.
    """

    def __init__(self, *words: str, columns: int = 80, rows: int = 24, env: dict[str, str] | None = None) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self.text = ""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_A_TERMINAL, sys.executable, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **(env or {})},
        )
        os.close(slave)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def press_until_it_ends(self, keys: str) -> int:
        """Type until the process ends; its exit status.

        A signal that comes right before a read is only noticed by the interpreter when another one ends that read.
        """
        while True:
            self.press(keys)
            while select.select([self._master], [], [], _PATIENCE_SECONDS)[0]:
                if not self._read():
                    return self._process.wait(_DEADLINE_SECONDS)

    def wait_for(self, text: str) -> None:
        """Until it is on the screen, also if it was drawn over since."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while text not in self.plain:
            assert time.monotonic() < deadline, f"{text!r} did not appear: {self.text!r}"
            assert self._read(), f"{text!r} did not appear before the end: {self.text!r}"

    def wait(self) -> int:
        """The exit status, once it has ended."""
        while self._read():
            pass
        return self._process.wait(_DEADLINE_SECONDS)

    @property
    def plain(self) -> str:
        """What was printed, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text).replace("\r", "")

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], _DEADLINE_SECONDS)
        assert ready, f"nothing more was printed: {self.text!r}"
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # how Linux says that nobody has the terminal open any more
            chunk = b""
        self.text += chunk.decode(errors="replace")
        return bool(chunk)

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)


OpenTerminal: TypeAlias = Callable[..., Terminal]


@pytest.fixture
def terminal() -> Iterator[OpenTerminal]:
    """Runs the command on a terminal: ``terminal("show", "jobs", columns=40)``."""
    if os.name == "nt":
        pytest.skip("Windows has no pseudo-terminals of this kind")
    opened: list[Terminal] = []

    def run(*words: str, **options: Any) -> Terminal:
        opened.append(Terminal("-m", "metadatadb_core.cli", *words, **options))
        return opened[-1]

    yield run
    for one in opened:
        one.close()
