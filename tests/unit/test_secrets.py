"""No log, error, event, status or repr repeats a secret, wherever it stands in what a program is given."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult

import pytest

from metadatadb_core import BackendConfig, MetadataDBError, Registry, connect
from metadatadb_core.replication import (
    ObjectStore,
    OutcomeUnknown,
    ReplicatedBackend,
    ReplicationConfig,
    StoreFailure,
    Unavailable,
)
from metadatadb_core.replication.driver import Driver, Traffic
from metadatadb_core.replication.requests import Get, Steps
from metadatadb_core.testing.object_store import MemoryObjectStore
from tests.support.engine import NEVER_BY_ITSELF, recorded_syncs

CANARY = "c4n4ry-hunter2"
URL = f"example://user:{CANARY}@db.internal:6379/0?token={CANARY}"


class Config(ReplicationConfig):
    """As a third party would write one for a store with a password."""

    host: str = ""
    password: str = ""
    token: str = ""
    mirror: str = ""
    port: int = 0


class Leaky(RuntimeError):
    """What a careless SDK raises."""


def from_url(url: SplitResult) -> Mapping[str, object]:
    return {"host": url.hostname or "", "password": url.password or "", "port": url.port or 0}


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """All that this library logs, at every level, with tracebacks."""
    stream = io.StringIO()
    logger, handler = logging.getLogger("metadatadb"), logging.StreamHandler(stream)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(level)


def registry_over(store: ObjectStore) -> Registry:
    """Where ``example://`` is a backend over `store`."""
    registry = Registry()

    def make(config: Config) -> ReplicatedBackend:
        return ReplicatedBackend(lambda: store, name=f"example://{config.host}", config=config)

    registry.register("example", "An example", make, Config, from_url)
    return registry


def shown(error: BaseException) -> str:
    """An error in all the forms in which programs show one, with those that it carries."""
    carried = [cause for cause in vars(error).values() if isinstance(cause, BaseException)]
    values = map(repr, vars(error).values())
    return "\n".join([str(error), repr(error), *values, *traceback.format_exception(error), *map(shown, carried)])


class LeakyStore:
    """A client whose failures name the URL that it connects to, until it is `mended`."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure
        self._store = MemoryObjectStore()
        self.mended = False

    def __getattr__(self, method: str) -> Any:
        def fail(*_: object, **__: object) -> None:
            raise self._failure

        return getattr(self._store, method) if self.mended else fail


@pytest.mark.parametrize(
    "failure",
    [
        Unavailable(f"cannot reach redis://user:{CANARY}@db.internal:6379/0: refused"),
        Unavailable(f"cannot reach http://db.internal/x?auth-token={CANARY}&key={CANARY}"),
        Leaky(f"cannot reach redis://user:{CANARY}/with/slashes@db.internal:6379/0"),
    ],
    ids=["user", "parameter", "undeclared"],
)
def test_a_failing_store_gives_nothing_away(failure: Exception, output: io.StringIO) -> None:
    """Not in what a flush raises, with its causes, nor in logs, events and status."""
    raised: list[str] = []
    leaky = LeakyStore(failure)
    with recorded_syncs() as events:
        store = connect(f"{URL}&load-timeout=10ms&sync-interval={NEVER_BY_ITSELF}", registry=registry_over(leaky))
        jobs = store.namespace("jobs")
        jobs.int("runs").add(1)
        with pytest.raises(MetadataDBError) as caught:
            jobs.flush(timeout=0.2)
        raised += [shown(caught.value), repr(jobs.status())]
        with pytest.raises(MetadataDBError) as caught:
            store.close(timeout=0.2)
        raised.append(shown(caught.value))
    leaky.mended = True
    store.close()
    everything = "\n".join([*raised, output.getvalue(), repr(events)])

    assert "db.internal" in everything
    assert CANARY not in everything


@pytest.mark.parametrize(
    ("text", "chained"), [(f"redis://user:{CANARY}@db.internal refused", False), ("db.internal refused", True)]
)
def test_what_a_store_raised_is_chained_where_it_holds_no_credentials(text: str, chained: bool) -> None:
    """A traceback shows causes as they are; without credentials they are worth seeing."""
    driver = Driver(LeakyStore(Leaky(text)), lambda seconds: False, Traffic())
    with pytest.raises(OutcomeUnknown, match=r"raised Leaky: .*db\.internal") as caught:
        driver.run(asking())

    assert chained == isinstance(caught.value.__cause__, Leaky)
    assert CANARY not in shown(caught.value)


def asking() -> Steps[None]:
    """A round of one request."""
    yield Get("k")


def test_what_is_open_gives_nothing_away(output: io.StringIO) -> None:
    """Neither the store, nor its parts, nor the configuration."""
    memory = MemoryObjectStore()
    registry = registry_over(memory)
    mirror = f"http://user:{CANARY}@mirror.internal"
    with connect(f"{URL}&mirror={mirror}&sync-interval={NEVER_BY_ITSELF}", registry=registry) as store:
        jobs = store.namespace("jobs")
        jobs.int("runs").add(1)
        jobs.flush()
        parts: list[object] = [store, jobs, jobs.int("runs"), jobs.status(), registry, registry.plugins()]
    config = Config(host="h", password=CANARY, token=CANARY, mirror=mirror)
    everything = "\n".join([*map(repr, [*parts, config]), str(config), output.getvalue()])

    assert "mirror.internal" in everything
    assert CANARY not in everything
    assert [] == [key for key, stored in memory.bucket.objects.items() if CANARY.encode() in stored.body]


@pytest.mark.parametrize(
    "target",
    [
        f"{URL}&colour=red",
        f"{URL}&port=many",
        f"{URL}&lock-ttl=5 s&lock-ttl=5s&password={CANARY}",
        f"{URL}#fragment",
        f"example://user:{CANARY}@db.internal:port/",
        f"example://user:{CANARY}@[db.internal/",
        f"exemple://user:{CANARY}@db.internal/?token={CANARY}",
        f"example:/user:{CANARY}@db.internal",
        f"example:/db.internal?token={CANARY}",
        f"example://db.internal?mirror={CANARY}&max-pending-ops=http://user:{CANARY}@db.internal",
    ],
)
def test_a_mistake_in_a_url_gives_nothing_away(target: str, output: io.StringIO) -> None:
    """What is wrong is told without what is right."""
    with pytest.raises(MetadataDBError) as caught:
        connect(target, registry=registry_over(MemoryObjectStore()))

    assert CANARY not in shown(caught.value)
    assert CANARY not in output.getvalue()


def test_what_a_variable_holds_is_not_repeated() -> None:
    """It is often a secret, and the attribute it was meant for another one."""
    with pytest.raises(MetadataDBError) as caught:
        connect(
            "example://?lock-ttl=$SECRET&port=${SECRET}&spool-fsync=x$SECRET",
            vars={"SECRET": CANARY},
            registry=registry_over(MemoryObjectStore()),
        )

    assert 3 == len(caught.value.problems)  # type: ignore[attr-defined]
    assert CANARY not in shown(caught.value)


def test_what_a_configurations_own_check_says_is_without_credentials() -> None:
    """Its author repeats the URL that he does not like."""

    class Strict(BackendConfig):
        url: str

        def __post_init__(self) -> None:
            super().__post_init__()
            raise ValueError(f"not a good URL: {self.url}")

    registry = Registry()
    registry.register("strict", "An example", lambda config: pytest.fail("made"), Strict)
    with pytest.raises(MetadataDBError, match=r"not a good URL: http://\*\*\*@h") as caught:
        registry.create("strict", {"url": f"http://user:{CANARY}@h"}, {})

    assert CANARY not in shown(caught.value)


def test_an_outcome_crosses_processes_without_credentials() -> None:
    """What is pickled is what is shown."""
    failure: StoreFailure = Unavailable(f"redis://user:{CANARY}@h")

    assert "redis://***@h" == failure.reason == str(failure)
    assert CANARY not in repr(failure.__reduce__())
