"""The configuration of the Redis backend."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from metadatadb_core.replication import ReplicationConfig

__all__ = ["RedisBackendConfig"]


class RedisBackendConfig(ReplicationConfig, kw_only=True):
    """A ``metadata "redis" { host = "redis.internal" }`` block."""

    host: Annotated[str, Meta(description="The name or address of the Redis server.", min_length=1)]
    port: Annotated[int, Meta(description="Its port.", ge=1, le=65535)] = 6379
    database: Annotated[int, Meta(description="The number of the database that holds the namespaces.", ge=0)] = 0
    username: Annotated[str | None, Meta(description="The user to log in as. Null: the server's default user.")] = None
    password: Annotated[str | None, Meta(description="The user's password. Null: no login.")] = None
    tls: Annotated[bool, Meta(description="Whether to talk TLS, with a certificate that this machine trusts.")] = False

    @property
    def server(self) -> str:
        """The database as errors and logs name it: as a URL, without user or password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{host}:{self.port}/{self.database}"
