"""The conformance suite for backends: `BackendSuite`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from metadatadb_core.backend import Backend
from metadatadb_core.store import Namespace, Store
from metadatadb_core.testing.backend_concurrency import AtomicityTests, ReplicaTests, ThreadTests
from metadatadb_core.testing.backend_lifecycle import LifecycleTests
from metadatadb_core.testing.backend_ops import BadInputTests, CopyTests, NamespaceTests, OpTests
from metadatadb_core.testing.backend_structures import ModelTests, StructureTests
from metadatadb_core.testing.suite import Suite

__all__ = ["BackendSuite", "MakeBackends"]

MakeBackends: TypeAlias = Callable[[int], list[Backend]]
"""Makes that many new backends over one storage, the same one for all calls within a test."""


class BackendSuite(
    OpTests,
    CopyTests,
    NamespaceTests,
    BadInputTests,
    StructureTests,
    ModelTests,
    AtomicityTests,
    ThreadTests,
    ReplicaTests,
    LifecycleTests,
    Suite,
    suite=True,
):
    """What every backend must do, as a pytest class: subclass it, declare capabilities, give it one fixture.

    ::

        class TestMyBackend(BackendSuite):
            capabilities = frozenset({Capability.PERSISTENT, Capability.SHARED})

            @pytest.fixture
            def make_backends(self, tmp_path: Path) -> MakeBackends:
                return lambda count: [MyBackend(tmp_path / "db") for _ in range(count)]

    Every test begins with an empty storage, and the suite closes the backends it asked for. Without
    `Capability.SHARED` it never has two of them open. A test that cannot hold is listed in ``departures``, with
    the reason; anything else that takes a test away is a `TypeError`.
    """

    @pytest.fixture
    def make_backends(self) -> MakeBackends:
        """The one fixture to write: a function from a count to that many backends over one storage."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture make_backends; see BackendSuite")

    @pytest.fixture
    def open_backends(self, make_backends: MakeBackends) -> Iterator[MakeBackends]:
        """`make_backends`, checked, and what it makes is closed after the test."""
        opened: list[Backend] = []

        def open_backends(count: int) -> list[Backend]:
            made = list(make_backends(count))
            assert count == len({id(backend) for backend in made}), "make_backends(n) must make n different backends"
            assert all(isinstance(backend, Backend) for backend in made), "make_backends must make Backends"
            opened.extend(made)
            return made

        yield open_backends
        for backend in reversed(opened):
            backend.close()

    @pytest.fixture
    def backend(self, open_backends: MakeBackends) -> Backend:
        """One backend over an empty storage."""
        return open_backends(1)[0]

    @pytest.fixture
    def namespace(self, backend: Backend) -> Namespace:
        """A namespace of a store over `backend`."""
        return Store(backend).namespace("conformance")
