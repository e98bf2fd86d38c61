"""Errors: a tree of one per mistake, each with its data as attributes and with advice, and fit to cross processes."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

from metadatadb_core import errors
from metadatadb_core.errors import (
    BackendClosedError,
    BackendNotFoundError,
    BackendUnavailableError,
    CommitUnknownError,
    ConfigError,
    ConfigProblem,
    CorruptStateError,
    FlushTimeoutError,
    InvalidNamespaceError,
    InvalidValueError,
    MetadataDBError,
    PendingLimitError,
    PluginConflictError,
    PluginError,
    PluginVersionError,
    SpoolError,
    StructureMismatchError,
    UnflushedOpsError,
    UnsafeStoreError,
    UnsupportedFormatError,
)

CAUSE = OSError("no route to host")
PROBLEMS = [
    ConfigProblem(
        "unknown attribute", file="a.hcl", line=3, column=5, attribute="bukket", expected="a name", nearest="bucket"
    ),
    ConfigProblem("missing attribute", attribute="region"),
]

# Each an error, its attributes, and what its message must say.
ERRORS: list[tuple[MetadataDBError, dict[str, Any], list[str]]] = [
    (MetadataDBError("anything"), {"args": ("anything",)}, ["anything"]),
    (
        BackendNotFoundError("s4", installed=["s3", "memory"], nearest="s3", install="metadatadb-s4"),
        {"name": "s4", "installed": ("memory", "s3"), "nearest": "s3", "install": "metadatadb-s4"},
        ["'s4'", "memory, s3", "did you mean 's3'?", "pip install metadatadb-s4"],
    ),
    (
        BackendNotFoundError("x"),
        {"name": "x", "installed": (), "nearest": None, "install": None},
        ["'x'", "no backend is installed at all"],
    ),
    (
        PluginError("s3", "fails to import", distribution="metadatadb-s3", version="1.0", cause=CAUSE),
        {"plugin": "s3", "distribution": "metadatadb-s3", "version": "1.0", "cause": CAUSE},
        ["'s3' of metadatadb-s3 1.0", "fails to import"],
    ),
    (
        PluginConflictError("s3", ["b-dist", "a-dist"]),
        {"plugin": "s3", "distributions": ("a-dist", "b-dist"), "cause": None},
        ["a-dist and b-dist", "uninstall all but one", "METADATADB_DISABLE_PLUGINS"],
    ),
    (
        PluginVersionError("s3", wanted=1, found=2, distribution="metadatadb-s3", version="3.0"),
        {"plugin": "s3", "wanted": 1, "found": 2, "distribution": "metadatadb-s3", "version": "3.0"},
        ["BACKEND_API_VERSION 2", "speaks 1", "upgrade metadatadb-core"],
    ),
    (
        PluginVersionError("s3", wanted=2, found=1, distribution="metadatadb-s3"),
        {"wanted": 2, "found": 1},
        ["upgrade metadatadb-s3"],
    ),
    (
        ConfigError(PROBLEMS),
        {
            "problems": tuple(PROBLEMS),
            "file": "a.hcl",
            "line": 3,
            "column": 5,
            "attribute": "bukket",
            "expected": "a name",
            "nearest": "bucket",
        },
        ["a.hcl:3:5: unknown attribute; expected a name; did you mean 'bucket'?", "\nmissing attribute"],
    ),
    (ConfigError("no block"), {"problems": (ConfigProblem("no block"),), "line": None}, ["no block"]),
    (InvalidNamespaceError("git\n"), {"namespace": "git\n"}, ["'git\\n'", "[A-Za-z0-9][A-Za-z0-9_-]*", "root"]),
    (InvalidNamespaceError(None), {"namespace": None}, ["None"]),
    (
        InvalidValueError("a value holds nan", 1.5, structure="ports"),
        {"reason": "a value holds nan", "value": 1.5, "structure": "ports"},
        ["'ports': a value holds nan"],
    ),
    (InvalidValueError("a value holds nan"), {"value": None, "structure": None}, ["a value holds nan"]),
    (
        StructureMismatchError("x", wanted="Map", found="Int", namespace="fleet"),
        {"name": "x", "wanted": "Map", "found": "Int", "namespace": "fleet"},
        ["'x' in namespace 'fleet' is used as Map but is Int", "use another name"],
    ),
    (StructureMismatchError("x", wanted="Map", found="Int"), {"namespace": None}, ["'x' is used"]),
    (BackendClosedError(), {"what": "the backend"}, ["the backend is closed", "open a new one"]),
    (BackendClosedError("the store"), {"what": "the store"}, ["the store is closed"]),
    (
        BackendUnavailableError("cannot reach s3", namespace="fleet", cause=CAUSE, denied=True),
        {"reason": "cannot reach s3", "namespace": "fleet", "cause": CAUSE, "denied": True},
        ["cannot reach s3"],
    ),
    (
        CommitUnknownError("fleet", ops=3, writer="w1", sequence=7),
        {"namespace": "fleet", "ops": 3, "writer": "w1", "sequence": 7},
        ["'fleet'", "batch 7 of writer w1 (3 ops)", "discard_pending()"],
    ),
    (
        CorruptStateError("not JSON", key=".metadata/fleet.json"),
        {"reason": "not JSON", "key": ".metadata/fleet.json"},
        ["'.metadata/fleet.json' is corrupt: not JSON", "restore it"],
    ),
    (
        UnsupportedFormatError("format 2 is newer", namespace="fleet", found=2, supported=1),
        {"reason": "format 2 is newer", "namespace": "fleet", "found": 2, "supported": 1},
        ["format 2 is newer"],
    ),
    (
        UnsafeStoreError("http://old", "put-if-match"),
        {"store": "http://old", "condition": "put-if-match"},
        ["http://old does not enforce put-if-match", "use a store"],
    ),
    (
        PendingLimitError("fleet", limit=10),
        {"namespace": "fleet", "limit": 10},
        ["'fleet'", "10 ops", "max-pending-ops", "not accepted", "apply them again"],
    ),
    (
        SpoolError("/spool/a", cause=OSError(28, "No space left on device")),
        {"path": "/spool/a", "recorded": False, "reason": "No space left on device"},
        ["/spool/a", "No space left on device", "were not applied", "apply them again when"],
    ),
    (
        SpoolError("/spool/a", reason="it is odd", recorded=True),
        {"path": "/spool/a", "cause": None, "recorded": True, "reason": "it is odd"},
        ["/spool/a: it is odd", "queued and visible", "do not apply it again"],
    ),
    (
        FlushTimeoutError("fleet", timeout=1.5, pending=3, cause=CAUSE),
        {"namespace": "fleet", "timeout": 1.5, "pending": 3, "cause": CAUSE},
        ["'fleet'", "1.5s", "3 ops remain queued", "do not apply them again", "no route to host"],
    ),
    (
        UnflushedOpsError({"b": 1, "a": 2}, {"a": CAUSE}),
        {"pending": {"a": 2, "b": 1}, "causes": {"a": CAUSE}},
        ["2 in 'a', 1 in 'b'", "call close() again", "'a': no route to host"],
    ),
]
CASES = pytest.mark.parametrize(
    ("error", "attributes", "says"),
    ERRORS,
    ids=[f"{type(error).__name__}-{index}" for index, (error, _, _) in enumerate(ERRORS)],
)

PARENTS: dict[type[MetadataDBError], tuple[type[Exception], ...]] = {
    BackendNotFoundError: (MetadataDBError, LookupError),
    PluginError: (MetadataDBError,),
    PluginConflictError: (PluginError,),
    PluginVersionError: (PluginError,),
    ConfigError: (MetadataDBError, ValueError),
    InvalidNamespaceError: (MetadataDBError, ValueError),
    InvalidValueError: (MetadataDBError, ValueError),
    StructureMismatchError: (MetadataDBError, TypeError),
    BackendClosedError: (MetadataDBError,),
    BackendUnavailableError: (MetadataDBError,),
    CommitUnknownError: (MetadataDBError,),
    CorruptStateError: (MetadataDBError,),
    UnsupportedFormatError: (MetadataDBError,),
    UnsafeStoreError: (MetadataDBError,),
    PendingLimitError: (MetadataDBError,),
    SpoolError: (MetadataDBError,),
    FlushTimeoutError: (MetadataDBError, TimeoutError),
    UnflushedOpsError: (MetadataDBError,),
}


@CASES
def test_an_error_carries_its_data_as_attributes(
    error: MetadataDBError, attributes: dict[str, Any], says: list[str]
) -> None:
    """So that a program need not read its message."""
    assert attributes == {name: getattr(error, name) for name in attributes}


@CASES
def test_an_error_says_what_is_wrong_and_what_to_do(
    error: MetadataDBError, attributes: dict[str, Any], says: list[str]
) -> None:
    """In its message."""
    assert [] == [words for words in says if words not in str(error)]


@CASES
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling(
    error: MetadataDBError, attributes: dict[str, Any], says: list[str], protocol: int
) -> None:
    """Whole: type, message, attributes and notes."""
    error = copy.copy(error)
    error.add_note("while closing")
    there = pickle.loads(pickle.dumps(error, protocol))

    assert (type(error), str(error), error.args, ["while closing"]) == (
        type(there),
        str(there),
        there.args,
        there.__notes__,
    )
    assert {name: repr(value) for name, value in vars(error).items()} == {
        name: repr(value) for name, value in vars(there).items()
    }


def test_the_tree_is_as_it_is_drawn() -> None:
    """Every error hangs where the drawing at the top of the module shows it, and is in both."""
    defined = {
        found: found.__bases__
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, Exception) and found is not MetadataDBError
    }

    assert defined == PARENTS
    assert [] == [error.__name__ for error in PARENTS if f"── {error.__name__}" not in str(errors.__doc__)]


def test_every_error_is_tried_here() -> None:
    """One that is added comes with its row above."""
    assert {MetadataDBError, *PARENTS} == {type(error) for error, _, _ in ERRORS}


def test_every_error_says_what_the_reader_should_know() -> None:
    """Each has a docstring of its own that lists what it carries."""
    assert [] == [
        error.__name__
        for error in PARENTS
        if error.__doc__ is None or (error is not BackendClosedError and "Attributes:" not in error.__doc__)
    ]


def test_what_cannot_be_pickled_crosses_as_its_text() -> None:
    """An error is not held back by the value it complains of."""
    error = pickle.loads(pickle.dumps(InvalidValueError("no JSON", lambda: None)))

    assert "no JSON" == str(error)
    assert "lambda" in error.value
