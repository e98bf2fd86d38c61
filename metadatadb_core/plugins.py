"""One installed plugin: imported, checked and hosted by itself.

Each plugin has a PluginManager of its own, so that a hook it misspells fails its own check and nobody else's, and an
exception in one keeps no other from being called.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pluggy

from metadatadb_core import hookspecs
from metadatadb_core.backend import BACKEND_API_VERSION
from metadatadb_core.discovery import Origin
from metadatadb_core.errors import PluginError, PluginVersionError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Plugin"]

_UNDECLARED_API_VERSION = 1
"""The version of a plugin that declares none: the first, which knew no declaration."""


class Plugin:
    """A plugin that was imported and is fit to be called.

    Attributes:
        hook: its hooks, to call.
        origin: the distribution it comes from.
        api_version: the BACKEND_API_VERSION it declares.

    Raises:
        PluginError: it cannot be imported, or implements a hook that does not exist.
        PluginVersionError: it was written for another API version.
    """

    def __init__(self, entry_point: EntryPoint) -> None:
        self.name = entry_point.name
        self.origin = Origin.of(entry_point)
        self._plugin = self._import(entry_point)
        self.api_version = self._check_version(entry_point)
        self.hook = self._host()

    def error(self, reason: str, cause: BaseException | None = None) -> PluginError:
        """An error about this plugin."""
        return PluginError(
            self.name,
            reason,
            distribution=self.origin.distribution,
            version=self.origin.version,
            cause=cause,
        )

    def unmarked(self, hook: str) -> bool:
        """Whether the plugin defines the function `hook` without marking it as a hook."""
        function = getattr(self._plugin, hook, None)
        return function is not None and not hasattr(function, f"{hookspecs.PROJECT}_impl")

    def _import(self, entry_point: EntryPoint) -> object:
        try:
            return entry_point.load()
        except (Exception, SystemExit) as error:
            raise self.error(f"cannot be imported: {_text(error)}", error) from error

    def _check_version(self, entry_point: EntryPoint) -> int:
        # An entry point may name an object in a module; the version then stands in either.
        module = sys.modules.get(entry_point.value.partition(":")[0].strip())
        found = getattr(module, "BACKEND_API_VERSION", _UNDECLARED_API_VERSION)
        found = getattr(self._plugin, "BACKEND_API_VERSION", found)
        if type(found) is not int or found != BACKEND_API_VERSION:
            raise PluginVersionError(
                self.name,
                wanted=BACKEND_API_VERSION,
                found=found,
                distribution=self.origin.distribution,
                version=self.origin.version,
            )
        return found

    def _host(self) -> pluggy.HookRelay:
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(self._plugin, self.name)
            manager.check_pending()
        except Exception as error:
            raise self.error(f"implements no hook of metadatadb rightly: {_text(error)}", error) from error
        return manager.hook


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
