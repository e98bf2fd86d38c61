"""The conformance suite for object stores: `ObjectStoreSuite`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeAlias

import pytest

from metadatadb_core.replication.object_store import ObjectStore
from metadatadb_core.testing.suite import Capability, Suite

# Without it, a failing assert of the suite would not say what it compared.
pytest.register_assert_rewrite(
    "metadatadb_core.testing.object_store_conditions", "metadatadb_core.testing.object_store_objects"
)

from metadatadb_core.testing.object_store_conditions import ConditionTests, RaceTests, VersionTests  # noqa: E402
from metadatadb_core.testing.object_store_objects import ClientTests, ListTests, ObjectTests  # noqa: E402

__all__ = ["MakeStores", "ObjectStoreSuite"]

MakeStores: TypeAlias = Callable[[int], list[ObjectStore]]
"""Makes that many new clients of one storage, the same one for all calls within a test, empty at its beginning."""


class ObjectStoreSuite(ObjectTests, ListTests, ClientTests, ConditionTests, VersionTests, RaceTests, Suite, suite=True):
    """What every `ObjectStore` must do, as a pytest class: subclass it and give it one fixture.

    ::

        class TestMyObjectStore(ObjectStoreSuite):
            @pytest.fixture
            def make_stores(self, tmp_path: Path) -> MakeStores:
                return lambda count: [MyObjectStore(tmp_path / "objects") for _ in range(count)]

    Every test begins with an empty storage, and the suite closes the clients it asked for. A test that cannot
    hold is listed in ``departures``, with the reason; anything else that takes a test away is a `TypeError`.

    Attributes:
        conditional_deletes: whether the store enforces conditions on deletes. The engine works without, with a
            warning; it works without no other condition.
    """

    # Those of `Capability` are a backend's; a store is always shared and persistent.
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    conditional_deletes: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        """Count the tests of conditional deletes as departures where these are declared not to be enforced."""
        if not cls.conditional_deletes:
            concerned = inspect.getmembers(ObjectStoreSuite, lambda test: hasattr(test, _CONDITIONAL_DELETES))
            reason = f"{cls.__name__} declares conditional_deletes = False"
            cls.departures = {**{name: reason for name, _ in concerned}, **cls.departures}
        super().__init_subclass__(**options)

    @pytest.fixture
    def make_stores(self) -> MakeStores:
        """The one fixture to write: a function from a count to that many clients of one storage."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture make_stores; see ObjectStoreSuite")

    @pytest.fixture
    def open_stores(self, make_stores: MakeStores) -> Iterator[MakeStores]:
        """`make_stores`, checked, and what it makes is closed after the test."""
        opened: list[ObjectStore] = []

        def open_stores(count: int) -> list[ObjectStore]:
            made = list(make_stores(count))
            opened.extend(made)
            assert count == len({id(store) for store in made}), "make_stores(n) must make n different clients"
            return made

        yield open_stores
        for store in reversed(opened):
            store.close()

    @pytest.fixture
    def store(self, open_stores: MakeStores) -> ObjectStore:
        """One client of an empty storage."""
        return open_stores(1)[0]


_CONDITIONAL_DELETES = "_metadatadb_conditional_deletes"
