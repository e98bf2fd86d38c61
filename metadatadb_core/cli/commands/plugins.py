"""``metadatadb plugins``: which backends are installed, and whether each can be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from metadatadb_core.cli.options import command, json_option
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.registry import PluginRecord, Registry

__all__ = ["plugins"]

_STYLES: Final = {"ok": "green", "broken": "red", "conflict": "red", "disabled": "yellow"}


@command("plugins", "metadatadb plugins", "metadatadb plugins --json")
@json_option
@pass_session
def plugins(session: Session) -> None:
    """List the installed backends: where each comes from, and whether it can be used.

    A plugin that is broken is listed with the reason, and breaks nothing else.
    """
    records = Registry().plugins()
    session.output.result({"plugins": records}, lambda: _render(session.output, records))


def _render(output: Output, records: list[PluginRecord]) -> Iterator[RenderableType]:
    if not records:
        yield "No backend is installed; to get one: pip install metadatadb-sqlite"
        return
    yield output.rows(
        ("NAME", "DISTRIBUTION", "VERSION", "API", "STATUS", "REASON"),
        [
            (
                record.name,
                record.distribution or "-",
                record.version or "-",
                str(record.api_version or "-"),
                Text(record.status, style=_STYLES[record.status]),
                record.reason or "",
            )
            for record in records
        ],
    )
