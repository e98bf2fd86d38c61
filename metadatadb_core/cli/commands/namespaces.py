"""``metadatadb namespaces``: what a store holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
from rich.console import RenderableType

from metadatadb_core.cli.options import command, json_option, target_option
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.wording import bytes_text, name_text, time_text
from metadatadb_core.replication.inspection import FoundNamespace, list_namespaces

__all__ = ["namespaces"]


class _Row(msgspec.Struct):
    namespace: str
    bytes: int | None
    modified: datetime | None
    version: str | None
    locked: bool
    journal: bool


@command("namespaces", "metadatadb namespaces -t sqlite:///var/lib/app/meta.db", "metadatadb namespaces -t s3://builds")
@target_option
@json_option
@pass_session
def namespaces(session: Session, target: str) -> None:
    """List the namespaces of a store, with the size of each and when it was last written."""
    with session.open(target, make=False) as opened:
        backend = opened.replicated
        rows = list(map(_row, list_namespaces(backend.object_store(), backend.config.prefix)))
    document = {"store": opened.location, "prefix": opened.prefix, "namespaces": rows}
    session.output.result(document, lambda: _render(session.output, opened.name, rows))


def _row(found: FoundNamespace) -> _Row:
    state = found.state
    return _Row(
        namespace=found.name,
        bytes=state.size if state else None,
        modified=state.modified if state else None,
        version=state.version if state else None,
        locked=found.lock is not None,
        journal=found.journal,
    )


def _render(output: Output, store: str, rows: list[_Row]) -> Iterator[RenderableType]:
    if not rows:
        yield f"{store} holds no namespace"
        return
    yield output.rows(
        ("NAMESPACE", "SIZE", "WRITTEN", "NOTE"),
        [(name_text(row.namespace), bytes_text(row.bytes), time_text(row.modified), _note(row)) for row in rows],
    )


def _note(row: _Row) -> str:
    notes = {"locked": row.locked, "kept as a journal, which this version does not read": row.journal}
    return ", ".join(note for note, holds in notes.items() if holds)
