"""An S3 server of one's own, for tests and demonstrations; needs ``pip install 'metadatadb-s3[testing]'``.

It is moto's, in a process of its own and over HTTP, so that what is tested is the real client. Moto checks the
conditions of a put or delete and then carries it out, with nothing between the two to keep others out; here
requests are served one at a time, so that conditions hold under a race as they do on S3.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

__all__ = ["moto_credentials", "moto_server"]

_STOP_SECONDS: Final = 10.0


@contextmanager
def moto_server() -> Iterator[str]:
    """Run a server, empty, on a free port of the loopback interface; its URL. It accepts any credentials."""
    with subprocess.Popen(
        [sys.executable, "-m", "metadatadb_s3.testing"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the S3 server did not start (exit status {process.wait(_STOP_SECONDS)})")
            yield url
        finally:
            process.stdin.close()  # which also happens when we are killed: no server outlives us
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def moto_credentials() -> Iterator[None]:
    """Give this process credentials that such a server accepts, and hide what else the machine has configured."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ours = {
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with patch.dict(os.environ, {**others, **ours}, clear=True):
        yield


def _serve(host: str) -> None:
    import logging

    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept, as those of S3 are
        disable_nagle_algorithm = True

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(host, 0, _one_at_a_time(create_backend_app("s3")), threaded=True, request_handler=Handler)
    threading.Thread(target=server.serve_forever).start()
    print(f"http://{host}:{server.port}", flush=True)  # noqa: T201 - the parent reads it
    sys.stdin.read()
    server.shutdown()


def _one_at_a_time(app: Callable[..., Any]) -> Callable[..., list[bytes]]:
    turn = threading.Lock()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        # A request that stays under way must not hold up the others, and one that never arrives whole is no request.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        in_chunks = environ.get("wsgi.input_terminated", False)
        body = environ["wsgi.input"].read(-1 if in_chunks else length)
        if len(body) < length:
            start_response("400 Bad Request", [("Content-Type", "application/xml")])
            return [b"<Error><Code>IncompleteBody</Code></Error>"]
        environ["wsgi.input"] = io.BytesIO(body)
        with turn:
            return list(app(environ, start_response))

    return serve


if __name__ == "__main__":
    # Another address is for tests whose hosts are network namespaces.
    _serve(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1")
