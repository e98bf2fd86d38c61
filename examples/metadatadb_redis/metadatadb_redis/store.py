"""A Redis database as an object store: a hash for each object, and a script for each condition.

Redis runs a script as one step, which no other client sees half of, so that condition and write cannot be torn apart.
WATCH and MULTI would do the same in four requests instead of one, three of which can be lost on the way.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, final

import msgspec

from metadatadb_core.replication import Absent, NotModified, ObjectInfo, PreconditionFailed, StoredObject, Version
from metadatadb_redis.config import RedisBackendConfig
from metadatadb_redis.connections import Connections

__all__ = ["RedisObjectStore"]

_GET: Final = """
local found = redis.call('HMGET', KEYS[1], 'version', 'modified', 'metadata')
if not found[1] then
    if redis.call('EXISTS', KEYS[1]) == 0 then return false end
    return redis.error_reply('WRONGTYPE a hash that is not an object of metadatadb')
end
if found[1] == ARGV[1] then return {found[1]} end
local time = redis.call('TIME')
return {found[1], found[2], found[3], time[1] .. ' ' .. time[2], redis.call('HGET', KEYS[1], 'body')}
"""

# All fields in one command, so that it replaces the whole object or, where Redis refuses it, nothing. Its answer is the
# script's, unchanged, also when it is an error.
_WRITE: Final = """
local time = redis.call('TIME')
return redis.pcall('HSET', KEYS[1], 'version', ARGV[1], 'body', ARGV[2], 'type', ARGV[3], 'metadata', ARGV[4],
    'modified', time[1] .. ' ' .. time[2])
"""
_PUT_NEW: Final = "if redis.call('EXISTS', KEYS[1]) == 1 then return false end" + _WRITE
_PUT_OVER: Final = "if redis.call('HGET', KEYS[1], 'version') ~= ARGV[5] then return false end" + _WRITE

_DELETE: Final = """
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return false end
return redis.pcall('DEL', KEYS[1])
"""

_DESCRIBE: Final = """
local rows = {}
for _, key in ipairs(KEYS) do
    if redis.call('TYPE', key).ok == 'hash' then
        local found = redis.call('HMGET', key, 'version', 'modified')
        if found[1] then table.insert(rows, {key, found[1], redis.call('HSTRLEN', key, 'body'), found[2]}) end
    end
end
return rows
"""

_PAGE: Final = 1000
"""Keys that Redis looks at in one step of a listing, about."""

_EVICTS: Final = re.compile(rb"^maxmemory:[1-9].*^maxmemory_policy:allkeys-", re.MULTILINE | re.DOTALL)


@final
class RedisObjectStore:
    """See `ObjectStore`. Its clock is the server's.

    Args:
        config: which database.
    """

    def __init__(self, config: RedisBackendConfig) -> None:
        self._connections = Connections(config)

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        """See `ObjectStore.get`."""
        found = self._connections.request("EVAL", _GET, 1, key, unless or "")
        if found is None:
            return None
        version, *content = found
        if not content:
            raise NotModified("the object has not changed")
        modified, metadata, now, body = content
        names = msgspec.json.decode(metadata, type=dict[str, str])
        return StoredObject(body, Version(version.decode()), names, _moment(modified), _moment(now))

    def put(
        self,
        key: str,
        body: bytes,
        *,
        expect: Version | Absent,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] = {},
    ) -> Version:
        """See `ObjectStore.put`."""
        # Random: a counter would begin again after a delete, and go back when the server restarts from an old snapshot.
        version = Version(secrets.token_hex(16))
        row = (key, version, body, content_type, msgspec.json.encode(dict(metadata)))
        if isinstance(expect, Absent):
            done = self._connections.request("EVAL", _PUT_NEW, 1, *row)
        else:
            done = self._connections.request("EVAL", _PUT_OVER, 1, *row, expect)
        if done is None:
            raise PreconditionFailed("the object is not at the expected version")
        return version

    def delete(self, key: str, *, expect: Version) -> None:
        """See `ObjectStore.delete`."""
        if self._connections.request("EVAL", _DELETE, 1, key, expect) is None:
            raise PreconditionFailed("the object is not at the expected version")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`. It looks at every key of the database."""
        pattern = re.sub(r"[*?\[\]\\]", r"\\\g<0>", prefix) + "*"
        found: dict[str, ObjectInfo] = {}  # a scan may come upon a key twice
        cursor = b"0"
        while True:
            cursor, keys = self._connections.request("SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE)
            for key, version, size, modified in self._connections.request("EVAL", _DESCRIBE, len(keys), *keys):
                name = key.decode()
                found[name] = ObjectInfo(name, Version(version.decode()), size, _moment(modified))
            if cursor == b"0":
                return iter([found[name] for name in sorted(found)])

    def evicts(self) -> bool:
        """Whether the server drops keys that nobody deleted when its memory is full."""
        return _EVICTS.search(self._connections.request("INFO", "memory")) is not None

    def close(self) -> None:
        """See `ObjectStore.close`."""
        self._connections.close()


def _moment(text: bytes) -> datetime:
    """The time that TIME gives as seconds and microseconds."""
    seconds, microseconds = text.split()
    return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(microseconds))
