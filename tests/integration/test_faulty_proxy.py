"""The proxy that other tests rely on to fail exactly as they say."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest

from metadatadb_core.testing.faulty_proxy import Answer, Drop, FaultyProxy, Hold, Truncate

Reply: TypeAlias = tuple[int, bytes]

WAIT_SECONDS = 30.0


class Upstream(ThreadingHTTPServer):
    """Remembers what it got, and answers with it."""

    daemon_threads = False
    applied: list[tuple[str, str, bytes]]


class Handler(BaseHTTPRequestHandler):
    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        assert isinstance(self.server, Upstream)
        self.server.applied.append((self.command, self.path, body))
        reply = b"%s %s %s" % (self.command.encode(), self.path.encode(), body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.send_header("X-Seen", self.headers.get("X-Sent", ""))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply)

    do_GET = do_HEAD = do_PUT = do_DELETE = serve

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream(("127.0.0.1", 0), Handler)
    server.applied = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[FaultyProxy]:
    with FaultyProxy(f"http://127.0.0.1:{upstream.server_port}") as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=WAIT_SECONDS)
    yield connection
    connection.close()


def ask(client: http.client.HTTPConnection, method: str = "GET", path: str = "/x", body: Any = None) -> Reply:
    client.request(method, path, body)
    with client.getresponse() as answer:
        return answer.status, answer.read()


def test_requests_are_passed_on_as_they_are(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    """Method, path, query, headers and body, over one connection that stays open."""
    for method in ("GET", "PUT", "DELETE"):
        client.request(method, "/a%20b?c=%2F", b"body", {"X-Sent": "yes"})
        with client.getresponse() as answer:
            assert (200, b"%s /a%%20b?c=%%2F body" % method.encode()) == (answer.status, answer.read())
            assert "yes" == answer.headers["X-Seen"]
    client.request("HEAD", "/x")
    with client.getresponse() as answer:
        assert (b"", "8") == (answer.read(), answer.headers["Content-Length"])

    assert ["GET", "PUT", "DELETE", "HEAD"] == [seen.method for seen in proxy.received]
    assert proxy.received == proxy.forwarded


def test_a_body_in_chunks_arrives_whole(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    """Clients that do not know a length send chunks."""
    assert (200, b"PUT /x onetwo") == ask(client, "PUT", body=iter([b"one", b"two"]))
    assert b"onetwo" == proxy.received[0].body


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("applied", [False, True])
def test_a_dropped_request_is_applied_or_not_as_asked(
    client: http.client.HTTPConnection, proxy: FaultyProxy, upstream: Upstream, applied: bool, reset: bool
) -> None:
    """The client sees the same in either case: that is the point."""
    proxy.inject(Drop(applied=applied, reset=reset))
    with pytest.raises(ConnectionResetError if reset else http.client.RemoteDisconnected):
        ask(client, "PUT", body=b"lost")

    assert ([("PUT", "/x", b"lost")] if applied else []) == upstream.applied


@pytest.mark.parametrize("applied", [False, True])
def test_an_answer_is_given_in_the_stores_place(
    client: http.client.HTTPConnection, proxy: FaultyProxy, upstream: Upstream, applied: bool
) -> None:
    """With the store's being discarded, or the store not asked at all."""
    proxy.inject(Answer(503, b"busy", applied=applied))

    assert (503, b"busy") == ask(client, "PUT")
    assert int(applied) == len(upstream.applied)
    assert (200, b"GET /x ") == ask(client)


@pytest.mark.parametrize(("at", "received"), [(0, b""), (3, b"GET"), (-1, b"GET /x")])
def test_a_truncated_answer_announces_more_than_it_has(
    client: http.client.HTTPConnection, proxy: FaultyProxy, at: int, received: bytes
) -> None:
    """So that whoever checks the length can tell."""
    proxy.inject(Truncate(at))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(client)

    assert (received, len(b"GET /x ") - len(received)) == (caught.value.partial, caught.value.expected)


@pytest.mark.parametrize("applied", [False, True])
def test_a_held_request_goes_on_when_released(
    client: http.client.HTTPConnection, proxy: FaultyProxy, upstream: Upstream, applied: bool
) -> None:
    """Before or after the store got it."""
    hold = Hold(applied=applied)
    proxy.inject(hold)
    client.request("PUT", "/x", b"late")
    hold.wait_until_held()
    before = len(upstream.applied)
    hold.release()
    with client.getresponse() as answer:
        assert (200, b"PUT /x late") == (answer.status, answer.read())
    assert (int(applied), 1) == (before, len(upstream.applied))


def test_a_held_put_lands_although_its_sender_is_gone(proxy: FaultyProxy, upstream: Upstream) -> None:
    """The put that a time-out gave up on, and that nobody expects any more."""
    hold = Hold(applied=False)
    proxy.inject(hold)
    client = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=WAIT_SECONDS)
    client.request("PUT", "/x", b"late")
    hold.wait_until_held()
    client.close()
    assert [] == upstream.applied
    hold.release()

    assert [("PUT", "/x", b"late")] == upstream.applied


def test_faults_wait_for_the_requests_that_they_are_for(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    """By method and by part of the path, as many times as asked, in the order in which they were injected."""
    proxy.inject(Answer(500), method="PUT", target="lock", times=2)
    proxy.inject(Answer(501), target="lock")
    seen = [ask(client, method, path)[0] for method, path in [("PUT", "/state"), ("GET", "/lock"), ("PUT", "/lock")]]
    seen += [ask(client, "PUT", "/lock")[0] for _ in range(2)]

    assert [200, 501, 500, 500, 200] == seen


def test_a_healed_proxy_passes_everything_on(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    """Whatever was still to come."""
    proxy.inject(Answer(500), times=1000)
    during = ask(client)[0]
    proxy.heal()

    assert (500, 200) == (during, ask(client)[0])


def test_a_closed_proxy_does_not_listen_and_lets_go_of_everything(upstream: Upstream) -> None:
    """Also of requests that are held, and of connections that wait for their next request."""
    with FaultyProxy(f"http://127.0.0.1:{upstream.server_port}") as proxy:
        hold = Hold(applied=False)
        proxy.inject(hold, target="held")
        idle, held = (http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=WAIT_SECONDS) for _ in range(2))
        ask(idle)
        held.request("GET", "/held")
        hold.wait_until_held()
    idle.close()
    held.close()
    with pytest.raises(ConnectionRefusedError):
        ask(idle)


def test_a_failure_of_the_proxy_itself_is_raised() -> None:
    """A store that is not there must not look like a fault that was injected."""
    with FaultyProxy("http://127.0.0.1:1") as closed:
        pass
    proxy = FaultyProxy(closed.url)
    client = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=WAIT_SECONDS)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(client)
    client.close()
    with pytest.raises(ExceptionGroup, match="the proxy failed") as caught:
        proxy.close()

    assert [ConnectionRefusedError] == [type(error.__cause__) for error in caught.value.exceptions]


@pytest.mark.parametrize(
    "half",
    [
        b"Content-Length: 10\r\n\r\n",
        b"Content-Length: 10\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
    ids=["no body", "half a body", "no chunk", "half a chunk"],
)
def test_a_request_whose_sender_dies_is_not_passed_on(proxy: FaultyProxy, upstream: Upstream, half: bytes) -> None:
    """A store would tell by its length or signature; what stands in for one may not."""
    url = urlsplit(proxy.url)
    with socket.create_connection((str(url.hostname), url.port or 0)) as connection:
        connection.sendall(b"PUT /half HTTP/1.1\r\nHost: proxy\r\n" + half)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(1000)

    assert (b"", []) == (answer, upstream.applied)
