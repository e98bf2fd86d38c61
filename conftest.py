"""What holds for every test of the workspace: it leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

THREAD_GRACE = 5.0
"""Seconds a thread that was told to end may take before it counts as left behind."""

# Time limits per example would make a loaded machine a failing one. Hypothesis chooses its own profile in CI.
if "CI" not in os.environ:
    settings.register_profile("workspace", deadline=None, print_blob=True)
    settings.load_profile("workspace")


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """A test that leaves a running thread fails (sockets and files: their ResourceWarning is an error)."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_GRACE
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread.name for thread in set(threading.enumerate()) - before]

    assert [] == left


@pytest.fixture(scope="session")
def temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the code under test makes its temporary files."""
    return tmp_path_factory.mktemp("tempfile")


@pytest.fixture(autouse=True)
def no_temporary_file_left_behind(temporary_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that leaves a temporary file fails; its own belong in `tmp_path`."""
    monkeypatch.setattr(tempfile, "tempdir", str(temporary_directory))
    yield
    left = sorted(temporary_directory.iterdir())
    for path in left:  # so that the next test is not blamed for it
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    assert [] == left
