"""From what stands on the command line to a store that answers."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from metadatadb_core.backend import Backend
from metadatadb_core.cli.failures import Misuse, Refusal
from metadatadb_core.cli.waiting import within
from metadatadb_core.config import BackendConfig
from metadatadb_core.errors import BackendUnavailableError, MetadataDBError, UnflushedOpsError
from metadatadb_core.registry import Registry
from metadatadb_core.replication import ReplicatedBackend, ReplicationConfig, StoreFailure
from metadatadb_core.replication.inspection import ping
from metadatadb_core.replication.lifecycle import forget
from metadatadb_core.settings import Setting, Settings
from metadatadb_core.store import Store
from metadatadb_core.targets import read_target
from metadatadb_core.wording import is_secret, without_credentials

__all__ = ["OpenTarget", "check_readable", "masked", "open_target"]

_HIDDEN: Final = "***"
_MISTYPED: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:).*@", re.DOTALL)


@final
@dataclass(frozen=True)
class OpenTarget:
    """A store that has answered.

    Attributes:
        location: where it is, without credentials and without its prefix; for programs.
        backend: the backend.
        store: the store over it, which closes it.
    """

    location: str
    backend: Backend
    store: Store

    @property
    def prefix(self) -> str | None:
        """What its keys begin with; None of a backend that does not lie in an object store."""
        return self.backend.config.prefix if isinstance(self.backend, ReplicatedBackend) else None

    @property
    def name(self) -> str:
        """What it is called in print; below another prefix there is another store."""
        return f"{self.location}, prefix {self.prefix!r}" if self.prefix else self.location

    @property
    def replicated(self) -> ReplicatedBackend:
        """The backend, if it lies in an object store that can be looked into.

        Raises:
            Refusal: it does not.
        """
        if not isinstance(self.backend, ReplicatedBackend):
            kind = type(self.backend).__name__
            raise Refusal(
                f"{self.name} cannot be looked into: {kind} keeps its state in a way of its own, "
                f"not in an object store; show, status and apply work with the name of a namespace"
            )
        return self.backend

    def close(self) -> None:
        """Close the store without flushing anything: a command has flushed what it wrote, or given it up."""
        try:
            self.store.close(timeout=0)
        except UnflushedOpsError:  # what came from a spool is in there still
            forget(self.replicated)  # or it would be tried again when the interpreter ends


def masked(target: str) -> str:
    """`target` without the credentials that a URL may hold."""
    if "://" not in target:  # a file, or a URL with a slash too few
        mistyped = _MISTYPED.match(target)
        return f"{mistyped[1]}{_HIDDEN}" if mistyped is not None else without_credentials(target)
    try:
        url = urlsplit(target)
    except ValueError:
        return _HIDDEN if "@" in target else target
    if "@" in target.partition("?")[0]:
        return f"{url.scheme}://{_HIDDEN}"
    query = "&".join(map(_masked_parameter, url.query.split("&"))) if url.query else ""
    return f"{url.scheme}://{url.netloc}{url.path}" + (f"?{query}" if query else "")


def check_readable(config: str) -> None:
    """See that there is a file at `config`.

    Raises:
        Misuse: there is none, or it cannot be read.
    """
    try:
        with Path(config).open("rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Misuse(f"cannot read {masked(config)}: {reason}") from None


def _masked_parameter(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    return f"{name}={_HIDDEN}" if is_secret(unquote(name)) or "@" in unquote(value) else quote(parameter, safe="=/:%,+")


def open_target(target: str, *, limit: float, spool: Path | None = None, make: bool = True) -> OpenTarget:
    """Open `target` and see that its store answers; see `Session.open`.

    Args:
        target: a URL or the path of an HCL file.
        limit: seconds it may take.
        spool: a spool directory to take leftovers from; None is none, whatever the target says: whoever merely
            looks must not take over what others have left, nor discard it together with what is their own.
        make: whether a store that is not there may be made.
    """
    registry = Registry()
    name, settings = read_target(target, registry)
    if issubclass(registry.registration(name).config_class, ReplicationConfig):
        if not make:
            _check_there(settings.configure(registry.registration(name).config_class, os.environ))
        settings = _with(settings, {"spool": None if spool is None else os.fspath(spool), "write-mode": "queued"})
    try:
        backend = within(limit, lambda: _answering(registry, name, settings))
    except TimeoutError:
        raise BackendUnavailableError(
            f"{masked(target)} gave no answer within {limit:g} s; see whether it can be reached from here, "
            f"or allow it longer: metadatadb --connect-timeout 30 ..."
        ) from None
    location = backend.name if isinstance(backend, ReplicatedBackend) else masked(target)
    return OpenTarget(location, backend, Store(backend))


def _check_there(config: BackendConfig) -> None:
    if isinstance(config, ReplicationConfig) and (absent := config.absent()) is not None:
        raise Refusal(f"{absent} is not there, so nothing is stored in it: see that its name is right")


def _with(settings: Settings, values: dict[str, str | None]) -> Settings:
    others = [setting for setting in settings.settings if setting.name not in values]
    return msgspec.structs.replace(settings, settings=others + [Setting(*row) for row in values.items()])


def _answering(registry: Registry, name: str, settings: Settings) -> Backend:
    try:
        backend = registry.create(name, settings)
    except (MetadataDBError, StoreFailure):
        raise
    except Exception as error:  # a backend of somebody else's may raise what it likes
        raise Refusal(f"the backend {name!r} cannot be opened: {type(error).__name__}: {error}") from error
    if isinstance(backend, ReplicatedBackend):
        # A round in the background could send what a command is about to give up, and hold up its end.
        backend.sync_only_when_told()
        try:
            ping(backend.object_store(), backend.config.prefix)
        except StoreFailure as failure:
            backend.close()
            raise BackendUnavailableError(f"{backend.name} cannot be reached: {failure}", cause=failure) from failure
    return backend
