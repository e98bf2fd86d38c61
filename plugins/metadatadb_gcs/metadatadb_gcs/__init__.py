"""The Google Cloud Storage backend of metadatadb."""

from metadatadb_gcs.backend import GCSBackend
from metadatadb_gcs.config import GCSBackendConfig
from metadatadb_gcs.plugin import register_gcs

__all__ = ["GCSBackend", "GCSBackendConfig", "register_gcs"]
