"""What the package exports is its public API, and nothing else is."""

from __future__ import annotations

import re
import types
from pathlib import Path

import metadatadb_core
from tests.support import public_api

DOCS = Path(__file__).parents[2] / "docs"

ERRORS = {
    "BackendClosedError",
    "BackendNotFoundError",
    "BackendUnavailableError",
    "CommitUnknownError",
    "ConfigError",
    "CorruptStateError",
    "FlushTimeoutError",
    "InvalidNamespaceError",
    "InvalidValueError",
    "MetadataDBError",
    "PendingLimitError",
    "PluginConflictError",
    "PluginError",
    "PluginVersionError",
    "StructureMismatchError",
    "UnflushedOpsError",
    "UnsafeStoreError",
    "UnsupportedFormatError",
}
NAMES = {
    "BACKEND_API_VERSION",
    "MISSING",
    "Backend",
    "BackendConfig",
    "Duration",
    "Int",
    "IntMap",
    "List",
    "Map",
    "Namespace",
    "Registry",
    "Scalar",
    "Set",
    "Store",
    "connect",
    "hookimpl",
}


def test_the_public_api_is_what_is_documented() -> None:
    """A name that comes or goes is a decision, not an accident."""
    assert sorted(NAMES | ERRORS) == sorted(metadatadb_core.__all__)


def test_every_public_name_is_there() -> None:
    """``from metadatadb_core import *`` works."""
    assert [] == [name for name in metadatadb_core.__all__ if not hasattr(metadatadb_core, name)]


def test_nothing_else_looks_public() -> None:
    """Besides submodules, which importing them makes attributes, and what the package imports to set itself up."""
    public = {
        name
        for name, value in vars(metadatadb_core).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }

    assert NAMES | ERRORS == public


def test_connect_is_the_function() -> None:
    """Importing the submodule of that name does not put it in the function's place."""
    import metadatadb_core.connect

    assert isinstance(metadatadb_core.connect, types.FunctionType)


def test_the_public_api_is_as_it_was_recorded() -> None:
    """What goes or changes shows in a diff: where that is meant, `python -m tests.support.public_api` records it."""
    recorded, actual = public_api.RECORDED.read_text(encoding="utf-8").splitlines(), public_api.describe().splitlines()

    assert {"gone": [], "new": []} == {
        "gone": [line for line in recorded if line not in actual],
        "new": [line for line in actual if line not in recorded],
    }


def test_the_promise_names_the_modules_that_are_recorded() -> None:
    """docs/compatibility.md lists what it holds for."""
    page = (DOCS / "compatibility.md").read_text(encoding="utf-8")

    assert [*public_api.MODULES, *public_api.NAMES] == re.findall(r"^- `(metadatadb_core[.\w]*)`", page, re.MULTILINE)
