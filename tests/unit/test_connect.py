"""From a URL or a file to a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult

import pytest

from metadatadb_core.backend import Backend
from metadatadb_core.config import BackendConfig, Duration
from metadatadb_core.connect import connect
from metadatadb_core.errors import BackendNotFoundError, ConfigError, PluginConflictError, PluginError
from metadatadb_core.registry import Registry

Install = Callable[..., None]


class Config(BackendConfig):
    bucket: str = "none"
    host: str = ""
    port: int = 0
    db: int = 0
    sync_interval: Duration = Duration("5s")
    verify: bool = True
    endpoint_url: str | None = None
    sizes: list[int] = []
    labels: dict[str, str] = {}
    secret_key: int | None = None


class Kept(Backend):
    def apply(self, namespace: str, *ops: Any) -> None: ...

    def query(self, namespace: str, op: Any) -> Any: ...

    def flush(self, namespace: str, *, timeout: float | None = None) -> None: ...

    def close(self, *, timeout: float | None = None) -> None: ...


def redis_url(url: SplitResult) -> dict[str, object]:
    """``redis://host:6379/0``."""
    return {"host": url.hostname or "", "port": url.port or 6379, "db": int(url.path.strip("/") or 0)}


class Opened:
    """A registry, and the configurations of the backends made from it."""

    def __init__(self) -> None:
        self.configs: list[Config] = []
        self.registry = Registry()
        self.registry.register("plain", "Has no host", self._make, Config)
        self.registry.register("redis", "Has a host, a port and a number", self._make, Config, redis_url)
        self.registry.register("gcs", "Has a bucket", self._make, Config, lambda url: {"bucket": url.netloc})

    def _make(self, config: Config) -> Kept:
        self.configs.append(config)
        return Kept()

    def __call__(self, target: Any, **variables: str) -> Config:
        with connect(target, vars=variables, registry=self.registry):
            return self.configs[-1]


@pytest.fixture
def opened() -> Opened:
    return Opened()


def test_a_url_names_a_backend_by_its_scheme(opened: Opened) -> None:
    """Without attributes it is all defaults."""
    assert Config() == opened("plain://")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sync-interval=10s", Config(sync_interval=Duration("10s"))),
        ("sync-interval=0", Config()),
        ("port=8080", Config(port=8080)),
        ("verify=false", Config(verify=False)),
        ("verify=TRUE", Config(verify=True)),
        ("endpoint-url=http://127.0.0.1:5000", Config(endpoint_url="http://127.0.0.1:5000")),
        ("bucket=5", Config(bucket="5")),
        ("bucket=", Config(bucket="")),
        ("bucket=a%20b%26c+d%3D", Config(bucket="a b&c+d=")),
        ("bucket=%C3%A9", Config(bucket="é")),
        ("sizes=[1,2]", Config(sizes=[1, 2])),
        ("labels=%7B%22a%22:%22b%22%7D", Config(labels={"a": "b"})),
        ("bucket=$B-${B}", Config(bucket="x-x")),
    ],
)
def test_every_attribute_can_be_a_query_parameter(opened: Opened, query: str, expected: Config) -> None:
    """By its HCL name; its type says what the text means."""
    assert expected == opened(f"plain://?{query}", B="x")


def test_a_backend_reads_its_own_part_of_the_url(opened: Opened) -> None:
    """And the query adds to it."""
    assert Config(host="db.example", port=6379, db=3, verify=False) == opened("redis://db.example/3?verify=false")


def test_every_mistake_in_a_url_is_told_at_once(opened: Opened) -> None:
    """Unknown, twice, wrong, and what the path gives already."""
    with pytest.raises(ConfigError) as caught:
        opened("redis://h/1?sync-intervall=5s&port=1&verify=maybe&sizes=[x]&secret-key=hunter2&bucket=$NO#end")

    assert [
        (None, None),
        ("port", None),
        ("sync-intervall", "sync-interval"),
        ("verify", None),
        ("sizes", None),
        ("secret-key", None),
        ("bucket", None),
    ] == [(problem.attribute, problem.nearest) for problem in caught.value.problems]
    assert {"redis://h/1"} == {problem.file for problem in caught.value.problems}
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("target", ["x" * 5000, "x/" * 5000, "a\0b", "a\ud800", ""])
def test_what_can_be_no_path_is_a_mistake(opened: Opened, target: str) -> None:
    """Also what the file system refuses to look for."""
    with pytest.raises(ConfigError, match="neither a URL nor a file that exists"):
        opened(target)


@pytest.mark.parametrize("url", ["plain://?bucket=\ud800", "redis://\udcff/1", "plain://?sizes=[\udcff"])
def test_a_url_with_a_lone_surrogate_is_a_mistake(opened: Opened, url: str) -> None:
    """As bytes that are no UTF-8 come in from a command line; no store could be asked for it."""
    with pytest.raises(ConfigError, match="not a URL"):
        opened(url)


@pytest.mark.parametrize("url", ["plain://host", "plain:///path", "plain://u:p@/", "redis://h:port/1", "redis://h/one"])
def test_a_host_or_path_that_means_nothing_is_a_mistake(opened: Opened, url: str) -> None:
    """Rather than be ignored; and the query is checked beside it."""
    with pytest.raises(ConfigError) as caught:
        opened(f"{url}?prot=1")

    assert [None, "prot"] == [problem.attribute for problem in caught.value.problems]
    assert "its host or path cannot be used" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@h:port/1",
        "redis://user:hun#ter2@h/1",
        "redis://user:hun/ter2@h/1",
        "redis://user:hun[ter2@h/1",
        "redis://h/1?secret-key=hunter2",
        "plain://user:hunter2@h?x=1",
        "redsi://user:hunter2@h",
    ],
)
def test_no_credentials_are_repeated(opened: Opened, url: str) -> None:
    """Wherever a password ends up in the parts of a URL."""
    with pytest.raises((ConfigError, BackendNotFoundError)) as caught:
        opened(url)

    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__} {caught.value.__dict__}"
    assert "hun" not in shown
    assert "ter2" not in shown


def test_a_scheme_may_have_another_name_than_its_backend(opened: Opened, installed: Install) -> None:
    """As installed plugins declare, and as is known of this project's own."""
    installed("good")

    assert Config(bucket="b") == opened("gs://b")
    with connect("gd://b"):
        pass


@pytest.mark.parametrize(
    ("url", "install"),
    [("s3://b", "metadatadb-s3"), ("gs://b", "metadatadb-gcs"), ("sqlite:///x", "metadatadb-sqlite")],
)
def test_an_unknown_scheme_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, install: str
) -> None:
    """For the backends of this project."""
    monkeypatch.setattr("importlib.metadata.MetadataPathFinder.find_distributions", lambda *args, **kwargs: [])
    with pytest.raises(BackendNotFoundError, match=f"pip install {install}") as caught:
        connect(url)

    assert (url.partition(":")[0], install) == (caught.value.name, caught.value.install)


def test_a_scheme_of_two_distributions_is_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If they give it to different backends."""
    for name in ("one", "two"):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[metadatadb.schemes]\nboth = {name}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginConflictError) as caught:
        connect("both://x")

    assert ("one", "two") == caught.value.distributions


def test_a_disabled_backend_says_so_by_its_scheme(installed: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is installed, so there is nothing to install."""
    installed("good")
    monkeypatch.setenv("METADATADB_DISABLE_PLUGINS", "good")
    for url in ("good://b", "gd://b"):
        with pytest.raises(PluginError, match="disabled by METADATADB_DISABLE_PLUGINS"):
            connect(url)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_names_a_backend_and_its_attributes(opened: Opened, tmp_path: Path, kind: type[Any]) -> None:
    """Its name ends in .hcl, or it exists, or it is a path."""
    for name in ("meta.hcl", "meta.conf"):
        path = tmp_path / name
        path.write_text('metadata plain { bucket = "${B}"  sync-interval = "1m" }')

        assert Config(bucket="x", sync_interval=Duration("1m")) == opened(kind(path), B="x")


def test_the_environment_gives_the_variables(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless they are given."""
    monkeypatch.setenv("THE_BUCKET", "from-environment")
    path = tmp_path / "meta.hcl"
    path.write_text('metadata plain { bucket = "$THE_BUCKET" }')
    connect(path, registry=opened.registry).close()

    assert "from-environment" == opened.configs[-1].bucket
    with pytest.raises(ConfigError, match="unknown variable 'THE_BUCKET'"):
        opened(path)


def test_a_file_with_an_unknown_backend_says_where(opened: Opened, tmp_path: Path) -> None:
    """The error is the same as anywhere, with a note."""
    path = tmp_path / "meta.hcl"
    path.write_text("\n  metadata plian {}")
    with pytest.raises(BackendNotFoundError) as caught:
        opened(path)

    assert "plain" == caught.value.nearest
    assert [f"asked for at {path}:2:3"] == caught.value.__notes__


@pytest.mark.parametrize("target", ["absent", "memory", "s3:bucket", ""])
def test_what_is_neither_a_url_nor_a_file_is_a_mistake(target: Any) -> None:
    """And says what would be right."""
    with pytest.raises(ConfigError, match=r"neither a URL nor a file that exists.*; expected a URL such as"):
        connect(target)


@pytest.mark.parametrize("target", ["absent.hcl", Path("absent"), "x\0y.hcl"])
def test_a_file_that_is_not_there_is_named(target: Any) -> None:
    """What looks like a file is taken for one."""
    with pytest.raises(ConfigError, match="cannot read the file") as caught:
        connect(target)

    assert str(target) == caught.value.file


def test_what_a_wrong_url_leaves_out_is_not_missing() -> None:
    """The host could not be read, and the bucket stands in it."""

    class Required(BackendConfig):
        bucket: str

    registry = Registry()
    registry.register("required", "Needs a bucket", lambda config: Kept(), Required, redis_url)
    with pytest.raises(ConfigError) as caught:
        connect("required://h:port/", registry=registry)

    assert 1 == len(caught.value.problems)
