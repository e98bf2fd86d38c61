"""However many plugins are installed, asking which there are costs one look at the metadata and no import."""

from __future__ import annotations

import importlib.metadata
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metadatadb_core.registry import Registry
from tests.support.fake_plugins import write_fake_plugins

COUNT = 50


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The backends of many distributions, which are on the path for one test."""
    monkeypatch.delenv("METADATADB_DISABLE_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield write_fake_plugins(tmp_path, COUNT)
    for name in imported():
        del sys.modules[name]


def imported() -> list[str]:
    return sorted(name for name in sys.modules if name.startswith("fixture_fake"))


def reads(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> Counter[str]:
    """How often `call` reads which file of any distribution's metadata."""
    counted: Counter[str] = Counter()
    read_text = importlib.metadata.PathDistribution.read_text

    def counting(self: importlib.metadata.PathDistribution, filename: str) -> str | None:
        counted[filename] += 1
        return read_text(self, filename)

    with monkeypatch.context() as patched:
        patched.setattr(importlib.metadata.PathDistribution, "read_text", counting)
        call()
    return counted


def test_many_plugins_are_known_and_none_is_imported(names: list[str]) -> None:
    """Whatever is asked about their names."""
    registry = Registry()

    assert COUNT == len(names)
    assert set(names) <= set(registry.names())
    assert [True] * COUNT == [registry.exists(name) for name in names]
    assert names == [registry.name_for_scheme(name) for name in names]
    assert [] == imported()


@pytest.mark.usefixtures("names")
def test_many_plugins_are_found_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is read that `importlib.metadata.entry_points` does not read, and none twice as often."""
    least = reads(monkeypatch, lambda: importlib.metadata.entry_points(group="metadatadb"))

    assert least["entry_points.txt"] >= COUNT
    assert least == reads(monkeypatch, lambda: Registry().names())


def test_a_registry_looks_once(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has found, it remembers."""
    registry = Registry()
    registry.names()

    assert Counter() == reads(monkeypatch, lambda: [registry.name_for_scheme(name) for name in registry.names()])
