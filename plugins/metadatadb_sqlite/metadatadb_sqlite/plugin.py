"""What the entry point ``sqlite`` names: the plugin of the SQLite backend."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from metadatadb_core.hookspecs import hookimpl
from metadatadb_sqlite.backend import SQLiteBackend
from metadatadb_sqlite.config import SQLiteBackendConfig

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from metadatadb_core.registry import Registry

__all__ = ["BACKEND_API_VERSION", "from_url", "metadatadb_register_backends", "register_sqlite"]

BACKEND_API_VERSION = 1
"""The plugin API this was written for: a literal, so that it does not follow the core's."""


def register_sqlite(registry: Registry) -> None:
    """Register the backend "sqlite"."""
    description = "Keeps metadata state in a SQLite file that the processes of one machine share"
    registry.register("sqlite", description, SQLiteBackend, SQLiteBackendConfig, from_url)


def from_url(url: SplitResult) -> Mapping[str, object]:
    """The path in ``sqlite:///absolute/meta.db``, ``sqlite://./relative.db`` or ``sqlite://../relative.db``.

    Raises:
        ValueError: there is a host where a path was meant.
    """
    if not url.netloc:
        if not url.path:
            return {}  # `sqlite://?path=meta.db`; without that, the path is reported as missing
        # Other libraries write four slashes for an absolute path.
        path = "/" + url.path.lstrip("/")
        return {"path": unquote(path[1:] if _has_drive(path) else path, errors="strict")}
    if url.netloc in (".", ".."):
        return {"path": unquote(url.netloc + url.path, errors="strict")}
    raise ValueError(
        f"{url.netloc!r} is where a host would be; an absolute path has three slashes (sqlite:///var/lib/app/meta.db), "
        f"a relative one begins with a dot (sqlite://./{url.netloc}{url.path})"
    )


def _has_drive(path: str) -> bool:
    """Whether `path` is ``/C:/...``, as a URL spells ``C:/...`` of Windows."""
    return os.name == "nt" and path[2:3] == ":"


@hookimpl
def metadatadb_register_backends(registry: Registry) -> None:
    """The hook."""
    register_sqlite(registry)
