"""A namespace as it is looked at: once, or again and again while replicas write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from metadatadb_core.cli.contents import members_of
from metadatadb_core.cli.failures import Refusal
from metadatadb_core.cli.targets import OpenTarget
from metadatadb_core.cli.wording import instead_text, name_text, structure_text
from metadatadb_core.codec import Names
from metadatadb_core.ops import MISSING, ScalarGet
from metadatadb_core.replication import NotModified, ReplicatedBackend
from metadatadb_core.replication.inspection import StoredState, list_namespaces, read_state

__all__ = ["Look", "View", "look_at", "unknown_name", "unknown_namespace"]


@dataclass(frozen=True)
class View:
    """What a look at a namespace saw.

    Attributes:
        names: structure name to what is stored under it.
        version: the version of the stored state; None where the backend has no such thing.
        bytes: its size, or None likewise.
        modified: when it was written, by the store's clock, or None likewise.
        commits: how many commits led to it, or None likewise.
    """

    names: Names
    version: str | None = None
    bytes: int | None = None
    modified: datetime | None = None
    commits: int | None = None


Look: TypeAlias = Callable[[], View | None]
"""Looks; None where nothing is stored, and the very same view as before where nothing has changed."""


def look_at(opened: OpenTarget, namespace: str, name: str | None) -> Look:
    """How to look at `namespace`, or at one `name` of it.

    Raises:
        Refusal: the backend can only be asked for a name.
    """
    if isinstance(opened.backend, ReplicatedBackend):
        return _Stored(opened.backend, namespace)
    if name is None:
        raise Refusal(
            f"{opened.name} cannot tell which names namespace {name_text(namespace)!r} holds: "
            f"{type(opened.backend).__name__} keeps no object that says so; name one: "
            f"metadatadb show {namespace or repr('')} NAME"
        )
    return _asked(opened, namespace, name)


class _Stored:
    """Looks at what lies in an object store; while that is unchanged, a look costs a request without a body."""

    def __init__(self, backend: ReplicatedBackend, namespace: str) -> None:
        self._store = backend.object_store()
        self._prefix = backend.config.prefix
        self._namespace = namespace
        self._state: StoredState | None = None
        self._view: View | None = None

    def __call__(self) -> View | None:
        known = self._state.version if self._state is not None else None
        try:
            self._state = read_state(self._store, self._prefix, self._namespace, unless=known)
        except NotModified:
            return self._view
        self._view = None if self._state is None else _view(self._state)
        return self._view


def _view(state: StoredState) -> View:
    return View(state.names, state.version, len(state.body), state.modified, state.record.commits)


def _asked(opened: OpenTarget, namespace: str, name: str) -> Look:
    def look() -> View | None:
        opened.store.namespace(namespace).flush()
        found = opened.backend.query(namespace, ScalarGet(name))
        return None if found is MISSING else View({name: members_of(found)})

    return look


def unknown_namespace(opened: OpenTarget, namespace: str) -> Refusal:
    """Nothing is stored of `namespace`; what there is instead."""
    text = f"nothing is stored of namespace {name_text(namespace)!r} in {opened.name}"
    if isinstance(opened.backend, ReplicatedBackend):
        found = list_namespaces(opened.backend.object_store(), opened.backend.config.prefix)
        there = instead_text(namespace, [one.name for one in found if one.state is not None], name_text)
        text += f"; {there}" if there else ""
    return Refusal(text)


def unknown_name(view: View, namespace: str, name: str) -> Refusal:
    """Nothing is stored under `name`; what there is instead."""
    there = instead_text(name, view.names, structure_text) or "it is empty"
    return Refusal(f"namespace {name_text(namespace)!r} holds nothing named {name!r}; {there}")
