"""The S3 server that tests run on is as patient with a slow sender, and as strict with a cut-off one, as S3."""

from __future__ import annotations

import http.client
import socket
from typing import Any
from urllib.parse import urlsplit


def test_half_a_put_holds_nobody_up_and_stores_nothing(s3_server: str, bucket: str, s3_client: Any) -> None:
    """Others are served while a sender is silent in the middle of its body; when it hangs up, it has put nothing."""
    address = urlsplit(s3_server)
    assert address.hostname is not None
    assert address.port is not None
    with socket.create_connection((address.hostname, address.port), timeout=10) as sender:
        sender.sendall(
            f"PUT /{bucket}/half HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 10\r\n\r\n12345".encode()
        )
        s3_client.put_object(Bucket=bucket, Key="whole", Body=b"1234567890")
        sender.shutdown(socket.SHUT_WR)
        answer = sender.recv(4096)
    listed = s3_client.list_objects_v2(Bucket=bucket)["Contents"]

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert ["whole"] == [found["Key"] for found in listed]


def test_a_body_that_comes_in_chunks_is_stored_whole(s3_server: str, bucket: str, s3_client: Any) -> None:
    """As clients send what they do not know the length of."""
    address = urlsplit(s3_server)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    connection.request("PUT", f"/{bucket}/chunks", iter([b"12345", b"67890"]), encode_chunked=True)
    connection.getresponse().read()
    connection.close()

    assert b"1234567890" == s3_client.get_object(Bucket=bucket, Key="chunks")["Body"].read()
