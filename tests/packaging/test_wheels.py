"""The distributions as users get them: built once, installed in clean environments outside the checkout."""

from __future__ import annotations

import ast
import email
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT, *(path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml")))]
PLUGIN_NAMES = [path.name for path in PROJECTS[1:]]
THIRD_PARTY = Path(__file__).parent / "third_party"

OPTIONAL_PACKAGES = {"metadatadb_core/testing/": "testing", "metadatadb_s3/testing.py": "testing"}
"""Parts of a wheel that may import what an extra brings."""


def run(*command: str | Path, cwd: Path) -> str:
    """Run outside the checkout, with nothing of this process's Python settings; its output is the answer."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    finished = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert 0 == finished.returncode, f"{' '.join(map(str, command))}\n{finished.stdout}"
    return finished.stdout


@dataclass(frozen=True)
class Built:
    """One distribution: what `build` made of it."""

    name: str
    version: str
    package: str
    wheel: Path
    sdist: Path

    def wheel_files(self) -> list[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.namelist()

    def sdist_files(self) -> list[str]:
        """Paths below the sdist's one top directory."""
        with tarfile.open(self.sdist) as archive:
            return [name.partition("/")[2] for name in archive.getnames()]

    def requirements(self) -> list[Requirement]:
        with zipfile.ZipFile(self.wheel) as archive:
            metadata = archive.read(f"{self.package}-{self.version}.dist-info/METADATA").decode()
        return [Requirement(line) for line in email.message_from_string(metadata).get_all("Requires-Dist", [])]


@dataclass(frozen=True)
class Environment:
    """A virtual environment with nothing in it but what was asked for."""

    python: Path
    directory: Path

    def install(self, *requirements: str) -> None:
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet")
        run(*pip, "--disable-pip-version-check", *requirements, cwd=self.directory)

    def run(self, program: str) -> str:
        return run(self.python, "-I", "-W", "error", "-c", program, cwd=self.directory)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """Every distribution by the directory's import name; each wheel is built from its sdist."""
    distributions = [build(project, tmp_path_factory.mktemp("dist")) for project in PROJECTS]
    return {one.package: one for one in distributions}


def build(project: Path, output: Path) -> Built:
    """Make the sdist of `project`, and from that the wheel."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", output, project, cwd=output)
    declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    (wheel,), (sdist,) = output.glob("*.whl"), output.glob("*.tar.gz")
    return Built(declared["name"], declared["version"], declared["name"].replace("-", "_"), wheel, sdist)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A new one for the test."""
    return _environment(tmp_path)


def _environment(directory: Path) -> Environment:
    venv.create(directory / "venv", with_pip=False, symlinks=os.name != "nt")
    return Environment(directory / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python", directory)


@pytest.fixture(scope="session")
def core_alone(built: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The core's wheel and what it depends on; no plugin, no extra."""
    environment = _environment(tmp_path_factory.mktemp("core-alone"))
    environment.install(str(built["metadatadb_core"].wheel))
    return environment


# -- what is in the archives ---------------------------------------------------------------------------------


def test_the_wheels_hold_their_package_and_nothing_else(built: dict[str, Built]) -> None:
    """No tests, no benchmarks, no stray top-level module."""
    for one in built.values():
        top_level = {name.partition("/")[0] for name in one.wheel_files()}

        assert {one.package, f"{one.package}-{one.version}.dist-info"} == top_level


def test_the_wheels_are_typed_and_licensed(built: dict[str, Built]) -> None:
    """Type checkers look for py.typed, people for the licence."""
    for one in built.values():
        files = one.wheel_files()

        assert f"{one.package}/py.typed" in files
        assert f"{one.package}-{one.version}.dist-info/licenses/LICENSE" in files


def test_the_wheels_hold_every_module_of_their_package(built: dict[str, Built]) -> None:
    """A module that only an editable install has would be missed by everybody but us."""
    for project, one in zip(PROJECTS, built.values(), strict=True):
        sources = {path.relative_to(project).as_posix() for path in (project / one.package).rglob("*.py")}

        assert sources == {name for name in one.wheel_files() if name.endswith(".py")}


def test_the_sdists_hold_what_it_takes_to_build_and_no_more(built: dict[str, Built]) -> None:
    """Nothing of the workspace slips into a distribution."""
    known = {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", ".gitignore", "CHANGELOG.md"}
    for one in built.values():
        rest = {name.partition("/")[0] for name in one.sdist_files()} - known - {""}

        assert one.package in rest
        assert rest <= {one.package, "tests"}


def test_plugins_depend_on_the_core_by_range_and_on_no_other_plugin(built: dict[str, Built]) -> None:
    """A plugin must install beside any patch release of the core, and without its siblings."""
    names = {one.name for one in built.values()}
    for package in PLUGIN_NAMES:
        ours = [requirement for requirement in built[package].requirements() if requirement.name in names]

        assert ["metadatadb-core"] == [requirement.name for requirement in ours]
        assert {">=", "<"} == {bound.operator for requirement in ours for bound in requirement.specifier}


# -- the core alone ------------------------------------------------------------------------------------------


def test_the_core_alone_imports_whole(core_alone: Environment) -> None:
    """Every module but those of an extra works with the declared dependencies only."""
    core_alone.run(
        "import importlib, metadatadb_core, pkgutil\n"
        "for module in pkgutil.walk_packages(metadatadb_core.__path__, 'metadatadb_core.'):\n"
        "    if not module.name.startswith('metadatadb_core.testing'):\n"
        "        importlib.import_module(module.name)\n"
    )


def test_importing_the_core_imports_no_parser_and_no_sdk(core_alone: Environment) -> None:
    """hcl2 is for those who read HCL, an SDK for those who open its backend, pytest for those who test."""
    unwanted = core_alone.run(
        "import sys, metadatadb_core\n"
        "print(sorted({'hcl2', 'lark', 'boto3', 'botocore', 'google', 'sqlite3', 'pytest', 'hypothesis'}"
        " & {name.partition('.')[0] for name in sys.modules}))"
    )

    assert "[]" == unwanted.strip()


@pytest.mark.parametrize(
    ("url", "distribution"),
    [("memory://", "metadatadb-memory"), ("s3://bucket", "metadatadb-s3")],
)
def test_the_core_alone_says_what_to_install(core_alone: Environment, url: str, distribution: str) -> None:
    """With no plugin there is no backend, and the error names the command that brings one."""
    said = core_alone.run(
        "import metadatadb_core\n"
        "try:\n"
        f"    metadatadb_core.connect({url!r})\n"
        "except metadatadb_core.BackendNotFoundError as error:\n"
        "    print(error)"
    )

    assert f"pip install {distribution}" in said


# -- the wheels together -------------------------------------------------------------------------------------


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


def own_tests(plugin: Built, environment: Environment) -> str:
    """Run the tests in the plugin's sdist against what is installed; the output of pytest."""
    with tarfile.open(plugin.sdist) as archive:
        archive.extractall(environment.directory, filter="data")
    tests = environment.directory / plugin.sdist.name.removesuffix(".tar.gz") / "tests"
    temporary = f"--basetemp={environment.directory / 'pytest'}"
    said = run(environment.python, "-P", "-m", "pytest", "-q", temporary, tests, cwd=environment.directory)
    assert str(ROOT) not in said
    return said


def test_a_third_partys_plugin_is_discovered_and_passes_the_suite(
    built: dict[str, Built], environment: Environment
) -> None:
    """A distribution that the core has never heard of is a backend like any other."""
    output = environment.directory / "dist"
    output.mkdir()
    plugin = build(THIRD_PARTY, output)
    environment.install(f"{built['metadatadb_core'].wheel}[testing]", str(plugin.wheel))
    data = environment.directory / "data"
    for _ in range(2):
        counted = environment.run(
            "import metadatadb_core\n"
            f"with metadatadb_core.connect({f'folder://{data.as_posix()}'!r}) as store:\n"
            "    visits = store.namespace('app').int('visits')\n"
            "    visits.add(1)\n"
            "    print(visits.get())"
        )

    assert "2" == counted.strip()
    assert " passed" in own_tests(plugin, environment)


def _imports(source: str) -> Iterator[str]:
    """Top-level names of what a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_nothing_undeclared_is_imported(built: dict[str, Built], environment: Environment) -> None:
    """What a wheel imports is its own, the standard library's, or a dependency's that it names itself."""
    core = built["metadatadb_core"]
    environment.install(f"{core.wheel}[testing]", *(f"{built[package].wheel}[testing]" for package in PLUGIN_NAMES))
    providers: dict[str, list[str]] = json.loads(
        environment.run("import json, importlib.metadata as m; print(json.dumps(m.packages_distributions()))")
    )
    undeclared: list[str] = []
    for one in built.values():
        with zipfile.ZipFile(one.wheel) as archive:
            sources = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")}
        for path, source in sources.items():
            extra = next((extra for start, extra in OPTIONAL_PACKAGES.items() if path.startswith(start)), "")
            declared = {
                canonicalize_name(requirement.name)
                for requirement in one.requirements()
                if requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            }
            undeclared += [
                f"{path} imports {module}"
                for module in set(_imports(source)) - set(sys.stdlib_module_names) - {one.package}
                if declared.isdisjoint(canonicalize_name(name) for name in providers.get(module, []))
            ]

    assert [] == undeclared
