"""The example of a third party's backend, from its wheel: found by the core, passing the suites on a real server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.checks.archives import metadata_faults, missing_files, requirement_faults, stray_files
from tests.packaging.checks.discovery import unfound_backends
from tests.packaging.checks.imports import failing_imports, providers, undeclared_imports
from tests.packaging.workshop import Workshop
from tests.packaging.workspace import ROOT, Built, Environment, build, built_in, own_tests

EXAMPLE = ROOT / "examples/metadatadb_redis"

_COUNT_ONE_VISIT = """
import pathlib, sys
from metadatadb_core import Registry, connect
from metadatadb_redis.testing import RedisServer
assert "redis" in Registry().names()
directory = pathlib.Path({directory!r})
directory.mkdir(exist_ok=True)
with RedisServer(directory) as server, connect(f"redis://127.0.0.1:{{server.port}}/0?prefix=team-a/") as store:
    visits = store.namespace("app").int("visits")
    visits.add(1)
    print(visits.get())
"""


@pytest.fixture(scope="session")
def example(workshop: Workshop) -> Built:
    """Its sdist, and the wheel made from that."""
    return built_in(EXAMPLE, workshop.once("dist-redis-example", lambda output: build(EXAMPLE, output)))


@pytest.fixture(scope="session")
def with_example(built: dict[str, Built], example: Built, installed: Callable[..., Environment]) -> Environment:
    """The core with its kit, and the example; nothing else of this workspace."""
    return installed("redis-example", f"{built['metadatadb_core'].wheel}[testing]", str(example.wheel))


@pytest.fixture
def needs_redis() -> None:
    """Skips where there is no server to test with."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not on PATH")


def test_it_is_a_distribution_as_a_plugin_should_be(built: dict[str, Built], example: Built) -> None:
    """What is asked of the plugins here is asked of it: nothing stray, typed, licensed, the core by range."""
    siblings = {one.name for one in built.values()} - {built["metadatadb_core"].name}

    assert [] == [*stray_files(example), *missing_files(example), *metadata_faults(example)]
    assert [] == requirement_faults(example, siblings)


def test_it_is_found_and_imports_what_it_declares(example: Built, with_example: Environment) -> None:
    """By its entry points; every module, its server for tests included, with its own requirements."""
    assert [] == unfound_backends(example, with_example)
    assert [] == failing_imports(example, with_example)
    assert [] == undeclared_imports(example, providers(with_example))


def test_state_outlives_a_crash_of_its_server(needs_redis: None, with_example: Environment, tmp_path: Path) -> None:
    """Each run connects by a URL, counts one visit, and kills its server."""
    program = _COUNT_ONE_VISIT.format(directory=str(tmp_path / "redis"))
    counted = [with_example.run(program).strip() for _ in range(2)]

    assert ["1", "2"] == counted


def test_it_passes_the_suites_from_its_wheel(needs_redis: None, example: Built, with_example: Environment) -> None:
    """Its tests come from its sdist; none is skipped for want of anything but openssl, which makes a certificate."""
    said = own_tests(example, with_example)

    assert " passed" in said
    assert " skipped" not in said or shutil.which("openssl") is None


def test_it_passes_them_with_the_oldest_redis_py_that_it_allows(
    needs_redis: None, built: dict[str, Built], example: Built, environment: Environment
) -> None:
    """Whose defaults are others: what it relies on, it says itself."""
    (redis,) = (one for one in example.requirements() if one.name == "redis")
    (oldest,) = (bound.version for bound in redis.specifier if bound.operator == ">=")
    environment.install(f"{built['metadatadb_core'].wheel}[testing]", str(example.wheel), f"redis=={oldest}")

    assert " passed" in own_tests(example, environment)
