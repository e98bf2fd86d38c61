"""metadatadb: an eventually consistent metadata store over the object store you already have.

>>> from metadatadb_core import connect
>>> with connect("memory://") as store:
...     clones = store.namespace("git").int_map("clones")
...     clones.add("repo-a", 3)
...     clones["repo-a"]
3
"""

import logging

from metadatadb_core.backend import BACKEND_API_VERSION, Backend
from metadatadb_core.config import BackendConfig
from metadatadb_core.connect import connect
from metadatadb_core.duration import Duration
from metadatadb_core.errors import (
    BackendClosedError,
    BackendNotFoundError,
    BackendUnavailableError,
    CommitUnknownError,
    ConfigError,
    CorruptStateError,
    FlushTimeoutError,
    InvalidNamespaceError,
    InvalidValueError,
    MetadataDBError,
    PendingLimitError,
    PluginConflictError,
    PluginError,
    PluginVersionError,
    StructureMismatchError,
    UnflushedOpsError,
    UnsafeStoreError,
    UnsupportedFormatError,
)
from metadatadb_core.hookspecs import hookimpl
from metadatadb_core.ops import MISSING
from metadatadb_core.registry import Registry
from metadatadb_core.store import Namespace, Store
from metadatadb_core.structures import Int, IntMap, List, Map, Scalar, Set

__all__ = [
    "BACKEND_API_VERSION",
    "MISSING",
    "Backend",
    "BackendClosedError",
    "BackendConfig",
    "BackendNotFoundError",
    "BackendUnavailableError",
    "CommitUnknownError",
    "ConfigError",
    "CorruptStateError",
    "Duration",
    "FlushTimeoutError",
    "Int",
    "IntMap",
    "InvalidNamespaceError",
    "InvalidValueError",
    "List",
    "Map",
    "MetadataDBError",
    "Namespace",
    "PendingLimitError",
    "PluginConflictError",
    "PluginError",
    "PluginVersionError",
    "Registry",
    "Scalar",
    "Set",
    "Store",
    "StructureMismatchError",
    "UnflushedOpsError",
    "UnsafeStoreError",
    "UnsupportedFormatError",
    "connect",
    "hookimpl",
]

logging.getLogger("metadatadb").addHandler(logging.NullHandler())
