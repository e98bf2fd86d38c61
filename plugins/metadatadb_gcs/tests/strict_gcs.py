"""A small GCS that keeps every condition, worded as the real one words it: run it, and it prints its URL.

It serves the part of the JSON API that the store uses, and refuses whatever else it is asked: an unknown parameter,
an upload that is no multipart upload, a body that does not have the hash it was sent with. It ends with its
standard input.
"""

from __future__ import annotations

import base64
import email
import gzip
import hashlib
import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

PAGE = 1000
MILLION = 1_000_000


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


CONDITION = "At least one of the pre-conditions you specified did not hold."


@dataclass(frozen=True)
class Stored:
    """One generation of an object."""

    body: bytes
    generation: int
    written: datetime
    resource: Mapping[str, Any]

    @property
    def md5(self) -> str:
        return base64.b64encode(hashlib.md5(self.body, usedforsecurity=False).digest()).decode()

    @property
    def encoding(self) -> str:
        return str(self.resource.get("contentEncoding", ""))

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "storage#object",
            **self.resource,
            "generation": str(self.generation),
            "size": str(len(self.body)),
            "updated": self.written.isoformat().replace("+00:00", "Z"),
            "md5Hash": self.md5,
        }


@dataclass
class Storage:
    """All buckets; each method is one step that nobody comes between."""

    buckets: dict[str, dict[str, Stored]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    last_generation: int = 0

    def bucket(self, name: str) -> dict[str, Stored]:
        if name not in self.buckets:
            raise Refusal(404, "notFound", "The specified bucket does not exist.")
        return self.buckets[name]

    def find(self, bucket: str, key: str, params: Mapping[str, str]) -> Stored:
        with self.lock:
            found = self.bucket(bucket).get(key)
        if found is None or params.get("generation", str(found.generation)) != str(found.generation):
            raise Refusal(404, "notFound", f"No such object: {bucket}/{key}")
        if params.get("ifGenerationNotMatch") == str(found.generation):
            raise Refusal(304, "notModified", "")
        return found

    def insert(self, bucket: str, resource: Mapping[str, Any], body: bytes, params: Mapping[str, str]) -> Stored:
        with self.lock:
            objects = self.bucket(bucket)
            there = objects.get(resource["name"])
            self.check(there, params)
            now = datetime.now(UTC)
            self.last_generation = max(self.last_generation + 1, int(now.timestamp() * MILLION))
            stored = Stored(body, self.last_generation, now, resource)
            if resource.get("md5Hash", stored.md5) != stored.md5:
                raise Refusal(400, "invalid", "Provided MD5 hash doesn't match calculated MD5 hash.")
            objects[resource["name"]] = stored
            return stored

    def delete(self, bucket: str, key: str, params: Mapping[str, str]) -> None:
        with self.lock:
            objects = self.bucket(bucket)
            if key not in objects:
                raise Refusal(404, "notFound", f"No such object: {bucket}/{key}")
            self.check(objects[key], params)
            del objects[key]

    @staticmethod
    def check(there: Stored | None, params: Mapping[str, str]) -> None:
        expected = params.get("ifGenerationMatch")
        if expected is not None and expected != ("0" if there is None else str(there.generation)):
            raise Refusal(412, "conditionNotMet", CONDITION)

    def page(self, bucket: str, params: Mapping[str, str]) -> dict[str, Any]:
        limit = int(params.get("maxResults", PAGE))
        with self.lock:
            names = sorted(name for name in self.bucket(bucket) if name.startswith(params.get("prefix", "")))
            left = [name for name in names if name > params.get("pageToken", "")]
            items = [self.buckets[bucket][name].to_json() for name in left[:limit]]
        page: dict[str, Any] = {"kind": "storage#objects", **({"items": items} if items else {})}
        return {**page, "nextPageToken": left[limit - 1]} if len(left) > limit else page


STORAGE = Storage()


class Handler(BaseHTTPRequestHandler):
    """Routes, and the wording of answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = urlsplit(self.path)
        params = dict(parse_qsl(url.query, keep_blank_values=True))
        try:
            self.route(url.path, params, body)
        except Refusal as refusal:
            self.refuse(refusal, as_text=params.get("alt") == "media")

    do_DELETE = do_GET = do_POST = serve

    def route(self, path: str, params: dict[str, str], body: bytes) -> None:
        service, _, rest = path.partition("/storage/v1/b")
        parts = [unquote(part) for part in rest.removeprefix("/").split("/")]
        match self.command, service, parts:
            case "POST", "", [""]:
                STORAGE.buckets[json.loads(body)["name"]] = {}
                self.send_json({})
            case "GET", "/download", [bucket, "o", key]:
                self.accept(params, {"alt", "generation"})
                self.send_media(STORAGE.find(bucket, key, params))
            case "GET", "", [bucket, "o", key]:
                self.accept(params, {"ifGenerationNotMatch", "fields"})
                self.send_json(STORAGE.find(bucket, key, params).to_json())
            case "GET", "", [bucket, "o"]:
                self.accept(params, {"prefix", "fields", "pageToken", "maxResults"})
                self.send_json(STORAGE.page(bucket, params))
            case "POST", "/upload", [bucket, "o"]:
                self.accept(params, {"uploadType", "ifGenerationMatch"})
                resource, media = self.parts_of(body)
                self.send_json(STORAGE.insert(bucket, resource, media, params).to_json())
            case "DELETE", "", [bucket, "o", key]:
                self.accept(params, {"ifGenerationMatch"})
                STORAGE.delete(bucket, key, params)
                self.send(204, b"", {})
            case _:
                raise Refusal(404, "notFound", "Not Found")

    def accept(self, params: dict[str, str], known: set[str]) -> None:
        unknown = set(params) - known - {"userProject"}
        if unknown:
            raise Refusal(400, "invalidParameter", f"Unknown parameters: {sorted(unknown)}")
        if params.get("userProject", "payer") != "payer":
            raise Refusal(400, "invalid", "User project specified in the request is invalid.")

    def parts_of(self, body: bytes) -> tuple[dict[str, Any], bytes]:
        kind = self.headers["content-type"]
        if not kind.startswith("multipart/related"):
            raise Refusal(400, "badContent", f"Unsupported content with type: {kind}")
        message = email.message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n")
        boundary = f"--{message.get_boundary()}".encode()
        # The parts by hand: the parser of `email` changes the ends of lines in what is not text.
        _, resource, media, end = body.split(boundary)
        if end.strip() != b"--":
            raise Refusal(400, "uploadBrokenConnection", "The request is incomplete.")
        contents = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in (resource, media)]
        return json.loads(contents[0]), contents[1]

    def send_media(self, found: Stored) -> None:
        headers = {
            "Content-Type": str(found.resource.get("contentType", "application/octet-stream")),
            "Cache-Control": str(found.resource.get("cacheControl", "public, max-age=3600")),
            "ETag": f'"{found.generation}"',
            "Last-Modified": format_datetime(found.written, usegmt=True),
            "X-Goog-Generation": str(found.generation),
            "X-Goog-Hash": f"md5={found.md5}",
            "X-Goog-Stored-Content-Encoding": found.encoding or "identity",
            "X-Goog-Stored-Content-Length": str(len(found.body)),
        }  # and no X-Goog-Meta-*: those are of the XML API
        if not found.encoding:
            self.send(200, found.body, headers)
        elif "gzip" in self.headers.get("accept-encoding", ""):
            self.send(200, found.body, {**headers, "Content-Encoding": found.encoding})
        else:
            self.send(200, gzip.decompress(found.body), {**headers, "Warning": "214 UploadServer gunzipped"})

    def send_json(self, value: object) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json; charset=UTF-8"})

    def refuse(self, refusal: Refusal, *, as_text: bool) -> None:
        if refusal.status == 304:
            self.send(304, b"", {})
        elif as_text:
            self.send(refusal.status, refusal.message.encode(), {"Content-Type": "text/html; charset=UTF-8"})
        else:
            cause = {"message": refusal.message, "domain": "global", "reason": refusal.reason}
            error = {"code": refusal.status, "message": refusal.message, "errors": [cause]}
            body = json.dumps({"error": error}).encode()
            self.send(refusal.status, body, {"Content-Type": "application/json; charset=UTF-8"})

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Takes as many connections at once as a race opens."""

    request_queue_size = 128


def main() -> None:
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201 - whoever runs it reads it
    sys.stdin.read()


if __name__ == "__main__":
    main()
