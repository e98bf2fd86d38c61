"""The workspace's distributions, built, and environments to try them in: made once, shared by all workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.packaging.workshop import Workshop
from tests.packaging.workspace import (
    PROJECTS,
    THIRD_PARTY,
    Built,
    Environment,
    build,
    built_in,
    environment_in,
    new_environment,
    run,
)

collect_ignore = ["third_party"]
"""What lies below it is a distribution to be installed, and brings tests of its own."""

Install = Callable[..., Environment]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker waits for another's at the end."""
    items.sort(key=lambda item: item.path.name != "test_own_tests.py")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """One for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "workshop"
    directory.mkdir(exist_ok=True)
    return Workshop(directory)


@pytest.fixture(scope="session")
def built(workshop: Workshop) -> dict[str, Built]:
    """Every distribution by the directory's import name; each wheel is built from its sdist."""
    distributions = [
        built_in(project, workshop.once(f"dist-{project.name}", partial(build, project))) for project in PROJECTS
    ]
    return {one.package: one for one in distributions}


@pytest.fixture(scope="session")
def third_party(workshop: Workshop) -> Built:
    """A plugin that nobody of metadatadb's authors needs to know of."""
    return built_in(THIRD_PARTY, workshop.once("dist-third-party", partial(build, THIRD_PARTY)))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A new one for the test."""
    return new_environment(tmp_path)


@pytest.fixture(scope="session")
def installed(workshop: Workshop) -> Install:
    """A function: the environment with these requirements and what they require; do not install more into it."""

    def install(name: str, *requirements: str) -> Environment:
        return environment_in(
            workshop.once(f"with-{name}", lambda place: new_environment(place).install(*requirements))
        )

    return install


@pytest.fixture(scope="session")
def core_alone(built: dict[str, Built], installed: Install) -> Environment:
    """The core's wheel and what it depends on; no plugin, no extra."""
    return installed("core", str(built["metadatadb_core"].wheel))


@pytest.fixture(scope="session")
def core_and_kit(built: dict[str, Built], installed: Install) -> Environment:
    """What an author of a backend installs."""
    return installed("kit", f"{built['metadatadb_core'].wheel}[testing]")


@pytest.fixture(scope="session")
def with_plugins(built: dict[str, Built], installed: Install) -> Callable[..., Environment]:
    """A function: the environment with the core and the plugins named by their packages; no extra."""

    def install(*packages: str) -> Environment:
        return installed("-".join(packages), *(str(built[name].wheel) for name in ("metadatadb_core", *packages)))

    return install


@pytest.fixture(scope="session")
def type_checkers(workshop: Workshop) -> None:
    """Pyright fetches itself when it is first run, which two workers must not do at once."""
    workshop.once("pyright", lambda place: run(sys.executable, "-m", "pyright", "--version", cwd=place))
