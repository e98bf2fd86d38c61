"""The reference is complete: every option and every hook is in it."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pluggy
import pytest

from metadatadb_core import Registry, hookspecs
from metadatadb_core.replication import ReplicationConfig
from metadatadb_core.schema import json_schema
from tests.docs.documents import ROOT

OPTIONS = ROOT / "docs/reference/options.md"

_TABLE = re.compile(r"<!-- options: (\w+) -->\n(.*?)\n\n", re.DOTALL)
_ROW = re.compile(r"^\| `([\w-]+)` \| (?:`(.*?)`|(required)) \|", re.MULTILINE)


def documented(name: str) -> dict[str, Any]:
    """The options of a table, with their defaults."""
    table = dict(_TABLE.findall(OPTIONS.read_text(encoding="utf-8")))[name]
    return {
        option: "required" if required else json.loads(default) for option, default, required in _ROW.findall(table)
    }


def actual(schema: dict[str, Any]) -> dict[str, Any]:
    """The options of a schema, with their defaults."""
    return {option: details.get("default", "required") for option, details in schema["properties"].items()}


def test_every_option_of_the_engine_is_documented() -> None:
    """With its default."""
    assert actual(json_schema("replication", "", ReplicationConfig)) == documented("replication")


@pytest.mark.parametrize("name", ["sqlite", "s3", "gcs"])
def test_every_option_of_a_backend_is_documented(name: str) -> None:
    """With its default: those of the engine, but for what the backend's own table says."""
    schema = msgspec.json.decode(Registry().schema(name, format="json"))

    assert actual(schema) == documented("replication") | documented(name)


def test_the_memory_backend_has_no_options() -> None:
    """As the reference says."""
    assert {} == actual(msgspec.json.decode(Registry().schema("memory", format="json")))


def test_every_backend_of_this_project_has_its_options_documented() -> None:
    """A new one gets a heading of its own."""
    headings = set(re.findall(r"^## (\w+)$", OPTIONS.read_text(encoding="utf-8"), re.MULTILINE))
    ours = {path.parent.name.removeprefix("metadatadb_") for path in ROOT.glob("plugins/*/pyproject.toml")}

    assert ours == headings


def test_every_hook_is_documented() -> None:
    """The page of hooks has each specification that pluggy finds."""
    page = (ROOT / "docs/reference/hooks.md").read_text(encoding="utf-8")
    host = pluggy.PluginManager(hookspecs.PROJECT)
    host.add_hookspecs(hookspecs)
    hooks = {name for name in vars(host.hook) if not name.startswith("_")}

    assert hooks == set(re.findall(r"autofunction:: (metadatadb_\w+)", page))
