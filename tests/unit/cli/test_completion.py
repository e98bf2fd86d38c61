"""`completion`: what a shell is told that could stand where somebody presses Tab."""

from __future__ import annotations

import pytest
from click.shell_completion import CompletionItem, ShellComplete

from metadatadb_core.cli.app import application


def completed(*words: str) -> list[CompletionItem]:
    """What could stand in place of the last word."""
    *before, incomplete = words
    shell = ShellComplete(application, {}, "metadatadb", "_METADATADB_COMPLETE")
    return shell.get_completions(before, incomplete)


@pytest.mark.parametrize(
    "words",
    [
        ("check", "a"),
        ("doctor", "a"),
        ("bench", "a"),
        ("import", "a"),
        ("copy", "a"),
        ("copy", "sqlite://./a.db", "a"),
        ("show", "-t", "a"),
        ("spool", "spool", "-t", "a"),
        ("export", "-o", "a"),
    ],
)
def test_a_file_may_stand_where_one_is_read_or_written(words: tuple[str, ...]) -> None:
    """The shell knows which there are."""
    assert [("a", "file")] == [(item.value, item.type) for item in completed(*words)]


def test_a_spool_is_a_directory() -> None:
    """Files are not offered."""
    assert [("a", "dir")] == [(item.value, item.type) for item in completed("spool", "a")]


def test_commands_and_backends_are_completed() -> None:
    """By their names."""
    assert ["namespaces"] == [item.value for item in completed("name")]
    assert ["sqlite"] == [item.value for item in completed("schema", "sql")]
