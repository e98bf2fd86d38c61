"""The fixtures for those who test their own code on a store, used as their documentation says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

USERS_TESTS = '''
from metadatadb_core.errors import BackendClosedError

kept = []


def test_a_store_is_there(metadatadb_store):
    """A user's own test."""
    metadatadb_store.namespace("app").int("visits").add(1)
    kept.append(metadatadb_store.namespace("app").int("visits"))
    assert 1 == kept[0].get()


def test_another_test_has_another_store(metadatadb_store, metadatadb_namespace):
    """Nothing is left of the test before."""
    assert 0 == metadatadb_store.namespace("app").int("visits").get()
    metadatadb_namespace.int("x").add(1)
    assert 1 == metadatadb_store.namespace(metadatadb_namespace.name).int("x").get()
    try:
        kept[0].add(1)
    except BackendClosedError:
        pass
    else:
        assert False
'''


def run_users_tests(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text('pytest_plugins = ["metadatadb_core.testing.fixtures"]\n')
    (folder / "test_app.py").write_text(USERS_TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_each_test_has_an_empty_store_of_its_own(tmp_path: Path) -> None:
    """In a project of their own, with warnings as errors."""
    finished = run_users_tests(tmp_path)

    assert "2 passed" in finished.stdout, finished.stdout + finished.stderr


def test_the_memory_backend_missing_is_said_clearly(tmp_path: Path) -> None:
    """Not a stack of imports, but what to do."""
    finished = run_users_tests(tmp_path, METADATADB_DISABLE_PLUGINS="*")

    assert 1 == finished.returncode
    assert "memory" in finished.stdout
    assert "METADATADB_DISABLE_PLUGINS" in finished.stdout or "pip install" in finished.stdout


@pytest.mark.parametrize("missing", ["pytest", "hypothesis"])
def test_the_extra_missing_is_said_clearly(missing: str) -> None:
    """The kit names the extra that brings what it needs."""
    finished = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules[{missing!r}] = None\nimport metadatadb_core.testing"],
        capture_output=True,
        text=True,
    )

    assert f"metadatadb_core.testing needs {missing}: pip install 'metadatadb-core[testing]'" in finished.stderr
