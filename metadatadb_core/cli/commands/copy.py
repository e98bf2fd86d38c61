"""``metadatadb copy``: from one store to another."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack

import click

from metadatadb_core.cli.destination import Destination
from metadatadb_core.cli.failures import Misuse
from metadatadb_core.cli.moving import move
from metadatadb_core.cli.options import command, json_option, target_argument
from metadatadb_core.cli.selection import only_option, skip_unreadable_option
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.sources import StoreSource
from metadatadb_core.cli.targets import OpenTarget
from metadatadb_core.cli.wording import name_text

__all__ = ["copy"]


@command(
    "copy",
    "metadatadb copy sqlite:///var/lib/app/meta.db s3://builds",
    "metadatadb copy --replace -n jobs s3://builds gs://builds",
)
@target_argument("source")
@target_argument("destination")
@only_option
@click.option("--replace", is_flag=True, help="Overwrite namespaces that hold something else at DESTINATION.")
@skip_unreadable_option
@json_option
@pass_session
def copy(
    session: Session, source: str, destination: str, only: Collection[str], replace: bool, skip_unreadable: bool
) -> None:
    """Copy the namespaces of SOURCE to DESTINATION, and read them back.

    Nothing is written if something would be overwritten, unless with --replace. What was interrupted goes on where it
    stopped when the same command is run again.
    """
    output = session.output
    with ExitStack() as stack:
        source_opened = stack.enter_context(session.open(source, make=False))
        # First: for a source without anything in it, no destination is made.
        origin = StoreSource(source_opened, only, output.warn)
        destination_opened = stack.enter_context(session.open(destination))
        _check_different(source_opened, destination_opened)
        to = Destination(
            destination_opened,
            replace=replace,
            waiting=lambda namespace: output.note(f"waiting for the lock of {name_text(namespace)}"),
        )
        move(session, origin, to, skip_unreadable=skip_unreadable)


def _check_different(source: OpenTarget, destination: OpenTarget) -> None:
    places = [(opened.location, opened.replicated.config.prefix) for opened in (source, destination)]
    if places[0] == places[1]:
        raise Misuse(f"{source.name} cannot be copied onto itself; give another store, or another prefix")
