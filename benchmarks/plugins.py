"""What it costs to know which backends there are, against one look at the entry points."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import Comparison, compare, whole
from metadatadb_core import Registry
from tests.support.fake_plugins import write_fake_plugins

PLUGINS = 50


def comparisons() -> Iterator[Comparison]:
    """With many plugins installed beside whatever else is; each time a new registry, which knows nothing yet."""
    with TemporaryDirectory() as site:
        sys.path.insert(0, site)
        try:
            assert set(write_fake_plugins(Path(site), PLUGINS)) <= set(Registry().names())
            yield compare(
                f"Registry().names(), {PLUGINS} plugins",
                whole(lambda: Registry().names()),
                floor="entry_points(group=...)",
                against=whole(lambda: entry_points(group="metadatadb")),
                limit=2.0,
            )
        finally:
            sys.path.remove(site)
