"""What the entry point ``gcs`` names: the plugin of the GCS backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from metadatadb_core.hookspecs import hookimpl
from metadatadb_gcs.config import GCSBackendConfig

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from metadatadb_core.registry import Registry
    from metadatadb_gcs.backend import ClientProvider, GCSBackend

__all__ = ["BACKEND_API_VERSION", "metadatadb_register_backends", "register_gcs"]

BACKEND_API_VERSION = 1
"""The plugin API this was written for: a literal, so that it does not follow the core's."""


def register_gcs(registry: Registry, client_provider: ClientProvider | None = None) -> None:
    """Register the backend "gcs".

    Args:
        registry: where.
        client_provider: makes the client of each backend; see `GCSBackend`.
    """

    def make(config: GCSBackendConfig) -> GCSBackend:
        from metadatadb_gcs.backend import GCSBackend

        return GCSBackend(config, client_provider)

    description = "Stores metadata state in Google Cloud Storage with periodic sync"
    registry.register("gcs", description, make, GCSBackendConfig, from_url)


def from_url(url: SplitResult) -> Mapping[str, object]:
    """``gs://bucket`` and ``gs://bucket/prefix``; the prefix is a folder.

    Raises:
        ValueError: it has a user, a password or a port.
    """
    if "@" in url.netloc or ":" in url.netloc:
        raise ValueError("a gs:// URL is gs://bucket or gs://bucket/prefix, with no user, password or port")
    if not url.netloc:
        raise ValueError("a gs:// URL names a bucket: gs://bucket")
    folder = unquote(url.path).strip("/")
    return {"bucket": unquote(url.netloc), **({"prefix": f"{folder}/"} if folder else {})}


@hookimpl
def metadatadb_register_backends(registry: Registry) -> None:
    """The hook."""
    register_gcs(registry)
