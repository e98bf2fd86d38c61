"""The configuration of the S3 backend."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from metadatadb_core.errors import ConfigError, ConfigProblem
from metadatadb_core.replication.config import ReplicationConfig

__all__ = ["S3BackendConfig"]


class S3BackendConfig(ReplicationConfig, kw_only=True):
    """A ``metadata "s3" { bucket = "b" }`` block."""

    bucket: Annotated[str, Meta(description="The bucket that holds the namespaces; it must exist.", min_length=1)]
    endpoint_url: Annotated[
        str | None,
        Meta(description="Where a store that is not AWS is: http://minio.internal:9000. Null: the AWS configuration."),
    ] = None
    region: Annotated[
        str | None, Meta(description="The region of the bucket. Null: the AWS configuration of this machine.")
    ] = None
    profile: Annotated[
        str | None, Meta(description="The profile of the AWS configuration to use. Null: the one in force.")
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.endpoint_url is not None:
            _check_endpoint(self.endpoint_url)


def _check_endpoint(text: str) -> None:
    try:
        url = urlsplit(text)
        fits = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        fits = fits and not ("@" in url.netloc or url.query or url.fragment)
    except ValueError:  # a port that is no number
        fits = False
    if not fits:
        # Not repeated: somebody may have put a password into it.
        raise ConfigError(
            [
                ConfigProblem(
                    "wrong value for 'endpoint-url'",
                    attribute="endpoint-url",
                    expected="a URL such as http://minio.internal:9000, with no user, password or query in it",
                )
            ]
        )
