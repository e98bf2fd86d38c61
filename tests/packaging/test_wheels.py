"""What is in the archives that users get."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.checks import archives
from tests.packaging.checks.imports import providers, undeclared_imports
from tests.packaging.conftest import Install
from tests.packaging.workspace import PLUGIN_NAMES, PROJECTS, Built, build_wheel

PACKAGES = ["metadatadb_core", *PLUGIN_NAMES]
SOURCES = list(zip(PROJECTS, PACKAGES, strict=True))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_distribution_holds_its_package_and_nothing_else(built: dict[str, Built], package: str) -> None:
    """No tests in a wheel, nothing of the workspace in an sdist."""
    assert [] == archives.stray_files(built[package])


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_is_typed_and_licensed(built: dict[str, Built], package: str) -> None:
    """Type checkers look for py.typed, people for the licence."""
    assert [] == archives.missing_files(built[package])


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_says_what_it_is(built: dict[str, Built], package: str) -> None:
    """Licence, Python, classifiers, and a description that an index can show."""
    assert [] == archives.metadata_faults(built[package])


@pytest.mark.parametrize(("project", "package"), SOURCES, ids=PACKAGES)
def test_the_wheel_of_an_sdist_is_that_of_the_tree(
    built: dict[str, Built], tmp_path: Path, project: Path, package: str
) -> None:
    """A module that the sdist forgets would be missed by everybody who builds from it."""
    assert [] == archives.wheel_differences(built[package].wheel, build_wheel(project, tmp_path))


@pytest.mark.parametrize(("project", "package"), SOURCES, ids=PACKAGES)
def test_a_wheel_holds_every_module_of_its_package(built: dict[str, Built], project: Path, package: str) -> None:
    """A module that only an editable install has would be missed by everybody but us."""
    sources = {path.relative_to(project).as_posix() for path in (project / package).rglob("*.py")}

    assert sources == {name for name in built[package].wheel_files() if name.endswith(".py")}


@pytest.mark.parametrize("package", PLUGIN_NAMES)
def test_a_plugin_depends_on_the_core_by_range_and_on_no_other_plugin(built: dict[str, Built], package: str) -> None:
    """It must install beside any patch release of the core, and without its siblings."""
    siblings = {built[name].name for name in PLUGIN_NAMES if name != package}

    assert [] == archives.requirement_faults(built[package], siblings)


def test_nothing_undeclared_is_imported(built: dict[str, Built], installed: Install) -> None:
    """What a wheel imports is its own, the standard library's, or a dependency's that it names itself."""
    everything = installed("everything", *(one.with_extras() for one in built.values()))
    known = providers(everything)

    assert [] == [complaint for one in built.values() for complaint in undeclared_imports(one, known)]
