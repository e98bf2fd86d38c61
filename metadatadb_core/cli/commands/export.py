"""``metadatadb export``: from a store into a file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import click
import msgspec
from rich.console import RenderableType

from metadatadb_core.cli.failures import Refusal
from metadatadb_core.cli.files import STANDARD, write_file
from metadatadb_core.cli.options import command, complete_file, json_option, target_option
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.selection import only_option, skip_unreadable_option
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.sources import GoneError, Item, StoreSource
from metadatadb_core.cli.wording import bytes_text, name_text
from metadatadb_core.errors import CorruptStateError, UnsupportedFormatError
from metadatadb_core.replication.archive import FORMAT, ArchiveWriter, Header

__all__ = ["export"]


class _Row(msgspec.Struct):
    namespace: str
    bytes: int


class _Unreadable(msgspec.Struct):
    namespace: str
    problem: str


class _Report(msgspec.Struct):
    store: str
    prefix: str
    file: str
    namespaces: list[_Row]
    unreadable: list[_Unreadable]


@command("export", "metadatadb export -t s3://builds -o backup.jsonl", "metadatadb export -n jobs | gzip > jobs.gz")
@target_option
@click.option(
    "-o",
    "--output",
    "file",
    default=STANDARD,
    metavar="FILE",
    shell_complete=complete_file,
    help="Where to; by default, standard output.",
)
@only_option
@click.option("--replace", is_flag=True, help="Overwrite FILE.")
@skip_unreadable_option
@json_option
@pass_session
def export(
    session: Session, target: str, file: str, only: Collection[str], replace: bool, skip_unreadable: bool
) -> None:
    """Write the namespaces of a store to one file of JSON lines, with checksums.

    FILE is there when all of it is, and only its owner may read it. metadatadb import reads it.
    """
    output = session.output
    with session.open(target, make=False) as opened:
        source = StoreSource(opened, only, output.warn)
        report = _Report(source.location, source.prefix, file, [], [])
        header = Header(FORMAT, source.location, source.prefix, datetime.now(UTC))
        with write_file(file, replace=replace) as stream:
            archive = ArchiveWriter(stream, header)
            _export(output, source, archive, report)
            if report.unreadable and not (skip_unreadable and report.namespaces):
                raise _refused(report, skip_unreadable)
            archive.finish()
    if file == STANDARD:
        output.note(f"exported {_summary(report.namespaces)}")
    else:
        output.result(report, lambda: _render(output, report))
    if report.unreadable:
        raise Refusal(f"left out, since they cannot be read: {_names(report.unreadable)}; see above why")


def _export(output: Output, source: StoreSource, archive: ArchiveWriter, report: _Report) -> None:
    with output.counting() as progress:
        bar = progress.add_task("exporting", total=source.count)
        for item in source.items():
            try:
                _add(item, archive, report)
            except (CorruptStateError, UnsupportedFormatError) as error:
                report.unreadable.append(_Unreadable(item.namespace, str(error)))
                output.warn(str(error))
            progress.advance(bar)


def _add(item: Item, archive: ArchiveWriter, report: _Report) -> None:
    try:
        content = item.read()
    except GoneError:  # removed since it was listed: it is not part of the store any more
        return
    assert content is not None
    archive.add(item.namespace, content)
    report.namespaces.append(_Row(item.namespace, len(content.body)))


def _refused(report: _Report, skip_unreadable: bool) -> Refusal:
    advice = "" if skip_unreadable else "; --skip-unreadable leaves out what cannot be read"
    return Refusal(f"nothing was exported, because of {_names(report.unreadable)}: see above why{advice}")


def _names(unreadable: list[_Unreadable]) -> str:
    return ", ".join(name_text(each.namespace) for each in unreadable)


def _summary(rows: list[_Row]) -> str:
    plural = "" if len(rows) == 1 else "s"
    return f"{len(rows)} namespace{plural}, {bytes_text(sum(row.bytes for row in rows))}"


def _render(output: Output, report: _Report) -> Iterator[RenderableType]:
    yield output.rows(
        ("NAMESPACE", "SIZE"), [(name_text(row.namespace), bytes_text(row.bytes)) for row in report.namespaces]
    )
    yield f"{report.file}: {_summary(report.namespaces)}"
