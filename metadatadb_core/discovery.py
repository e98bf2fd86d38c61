"""What is installed, known from entry points alone: nothing is imported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, final

import msgspec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["DISABLE_VARIABLE", "FIRST_PARTY", "FIRST_PARTY_SCHEMES", "Installed", "Origin", "discover"]

BACKENDS_GROUP: Final = "metadatadb"
SCHEMES_GROUP: Final = "metadatadb.schemes"
OBSERVERS_GROUP: Final = "metadatadb.observers"

DISABLE_VARIABLE: Final = "METADATADB_DISABLE_PLUGINS"

FIRST_PARTY: Final = {name: f"metadatadb-{name}" for name in ("gcs", "memory", "s3", "sqlite")}
"""The distributions of this project, by the name of the backend they bring."""

FIRST_PARTY_SCHEMES: Final = {"gs": "gcs"}
"""URL schemes that are known without any distribution, so that an error can say what to install."""


@final
class Origin(msgspec.Struct, frozen=True):
    """Where a plugin comes from; None where its metadata does not say."""

    distribution: str | None
    version: str | None

    @classmethod
    def of(cls, entry_point: EntryPoint) -> Origin:
        """The distribution that declares `entry_point`."""
        try:
            distribution = entry_point.dist
            return cls(distribution.name, distribution.version) if distribution is not None else cls(None, None)
        except Exception:  # METADATA is missing, or not text: one broken distribution breaks nothing else
            return cls(None, None)


@final
class Installed(msgspec.Struct, frozen=True):
    """What the installed distributions declare.

    Attributes:
        backends: by backend; two entry points under a name are a conflict.
        schemes: by URL scheme; their value is the name of a backend.
        observers: those that are not disabled.
        disabled: what METADATADB_DISABLE_PLUGINS names.
    """

    backends: Mapping[str, tuple[EntryPoint, ...]]
    schemes: Mapping[str, tuple[EntryPoint, ...]]
    observers: tuple[EntryPoint, ...]
    disabled: frozenset[str]

    def is_disabled(self, name: str) -> bool:
        """Whether the user has switched the plugin `name` off."""
        return name in self.disabled or "*" in self.disabled


def discover() -> Installed:
    """Look at the entry points of every distribution on the path, once."""
    from importlib.metadata import entry_points  # dear to import, and `import metadatadb_core` does not need it

    disabled = frozenset(os.environ.get(DISABLE_VARIABLE, "").replace(",", " ").split())
    # A distribution that is on the path twice (a checkout over an installation) is seen once here, the first.
    every = entry_points()
    observers = (point for points in _by_name(every.select(group=OBSERVERS_GROUP)).values() for point in points)
    installed = Installed(
        _by_name(every.select(group=BACKENDS_GROUP)), _by_name(every.select(group=SCHEMES_GROUP)), (), disabled
    )
    return Installed(
        installed.backends,
        installed.schemes,
        tuple(point for point in observers if not installed.is_disabled(point.name)),
        disabled,
    )


def _by_name(entry_points: Iterable[EntryPoint]) -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points:
        found[point.name] = (*found.get(point.name, ()), point)
    return found
