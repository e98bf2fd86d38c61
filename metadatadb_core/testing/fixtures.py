"""Pytest fixtures for those who test their own code on a store.

In the top-level ``conftest.py``::

    pytest_plugins = ["metadatadb_core.testing.fixtures"]

A test then asks for ``metadatadb_store`` or ``metadatadb_namespace``; both are empty at its beginning. They need the
distribution metadatadb-memory, and say so where it is not installed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metadatadb_core.connect import connect
from metadatadb_core.store import Namespace, Store

__all__ = ["metadatadb_namespace", "metadatadb_store"]


@pytest.fixture
def metadatadb_store() -> Iterator[Store]:
    """A fresh store in memory, closed after the test."""
    with connect("memory://") as store:
        yield store


@pytest.fixture
def metadatadb_namespace(metadatadb_store: Store) -> Namespace:
    """An empty namespace of `metadatadb_store`."""
    return metadatadb_store.namespace("test")
