"""The checks catch what they are for: each is shown a third party's sound distribution, and that with one mistake."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.packaging.checks.archives import (
    metadata_faults,
    missing_files,
    requirement_faults,
    stray_files,
    wheel_differences,
)
from tests.packaging.checks.discovery import unfound_backends
from tests.packaging.checks.imports import failing_imports, loaded, providers, sdks, undeclared_imports
from tests.packaging.checks.types import unseen_types
from tests.packaging.test_core_alone import NOT_AT_IMPORT
from tests.packaging.workspace import (
    THIRD_PARTY,
    Built,
    Environment,
    build,
    build_wheel,
    new_environment,
    own_tests,
)


@dataclass(frozen=True)
class Subject:
    """A distribution to be checked, the core's, and an environment with both, for those who ask for it."""

    project: Path
    built: Built
    core: Built
    environment: Callable[[], Environment]


Change: TypeAlias = "tuple[str, str] | str | None"
"""What becomes of a file: something in it in the place of something else; new contents; or it goes."""

Prepare: TypeAlias = "Callable[[Mapping[str, Change]], Subject]"


@pytest.fixture
def prepare(built: dict[str, Built], core_and_kit: Environment, tmp_path: Path) -> Prepare:
    """A function: the third party's distribution, changed file by file, beside the core and the kit."""

    def prepare(changes: Mapping[str, Change]) -> Subject:
        project, output = tmp_path / "project", tmp_path / "output"
        shutil.copytree(THIRD_PARTY, project, ignore=shutil.ignore_patterns("__pycache__"))
        output.mkdir()
        for name, change in changes.items():
            _change(project / name, change)
        changed = build(project, output)

        @cache
        def installed() -> Environment:
            environment = new_environment(output, over=core_and_kit)
            environment.install("--no-deps", "--no-index", str(changed.wheel))
            return environment

        return Subject(project, changed, built["metadatadb_core"], installed)

    return prepare


def _change(file: Path, change: Change) -> None:
    if change is None:
        file.unlink()
    elif isinstance(change, str):
        file.parent.mkdir(exist_ok=True)
        file.write_text(change, encoding="utf-8")
    else:
        source = file.read_text(encoding="utf-8")
        assert change[0] in source
        file.write_text(source.replace(*change), encoding="utf-8")


def _missing_files(one: Subject) -> list[str]:
    return missing_files(one.built)


def _stray_files(one: Subject) -> list[str]:
    return stray_files(one.built)


def _metadata_faults(one: Subject) -> list[str]:
    return metadata_faults(one.built)


def _requirement_faults(one: Subject) -> list[str]:
    return requirement_faults(one.built, {"metadatadb-s3"})


def _undeclared_imports(one: Subject) -> list[str]:
    return undeclared_imports(one.built, providers(one.environment()))


def _failing_imports(one: Subject) -> list[str]:
    return failing_imports(one.built, one.environment())


def _loaded_by_the_plugin(one: Subject) -> list[str]:
    return loaded(one.environment(), "import metadatadb_folder.plugin", sdks(one.built, one.core))


def _unfound_backends(one: Subject) -> list[str]:
    return unfound_backends(one.built, one.environment())


def _unseen_types(one: Subject) -> list[str]:
    place = one.project.parent / "user"
    place.mkdir()
    right = [
        "from metadatadb_folder.plugin import FolderConfig",
        "def is_path(config: FolderConfig) -> str: return config.path",
    ]
    wrong = ["def not_path(config: FolderConfig) -> bytes: return config.path"]
    complaints = unseen_types(one.environment(), place, right, wrong)
    # Why, each version of a type checker says in its own words.
    return [re.sub(r"': .*", "'", complaint, flags=re.DOTALL) for complaint in complaints]


def _wheel_differences(one: Subject) -> list[str]:
    return wheel_differences(one.built.wheel, build_wheel(one.project, one.project.parent))


def _failing_tests(one: Subject) -> list[str]:
    try:
        own_tests(one.built, one.environment())
    except AssertionError as error:
        return [line for line in str(error).splitlines() if line.startswith("FAILED")]
    return []


Check = Callable[[Subject], list[str]]
CHECKS: list[Check] = [
    _stray_files,
    _missing_files,
    _metadata_faults,
    _requirement_faults,
    _wheel_differences,
    _undeclared_imports,
    _failing_imports,
    _loaded_by_the_plugin,
    _unfound_backends,
    _unseen_types,
    _failing_tests,
]


@pytest.mark.usefixtures("type_checkers")
def test_a_sound_distribution_passes_every_check(prepare: Prepare) -> None:
    """As a third party ships it, but for its tests, which take their time."""
    sound = prepare({"tests/test_conformance.py": "def test_it() -> None:\n    assert 1 == 1\n"})

    assert [] == [complaint for check in CHECKS for complaint in check(sound)]


PROJECT = "pyproject.toml"
PLUGIN = "metadatadb_folder/plugin.py"
BACKEND = "metadatadb_folder/backend.py"
REQUIRED = '"metadatadb-core>=0.1,<0.2"'
WHEEL_OF = '"/tests", "/stray"]\n\n[tool.hatch.build.targets.wheel]\npackages = ["metadatadb_folder", '

BAD = {
    "a stray top-level module": (
        _stray_files,
        {PROJECT: ('"/tests"]', WHEEL_OF + '"stray"]'), "stray/__init__.py": "LEFT = 1\n"},
        ["stray in the wheel", "stray in the sdist"],
    ),
    "its tests in the wheel": (_stray_files, {PROJECT: ('"/tests"]', WHEEL_OF + '"tests"]')}, ["tests in the wheel"]),
    "no py.typed": (_missing_files, {"metadatadb_folder/py.typed": None}, ["metadatadb_folder/py.typed"]),
    "no licence file": (
        _missing_files,
        {PROJECT: ('license-files = ["LICENSE"]', "license-files = []")},
        ["metadatadb_folder-1.0.dist-info/licenses/LICENSE"],
    ),
    "no licence": (_metadata_faults, {PROJECT: ('license = "MIT-0"', "")}, ["no License-Expression"]),
    "no classifier": (
        _metadata_faults,
        {PROJECT: ("Typing :: Typed", "Topic :: Database")},
        ["not classified as Typing :: Typed"],
    ),
    "another Python": (_metadata_faults, {PROJECT: (">=3.11", ">=3.10")}, ["Requires-Python is >=3.10, not >=3.11"]),
    "no description": (
        _metadata_faults,
        {PROJECT: ('readme = "README.md"', "")},
        [
            "Description-Content-Type is None, not text/markdown",
            "its description does not render under a heading",
        ],
    ),
    "the core exactly": (
        _requirement_faults,
        {PROJECT: (REQUIRED, '"metadatadb-core==0.1.0"')},
        ["requires metadatadb-core==0.1.0, which is not a range"],
    ),
    "the core without an end": (
        _requirement_faults,
        {PROJECT: (REQUIRED, '"metadatadb-core>=0.1"')},
        ["requires metadatadb-core>=0.1, which is not a range"],
    ),
    "not the core": (_requirement_faults, {PROJECT: (REQUIRED + ", ", "")}, ["does not require metadatadb-core"]),
    "a sibling": (
        _requirement_faults,
        {PROJECT: (REQUIRED, f'{REQUIRED}, "metadatadb_s3>=0.1,<0.2"')},
        ["requires its sibling metadatadb-s3"],
    ),
    "a module that the sdist forgets": (
        _wheel_differences,
        {PROJECT: ('"/tests"]', '"/tests"]\nexclude = ["backend.py"]')},
        ["metadatadb_folder-1.0.dist-info/RECORD", BACKEND],
    ),
    "an import that only the core declares": (
        _undeclared_imports,
        {BACKEND: ("import threading", "import threading\n\nimport lark")},
        [f"{BACKEND} imports lark"],
    ),
    "an import in a function that nobody declares": (
        _undeclared_imports,
        {BACKEND: ("            self._closed = True", "            import absent.module")},
        [f"{BACKEND} imports absent"],
    ),
    "an import that fails": (
        _failing_imports,
        {"metadatadb_folder/extra.py": "import absent\n"},
        ["metadatadb_folder.extra: ModuleNotFoundError: No module named 'absent'"],
    ),
    "an SDK at import": (
        _loaded_by_the_plugin,
        {BACKEND: ("import threading", "import iniconfig"), PROJECT: (REQUIRED, f'{REQUIRED}, "iniconfig"')},
        ["iniconfig"],
    ),
    "no entry point": (
        _unfound_backends,
        {PROJECT: ("[project.entry-points.metadatadb]", "[project.entry-points.other]")},
        ["metadatadb-folder declares no entry point in the group metadatadb"],
    ),
    "a scheme for another backend": (
        _unfound_backends,
        {PROJECT: ('"metadatadb.schemes"]\nfolder = "folder"', '"metadatadb.schemes"]\nfile = "floder"')},
        ["scheme file is for no backend 'file' is installed; installed: folder; did you mean 'folder'?, not floder"],
    ),
    "an entry point without its module": (
        _unfound_backends,
        {PROJECT: ('"metadatadb_folder.plugin"', '"metadatadb_folder.plugins"')},
        [
            (
                "backend folder of metadatadb-folder is broken: cannot be imported: "
                "ModuleNotFoundError: No module named 'metadatadb_folder.plugins'"
            )
        ],
    ),
    "types that are not shipped": (
        _unseen_types,
        {"metadatadb_folder/py.typed": None},
        [
            "mypy refuses 'from metadatadb_folder.plugin import FolderConfig'",
            "mypy refuses 'def is_path(config: FolderConfig) -> str: return config.path'",
            "pyright refuses 'from metadatadb_folder.plugin import FolderConfig'",
            "pyright refuses 'def is_path(config: FolderConfig) -> str: return config.path'",
        ],
    ),
    "an attribute of another type": (
        _unseen_types,
        {PLUGIN: ("path: Annotated[str, Meta", "path: Annotated[bytes, Meta")},
        [
            "mypy refuses 'def is_path(config: FolderConfig) -> str: return config.path'",
            "mypy accepts 'def not_path(config: FolderConfig) -> bytes: return config.path'",
            "pyright refuses 'def is_path(config: FolderConfig) -> str: return config.path'",
            "pyright accepts 'def not_path(config: FolderConfig) -> bytes: return config.path'",
        ],
    ),
    "a test that fails": (
        _failing_tests,
        {"tests/test_conformance.py": "def test_it() -> None:\n    assert 1 == 2\n"},
        ["FAILED metadatadb_folder-1.0/tests/test_conformance.py::test_it - assert 1 == 2"],
    ),
}
"""A distribution's mistake: the check that catches it, what has to be changed to make it, and the complaints."""


@pytest.mark.usefixtures("type_checkers")
@pytest.mark.parametrize(("check", "changes", "complaints"), list(BAD.values()), ids=list(BAD))
def test_a_mistake_is_caught(
    prepare: Prepare, check: Check, changes: Mapping[str, Change], complaints: list[str]
) -> None:
    """By the check that is for it, in words that name what is wrong."""
    assert complaints == check(prepare(changes))


def test_every_check_catches_something() -> None:
    """Otherwise nobody knows that it can."""
    assert [] == [check.__name__ for check in CHECKS if check not in {check for check, _, _ in BAD.values()}]


def test_what_the_core_imports_is_seen(core_alone: Environment) -> None:
    """Also where the standard library brings it."""
    assert ["lark", "python-hcl2", "sqlite3"] == loaded(core_alone, "import hcl2, sqlite3", NOT_AT_IMPORT)
