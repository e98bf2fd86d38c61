"""Which backends there are, and how one is made from its configuration."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeVar, final

import msgspec

from metadatadb_core.backend import Backend
from metadatadb_core.config import BackendConfig
from metadatadb_core.discovery import DISABLE_VARIABLE, FIRST_PARTY, FIRST_PARTY_SCHEMES, Installed, Origin, discover
from metadatadb_core.errors import BackendNotFoundError, PluginConflictError, PluginError
from metadatadb_core.registration import FromUrl, Registration, check_config_class
from metadatadb_core.spelling import nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from metadatadb_core.hcl import Block
    from metadatadb_core.plugins import Plugin
    from metadatadb_core.settings import Settings

__all__ = ["PluginRecord", "Registry"]

C = TypeVar("C", bound=BackendConfig)


@final
class PluginRecord(msgspec.Struct, frozen=True):
    """One plugin, as an operator wants to see it.

    Attributes:
        name: the backend's name.
        distribution, version: where it comes from; None where it was registered by the program.
        api_version: the BACKEND_API_VERSION it was written for, or None where it could not be asked.
        status: whether it can be used.
        reason: why not, or None.
    """

    name: str
    distribution: str | None
    version: str | None
    api_version: int | None
    status: Literal["ok", "broken", "disabled", "conflict"]
    reason: str | None


class _Loaded(msgspec.Struct, frozen=True):
    registration: Registration
    api_version: int


@final
class Registry:
    """Backends by name: those that the program registers, and those that installed distributions bring.

    Installed ones are known by their entry points, and imported one by one when they are asked for. A plugin that
    fails breaks only itself: its error is kept, and raised whenever that backend is asked for. All methods may be
    called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registered: dict[str, Registration] = {}
        # No lock is held while a plugin is imported, which may take its own. Two threads may then load one plugin
        # at once; that does no harm, and the first outcome counts.
        self._outcomes: dict[str, _Loaded | PluginError] = {}
        self._installed: Installed | None = None

    def register(
        self,
        name: str,
        description: str,
        factory: Callable[[C], Backend],
        config_class: type[C],
        from_url: FromUrl | None = None,
    ) -> None:
        """Add a backend. It takes precedence over an installed plugin of that name.

        Args:
            name: what the backend is called in HCL, and in a URL as the scheme.
            description: what it is, in a sentence.
            factory: makes a backend from a configuration. What it needs beyond the core, it imports itself.
            config_class: the configuration's class.
            from_url: for URLs with more than a scheme and a query.

        Raises:
            PluginError: the name is registered already, or `config_class` is not fit to be one.
        """
        check_config_class(name, config_class)
        registration = Registration(name, description, factory, config_class, from_url)
        with self._lock:
            if self._registered.setdefault(name, registration) is not registration:
                raise PluginError(name, "a backend of that name is registered already")

    def names(self) -> list[str]:
        """The backends that can be asked for, sorted; a plugin that would fail is among them."""
        installed = self._discovered()
        found = {name for name in installed.backends if not installed.is_disabled(name)}
        return sorted(found.union(self._registered))

    def exists(self, name: str) -> bool:
        """Whether `name` is among `names`."""
        return name in self.names()

    def create(
        self,
        name: str,
        block: Mapping[str, object] | str | Block | Settings | None = None,
        vars: Mapping[str, str] | None = None,
    ) -> Backend:
        """Make the backend `name`.

        Args:
            name: the backend's name.
            block: its attributes: a mapping by their HCL names, the HCL text of its ``metadata`` block or of what
                stands between the braces, or a block that `metadatadb_core.hcl` has read.
            vars: the variables that ``${NAME}`` in strings stands for; None is the environment.

        Raises:
            BackendNotFoundError: no such backend is installed.
            PluginError: its plugin cannot be used.
            ConfigError: mistakes in `block`, all of them.
        """
        registration = self.registration(name)
        settings = _settings(name, block)
        config = settings.configure(registration.config_class, os.environ if vars is None else vars)
        self._load_observers()
        try:
            backend: object = registration.factory(config)
        except ImportError as error:  # the SDK it needs
            raise self._error(name, f"cannot import what it needs: {error}", error) from error
        if not isinstance(backend, Backend):
            raise self._error(name, f"its factory made a {type(backend).__name__}, not a Backend")
        return backend

    def registration(self, name: str) -> Registration:
        """The backend as it was registered; its plugin is imported if need be.

        Raises:
            BackendNotFoundError: no such backend is installed.
            PluginError: its plugin cannot be used.
        """
        if (registered := self._registered.get(name)) is not None:
            return registered
        outcome = self._outcome(name)
        if isinstance(outcome, PluginError):
            # A copy: one exception raised by many threads would gather all their tracebacks.
            from copy import copy

            raise copy(outcome) from outcome.cause
        return outcome.registration

    def name_for_scheme(self, scheme: str) -> str:
        """The backend that URLs of `scheme` are for; nothing is imported.

        Raises:
            BackendNotFoundError: no installed plugin is for such URLs.
            PluginConflictError: two distributions give the scheme to different backends.
        """
        if self.exists(scheme):
            return scheme
        points = self._discovered().schemes.get(scheme, ())
        targets = {point.value for point in points}
        if len(targets) > 1:
            raise PluginConflictError(scheme, [_distribution(point) for point in points])
        target = next(iter(targets), FIRST_PARTY_SCHEMES.get(scheme, scheme))
        # A name that is disabled or unknown is left to `registration`, which says so.
        if self.exists(target) or target in self._discovered().backends:
            return target
        raise self._not_found(scheme, target)

    def schema(self, name: str | None = None, *, format: Literal["hcl", "json"] = "hcl") -> str:
        """What a backend's configuration may hold.

        Args:
            name: the backend; None is all of them, where one that cannot be used is only a comment.
            format: "hcl" for a block with types, defaults and help as comments; "json" for a JSON Schema, of all
                backends one with a property for each.

        Raises:
            BackendNotFoundError, PluginError: `name` is not installed, or cannot be used.
        """
        from metadatadb_core.schema import hcl_block, json_schema

        wanted: dict[str, Registration | PluginError] = {}
        for each in self.names() if name is None else [name]:
            try:
                wanted[each] = self.registration(each)
            except PluginError as error:
                if name is not None:
                    raise
                wanted[each] = error
        if format == "hcl":
            return "\n".join(
                f"# {' '.join(str(found).split())}\n"
                if isinstance(found, PluginError)
                else hcl_block(each, found.description, found.config_class)
                for each, found in wanted.items()
            )
        schemas = {
            each: json_schema(each, found.description, found.config_class)
            for each, found in wanted.items()
            if isinstance(found, Registration)
        }
        document = schemas[name] if name is not None else {"type": "object", "properties": schemas}
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()

    def plugins(self) -> list[PluginRecord]:
        """Every backend that is registered or installed, and whether it can be used: all of them are imported."""
        installed = self._discovered()
        records = [PluginRecord(name, None, None, None, "ok", None) for name in self._registered]
        for name, points in installed.backends.items():
            if name not in self._registered:
                records += [self._record(name, point) for point in points]
        return sorted(records, key=lambda record: (record.name, record.distribution or ""))

    def _record(self, name: str, point: EntryPoint) -> PluginRecord:
        origin = Origin.of(point)
        outcome = self._outcome(name)
        if isinstance(outcome, _Loaded):
            return PluginRecord(name, origin.distribution, origin.version, outcome.api_version, "ok", None)
        status: Literal["broken", "disabled", "conflict"] = "broken"
        if self._discovered().is_disabled(name):
            status = "disabled"
        elif isinstance(outcome, PluginConflictError):
            status = "conflict"
        found = getattr(outcome, "found", None)
        api_version = found if isinstance(found, int) else None
        return PluginRecord(name, origin.distribution, origin.version, api_version, status, outcome.reason)

    def _discovered(self) -> Installed:
        if self._installed is None:
            self._installed = discover()
        return self._installed

    def _outcome(self, name: str) -> _Loaded | PluginError:
        if (known := self._outcomes.get(name)) is not None:
            return known
        try:
            outcome: _Loaded | PluginError = self._load(name)
        except PluginError as error:
            outcome = error.with_traceback(None)
        with self._lock:
            return self._outcomes.setdefault(name, outcome)

    def _load(self, name: str) -> _Loaded:
        installed = self._discovered()
        points = installed.backends.get(name)
        if points is None:
            raise self._not_found(name, name)
        first = points[0]
        if installed.is_disabled(name):
            origin = Origin.of(first)
            reason = f"disabled by {DISABLE_VARIABLE}"
            raise PluginError(name, reason, distribution=origin.distribution, version=origin.version)
        if any(point.value != first.value or point.dist is not first.dist for point in points):
            raise PluginConflictError(name, [_distribution(point) for point in points])
        from metadatadb_core.plugins import Plugin

        plugin = Plugin(first)
        # A registry of its own: what a plugin registers beside its name is not taken for installed.
        registry = Registry()
        try:
            plugin.hook.metadatadb_register_backends(registry=registry)
        except PluginError as error:
            raise plugin.error(error.reason, error) from error
        except (Exception, SystemExit) as error:
            raise plugin.error(f"cannot register: {type(error).__name__}: {error}", error) from error
        if name not in registry._registered:
            raise plugin.error(_missing(name, plugin, registry._registered))
        return _Loaded(registry._registered[name], plugin.api_version)

    def _load_observers(self) -> None:
        from metadatadb_core.observers import load_observers

        load_observers(self._discovered().observers)

    def _error(self, name: str, reason: str, cause: BaseException | None = None) -> PluginError:
        points = () if name in self._registered else self._discovered().backends.get(name, ())
        origin = Origin.of(points[0]) if points else Origin(None, None)
        return PluginError(name, reason, distribution=origin.distribution, version=origin.version, cause=cause)

    def _not_found(self, asked: str, name: str) -> BackendNotFoundError:
        installed = self.names()
        guess = None if name in FIRST_PARTY else nearest(name, {*installed, *FIRST_PARTY})
        wanted = guess if guess is not None and guess not in installed else name
        return BackendNotFoundError(asked, installed=installed, nearest=guess, install=FIRST_PARTY.get(wanted))


def _distribution(point: EntryPoint) -> str:
    return Origin.of(point).distribution or "an unnamed distribution"


def _missing(name: str, plugin: Plugin, registered: Mapping[str, Registration]) -> str:
    if registered:
        return f"registers {', '.join(map(repr, registered))}, but its entry point is named {name!r}"
    if plugin.unmarked("metadatadb_register_backends"):
        return "registers nothing: its metadatadb_register_backends is not marked with @hookimpl"
    return "registers nothing: it has no @hookimpl named metadatadb_register_backends that registers a backend"


def _settings(name: str, block: Mapping[str, object] | str | Block | Settings | None) -> Settings:
    from metadatadb_core.settings import Settings

    if block is None:
        return Settings()
    if isinstance(block, Settings):
        return block
    if isinstance(block, Mapping):
        return Settings.from_mapping(block)
    from metadatadb_core import hcl

    return block.settings if isinstance(block, hcl.Block) else hcl.parse_block(block, name)
