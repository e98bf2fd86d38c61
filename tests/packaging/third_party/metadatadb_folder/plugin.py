"""What the entry point names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import SplitResult

from msgspec import Meta

from metadatadb_core import BackendConfig, hookimpl
from metadatadb_folder.backend import FolderBackend

if TYPE_CHECKING:
    from metadatadb_core import Registry

BACKEND_API_VERSION = 1


class FolderConfig(BackendConfig):
    """``metadata folder { path = "/var/lib/app" }``"""

    path: Annotated[str, Meta(description="The folder; it is made if it is not there.")]


def _from_url(url: SplitResult) -> Mapping[str, object]:
    return {"path": url.path}


def _make(config: FolderConfig) -> FolderBackend:
    return FolderBackend(Path(config.path))


@hookimpl
def metadatadb_register_backends(registry: Registry) -> None:
    registry.register("folder", "Keeps each namespace in a JSON file of a folder", _make, FolderConfig, _from_url)
