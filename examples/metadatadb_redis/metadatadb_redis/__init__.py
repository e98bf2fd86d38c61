"""A Redis backend of metadatadb."""

from metadatadb_redis.backend import RedisBackend
from metadatadb_redis.config import RedisBackendConfig
from metadatadb_redis.plugin import register_redis

__all__ = ["RedisBackend", "RedisBackendConfig", "register_redis"]
