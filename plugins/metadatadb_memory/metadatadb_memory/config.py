"""The configuration of the memory backend: it has no attributes."""

from __future__ import annotations

from metadatadb_core.config import BackendConfig

__all__ = ["MemoryConfig"]


class MemoryConfig(BackendConfig):
    """A ``metadata "memory" {}`` block."""
