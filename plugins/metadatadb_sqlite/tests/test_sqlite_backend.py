"""The backend over a SQLite file: the suite of the core, its configuration, and how it is opened."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from metadatadb_core import Registry, Store, connect, ops
from metadatadb_core.config import Duration
from metadatadb_core.errors import ConfigError
from metadatadb_core.testing import BackendSuite, Capability, MakeBackends
from metadatadb_sqlite import SQLiteBackend, SQLiteBackendConfig, register_sqlite
from metadatadb_sqlite.plugin import from_url


class TestSQLiteBackend(BackendSuite):
    """Several backends on one file, as several processes would have it."""

    capabilities = frozenset({Capability.PERSISTENT, Capability.SHARED})

    @pytest.fixture
    def make_backends(self, tmp_path: Path) -> MakeBackends:
        config = SQLiteBackendConfig(path=str(tmp_path / "meta.db"))
        return lambda count: [SQLiteBackend(config) for _ in range(count)]


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    register_sqlite(registry)
    return registry


# -- configuration -----------------------------------------------------------------------------------------


def test_a_sync_is_frequent_and_a_lock_short_by_default() -> None:
    """A sync costs microseconds here, and writes are durable unless it is asked otherwise."""
    config = SQLiteBackendConfig(path="meta.db")

    assert (Duration("1s"), Duration("2s"), "full") == (config.sync_interval, config.lock_ttl, config.synchronous)


@pytest.mark.parametrize("path", [":memory:", "/:memory:", "", "a\0b"])
def test_a_path_is_a_file(path: str) -> None:
    """What is no file is refused before anything is opened, by the attribute's name."""
    with pytest.raises(ConfigError, match="path"):
        SQLiteBackendConfig(path=path)


def test_a_file_that_would_be_made_is_told(tmp_path: Path) -> None:
    """So that nobody makes it by looking; that its directory is missing is another error."""
    config = SQLiteBackendConfig(path=str(tmp_path / "meta.db"))
    before = config.absent()
    SQLiteBackend(config).close()

    assert (str(tmp_path / "meta.db"), None) == (before, config.absent())
    assert SQLiteBackendConfig(path=str(tmp_path / "missing" / "meta.db")).absent() is None


def test_a_misspelt_synchronous_is_explained(registry: Registry) -> None:
    """The error names the attribute and what it may be."""
    with pytest.raises(ConfigError, match=r"'synchronous'.*\"?full\"?"):
        registry.create("sqlite", {"path": "meta.db", "synchronous": "ful"})


# -- URLs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/app/meta.db", "/var/lib/app/meta.db"),
        ("sqlite:////var/lib/app/meta.db", "/var/lib/app/meta.db"),
        ("sqlite://./meta.db", "./meta.db"),
        ("sqlite://../data/meta.db", "../data/meta.db"),
        ("sqlite:///with%20space/%25/%C3%A9.db", "/with space/%/é.db"),
        ("sqlite:///a+b.db", "/a+b.db"),
    ],
)
def test_a_url_is_a_path(url: str, path: str) -> None:
    """Three slashes are an absolute path, also in the four of other libraries; a dot begins a relative one."""
    assert {"path": path} == from_url(urlsplit(url))


@pytest.mark.parametrize("url", ["sqlite://var/lib/meta.db", "sqlite://meta.db", "sqlite://localhost/meta.db"])
def test_a_host_is_refused_with_both_right_spellings(url: str, registry: Registry) -> None:
    """Two slashes would make the first folder a host; nobody means that."""
    with pytest.raises(ConfigError, match=r"sqlite:///var/lib/app/meta\.db.*sqlite://\./"):
        connect(url, registry=registry)


def test_a_url_without_a_path_says_so(registry: Registry) -> None:
    """The one attribute that has no default."""
    with pytest.raises(ConfigError, match="'path' is missing"):
        connect("sqlite://", registry=registry)


def test_connect_opens_a_file(tmp_path: Path, registry: Registry) -> None:
    """With parameters, and what is written is there for the next one."""
    url = f"sqlite://{tmp_path.as_posix()}/meta.db?sync-interval=5s&synchronous=normal&write-mode=through"
    with connect(url, registry=registry) as store:
        store.namespace("jobs").int("done").add(3)
    with connect(url, registry=registry) as store:
        assert 3 == store.namespace("jobs").int("done").get()


@pytest.mark.skipif(os.name == "nt", reason="a directory in use cannot be left")
def test_a_relative_path_means_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that changes its directory afterwards goes on with the same file."""
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    backend = SQLiteBackend(SQLiteBackendConfig(path="meta.db"))
    monkeypatch.chdir(tmp_path / "there")
    with Store(backend) as store:
        store.namespace("jobs").int("done").add(1)

    assert ["meta.db", "there"] == sorted(path.name for path in tmp_path.iterdir())
    assert [] == list((tmp_path / "there").iterdir())


# -- several on one file -----------------------------------------------------------------------------------


def test_backends_share_what_they_flush(tmp_path: Path) -> None:
    """Counters add up, each op once."""
    config = SQLiteBackendConfig(path=str(tmp_path / "meta.db"))
    backends = [SQLiteBackend(config) for _ in range(4)]
    for turn in range(10):
        for backend in backends:
            backend.apply("jobs", ops.IntAdd("done", 1))
            if turn % 3 == 0:
                backend.flush("jobs")
    for backend in backends:
        backend.flush("jobs")
    for backend in backends:
        backend.flush("jobs")
    totals = [backend.query("jobs", ops.IntGet("done")) for backend in backends]
    for backend in backends:
        backend.close()

    assert [40] * 4 == totals


def test_a_prefix_keeps_teams_apart(tmp_path: Path) -> None:
    """Two prefixes in one file are two stores."""
    for team, value in (("a/", 1), ("b/", 2)):
        config = SQLiteBackendConfig(path=str(tmp_path / "meta.db"), prefix=team)
        with Store(SQLiteBackend(config)) as store:
            store.namespace("jobs").int("x").add(value)
    found = []
    for team in ("a/", "b/"):
        config = SQLiteBackendConfig(path=str(tmp_path / "meta.db"), prefix=team)
        with Store(SQLiteBackend(config)) as store:
            found.append(store.namespace("jobs").int("x").get())

    assert [1, 2] == found
