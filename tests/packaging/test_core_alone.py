"""The core with no plugin: it works, and says what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.checks.imports import failing_imports, loaded
from tests.packaging.checks.types import unseen_types
from tests.packaging.workspace import PLUGIN_NAMES, Built, Environment

PROGRAMS = Path(__file__).parent / "programs"

NOT_AT_IMPORT = {"python-hcl2", "lark", "sqlite3"}
"""hcl2 and lark are for those who read HCL; sqlite3, though everybody has it, for those who open its backend."""


def test_every_module_of_the_core_imports(built: dict[str, Built], core_alone: Environment) -> None:
    """With the declared dependencies only; what an extra brings is not there."""
    assert [] == failing_imports(built["metadatadb_core"], core_alone)


@pytest.mark.parametrize("statement", ["import metadatadb_core", "import metadatadb_core as m; m.Registry().names()"])
def test_importing_the_core_imports_no_parser(core_alone: Environment, statement: str) -> None:
    """Nor does asking which backends there are."""
    assert [] == loaded(core_alone, statement, NOT_AT_IMPORT)


def test_a_program_brings_its_own_backend(core_alone: Environment) -> None:
    """Ops, their JSON form, the state, HCL, durations, structures and URLs need no plugin."""
    assert "" == core_alone.run((PROGRAMS / "core_alone.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("call", "distribution"),
    [
        *((f"Registry().create({name.removeprefix('metadatadb_')!r})", name) for name in PLUGIN_NAMES),
        *((f"connect('{name.removeprefix('metadatadb_')}://there')", name) for name in PLUGIN_NAMES),
        ("connect('gs://bucket')", "metadatadb_gcs"),
    ],
)
def test_a_backend_that_is_not_installed_says_what_to_install(
    core_alone: Environment, call: str, distribution: str
) -> None:
    """With no plugin there is no backend, and the error names the command that brings one."""
    said = core_alone.run(
        "from metadatadb_core import BackendNotFoundError, Registry, connect\n"
        "try:\n"
        f"    {call}\n"
        "except BackendNotFoundError as error:\n"
        "    print(error)"
    )

    assert f"pip install {distribution.replace('_', '-')}\n" in said


def test_the_kit_is_a_part_of_the_core(core_and_kit: Environment) -> None:
    """So it has the core's version; its extra brings all it needs."""
    said = core_and_kit.run(
        "import importlib.metadata as m\n"
        "import metadatadb_core.testing, metadatadb_core.testing.fixtures, metadatadb_core.testing.soak\n"
        "print(m.packages_distributions()['metadatadb_core'])"
    )

    assert "['metadatadb-core']" == said.strip()


def test_the_kit_says_how_to_get_what_it_needs(core_alone: Environment) -> None:
    """Where the extra is not installed."""
    said = core_alone.run("try:\n    import metadatadb_core.testing\nexcept ImportError as error:\n    print(error)")

    assert "pip install 'metadatadb-core[testing]'" in said


@pytest.mark.usefixtures("type_checkers")
def test_type_checkers_see_the_types_of_the_core(core_alone: Environment, tmp_path: Path) -> None:
    """What a handle returns is what it was declared to hold."""
    right = [
        "from metadatadb_core import Backend, Duration, Store",
        "from metadatadb_core.ops import IntGet",
        "def count(store: Store) -> int: return store.namespace('n').int('i').get()",
        "def owner(store: Store) -> int | None: return store.namespace('n').map('m', str, int).get('k')",
        "def asked(backend: Backend) -> int: return backend.query('n', IntGet('i'))",
        "patience: Duration = Duration('1m')",
    ]
    wrong = [
        "def counts(store: Store) -> str: return store.namespace('n').int('i').get()",
        "def owners(store: Store) -> int: return store.namespace('n').map('m', str, int).get('k')",
        "def asks(backend: Backend) -> str: return backend.query('n', IntGet('i'))",
        "impatience: Duration = '1m'",
    ]

    assert [] == unseen_types(core_alone, tmp_path, right, wrong)
