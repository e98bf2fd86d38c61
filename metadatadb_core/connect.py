"""From a URL or a configuration file to a store."""

from __future__ import annotations

import os
from collections.abc import Mapping

from metadatadb_core.registry import Registry
from metadatadb_core.store import Store

__all__ = ["connect"]


def connect(
    target: str | os.PathLike[str], *, vars: Mapping[str, str] | None = None, registry: Registry | None = None
) -> Store:
    """Open a store.

    Args:
        target: a URL, ``s3://bucket?sync-interval=5s``: its scheme tells the backend, and each attribute of the
            backend's configuration can be a query parameter by its HCL name. Or the path of an HCL file with one
            ``metadata`` block.
        vars: the variables that ``${NAME}`` in strings stands for; None is the environment.
        registry: where backends are looked up; None is what is installed.

    Raises:
        ConfigError: mistakes in the URL or the file, all of them.
        BackendNotFoundError: no installed plugin provides that backend.
        PluginError: its plugin cannot be used.
    """
    from metadatadb_core.targets import read_target  # urllib and pathlib would double the time of our import

    registry = Registry() if registry is None else registry
    name, settings = read_target(target, registry)
    return Store(registry.create(name, settings, vars))
