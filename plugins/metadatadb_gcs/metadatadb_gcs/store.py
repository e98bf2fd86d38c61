"""A bucket as an object store: each write is one request under a condition."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import ClassVar, Final, TypeVar, final

import msgspec

from metadatadb_core.replication.object_store import Absent, ObjectInfo, StoredObject, Version, check_size
from metadatadb_core.replication.outcomes import (
    NotModified,
    OutcomeUnknown,
    PreconditionFailed,
    Rejected,
    Unavailable,
)
from metadatadb_gcs.api import Answer, BucketAPI
from metadatadb_gcs.ceiling import CeilingWatch
from metadatadb_gcs.client import GCSClient, session_of
from metadatadb_gcs.config import GCSBackendConfig
from metadatadb_gcs.faults import (
    FAILURES,
    RequestKind,
    is_missing_bucket,
    is_missing_object,
    is_success,
    outcome_of,
    outcome_of_error,
)

__all__ = ["GCSObjectStore", "open_store", "time_limits"]

T = TypeVar("T")

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10.0

_ATTEMPTS: Final = 4
"""How often to read an object that is replaced between the two requests it takes."""


def open_store(
    client: GCSClient, config: GCSBackendConfig, *, name: str, close: Callable[[], None] = lambda: None
) -> GCSObjectStore:
    """The bucket of `config`.

    Args:
        client: whose connections and credentials are used.
        config: which bucket, and how.
        name: what warnings call it.
        close: called once, when the store is closed.
    """
    api = BucketAPI(
        session_of(client),
        client.api_endpoint.rstrip("/"),
        config.bucket,
        project=config.project,
        timeout=time_limits(config.lock_ttl.seconds),
    )
    watch = CeilingWatch(name, config.prefix, config.sync_interval.seconds)
    return GCSObjectStore(api, config.bucket, written=watch.note, close=close)


def time_limits(lock_ttl: float) -> tuple[float, float]:
    """Seconds to connect, and to wait for an answer: a request ends within half the TTL of its lock."""
    limit = lock_ttl / 2
    connect = min(_CONNECT_SECONDS, limit / 3)
    return connect, min(_ANSWER_SECONDS, limit - connect)


@final
class GCSObjectStore:
    """The objects of one bucket. A version is a generation, in decimal.

    Args:
        api: the requests, each sent once.
        bucket: the bucket's name.
        written: called with the key and the body of each put that was carried out.
        close: called once, when the store is closed.
    """

    def __init__(
        self,
        api: BucketAPI,
        bucket: str,
        *,
        written: Callable[[str, bytes], object] = lambda key, body: None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._bucket = bucket
        self._written = written
        self._close: Callable[[], None] | None = close

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        """See `ObjectStore.get`.

        User metadata does not come with a body, nor does a size that can be trusted before it is read: both are
        asked for first. The body is that of the generation they belong to, and if that is gone by then, everything
        is asked for again.
        """
        for _ in range(_ATTEMPTS):
            known = self._ask(RequestKind.GET, key, partial(self._api.resource, key, unless=unless))
            if known is None:
                return None
            resource = _decoded(known, _Resource)
            version = _generation(resource.generation)
            if version == unless:  # an emulator that does not know the condition
                raise NotModified("the object has not changed")
            check_size(key, resource.size)
            media = self._ask(RequestKind.GET, key, partial(self._api.media, key, generation=version))
            if media is not None:
                return StoredObject(_intact(media), version, resource.metadata, resource.updated, _date(known))
        raise Unavailable(f"{key} was replaced {_ATTEMPTS} times while it was read")

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
        resource = {
            "name": key,
            "contentType": content_type,
            "metadata": metadata,
            "md5Hash": _md5(body),
            # Where everybody may read a bucket, its objects would be served from caches for an hour.
            "cacheControl": "no-store",
        }
        generation = None if isinstance(expect, Absent) else expect
        answer = self._ask(
            RequestKind.PUT, key, partial(self._api.insert, body, resource=resource, generation=generation)
        )
        if answer is None:
            reason = f"there is no object {key}"
            failure = Rejected(reason) if isinstance(expect, Absent) else PreconditionFailed(reason)
            raise failure
        version = _generation(_decoded(answer, _Resource).generation)
        self._written(key, body)
        return version

    def delete(self, key: str, *, expect: Version) -> None:
        """See `ObjectStore.delete`."""
        if self._ask(RequestKind.DELETE, key, partial(self._api.delete, key, generation=expect)) is None:
            raise PreconditionFailed(f"there is no object {key}")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`."""
        token: str | None = None
        while True:
            answer = self._send(partial(self._api.page, prefix, token=token))
            if not is_success(answer):
                raise outcome_of(answer, RequestKind.LIST)
            page = _decoded(answer, _Page)
            for item in page.items:
                yield ObjectInfo(item.name, _generation(item.generation), item.size, item.updated)
            token = page.next_page_token
            if not token:
                return

    def close(self) -> None:
        """See `ObjectStore.close`."""
        close, self._close = self._close, None
        if close is not None:
            close()

    def _ask(self, kind: RequestKind, key: str, request: Callable[[], Answer]) -> Answer | None:
        """The answer to a request that was carried out, or None if there is no object at `key`."""
        answer = self._send(request)
        if is_success(answer):
            return answer
        if answer.status == HTTPStatus.NOT_FOUND and self._is_missing(answer, key):
            return None
        raise outcome_of(answer, kind)

    def _is_missing(self, answer: Answer, key: str) -> bool:
        """Whether a 404 speaks of the object, and not of the bucket or of a wrong address."""
        if is_missing_object(answer, self._bucket, key):
            return True
        if is_missing_bucket(answer):
            return False
        # An emulator, or new words. What lists the bucket's objects is a store that has the bucket.
        page = self._send(partial(self._api.page, key, limit=1))
        if not is_success(page):
            raise outcome_of(page, RequestKind.LIST)
        return _decoded(page, _Page).kind == _Page.KIND

    def _send(self, request: Callable[[], Answer]) -> Answer:
        try:
            return request()
        except FAILURES as error:
            raise outcome_of_error(error) from error


class _Resource(msgspec.Struct):
    generation: str = ""
    size: int = 0
    metadata: dict[str, str] = {}
    updated: datetime | None = None


class _Item(msgspec.Struct):
    name: str
    generation: str
    size: int
    updated: datetime | None = None


class _Page(msgspec.Struct, rename="camel"):
    KIND: ClassVar = "storage#objects"

    kind: str = ""
    items: list[_Item] = []
    next_page_token: str = ""


def _decoded(answer: Answer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind, strict=False)  # numbers are strings there
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OutcomeUnknown(f"the answer is not one of GCS: {error}", status=answer.status) from error


def _generation(text: str | None) -> Version:
    if not text or not text.isdigit():
        raise OutcomeUnknown("the store answered without a generation")
    return Version(text)


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _intact(answer: Answer) -> bytes:
    """The body, if it is the one that was stored; what was put together from parts has no hash to tell by."""
    stored_as_sent = answer.headers.get("x-goog-stored-content-encoding", "identity") == "identity"
    announced = re.search(r"md5=([\w+/=]+)", answer.headers.get("x-goog-hash", ""))
    if stored_as_sent and announced is not None and announced[1] != _md5(answer.body):
        raise OutcomeUnknown("the body was damaged on its way: it does not have the hash it was sent with")
    return answer.body


def _date(answer: Answer) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return None
