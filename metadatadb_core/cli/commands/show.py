"""``metadatadb show``: what a namespace holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from metadatadb_core.cli.failures import INTERRUPTED
from metadatadb_core.cli.options import Seconds, command, json_option, namespace_argument, target_option
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.scenes import NameScene, NamespaceScene, Scene
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.views import Look, View, look_at, unknown_name, unknown_namespace
from metadatadb_core.cli.wording import printable
from metadatadb_core.errors import MetadataDBError
from metadatadb_core.replication import StoreFailure

__all__ = ["show"]


@command("show", "metadatadb show jobs", "metadatadb show jobs builds", "metadatadb show jobs attempts --watch")
@namespace_argument
@click.argument("name", required=False)
@click.option("-w", "--watch", is_flag=True, help="Show it again whenever it changes, until Ctrl-C.")
@click.option(
    "--interval",
    type=Seconds(min=0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks; while nothing changes, a look costs one request.",
)
@target_option
@json_option
@pass_session
def show(session: Session, namespace: str, name: str | None, watch: bool, interval: float, target: str) -> int | None:
    """Show what NAMESPACE holds, or what is stored under NAME in it.

    Nothing that is stored says which structure made it: what is listed is what it can be, the likeliest first.
    """
    with session.open(target, make=False) as opened:
        look = look_at(opened, namespace, name)
        scene: Scene = NamespaceScene(opened.location, opened.prefix, namespace)
        if name is not None:
            scene = NameScene(opened.location, opened.prefix, namespace, name)
        if watch:
            return _watch(session.output, scene, look, interval)
        view = look()
        if view is None:
            raise unknown_namespace(opened, namespace)
        if name is not None and name not in view.names:
            raise unknown_name(view, namespace, name)
        _print(session.output, scene, view)
        return None


def _print(output: Output, scene: Scene, view: View | None) -> None:
    if output.as_json:
        output.emit(scene.document(view))
        return
    output.note(scene.heading(view))
    for part in scene.body(view, output):
        output.show(part)
    output.flush()


def _watch(output: Output, scene: Scene, look: Look, interval: float) -> int:
    try:
        if output.is_live:
            with Live(console=output.out, auto_refresh=False) as live:
                for view, trouble in _changes(look, interval):
                    live.update(_drawn(output, scene, view, trouble), refresh=True)
        else:
            for view, trouble in _changes(look, interval):
                if trouble is not None:
                    output.warn(trouble)
                else:
                    _print(output, scene, view)
    except KeyboardInterrupt:  # how watching ends
        return INTERRUPTED
    raise AssertionError("unreachable")


def _changes(look: Look, interval: float) -> Iterator[tuple[View | None, str | None]]:
    """What is seen first and whenever it has changed, or why nothing can be seen; without end."""
    view = look()
    trouble = None
    yield view, trouble
    while True:
        time.sleep(interval)
        before = view, trouble
        try:
            view, trouble = look(), None
        except (MetadataDBError, StoreFailure) as error:
            trouble = str(error)
        if (view, trouble) != before:
            yield view, trouble


def _drawn(output: Output, scene: Scene, view: View | None, trouble: str | None) -> RenderableType:
    """As much as fits on the terminal."""
    heading = Text(printable(scene.heading(view)), style="bold")
    if trouble is not None:
        heading = Text(printable(trouble), style="red")
    parts = islice(scene.body(view, output), output.out.height - 2)
    return Group(heading, *(_line(part) if isinstance(part, str) else part for part in parts))


def _line(text: str) -> Text:
    return Text(printable(text), no_wrap=True, overflow="ellipsis")
