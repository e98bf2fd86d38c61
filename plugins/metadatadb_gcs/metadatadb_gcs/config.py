"""The configuration of the GCS backend."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from metadatadb_core.errors import ConfigError, ConfigProblem
from metadatadb_core.replication.config import ReplicationConfig

__all__ = ["GCSBackendConfig"]


class GCSBackendConfig(ReplicationConfig, kw_only=True):
    """A ``metadata "gcs" { bucket = "b" }`` block."""

    bucket: Annotated[str, Meta(description="The bucket that holds the namespaces; it must exist.", min_length=1)]
    project: Annotated[
        str | None,
        Meta(
            description="The project that is charged for requests, as a requester-pays bucket needs it. "
            "Null: the bucket's own."
        ),
    ] = None
    endpoint_url: Annotated[
        str | None,
        Meta(
            description="Where the store is, if not at Google's public address. To http:// no credentials are sent: "
            "it is for emulators."
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.endpoint_url is not None:
            _check_endpoint(self.endpoint_url)


def _check_endpoint(text: str) -> None:
    try:
        url = urlsplit(text)
        fits = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and "@" not in url.netloc
        fits = fits and not url.query and not url.fragment
    except ValueError:  # a port that is no number
        fits = False
    if not fits:
        # Not repeated: somebody may have put a password into it.
        raise ConfigError(
            [
                ConfigProblem(
                    "wrong value for 'endpoint-url'",
                    attribute="endpoint-url",
                    expected="a URL such as http://127.0.0.1:4443, with no user or password in it",
                )
            ]
        )
