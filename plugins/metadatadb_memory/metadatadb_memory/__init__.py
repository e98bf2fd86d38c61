"""The memory backend of metadatadb: for tests, and for deployments of one process."""

from metadatadb_memory.backend import MemoryBackend
from metadatadb_memory.config import MemoryConfig
from metadatadb_memory.plugin import register_memory

__all__ = ["MemoryBackend", "MemoryConfig", "register_memory"]
