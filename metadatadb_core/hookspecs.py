"""The hooks a plugin implements, and the marker it does so with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pluggy

from metadatadb_core.events import SyncFinished

if TYPE_CHECKING:
    from metadatadb_core.registry import Registry

__all__ = ["PROJECT", "hookimpl", "metadatadb_register_backends", "metadatadb_sync_finished"]

PROJECT: Final = "metadatadb"

hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook of its name."""

_hookspec: Final = pluggy.HookspecMarker(PROJECT)


@_hookspec
def metadatadb_register_backends(registry: Registry) -> None:
    """Register this plugin's backend: ``registry.register("name", "what it is", factory, ConfigClass)``.

    Called once per `Registry`, when the backend is first asked for. The name is that of the entry point.
    """


@_hookspec
def metadatadb_sync_finished(event: SyncFinished) -> None:
    """A sync round of a namespace is over, whatever its outcome.

    Implemented by plugins in the entry-point group ``metadatadb.observers``. Called on the thread that synced: do not
    block. An exception is logged and changes nothing.
    """
