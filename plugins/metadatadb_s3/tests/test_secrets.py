"""Credentials stay where they are, whatever fails: in the environment, or in an endpoint that holds some."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import boto3.session
import pytest

from metadatadb_core import ConfigError, MetadataDBError, Registry, connect
from metadatadb_s3 import S3Backend, S3BackendConfig
from metadatadb_s3.client import check_client, client_config

CANARY = "c4n4ry-hunter2"
NOBODY = "http://127.0.0.1:9"
"""Nothing listens on the discard port."""


def shown(error: BaseException) -> str:
    """An error in all the forms in which programs show one, with those that it carries."""
    carried = [cause for cause in vars(error).values() if isinstance(cause, BaseException)]
    values = map(repr, vars(error).values())
    return "\n".join([str(error), repr(error), *values, *traceback.format_exception(error), *map(shown, carried)])


@pytest.mark.parametrize(
    "endpoint",
    [
        f"http://user:{CANARY}@127.0.0.1:9",
        f"http://user:{CANARY}@[nothing",
        f"not a url with user:{CANARY}@127.0.0.1",
        f"http://127.0.0.1:9/?token={CANARY}",
        f"http://127.0.0.1:9/#{CANARY}",
    ],
)
def test_an_endpoint_with_credentials_is_refused_without_repeating_it(endpoint: str) -> None:
    """The SDK would repeat it in every error, and the engine in every log."""
    with pytest.raises(ConfigError, match="no user, password or query") as caught:
        S3BackendConfig(bucket="b", endpoint_url=endpoint)

    assert CANARY not in shown(caught.value)


@pytest.mark.parametrize("endpoint", [f"http://user:{CANARY}@127.0.0.1:9", f"http://user:{CANARY}@bad host:9/"])
def test_so_is_one_of_the_aws_configuration(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Which boto3 reads by itself."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    with caplog.at_level(logging.DEBUG, "metadatadb"), pytest.raises(MetadataDBError, match="endpoint") as caught:
        S3Backend(S3BackendConfig(bucket="b"))

    assert CANARY not in shown(caught.value)
    assert CANARY not in caplog.text


def test_so_is_one_of_a_client_that_a_program_provides() -> None:
    """It is set up well otherwise."""
    config = S3BackendConfig(bucket="b")
    client: Any = boto3.session.Session().client(
        "s3", endpoint_url=f"http://user:{CANARY}@127.0.0.1:9", config=client_config(config)
    )
    with pytest.raises(ConfigError, match="user or password in its endpoint") as caught:
        check_client(client, config)
    client.close()

    assert CANARY not in shown(caught.value)


def test_a_store_out_of_reach_gives_no_credentials_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the keys of the environment nor the password of its proxy: in errors, logs, status or reprs."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", CANARY)
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{CANARY}@127.0.0.1:9")
    url = f"s3://b?endpoint-url={NOBODY.replace('127.0.0.1', 'store.invalid')}&sync-interval=1h&lock-ttl=1s"
    with caplog.at_level(logging.DEBUG, "metadatadb"), connect(url, registry=Registry()) as store:
        jobs = store.namespace("jobs")
        with pytest.raises(MetadataDBError) as caught:
            jobs.flush(timeout=0.5)
        everything = "\n".join([shown(caught.value), repr(store), repr(jobs.status()), caplog.text])

    assert "127.0.0.1:9" in everything
    assert CANARY not in everything
