"""A bucket as an object store: five calls of the SDK, each write under a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, final

from metadatadb_core.replication.object_store import Absent, ObjectInfo, StoredObject, Version, check_size
from metadatadb_core.replication.outcomes import OutcomeUnknown
from metadatadb_s3.client import S3Client
from metadatadb_s3.faults import FAILURES, RequestKind, is_missing_key, outcome_of

__all__ = ["S3ObjectStore"]


@final
class S3ObjectStore:
    """The objects of one bucket. A version is an ETag, as S3 writes it.

    Args:
        client: an S3 client that repeats nothing by itself.
        bucket: the bucket's name.
        close: called once, when the store is closed.
    """

    def __init__(self, client: S3Client, bucket: str, *, close: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._bucket = bucket
        self._close: Callable[[], None] | None = close

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        """See `ObjectStore.get`."""
        condition = {} if unless is None else {"IfNoneMatch": unless}
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **condition)
        except FAILURES as error:
            if is_missing_key(error):
                return None
            raise outcome_of(error, RequestKind.READ) from error
        return StoredObject(
            body=_body(key, answer),
            version=_version(answer),
            metadata=answer.get("Metadata", {}),
            modified=answer.get("LastModified"),
            server_date=_date(answer),
        )

    def put(
        self,
        key: str,
        body: bytes,
        *,
        expect: Version | Absent,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] = {},
    ) -> Version:
        """See `ObjectStore.put`. Metadata named Expires-At is sent as the header Expires too."""
        request: dict[str, Any] = {"IfNoneMatch": "*"} if isinstance(expect, Absent) else {"IfMatch": expect}
        expires = _expiry(metadata)
        if expires is not None:
            request["Expires"] = expires
        try:
            # Never one of the upload methods: they turn a large body into parts, and repeat them.
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                Metadata=dict(metadata),
                **request,
            )
        except FAILURES as error:
            kind = RequestKind.PUT_NEW if isinstance(expect, Absent) else RequestKind.PUT_OVER
            raise outcome_of(error, kind) from error
        return _version(answer)

    def delete(self, key: str, *, expect: Version) -> None:
        """See `ObjectStore.delete`."""
        try:
            self._client.delete_object(Bucket=self._bucket, Key=key, IfMatch=expect)
        except FAILURES as error:
            raise outcome_of(error, RequestKind.DELETE) from error

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`."""
        page: dict[str, str] = {}
        while True:
            try:
                answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **page)
            except FAILURES as error:
                raise outcome_of(error, RequestKind.READ) from error
            for entry in answer.get("Contents", ()):
                yield ObjectInfo(entry["Key"], Version(entry["ETag"]), entry["Size"], entry.get("LastModified"))
            if not answer.get("IsTruncated"):
                return
            page = {"ContinuationToken": answer["NextContinuationToken"]}

    def close(self) -> None:
        """See `ObjectStore.close`."""
        close, self._close = self._close, None
        if close is not None:
            close()


def _body(key: str, answer: Mapping[str, Any]) -> bytes:
    with closing(answer["Body"]) as stream:
        check_size(key, answer.get("ContentLength", 0))
        try:
            body: bytes = stream.read()  # raises when it ends before the Content-Length that was announced
        except Exception as error:  # not all that the layers below raise here is wrapped by the SDK
            raise OutcomeUnknown(f"GetObject was cut off: {type(error).__name__}: {error}") from error
    return body


def _version(answer: Mapping[str, Any]) -> Version:
    if not answer.get("ETag"):
        raise OutcomeUnknown("the store answered without an ETag")
    return Version(answer["ETag"])


def _date(answer: Mapping[str, Any]) -> datetime | None:
    try:
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, ValueError):
        return None


def _expiry(metadata: Mapping[str, str]) -> datetime | None:
    for name, value in metadata.items():
        if name.lower() == "expires-at":
            try:
                return datetime.fromisoformat(value).astimezone(UTC)
            except ValueError:
                return None
    return None
