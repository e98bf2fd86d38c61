"""Which backends there are: known without import, and none breaks another."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Meta

from metadatadb_core import hcl
from metadatadb_core.backend import Backend
from metadatadb_core.config import BackendConfig, Duration
from metadatadb_core.errors import (
    BackendNotFoundError,
    ConfigError,
    PluginConflictError,
    PluginError,
    PluginVersionError,
)
from metadatadb_core.registry import PluginRecord, Registry

Install = Callable[..., None]

BROKEN = ["import_error", "system_exit", "register_error", "api_version", "misspelt", "unmarked", "other_name"]


class Config(BackendConfig):
    bucket: Annotated[str, Meta(description="The bucket that holds the state.")]
    sync_interval: Annotated[Duration, Meta(description="How often to sync.")] = Duration("5s")
    retries: Annotated[int, Meta(ge=0)] = 3
    home: str = "${HOME}/state"
    odd: str = '%{ "$$" \n'
    tags: list[str] = []
    limit: float | None = None
    on: bool = True


class Nothing(Backend):
    """A backend that keeps its configuration and nothing else."""

    def __init__(self, config: BackendConfig) -> None:
        self.config = config

    def apply(self, namespace: str, *ops: Any) -> None: ...

    def query(self, namespace: str, op: Any) -> Any: ...

    def flush(self, namespace: str, *, timeout: float | None = None) -> None: ...

    def close(self, *, timeout: float | None = None) -> None: ...


def registry_with(name: str = "nothing", config_class: type[Any] = Config) -> Registry:
    registry = Registry()
    registry.register(name, "Keeps nothing", Nothing, config_class)
    return registry


def imported() -> list[str]:
    return sorted(name for name in sys.modules if name.startswith("fixture_"))


# -- what is installed ---------------------------------------------------------------------------------------


def test_installed_backends_are_known_without_importing_them(installed: Install) -> None:
    """Their entry points say enough, also which URLs are theirs."""
    installed("good", *BROKEN)
    registry = Registry()

    assert {"good", "importerror", "systemexit", "registererror", "apiversion"} <= set(registry.names())
    assert (True, False) == (registry.exists("good"), registry.exists("absent"))
    assert ["good", "good"] == [registry.name_for_scheme("good"), registry.name_for_scheme("gd")]
    assert [] == imported()


def test_only_the_plugin_asked_for_is_imported(installed: Install) -> None:
    """However many there are."""
    installed("good", *BROKEN)
    Registry().create("good")

    assert ["fixture_good"] == imported()


@pytest.mark.parametrize(
    ("case", "name", "reason", "cause"),
    [
        ("import_error", "importerror", "cannot be imported: ModuleNotFoundError", ModuleNotFoundError),
        ("system_exit", "systemexit", "cannot be imported: SystemExit: 3", SystemExit),
        ("register_error", "registererror", "cannot register: RuntimeError: no licence found", RuntimeError),
        ("misspelt", "misspelt", "metadatadb_register_backend", Exception),
        ("unmarked", "unmarked", "not marked with @hookimpl", type(None)),
        ("other_name", "othername", "registers 'surprise', but its entry point is named 'othername'", type(None)),
    ],
)
def test_a_broken_plugin_says_why_when_it_is_asked_for(
    installed: Install, case: str, name: str, reason: str, cause: type[BaseException]
) -> None:
    """Each time, with its distribution; and its neighbour works."""
    installed("good", case)
    registry = Registry()
    for _ in range(2):
        with pytest.raises(PluginError, match=reason) as caught:
            registry.create(name)

        assert (name, f"fixture-{case.replace('_', '-')}", "1.0") == (
            caught.value.plugin,
            caught.value.distribution,
            caught.value.version,
        )
        assert isinstance(caught.value.cause, cause)
        assert caught.value.cause is caught.value.__cause__
    registry.create("good")


def test_a_plugin_for_another_api_version_is_refused(installed: Install) -> None:
    """Both versions are told, and what to upgrade."""
    installed("good", "api_version")
    with pytest.raises(PluginVersionError, match="upgrade metadatadb-core") as caught:
        Registry().create("apiversion")

    assert (1, 2, "3.1") == (caught.value.wanted, caught.value.found, caught.value.version)


def test_two_distributions_with_one_name_are_both_named(installed: Install) -> None:
    """When that name is asked for, and neither is imported."""
    installed("good", "duplicate_a", "duplicate_b")
    registry = Registry()
    registry.create("good")
    with pytest.raises(PluginConflictError) as caught:
        registry.create("duplicate")

    assert ("fixture-duplicate-a", "fixture-duplicate-b") == caught.value.distributions
    assert ["fixture_good"] == imported()


def test_a_distribution_that_is_on_the_path_twice_is_no_conflict(installed: Install, tmp_path: Path) -> None:
    """A checkout in front of an installation of the same."""
    installed("good")
    copy = tmp_path / "fixture_good-0.9.dist-info"
    copy.mkdir()
    (copy / "METADATA").write_text("Metadata-Version: 2.1\nName: fixture-good\nVersion: 0.9\n")
    (copy / "entry_points.txt").write_text("[metadatadb]\ngood = somewhere_else\n")
    sys.path.append(str(tmp_path))
    try:
        backend = Registry().create("good")
    finally:
        sys.path.remove(str(tmp_path))

    assert "GoodBackend" == type(backend).__name__


def test_a_distribution_without_metadata_breaks_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that was cut short."""
    (tmp_path / "half-1.0.dist-info").mkdir()
    (tmp_path / "half-1.0.dist-info" / "entry_points.txt").write_text("[metadatadb]\nhalf = nowhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = registry_with()

    assert "broken" == next(record for record in registry.plugins() if record.name == "half").status


@pytest.mark.parametrize("value", ["good", " other,good ", "other good", "*"])
def test_a_disabled_plugin_is_not_imported_and_says_so(
    installed: Install, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """By name or all of them, in the environment."""
    installed("good")
    monkeypatch.setenv("METADATADB_DISABLE_PLUGINS", value)
    registry = Registry()

    assert not registry.exists("good")
    with pytest.raises(PluginError, match="disabled by METADATADB_DISABLE_PLUGINS"):
        registry.create("good")
    assert [] == imported()


def test_plugins_tells_the_status_of_each_and_never_fails(installed: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """For an operator who wonders why a backend is not there."""
    installed("good", "observer", "duplicate_a", "duplicate_b", *BROKEN)
    monkeypatch.setenv("METADATADB_DISABLE_PLUGINS", "misspelt")
    records = [record for record in registry_with().plugins() if "fixture-" in (record.distribution or "fixture-")]

    assert [
        ("apiversion", "3.1", 2, "broken"),
        ("duplicate", "1.0", None, "conflict"),
        ("duplicate", "1.0", None, "conflict"),
        ("good", "1.0", 1, "ok"),
        ("importerror", "1.0", None, "broken"),
        ("misspelt", "1.0", None, "disabled"),
        ("nothing", None, None, "ok"),
        ("othername", "1.0", None, "broken"),
        ("registererror", "1.0", None, "broken"),
        ("systemexit", "1.0", None, "broken"),
        ("unmarked", "1.0", None, "broken"),
    ] == [(record.name, record.version, record.api_version, record.status) for record in records]
    assert [True] * 9 == [bool(record.reason) for record in records if record.status != "ok"]


def test_an_interrupt_while_a_plugin_is_imported_is_not_its_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the program, and the plugin can be asked for again."""
    (tmp_path / "slow-1.0.dist-info").mkdir()
    (tmp_path / "slow-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    (tmp_path / "slow-1.0.dist-info" / "entry_points.txt").write_text("[metadatadb]\nslow = fixture_slow\n")
    (tmp_path / "fixture_slow.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            registry.create("slow")


# -- what is not installed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest", "install"),
    [
        ("s3", None, "metadatadb-s3"),
        ("sqllite", "sqlite", "metadatadb-sqlite"),
        ("nothin", "nothing", None),
        ("zzzzzz", None, None),
    ],
)
@pytest.mark.usefixtures("no_first_party")
def test_an_unknown_backend_is_told_what_there_is(name: str, nearest: str | None, install: str | None) -> None:
    """What is installed, the nearest name, and what to install."""
    with pytest.raises(BackendNotFoundError) as caught:
        registry_with("nothing").registration(name)

    assert (name, nearest, install) == (caught.value.name, caught.value.nearest, caught.value.install)
    assert ("nothing",) == caught.value.installed


# -- what a program registers --------------------------------------------------------------------------------


def test_a_program_registers_a_backend_itself() -> None:
    """No entry points are needed."""
    backend = registry_with().create("nothing", {"bucket": "b"}, {"HOME": "/h"})

    assert isinstance(backend, Nothing)
    assert Config(bucket="b", home="/h/state") == backend.config


def test_a_registration_takes_precedence_over_an_installed_plugin(installed: Install) -> None:
    """The program knows best."""
    installed("good")

    assert isinstance(registry_with("good", BackendConfig).create("good"), Nothing)
    assert [] == imported()


def test_a_name_is_registered_once() -> None:
    """Whoever registers second would otherwise lose silently."""
    with pytest.raises(PluginError, match="registered already"):
        registry_with().register("nothing", "Again", Nothing, Config)


def test_what_is_no_configuration_class_is_refused() -> None:
    """The author learns it, not the user."""

    class Wrong(BackendConfig):
        ttl: Annotated[Duration, Meta(ge=1)] = Duration("5s")

    for config_class, reason in [(dict, "does not derive from BackendConfig"), (Wrong, "'ttl' of its Wrong")]:
        with pytest.raises(PluginError, match=reason):
            registry_with(config_class=config_class)


def test_a_factory_that_lacks_its_sdk_is_a_plugin_error() -> None:
    """A plugin imports its SDK in the factory."""

    def factory(config: Any) -> Backend:
        raise ModuleNotFoundError("No module named 'boto3'")

    registry = Registry()
    registry.register("lacking", "Lacks its SDK", factory, BackendConfig)
    with pytest.raises(PluginError, match="No module named 'boto3'"):
        registry.create("lacking")


def test_a_factory_that_makes_no_backend_is_a_plugin_error() -> None:
    """Told at once, not when the first op fails."""
    registry = Registry()
    registry.register("strange", "Makes a dict", lambda config: {}, BackendConfig)  # type: ignore[arg-type,return-value]
    with pytest.raises(PluginError, match="its factory made a dict, not a Backend"):
        registry.create("strange")


@pytest.mark.parametrize(
    "block",
    [
        {"bucket": "$B", "sync-interval": "1m"},
        'bucket = "$B"\nsync-interval = "1m"',
        'metadata nothing { bucket = "${B}"  sync-interval = "1m" }',
        hcl.parse('metadata nothing { bucket = "$B"  sync-interval = "1m" }').blocks[0],
    ],
)
def test_a_block_is_a_mapping_or_hcl(block: Any) -> None:
    """Text of a block, or of what is in it, or one that was read already."""
    backend = registry_with().create("nothing", block, {"B": "b", "HOME": ""})

    assert isinstance(backend, Nothing)
    assert Config(bucket="b", sync_interval=Duration("1m"), home="/state") == backend.config


def test_the_mistakes_of_a_block_have_their_places() -> None:
    """Also where the block of another backend is given."""
    with pytest.raises(ConfigError) as caught:
        registry_with().create("nothing", 'buckt = "b"\nmetadata other {}', {"HOME": ""})

    assert [(None, "bucket"), (1, "buckt"), (2, "metadata")] == [
        (problem.line, problem.attribute) for problem in caught.value.problems
    ]


def test_the_block_of_another_backend_is_refused() -> None:
    """Rather than be taken for this one's."""
    with pytest.raises(ConfigError, match="unexpected block 'metadata other'; expected the attributes of the backend"):
        registry_with().create("nothing", 'metadata other { bucket = "b" }', {"HOME": ""})


def test_variables_come_from_the_environment_unless_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty mapping is none at all."""
    monkeypatch.setenv("HOME", "/environment")
    backend = registry_with().create("nothing", {"bucket": "b"})

    assert isinstance(backend, Nothing)
    assert isinstance(backend.config, Config)
    assert "/environment/state" == backend.config.home
    with pytest.raises(ConfigError, match="unknown variable 'HOME'"):
        registry_with().create("nothing", {"bucket": "b"}, {})


def test_many_threads_may_ask_at_once(installed: Install) -> None:
    """For a plugin that works and for one that does not."""
    installed("good", "register_error")
    registry = Registry()
    start = threading.Barrier(16)
    outcomes: list[str] = []

    def ask(name: str) -> None:
        start.wait(timeout=30)
        try:
            outcomes.append(type(registry.create(name)).__name__)
        except PluginError as error:
            outcomes.append(error.plugin)

    threads = [threading.Thread(target=ask, args=(name,)) for name in ["good", "registererror"] * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert ["GoodBackend"] * 8 + ["registererror"] * 8 == sorted(outcomes)


# -- the schema ----------------------------------------------------------------------------------------------


def test_the_schema_is_hcl_that_says_what_each_attribute_is() -> None:
    """Type, default and help as comments."""
    text = registry_with().schema("nothing")

    assert '# Keeps nothing\nmetadata "nothing" {\n' in text
    assert '  # The bucket that holds the state.\n  # Required: a string.\n  bucket = ""\n' in text
    assert '  # How often to sync.\n  # Optional: a duration such as "30s"' in text
    assert '  sync-interval = "5s"\n' in text
    assert "  # Optional: a whole number of at least 0.\n  retries = 3\n" in text


def test_the_schema_read_back_is_the_default_configuration() -> None:
    """Whatever stands in a default."""
    registry = registry_with()
    block = hcl.the_block(hcl.parse(registry.schema("nothing")))

    assert Config(bucket="", home="/h/state", odd='%{ "$" \n') == block.settings.configure(Config, {"HOME": "/h"})


def test_the_schema_of_all_backends_survives_a_broken_one(installed: Install) -> None:
    """It becomes a comment."""
    installed("good", "import_error")
    document = hcl.parse(Registry().schema())

    assert ("good",) in [block.labels for block in document.blocks]
    assert ("importerror",) not in [block.labels for block in document.blocks]
    assert "# plugin 'importerror'" in Registry().schema()


def test_the_schema_is_json_schema_for_tools() -> None:
    """With defaults, help, constraints, and nothing else allowed."""
    schema = json.loads(registry_with().schema("nothing", format="json"))

    assert {"type": "string", "description": "The bucket that holds the state."} == schema["properties"]["bucket"]
    assert ("string", "5s") == tuple(schema["properties"]["sync-interval"][name] for name in ("type", "default"))
    assert (0, 3) == tuple(schema["properties"]["retries"][name] for name in ("minimum", "default"))
    assert (["bucket"], False) == (schema["required"], schema["additionalProperties"])


def test_the_json_schema_of_all_backends_has_a_property_for_each(installed: Install) -> None:
    """By its name."""
    installed("good", "import_error")
    schema = json.loads(Registry().schema(format="json"))

    assert "good" in schema["properties"]
    assert "importerror" not in schema["properties"]


def test_a_record_of_a_plugin_is_a_value() -> None:
    """It can be compared and shown."""
    assert [PluginRecord("nothing", None, None, None, "ok", None)] == [
        record for record in registry_with().plugins() if record.name == "nothing"
    ]
