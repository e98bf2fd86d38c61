"""Plugins by the dozen, as an installer would leave them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_fake_plugins"]


def write_fake_plugins(site: Path, count: int) -> list[str]:
    """Lay `count` distributions into the directory `site`, each with a module ``fixture_NAME`` and nothing in it.

    Returns:
        The names of their backends, which are their schemes too.
    """
    names = [f"fake{number:02}" for number in range(count)]
    for name in names:
        information = site / f"fixture_{name}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fixture-{name}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(
            f"[metadatadb]\n{name} = fixture_{name}\n\n[metadatadb.schemes]\n{name} = {name}\n"
        )
        (site / f"fixture_{name}.py").write_text("")
    return names
