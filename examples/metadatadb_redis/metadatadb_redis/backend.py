"""Namespaces in a Redis database: the engine of the core over `RedisObjectStore`."""

from __future__ import annotations

import logging
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, final

from metadatadb_core.errors import BackendUnavailableError
from metadatadb_core.replication import Denied, Rejected, ReplicatedBackend, StoreFailure
from metadatadb_redis.config import RedisBackendConfig

if TYPE_CHECKING:
    from metadatadb_redis.store import RedisObjectStore

__all__ = ["RedisBackend"]

_log = logging.getLogger("metadatadb")


@final
class RedisBackend(ReplicatedBackend):
    """Replicas share their namespaces through a Redis database.

    Args:
        config: which database, and how.

    Raises:
        BackendUnavailableError: the server denies access, or there is no such database. A server that cannot be
            reached is no error: `status` then says that nothing is loaded.
    """

    def __init__(self, config: RedisBackendConfig) -> None:
        # Only now: whoever merely knows of this backend need not load redis-py.
        from metadatadb_redis.store import RedisObjectStore

        # Called again after a fork: connections are not shared with the parent.
        open_store = partial(RedisObjectStore, config)
        with closing(open_store()) as store:
            _check(store, config)
        super().__init__(open_store, name=config.server, config=config)


def _check(store: RedisObjectStore, config: RedisBackendConfig) -> None:
    """Report at once what no waiting would cure."""
    try:
        store.get(f"{config.prefix}.metadata/.probe")
    except (Denied, Rejected) as failure:
        denied = isinstance(failure, Denied)
        raise BackendUnavailableError(f"{config.server}: {failure.reason}", cause=failure, denied=denied) from failure
    except StoreFailure:
        return  # out of reach, perhaps only now: the engine goes on trying
    try:
        evicts = store.evicts()
    except StoreFailure:
        return  # not everybody may ask; nothing else depends on it
    if evicts:
        _log.warning(
            "%s drops keys when its memory is full, and with them namespaces: set its maxmemory-policy to noeviction",
            config.server,
        )
