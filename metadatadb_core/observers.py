"""Plugins that watch replicas: the group ``metadatadb.observers``.

Events belong to the process, so an observer is loaded once in a process, whoever opens the first backend.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from metadatadb_core.discovery import Origin
from metadatadb_core.errors import PluginError
from metadatadb_core.events import Listener, SyncFinished, subscribe
from metadatadb_core.plugins import Plugin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["load_observers"]

_log = logging.getLogger("metadatadb")

_lock = threading.Lock()
_known: set[str] = set()


def load_observers(entry_points: Iterable[EntryPoint]) -> None:
    """Load those that this process has not met yet; one that fails is logged and changes nothing."""
    for entry_point in entry_points:
        # The version is no part of the name: one distribution has one observer of a name.
        name = f"{entry_point.name} ({Origin.of(entry_point).distribution})"
        with _lock:  # claimed here, loaded outside: a plugin's import may open a backend itself
            if name in _known:
                continue
            _known.add(name)
        try:
            plugin = Plugin(entry_point)
        except PluginError as error:
            _log.warning("observer not loaded: %s", error, exc_info=error)
        else:
            subscribe(name, _notify(plugin))


def _notify(plugin: Plugin) -> Listener:
    def notify(event: SyncFinished) -> None:
        plugin.hook.metadatadb_sync_finished(event=event)

    return notify
