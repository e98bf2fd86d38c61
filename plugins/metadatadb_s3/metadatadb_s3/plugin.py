"""What the entry point ``s3`` names: the plugin of the S3 backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from metadatadb_core.hookspecs import hookimpl
from metadatadb_s3.config import S3BackendConfig

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from metadatadb_core.registry import Registry
    from metadatadb_s3.backend import ClientProvider, S3Backend

__all__ = ["BACKEND_API_VERSION", "metadatadb_register_backends", "register_s3"]

BACKEND_API_VERSION = 1
"""The plugin API this was written for: a literal, so that it does not follow the core's."""


def register_s3(registry: Registry, client_provider: ClientProvider | None = None) -> None:
    """Register the backend "s3".

    Args:
        registry: where.
        client_provider: makes the client of each backend; see `S3Backend`.
    """

    def make(config: S3BackendConfig) -> S3Backend:
        from metadatadb_s3.backend import S3Backend

        return S3Backend(config, client_provider)

    registry.register("s3", "Stores metadata state in S3 with periodic sync", make, S3BackendConfig, from_url)


def from_url(url: SplitResult) -> Mapping[str, object]:
    """``s3://bucket`` and ``s3://bucket/prefix``; the prefix is a folder.

    Raises:
        ValueError: it has a user, a password or a port.
    """
    if "@" in url.netloc or ":" in url.netloc:
        raise ValueError("an s3:// URL is s3://bucket or s3://bucket/prefix, with no user, password or port")
    if not url.netloc:
        raise ValueError("an s3:// URL names a bucket: s3://bucket")
    folder = unquote(url.path).strip("/")
    return {"bucket": unquote(url.netloc), **({"prefix": f"{folder}/"} if folder else {})}


@hookimpl
def metadatadb_register_backends(registry: Registry) -> None:
    """The hook."""
    register_s3(registry)
