"""The author's kit, as its documentation says to use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadatadb_core.testing import BackendSuite, Capability, MakeBackends
from metadatadb_folder.backend import FolderBackend


class TestFolderBackend(BackendSuite):
    capabilities = frozenset({Capability.PERSISTENT})

    @pytest.fixture
    def make_backends(self, tmp_path: Path) -> MakeBackends:
        return lambda count: [FolderBackend(tmp_path / "folder") for _ in range(count)]
