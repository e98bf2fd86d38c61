"""Each plugin with the core and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.packaging.checks.discovery import unfound_backends
from tests.packaging.checks.imports import failing_imports, loaded, sdks
from tests.packaging.checks.types import unseen_types
from tests.packaging.test_core_alone import NOT_AT_IMPORT
from tests.packaging.workspace import PLUGIN_NAMES, Built, Environment

WithPlugins = Callable[..., Environment]

pytestmark = pytest.mark.parametrize("package", PLUGIN_NAMES)

_PLAIN_ATTRIBUTES = """
import json
from typing import get_type_hints
from metadatadb_core import Registry
config = Registry().registration({name!r}).config_class
plain = {{name: kind.__name__ for name, kind in get_type_hints(config).items() if kind in (str, int, bool)}}
print(json.dumps([config.__name__, plain]))
"""


def test_a_plugin_brings_the_backend_it_is_named_for(built: dict[str, Built], package: str) -> None:
    """The core tells people to install metadatadb-NAME for the backend NAME."""
    assert [package.removeprefix("metadatadb_")] == list(built[package].entry_points()["metadatadb"])


def test_its_backend_and_its_schemes_are_found(
    built: dict[str, Built], with_plugins: WithPlugins, package: str
) -> None:
    """By whoever asks the registry."""
    assert [] == unfound_backends(built[package], with_plugins(package))


def test_every_module_of_a_plugin_imports(built: dict[str, Built], with_plugins: WithPlugins, package: str) -> None:
    """With what the plugin and the core declare; what an extra brings is not there."""
    assert [] == failing_imports(built[package], with_plugins(package))


def test_importing_the_core_imports_no_plugin_and_no_sdk(
    built: dict[str, Built], with_plugins: WithPlugins, package: str
) -> None:
    """Nor does asking which backends there are."""
    unwanted = NOT_AT_IMPORT | sdks(built[package], built["metadatadb_core"]) | {canonicalize_name(package)}
    statement = "import metadatadb_core as m; m.Registry().names()"

    assert [] == loaded(with_plugins(package), statement, unwanted)


def test_importing_a_plugin_imports_no_sdk(built: dict[str, Built], with_plugins: WithPlugins, package: str) -> None:
    """The SDK is for those who open the backend: its factory imports it."""
    (module,) = built[package].entry_points()["metadatadb"].values()

    assert [] == loaded(with_plugins(package), f"import {module}", sdks(built[package], built["metadatadb_core"]))


@pytest.mark.usefixtures("type_checkers")
def test_type_checkers_see_the_types_of_a_plugin(with_plugins: WithPlugins, tmp_path: Path, package: str) -> None:
    """An attribute of its configuration has its type and no other."""
    environment, name = with_plugins(package), package.removeprefix("metadatadb_")
    config, attributes = json.loads(environment.run(_PLAIN_ATTRIBUTES.format(name=name)))
    right = [
        "from metadatadb_core import Registry",
        f"from {package} import {config}, register_{name}",
        f"register_{name}(Registry())",
        *(f"def is_{each}(config: {config}) -> {kind}: return config.{each}" for each, kind in attributes.items()),
    ]
    wrong = [
        f"register_{name}('registry')",
        *(f"def not_{each}(config: {config}) -> bytes: return config.{each}" for each in attributes),
    ]

    assert [] == unseen_types(environment, tmp_path, right, wrong)
