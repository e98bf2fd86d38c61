"""What `show` prints of a view: of a whole namespace, or of one name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec
from rich.console import RenderableType

from metadatadb_core.cli.contents import Content, content_of, items_of, lines_of, preview, stored_form, value_text
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.views import View
from metadatadb_core.cli.wording import bytes_text, name_text, structure_text, time_text
from metadatadb_core.keys import Json
from metadatadb_core.members import Members

__all__ = ["NameScene", "NamespaceScene", "Scene"]


class Scene(Protocol):
    """How a view is told, to programs and to people; None is a view of nothing."""

    def document(self, view: View | None) -> object:
        """For programs."""
        ...

    def heading(self, view: View | None) -> str:
        """What is above it, for people."""
        ...

    def body(self, view: View | None, output: Output) -> Iterator[RenderableType]:
        """The rest, for people, a piece at a time."""
        ...


class _NamespaceDocument(msgspec.Struct):
    store: str
    prefix: str | None
    namespace: str
    version: str | None
    bytes: int | None
    modified: datetime | None
    commits: int | None
    structures: list[Content]


@dataclass(frozen=True)
class NamespaceScene:
    """Which structures a namespace holds."""

    store: str
    prefix: str | None
    namespace: str

    def document(self, view: View | None) -> object:
        """See `Scene.document`."""
        view = view or View({})
        contents = [content_of(name, view.names[name]) for name in sorted(view.names)]
        return _NamespaceDocument(
            self.store, self.prefix, self.namespace, view.version, view.bytes, view.modified, view.commits, contents
        )

    def heading(self, view: View | None) -> str:
        """See `Scene.heading`."""
        if view is None:
            return f"{name_text(self.namespace)}: nothing is stored"
        return (
            f"{name_text(self.namespace)}: {_counted(len(view.names), 'structure')}, {bytes_text(view.bytes)}, "
            f"written {time_text(view.modified)}, commit {view.commits}"
        )

    def body(self, view: View | None, output: Output) -> Iterator[RenderableType]:
        """See `Scene.body`."""
        if view is not None and view.names:
            rows = [_row(content_of(name, view.names[name]), view.names[name]) for name in sorted(view.names)]
            yield output.rows(("NAME", "KIND", "ENTRIES", "SIZE", "VALUE"), rows)


def _row(content: Content, value: Members | Json) -> tuple[str, ...]:
    name, size = structure_text(content.name), bytes_text(content.bytes)
    if content.entries is not None:
        return name, "/".join(content.kinds), str(content.entries), size, ""
    return name, "/".join(content.kinds), "", size, preview(value_text(stored_form(value)))


class _NameDocument(msgspec.Struct):
    store: str
    prefix: str | None
    namespace: str
    version: str | None
    name: str
    kinds: list[str]
    entries: int | None
    bytes: int | None
    stored: Any
    items: Any


@dataclass(frozen=True)
class NameScene:
    """What is stored under one name."""

    store: str
    prefix: str | None
    namespace: str
    name: str

    def document(self, view: View | None) -> object:
        """See `Scene.document`."""
        version = view.version if view is not None else None
        document = _NameDocument(
            self.store, self.prefix, self.namespace, version, self.name, [], None, None, msgspec.UNSET, None
        )
        if view is None or self.name not in view.names:
            return document
        value = view.names[self.name]
        content = content_of(self.name, value)
        document.kinds, document.entries, document.bytes = content.kinds, content.entries, content.bytes
        document.stored, document.items = stored_form(value), items_of(value)
        return document

    def heading(self, view: View | None) -> str:
        """See `Scene.heading`."""
        where = f"{name_text(self.namespace)} {structure_text(self.name)}"
        if view is None or self.name not in view.names:
            return f"{where}: nothing is stored"
        content = content_of(self.name, view.names[self.name])
        entries = "" if content.entries is None else f"{_counted(content.entries, 'entry', 'entries')}, "
        return f"{where}: {' or '.join(content.kinds)}, {entries}{bytes_text(content.bytes)}"

    def body(self, view: View | None, output: Output) -> Iterator[RenderableType]:
        """See `Scene.body`."""
        if view is not None and self.name in view.names:
            yield from lines_of(view.names[self.name], output.out.width)


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"
