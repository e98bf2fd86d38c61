"""What docs/compatibility.md promises to plugins of other ages: each works, or fails alone and says why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pluggy
import pytest

from metadatadb_core import hookspecs
from metadatadb_core.backend import BACKEND_API_VERSION
from metadatadb_core.discovery import discover
from metadatadb_core.errors import MetadataDBError, PluginError, PluginVersionError
from metadatadb_core.plugins import Plugin
from metadatadb_core.registry import Registry

PLUGIN = """
from metadatadb_core import Backend, BackendConfig, hookimpl

BACKEND_API_VERSION = 1

class Aged(Backend):
    def __init__(self, config): ...
    def apply(self, namespace, *ops): ...
    def query(self, namespace, op): ...
    def flush(self, namespace, *, timeout=None): ...
    def close(self, *, timeout=None): ...

@hookimpl
def metadatadb_register_backends(registry):
    registry.register("aged", "Written for another core", Aged, BackendConfig)
"""

Write = Callable[[str, str], None]


@pytest.fixture
def write(installed: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A function: the plugin above is installed, with `new` in the place of `old`, beside one that is sound."""

    def write(old: str, new: str) -> None:
        assert old in PLUGIN
        (tmp_path / "fixture_aged-2.0.dist-info").mkdir()
        (tmp_path / "fixture_aged-2.0.dist-info" / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: fixture-aged\nVersion: 2.0\n"
        )
        (tmp_path / "fixture_aged-2.0.dist-info" / "entry_points.txt").write_text("[metadatadb]\naged = fixture_aged\n")
        (tmp_path / "fixture_aged.py").write_text(PLUGIN.replace(old, new))
        monkeypatch.syspath_prepend(tmp_path)
        installed("good")

    return write


@pytest.fixture
def next_hookspecs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hooks of a later core: one of them takes another argument."""
    specs = ModuleType("next_hookspecs")

    @pluggy.HookspecMarker(hookspecs.PROJECT)
    def metadatadb_register_backends(registry: Registry, program: str) -> None: ...

    specs.metadatadb_register_backends = metadatadb_register_backends  # type: ignore[attr-defined]
    monkeypatch.setattr("metadatadb_core.plugins.hookspecs", specs)
    specs.PROJECT = hookspecs.PROJECT  # type: ignore[attr-defined]
    return iter([None])


# -- the version of the plugin API ---------------------------------------------------------------------------


@pytest.mark.parametrize("declared", ["BACKEND_API_VERSION = 1", ""], ids=["declared", "undeclared"])
def test_a_plugin_for_this_api_works(write: Write, declared: str) -> None:
    """One that declares nothing was written for version 1."""
    write("BACKEND_API_VERSION = 1", declared)
    registry = Registry()
    record = next(record for record in registry.plugins() if record.name == "aged")

    assert (1, "ok") == (record.api_version, record.status)
    assert "Aged" == type(registry.create("aged")).__name__


@pytest.mark.parametrize(
    ("declared", "found", "advice"),
    [
        ("2", 2, "upgrade metadatadb-core"),
        ("0", 0, "upgrade fixture-aged"),
        ("-1", -1, "upgrade fixture-aged"),
        ("True", True, "upgrade fixture-aged"),
        ("1.0", 1.0, "upgrade fixture-aged"),
        ("'1'", "1", "upgrade fixture-aged"),
        ("None", None, "upgrade fixture-aged"),
        ("(1, 2)", (1, 2), "upgrade fixture-aged"),
    ],
)
def test_a_plugin_for_another_api_is_refused(write: Write, declared: str, found: object, advice: str) -> None:
    """Both versions are told, and which side is to be upgraded; its neighbour works."""
    write("BACKEND_API_VERSION = 1", f"BACKEND_API_VERSION = {declared}")
    registry = Registry()
    with pytest.raises(PluginVersionError, match=f"written for BACKEND_API_VERSION .* speaks 1; {advice}") as caught:
        registry.create("aged")

    error = caught.value
    assert (BACKEND_API_VERSION, found, type(found)) == (error.wanted, error.found, type(error.found))
    assert ("aged", "fixture-aged", "2.0") == (error.plugin, error.distribution, error.version)
    assert ["good"] == [record.name for record in registry.plugins() if record.distribution == "fixture-good"]
    assert registry.create("good") is not None


def test_a_plugin_without_a_declaration_is_refused_once_the_api_has_moved_on(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was written for version 1, and stays so."""
    monkeypatch.setattr("metadatadb_core.plugins.BACKEND_API_VERSION", 2)
    write("BACKEND_API_VERSION = 1", "")
    with pytest.raises(PluginVersionError) as caught:
        Registry().create("aged")

    assert (2, 1) == (caught.value.wanted, caught.value.found)


# -- hooks ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("next_hookspecs")
def test_a_hook_that_gains_an_argument_still_calls_plugins_that_do_not_take_it(write: Write) -> None:
    """So an argument is no new version of the API."""
    write("", "")
    registry = Registry()
    (point,) = discover().backends["aged"]
    Plugin(point).hook.metadatadb_register_backends(registry=registry, program="a program")

    assert "Written for another core" == registry.registration("aged").description


def test_a_plugin_that_takes_an_argument_this_core_does_not_have_fails_alone(write: Write) -> None:
    """It needs a later core, and its distribution says which by its range."""
    write("backends(registry)", "backends(registry, program)")
    registry = Registry()
    with pytest.raises(PluginError, match="program"):
        registry.create("aged")

    assert registry.create("good") is not None


HOOK = "\n\n@hookimpl\ndef metadatadb_unheard_of(event): ...\n"


def test_a_plugin_with_a_hook_this_core_does_not_know_fails_alone(write: Write) -> None:
    """A hook of a later core and a misspelt one look the same."""
    write("\nBACKEND_API_VERSION", f"{HOOK}\nBACKEND_API_VERSION")
    registry = Registry()
    with pytest.raises(PluginError, match="metadatadb_unheard_of"):
        registry.create("aged")

    assert registry.create("good") is not None


def test_a_hook_that_is_marked_optional_may_be_unknown(write: Write) -> None:
    """So a plugin uses what a later core has, and still works with this one."""
    optional = HOOK.replace("@hookimpl", "@hookimpl(optionalhook=True)")
    write("\nBACKEND_API_VERSION", f"{optional}\nBACKEND_API_VERSION")

    assert "Aged" == type(Registry().create("aged")).__name__


# -- errors --------------------------------------------------------------------------------------------------


def test_one_base_catches_every_error_of_a_plugin(write: Write) -> None:
    """Whatever error classes a later release adds."""
    write("BACKEND_API_VERSION = 1", "raise RuntimeError")
    with pytest.raises(MetadataDBError):
        Registry().create("aged")

    assert "fixture_aged" not in sys.modules
