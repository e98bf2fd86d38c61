"""What the entry point ``redis`` names: the plugin of the Redis backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from metadatadb_core import hookimpl
from metadatadb_redis.config import RedisBackendConfig

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from metadatadb_core import Registry
    from metadatadb_redis.backend import RedisBackend

__all__ = ["BACKEND_API_VERSION", "metadatadb_register_backends", "register_redis"]

BACKEND_API_VERSION = 1
"""The plugin API this was written for: a literal, so that it does not follow the core's."""


def register_redis(registry: Registry) -> None:
    """Register the backend "redis"."""
    registry.register("redis", "Stores metadata state in a Redis server", _make, RedisBackendConfig, from_url)


def _make(config: RedisBackendConfig) -> RedisBackend:
    from metadatadb_redis.backend import RedisBackend

    return RedisBackend(config)


def from_url(url: SplitResult) -> Mapping[str, object]:
    """``redis://user:password@host:6379/0``, of which only the host is needed; ``rediss://`` is the same over TLS.

    Raises:
        ValueError: it names no host, or what follows the host is no number of a database. It repeats nothing of the
            URL: what is misplaced may be a password.
    """
    if not url.hostname:
        raise ValueError("a redis:// URL names a host: redis://host:6379/0")
    database = url.path.strip("/")
    if database and not (database.isascii() and database.isdecimal()):
        raise ValueError("the path of a redis:// URL is the number of a database: redis://host:6379/0")
    found = {
        "host": unquote(url.hostname),
        "port": url.port,
        "database": int(database) if database else None,
        "username": unquote(url.username) if url.username else None,
        "password": unquote(url.password) if url.password else None,
        "tls": url.scheme == "rediss",
    }
    return {name: value for name, value in found.items() if value is not None}


@hookimpl
def metadatadb_register_backends(registry: Registry) -> None:
    """The hook."""
    register_redis(registry)
