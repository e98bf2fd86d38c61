"""``metadatadb import``: from a file into a store."""

from __future__ import annotations

from collections.abc import Collection

import click

from metadatadb_core.cli.destination import Destination
from metadatadb_core.cli.files import open_file
from metadatadb_core.cli.moving import move
from metadatadb_core.cli.options import command, complete_file, json_option, target_option
from metadatadb_core.cli.selection import only_option
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.sources import FileSource
from metadatadb_core.cli.wording import name_text

__all__ = ["import_"]


@command("import", "metadatadb import -t s3://builds backup.jsonl", "metadatadb import --replace -n jobs backup.jsonl")
@click.argument("file", shell_complete=complete_file)
@target_option
@only_option
@click.option("--replace", is_flag=True, help="Overwrite namespaces that hold something else in the store.")
@json_option
@pass_session
def import_(session: Session, file: str, target: str, only: Collection[str], replace: bool) -> None:
    """Put the namespaces of FILE, which metadatadb export has written, into a store; - is standard input.

    A file that was cut off or changed is refused. Nothing is written if something would be overwritten, unless with
    --replace. What was interrupted goes on where it stopped when the same command is run again.
    """
    output = session.output
    with open_file(file) as stream, session.open(target) as opened:
        destination = Destination(
            opened,
            replace=replace,
            waiting=lambda namespace: output.note(f"waiting for the lock of {name_text(namespace)}"),
        )
        move(session, FileSource(stream, file, only), destination)
