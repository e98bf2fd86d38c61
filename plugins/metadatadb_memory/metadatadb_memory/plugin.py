"""What the entry point ``memory`` names: the plugin of the memory backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metadatadb_core.hookspecs import hookimpl
from metadatadb_memory.backend import MemoryBackend
from metadatadb_memory.config import MemoryConfig

if TYPE_CHECKING:
    from metadatadb_core.registry import Registry

__all__ = ["BACKEND_API_VERSION", "metadatadb_register_backends", "register_memory"]

BACKEND_API_VERSION = 1
"""The plugin API this was written for: a literal, so that it does not follow the core's."""


def register_memory(registry: Registry) -> None:
    """Register the backend "memory"."""
    registry.register("memory", "Keeps metadata state in this process's memory", _make, MemoryConfig)


def _make(config: MemoryConfig) -> MemoryBackend:
    return MemoryBackend()


@hookimpl
def metadatadb_register_backends(registry: Registry) -> None:
    """The hook."""
    register_memory(registry)
