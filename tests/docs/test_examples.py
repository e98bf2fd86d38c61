"""The examples run, and notice when they are wrong."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stdlib_index(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of examples/stdlib_index.py, found as Python finds it when it is run."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("stdlib_index")


def test_the_index_is_equal_to_a_sequential_count(stdlib_index: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """The main job ends well, and shows what it checked."""
    status = stdlib_index.main(["memory://", "--files", "40", "--workers", "8"])

    assert 0 == status
    assert "NO" not in capsys.readouterr().out


def test_the_index_notices_a_lost_import(stdlib_index: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that only one side counts makes the job fail: its check is able to."""
    library = importlib.import_module("library")
    imported_modules = library.imported_modules

    def losing_sys(source: bytes) -> Iterator[str]:
        in_a_worker = threading.current_thread() is not threading.main_thread()
        return (module for module in imported_modules(source) if not (in_a_worker and module == "sys"))

    monkeypatch.setattr(library, "imported_modules", losing_sys)
    status = stdlib_index.main(["memory://", "--files", "40"])

    assert 1 == status
