"""The SQLite backend of metadatadb: durable state that the processes of one machine share."""

from metadatadb_sqlite.backend import SQLiteBackend
from metadatadb_sqlite.config import SQLiteBackendConfig
from metadatadb_sqlite.plugin import register_sqlite

__all__ = ["SQLiteBackend", "SQLiteBackendConfig", "register_sqlite"]
