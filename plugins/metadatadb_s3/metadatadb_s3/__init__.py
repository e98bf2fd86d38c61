"""The S3 backend of metadatadb."""

from metadatadb_s3.backend import S3Backend
from metadatadb_s3.config import S3BackendConfig
from metadatadb_s3.plugin import register_s3

__all__ = ["S3Backend", "S3BackendConfig", "register_s3"]
