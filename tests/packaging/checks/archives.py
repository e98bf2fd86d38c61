"""What is in the archives, before anything is installed."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from packaging.utils import canonicalize_name
from readme_renderer import markdown

from tests.packaging.workspace import Built, contents

CORE = "metadatadb-core"
_ROOT_FILES = {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", ".gitignore", "CHANGELOG.md"}
"""What may lie at the top of an sdist, besides the package and its tests."""


def stray_files(built: Built) -> list[str]:
    """What a wheel or sdist holds and should not: tests, benchmarks, top-level modules."""
    wheel = {name.partition("/")[0] for name in built.wheel_files()} - {built.package, built.dist_info}
    sdist = {name.partition("/")[0] for name in built.sdist_files()} - {built.package, "tests", ""} - _ROOT_FILES
    return [f"{name} in the wheel" for name in sorted(wheel)] + [f"{name} in the sdist" for name in sorted(sdist)]


def missing_files(built: Built) -> list[str]:
    """What type checkers and lawyers look for in a wheel and do not find."""
    wanted = [f"{built.package}/py.typed", f"{built.dist_info}/licenses/LICENSE"]
    return [name for name in wanted if name not in built.wheel_files()]


def wheel_differences(one: Path, other: Path) -> list[str]:
    """Files that two wheels of one distribution do not share, byte for byte."""
    ours, theirs = contents(one), contents(other)
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def metadata_faults(built: Built) -> list[str]:
    """What a package index would show wrongly, or an installer not know."""
    metadata = built.metadata()
    expected = {"Requires-Python": ">=3.11", "Description-Content-Type": "text/markdown"}
    faults = [f"{name} is {metadata[name]}, not {value}" for name, value in expected.items() if metadata[name] != value]
    faults += [f"no {name}" for name in ("Summary", "License-Expression") if not metadata[name]]
    if "Typing :: Typed" not in metadata.get_all("Classifier", []):
        faults.append("not classified as Typing :: Typed")
    readme = metadata.get_payload()
    if not isinstance(readme, str) or "<h1" not in (markdown.render(readme) or ""):
        faults.append("its description does not render under a heading")
    return faults


def requirement_faults(built: Built, siblings: Collection[str]) -> list[str]:
    """What keeps a plugin from being installed beside any patch release of the core, and without its siblings.

    Args:
        built: a plugin.
        siblings: the names of the other plugins.
    """
    others = {canonicalize_name(name) for name in siblings}
    requirements = built.requirements()
    core = [one for one in requirements if canonicalize_name(one.name) == CORE and one.marker is None]
    faults = [] if core else [f"does not require {CORE}"]
    faults += [f"requires its sibling {one.name}" for one in requirements if canonicalize_name(one.name) in others]
    return faults + [
        f"requires {one}, which is not a range"
        for one in core
        if {">=", "<"} != {bound.operator for bound in one.specifier}
    ]
