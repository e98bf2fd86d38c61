"""`plugins`, `schema` and `completion`: what is installed here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.cli.conftest import Command


@pytest.fixture
def broken(installed: Callable[..., None]) -> None:
    """A plugin that works and some that do not, in various ways."""
    installed("good", "import_error", "api_version", "duplicate_a", "duplicate_b")


@pytest.mark.usefixtures("no_first_party", "broken")
def test_broken_plugins_are_listed_with_their_reasons(metadatadb: Command) -> None:
    """And are no reason to fail: this is where one looks."""
    said = metadatadb("plugins", "--json")
    by_status: dict[str, set[str]] = {}
    for plugin in said.document["plugins"]:
        by_status.setdefault(plugin["status"], set()).add(plugin["distribution"])
        assert (plugin["reason"] is None) == (plugin["status"] == "ok")

    assert 0 == said.status
    assert {"ok", "broken", "conflict"} == set(by_status)
    assert {"fixture-duplicate-a", "fixture-duplicate-b"} == by_status["conflict"]


@pytest.mark.usefixtures("broken")
def test_people_see_a_row_for_each(metadatadb: Command) -> None:
    """With where it comes from."""
    said = metadatadb("plugins")
    rows = {line.split()[0]: line.split()[1:] for line in said.out.splitlines()}

    assert ["DISTRIBUTION", "VERSION", "API", "STATUS", "REASON"] == rows["NAME"]
    assert "metadatadb-sqlite" == rows["sqlite"][0]
    assert "ok" == rows["sqlite"][3]


@pytest.mark.usefixtures("broken")
def test_a_narrow_terminal_gets_a_block_for_each(metadatadb: Command) -> None:
    """No line is longer than the terminal is wide."""
    said = metadatadb("plugins", columns=40)

    assert "NAME          sqlite" in said.out.splitlines()
    assert 40 >= max(map(len, said.out.splitlines()))


@pytest.mark.usefixtures("no_first_party")
def test_with_no_plugin_it_says_what_to_install(metadatadb: Command) -> None:
    """Rather than print nothing."""
    assert "pip install metadatadb-sqlite" in metadatadb("plugins").out


def test_the_schema_of_a_backend_is_hcl_that_can_be_filled_in(metadatadb: Command) -> None:
    """With the help of each attribute."""
    said = metadatadb("schema", "sqlite")

    assert 'metadata "sqlite" {' in said.out.splitlines()
    assert "  # Required: a string no shorter than 1." in said.out.splitlines()


def test_the_schema_is_a_json_schema_too(metadatadb: Command) -> None:
    """Laid out, or as the one document of --json."""
    laid_out, document = metadatadb("schema", "sqlite", "--format", "json"), metadatadb("schema", "sqlite", "--json")

    assert ["path"] == document.document["required"]
    assert laid_out.out.startswith('{\n  "$schema"')


def test_the_schema_of_all_backends_has_each(metadatadb: Command) -> None:
    """Without a name."""
    assert {"memory", "s3", "sqlite"} <= metadatadb("schema", "--json").document["properties"].keys()


def test_the_schema_of_an_unknown_backend_is_used_wrongly(metadatadb: Command) -> None:
    """And the nearest is named."""
    said = metadatadb("schema", "sqlit")

    assert 2 == said.status
    assert "did you mean 'sqlite'?" in said.err


@pytest.mark.usefixtures("no_first_party", "broken")
def test_the_schema_of_a_broken_plugin_tells_why(metadatadb: Command) -> None:
    """It is there, and says no."""
    assert 1 == metadatadb("schema", "importerror").status


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str, metadatadb: Command) -> None:
    """That asks this command what could come next."""
    assert f"_METADATADB_COMPLETE={shell}_complete" in metadatadb("completion", shell).out


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("metadatadb na", "namespaces"),
        ("metadatadb schema sq", "sqlite"),
        ("metadatadb apply x int-map-m", "int-map-mul"),
    ],
)
def test_commands_backends_and_ops_are_completed(line: str, completed: str, metadatadb: Command) -> None:
    """As bash asks."""
    words = line.split()
    said = metadatadb(
        env={"_METADATADB_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    )

    assert f"plain,{completed}" in said.out.splitlines()
