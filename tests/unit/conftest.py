"""Fixture plugins: distributions that are on the path for one test."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[1] / "fixtures" / "plugins"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function that installs fixture distributions, by the names of their directories."""
    monkeypatch.delenv("METADATADB_DISABLE_PLUGINS", raising=False)

    def install(*names: str) -> None:
        for name in names:
            assert (PLUGINS / name).is_dir()
            monkeypatch.syspath_prepend(PLUGINS / name)

    yield install
    for name in [name for name in sys.modules if name.startswith("fixture_")]:
        del sys.modules[name]


@pytest.fixture
def no_first_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if none of this project's own plugins were installed, whatever is."""
    real = importlib.metadata.entry_points

    def others() -> importlib.metadata.EntryPoints:
        every = real()
        points = [point for group in every.groups for point in every.select(group=group)]
        return importlib.metadata.EntryPoints(
            [point for point in points if point.dist is None or not point.dist.name.startswith("metadatadb-")]
        )

    monkeypatch.setattr(importlib.metadata, "entry_points", others)
