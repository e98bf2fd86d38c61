"""The tests of a plugin against the wheels: its author's, ours and a third party's."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from tests.packaging.workspace import PLUGIN_NAMES, Built, Environment, own_tests


def _lowest(*distributions: Built) -> list[str]:
    """The oldest version of every dependency that the wheels say they work with."""
    ours = {canonicalize_name(one.name) for one in distributions}
    return [
        f"{requirement.name}=={bound.version}"
        for one in distributions
        for requirement in one.requirements()
        if canonicalize_name(requirement.name) not in ours
        for bound in requirement.specifier
        if bound.operator == ">="
    ]


@pytest.mark.parametrize("versions", ["newest", "lowest"])
@pytest.mark.parametrize("package", PLUGIN_NAMES)
def test_a_plugin_passes_its_tests_from_the_wheels(
    built: dict[str, Built], environment: Environment, package: str, versions: str
) -> None:
    """The tests come from the plugin's sdist, the author's kit from the core's wheel, nothing from the checkout."""
    core, plugin = built["metadatadb_core"], built[package]
    environment.install(
        f"{core.wheel}[testing]", f"{plugin.wheel}[testing]", *(_lowest(core, plugin) if versions == "lowest" else ())
    )

    assert " passed" in own_tests(plugin, environment)


def test_a_third_partys_plugin_is_discovered_and_passes_the_suite(
    built: dict[str, Built], third_party: Built, environment: Environment
) -> None:
    """A distribution that the core has never heard of is a backend like any other."""
    environment.install(f"{built['metadatadb_core'].wheel}[testing]", str(third_party.wheel))
    data = environment.directory / "data"
    visit = (
        "import metadatadb_core\n"
        f"with metadatadb_core.connect({f'folder://{data.as_posix()}'!r}) as store:\n"
        "    visits = store.namespace('app').int('visits')\n"
        "    visits.add(1)\n"
        "    print(visits.get())"
    )

    assert ["1", "2"] == [environment.run(visit).strip() for _ in range(2)]
    assert " passed" in own_tests(third_party, environment)
