"""The memory backend against the conformance suite; runs from the installed wheel as from the checkout."""

from __future__ import annotations

import pytest

from metadatadb_core.testing import BackendSuite, MakeBackends
from metadatadb_memory.backend import MemoryBackend


class TestMemoryBackend(BackendSuite):
    """One process, nothing behind it: neither persistent nor shared."""

    capabilities = frozenset()

    @pytest.fixture
    def make_backends(self) -> MakeBackends:
        return lambda count: [MemoryBackend() for _ in range(count)]
