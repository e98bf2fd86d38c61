"""The storage behind stores in memory: objects by key, and conditions that hold."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias, final

from metadatadb_core.replication.object_store import Absent, ObjectInfo, StoredObject, Version
from metadatadb_core.replication.outcomes import NotModified, PreconditionFailed

__all__ = ["Bucket", "Condition", "etag", "random_version"]

Condition: TypeAlias = Literal["put-absent", "put-match", "delete"]
"""A condition that a store may fail to enforce."""


def random_version(body: bytes) -> Version:
    """A version that no put ever had before."""
    return Version(secrets.token_hex(16))


def etag(body: bytes) -> Version:
    """A version as S3 makes it: equal bodies have equal ones."""
    return Version(f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')


@final
class Bucket:
    """The storage that several `MemoryObjectStore` share: an `ObjectStore` that never fails.

    Tests look at it, and change it behind everybody's back, through `objects` and `write`.

    Args:
        clock: the store's clock.
        versions: makes the version of a put from its body.
        ignores: the conditions that this store accepts and does not look at.

    Attributes:
        objects: what is stored, by key.
        content_types: the content type of each, by key.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        versions: Callable[[bytes], Version] = random_version,
        ignores: Collection[Condition] = (),
    ) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.content_types: dict[str, str] = {}
        self._clock = clock
        self._versions = versions
        self._ignores = frozenset(ignores)
        self._lock = threading.Lock()

    def write(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> Version:
        """Put `body` at `key`, whatever is there."""
        with self._lock:
            return self._write(key, body, content_type, metadata or {})

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        """See `ObjectStore.get`."""
        with self._lock:
            found = self.objects.get(key)
            if found is None:
                return None
            if found.version == unless:
                raise NotModified("the object has not changed", status=304)
            return replace(found, metadata=dict(found.metadata), server_date=self._clock())

    def put(
        self,
        key: str,
        body: bytes,
        *,
        expect: Version | Absent,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> Version:
        """See `ObjectStore.put`."""
        with self._lock:
            found = self.objects.get(key)
            if isinstance(expect, Absent):
                holds = found is None or "put-absent" in self._ignores
            else:
                holds = (found is not None and found.version == expect) or "put-match" in self._ignores
            if not holds:
                raise PreconditionFailed("the object is not at the expected version", status=412)
            return self._write(key, body, content_type, metadata or {})

    def delete(self, key: str, *, expect: Version) -> None:
        """See `ObjectStore.delete`."""
        with self._lock:
            found = self.objects.get(key)
            if (found is None or found.version != expect) and "delete" not in self._ignores:
                raise PreconditionFailed("the object is not at the expected version", status=412)
            self.objects.pop(key, None)
            self.content_types.pop(key, None)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`."""
        with self._lock:
            rows = [
                ObjectInfo(key, found.version, len(found.body), found.modified)
                for key, found in sorted(self.objects.items())
                if key.startswith(prefix)
            ]
        return iter(rows)

    def close(self) -> None:
        """Do nothing: the storage outlives its clients."""

    def _write(self, key: str, body: bytes, content_type: str, metadata: Mapping[str, str]) -> Version:
        version = self._versions(body)
        # Names in lower case, as HTTP stores return them: whoever compares them exactly is found out.
        names = {name.lower(): value for name, value in metadata.items()}
        self.objects[key] = StoredObject(bytes(body), version, names, self._clock())
        self.content_types[key] = content_type
        return version
