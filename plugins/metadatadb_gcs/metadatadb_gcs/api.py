"""The requests of the JSON API that are used, and the answers to them.

Each is sent once: nothing here, and nothing below, sends it again after a lost answer. Only one that is answered
401, and so was not carried out, is sent again by the client's session, with a new token.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.parse import quote

import msgspec

__all__ = ["Answer", "BucketAPI"]

_HEADERS: Final = {"User-Agent": "metadatadb-gcs"}

_NO_OBJECT: Final = "0"
"""The generation that stands for there being no object."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, whole.

    Attributes:
        status: the HTTP status.
        headers: the headers; names compare without regard to case.
        body: the body, uncompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@final
class BucketAPI:
    """The requests that concern one bucket.

    They raise what `requests` and `google.auth` raise, also where an answer ends too early.

    Args:
        session: sends requests with credentials: a `requests.Session`.
        endpoint: where to, without a slash at its end.
        bucket: the bucket's name.
        project: the project that is charged, or None.
        timeout: seconds to connect, and to wait for each part of the answer.
    """

    def __init__(
        self, session: Any, endpoint: str, bucket: str, *, project: str | None, timeout: tuple[float, float]
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._objects = f"/storage/v1/b/{quote(bucket, safe='')}/o"
        self._common = {} if project is None else {"userProject": project}
        self._timeout = timeout

    def resource(self, key: str, *, unless: str | None) -> Answer:
        """What the store knows of an object besides its body, unless it is at that generation."""
        condition = {} if unless is None else {"ifGenerationNotMatch": unless}
        return self._send("GET", self._object(key), {"fields": "generation,size,metadata,updated", **condition})

    def media(self, key: str, *, generation: str) -> Answer:
        """The body of that generation of an object."""
        return self._send("GET", f"/download{self._object(key)}", {"alt": "media", "generation": generation})

    def insert(self, body: bytes, *, resource: Mapping[str, Any], generation: str | None) -> Answer:
        """Put an object in the place of that generation, or, with None, where there is none.

        It is one request, however large: one that comes in parts is put together by further requests, whose answers
        can be lost each.
        """
        boundary = secrets.token_hex(16)
        parts = (
            f"--{boundary}\r\ncontent-type: application/json\r\n\r\n".encode(),
            msgspec.json.encode(resource),
            f"\r\n--{boundary}\r\ncontent-type: application/octet-stream\r\n\r\n".encode(),
            body,
            f"\r\n--{boundary}--\r\n".encode(),
        )
        return self._send(
            "POST",
            f"/upload{self._objects}",
            {"uploadType": "multipart", "ifGenerationMatch": _NO_OBJECT if generation is None else generation},
            b"".join(parts),
            {"Content-Type": f"multipart/related; boundary={boundary}"},
        )

    def delete(self, key: str, *, generation: str) -> Answer:
        """Remove that generation of an object, if it is the current one."""
        return self._send("DELETE", self._object(key), {"ifGenerationMatch": generation})

    def page(self, prefix: str, *, token: str | None = None, limit: int | None = None) -> Answer:
        """Objects whose key begins with `prefix`: the first ones, or those that follow the page with that token."""
        params = {"prefix": prefix, "fields": "kind,nextPageToken,items(name,generation,size,updated)"}
        if token is not None:
            params["pageToken"] = token
        if limit is not None:
            params["maxResults"] = str(limit)
        return self._send("GET", self._objects, params)

    def _object(self, key: str) -> str:
        return f"{self._objects}/{quote(key, safe='')}"

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
    ) -> Answer:
        response = self._session.request(
            method,
            f"{self._endpoint}{path}",
            params={**params, **self._common},
            data=body,
            headers={**_HEADERS, **headers},
            timeout=self._timeout,
            allow_redirects=False,
        )
        return Answer(response.status_code, response.headers, response.content)
