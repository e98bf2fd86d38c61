"""A proxy that fails as networks and load balancers do, in front of a real store that speaks HTTP.

::

    with FaultyProxy("http://127.0.0.1:5000") as proxy:
        proxy.inject(Drop(applied=True), method="PUT")     # the next put is applied, its answer is lost
        client = connect_to(proxy.url)

Requests that no fault is waiting for are passed on as they are.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, assert_never, final
from urllib.parse import urlsplit

from metadatadb_core.testing.http_faults import Answer, Drop, Fault, Hold, SeenRequest, Truncate

__all__ = ["Answer", "Drop", "Fault", "FaultyProxy", "Hold", "SeenRequest", "Truncate"]

_UPSTREAM_SECONDS: Final = 60.0

_HOP_BY_HOP: Final = frozenset(
    {"connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization"}
    | {"te", "trailer", "transfer-encoding", "upgrade"}
)


@dataclass(slots=True)
class _Injected:
    fault: Fault
    method: str | None
    target: str
    times: int

    def is_for(self, request: SeenRequest) -> bool:
        return self.method in (None, request.method) and self.target in request.target


@final
class FaultyProxy:
    """Listens on a free port of the loopback interface while the ``with`` block lasts.

    Args:
        upstream: the URL of the store: scheme http, host and port.

    Attributes:
        url: where to send requests instead.
        received: every request, in the order of arrival.
        forwarded: those that the store got.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        assert parts.scheme == "http", "the proxy speaks plain HTTP only"
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._lock = threading.Lock()
        self._faults: list[_Injected] = []
        self._holds: list[Hold] = []
        self._errors: list[BaseException] = []
        self.received: list[SeenRequest] = []
        self.forwarded: list[SeenRequest] = []
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def inject(self, fault: Fault, *, method: str | None = None, target: str = "", times: int = 1) -> None:
        """Do `fault` to the next requests that match; faults are used up in the order in which they came.

        Args:
            fault: what to do.
            method: only to requests of that method; None is any.
            target: only to requests whose path and query contain it.
            times: to how many.
        """
        if isinstance(fault, Hold):
            assert times == 1, "a Hold is for one request"
            self._holds.append(fault)
        with self._lock:
            self._faults.append(_Injected(fault, method, target, times))

    def heal(self) -> None:
        """Forget the faults that are not used up; what is held is let go."""
        with self._lock:
            self._faults.clear()
        for hold in self._holds:
            hold.let_go()

    def close(self) -> None:
        """Cut every connection and stop.

        Raises:
            ExceptionGroup: the proxy itself failed on the way.
        """
        self.heal()
        self._server.shutdown()
        self._thread.join()
        self._server.cut_connections()
        self._server.server_close()  # waits for the threads
        if self._errors:
            raise BaseExceptionGroup("the proxy failed", self._errors)

    def __enter__(self) -> FaultyProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _take_fault(self, request: SeenRequest) -> Fault | None:
        with self._lock:
            self.received.append(request)
            for injected in self._faults:
                if injected.is_for(request):
                    injected.times -= 1
                    if not injected.times:
                        self._faults.remove(injected)
                    return injected.fault
        return None

    def _forward(self, request: SeenRequest) -> Answer:
        with self._lock:
            self.forwarded.append(request)
        connection = http.client.HTTPConnection(*self._upstream, timeout=_UPSTREAM_SECONDS)
        try:
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name not in _HOP_BY_HOP and name != "content-length":
                    connection.putheader(name, value)
            if request.body or request.method in ("PUT", "POST", "PATCH"):
                connection.putheader("content-length", str(len(request.body)))
            connection.endheaders(request.body or None)
            answer = connection.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
            return Answer(answer.status, answer.read(), headers)
        except OSError as error:
            raise RuntimeError(f"the store behind the proxy failed: {error}") from error
        finally:
            connection.close()


@final
class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them

    def __init__(self, proxy: FaultyProxy) -> None:
        self.proxy = proxy
        self._connections: set[socket.socket] = set()
        self.to_reset: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
            reset = request in self.to_reset
            self.to_reset.discard(request)
        if reset:  # no orderly end before the close, which sends the reset
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def cut_connections(self) -> None:
        """Wake the threads that wait for the next request of a connection."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):  # where the other side was faster
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, (ConnectionError, TimeoutError)):
            self.proxy._errors.append(error)


@final
class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def proxied(self) -> _Server:
        """The server that accepted this connection."""
        assert isinstance(self.server, _Server)
        return self.server

    def serve(self) -> None:
        request = SeenRequest(
            self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, self._read_body()
        )
        proxy = self.proxied.proxy
        fault = proxy._take_fault(request)
        match fault:
            case None:
                self._send(proxy._forward(request))
            case Drop():
                if fault.applied:
                    proxy._forward(request)
                self._cut(reset=fault.reset)
            case Answer():
                if fault.applied:
                    proxy._forward(request)
                self._send(fault)
            case Truncate():
                answer = proxy._forward(request)
                self._send(answer, answer.body[: fault.at])
                self._cut()
            case Hold():
                self._send(self._hold(fault, request))
            case _:
                assert_never(fault)

    do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = serve

    def _hold(self, hold: Hold, request: SeenRequest) -> Answer:
        with hold.holding() as wait:
            if hold.applied:
                answer = self.proxied.proxy._forward(request)
                wait()
                return answer
            wait()
            return self.proxied.proxy._forward(request)

    def _read_body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self._read_exactly(int(self.headers.get("content-length", 0)))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0] or b"-1", 16):
            chunks.append(self._read_exactly(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(chunks)

    def _read_exactly(self, size: int) -> bytes:
        content = self.rfile.read(size)
        if len(content) < size or size < 0:
            # Killed, perhaps. A store would tell by the length or the signature; it is not to get what there is.
            raise ConnectionAbortedError("the sender ended amid its request")
        return content

    def _send(self, answer: Answer, body: bytes | None = None) -> None:
        """Send `answer`; of its body only `body`, if given, while the length announced stays that of the whole."""
        self.send_response_only(answer.status)
        names = {name.lower() for name in answer.headers}
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-length" not in names and answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body if body is None else body)

    def _cut(self, *, reset: bool = False) -> None:
        self.close_connection = True
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.proxied.to_reset.add(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        pass
