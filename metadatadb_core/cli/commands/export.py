"""``metadatadb export``: from a store into a file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import click
import msgspec
from rich.console import RenderableType

from metadatadb_core.cli.failures import Refusal
from metadatadb_core.cli.files import STANDARD, write_file
from metadatadb_core.cli.options import command, json_option, target_option
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.selection import only_option
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.sources import GoneError, StoreSource
from metadatadb_core.cli.wording import bytes_text, name_text
from metadatadb_core.errors import CorruptStateError, UnsupportedFormatError
from metadatadb_core.replication.archive import FORMAT, ArchiveWriter, Header

__all__ = ["export"]


class _Row(msgspec.Struct):
    namespace: str
    bytes: int


class _Report(msgspec.Struct):
    store: str
    file: str
    namespaces: list[_Row]


@command("export", "metadatadb export -t s3://builds -o backup.jsonl", "metadatadb export -n jobs | gzip > jobs.gz")
@target_option
@click.option(
    "-o",
    "--output",
    "file",
    default=STANDARD,
    metavar="FILE",
    help="Where to; by default, standard output.",
)
@only_option
@click.option("--replace", is_flag=True, help="Overwrite FILE.")
@json_option
@pass_session
def export(session: Session, target: str, file: str, only: Collection[str], replace: bool) -> None:
    """Write the namespaces of a store to one file of JSON lines, with checksums.

    FILE is there when all of it is, and only its owner may read it. metadatadb import reads it.
    """
    output = session.output
    with session.open(target) as opened:
        source = StoreSource(opened, only, output.warn)
        header = Header(FORMAT, opened.name, opened.replicated.config.prefix, datetime.now(UTC))
        with write_file(file, replace=replace) as stream:
            rows = _export(output, source, ArchiveWriter(stream, header))
    report = _Report(opened.name, file, rows)
    if file == STANDARD:
        output.note(f"exported {_summary(rows)}")
    else:
        output.result(report, lambda: _render(output, report))


def _export(output: Output, source: StoreSource, archive: ArchiveWriter) -> list[_Row]:
    rows: list[_Row] = []
    problems: list[str] = []
    with output.progress() as progress:
        bar = progress.add_task("exporting", total=source.size)
        for item in source.items():
            try:
                content = item.read()
            except GoneError:  # removed since it was listed: it is not part of the store any more
                continue
            except (CorruptStateError, UnsupportedFormatError) as error:
                problems.append(str(error))
                continue
            assert content is not None
            archive.add(item.namespace, content)
            rows.append(_Row(item.namespace, len(content.body)))
            progress.advance(bar, len(content.body))
    if problems:
        raise Refusal("; ".join([*problems, "nothing was exported: name the namespaces to be exported with -n"]))
    archive.finish()
    return rows


def _summary(rows: list[_Row]) -> str:
    plural = "" if len(rows) == 1 else "s"
    return f"{len(rows)} namespace{plural}, {bytes_text(sum(row.bytes for row in rows))}"


def _render(output: Output, report: _Report) -> Iterator[RenderableType]:
    yield output.rows(
        ("NAMESPACE", "SIZE"), [(name_text(row.namespace), bytes_text(row.bytes)) for row in report.namespaces]
    )
    yield f"{report.file}: {_summary(report.namespaces)}"
