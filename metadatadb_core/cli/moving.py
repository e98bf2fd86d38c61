"""Moving namespaces into a store: look at everything first, then write one after the other.

Nothing is written before it is known that nothing would be overwritten. Each namespace is written as a whole; whatever
ends the command in between, running it again does the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias, assert_never

import msgspec
from rich.console import RenderableType
from rich.text import Text

from metadatadb_core.cli.destination import Destination
from metadatadb_core.cli.failures import CommandError, Interrupted, Refusal
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.session import Session
from metadatadb_core.cli.sources import GoneError, Item, Source
from metadatadb_core.cli.wording import bytes_text, name_text
from metadatadb_core.errors import CorruptStateError, MetadataDBError, UnsupportedFormatError
from metadatadb_core.replication.content import Content
from metadatadb_core.replication.object_store import Version
from metadatadb_core.replication.outcomes import Denied, OutcomeUnknown, Rejected, StoreFailure
from metadatadb_core.replication.placement import Outcome, Standing
from metadatadb_core.replication.requests import OutOfTime

__all__ = ["move"]

Status: TypeAlias = Literal[
    "written", "replaced", "unchanged", "conflict", "unreadable", "failed", "unknown", "not begun"
]
"""What has become of a namespace; `unknown`: it may have been written, as a whole, or not."""

_DONE: Final = ("written", "replaced", "unchanged")
_STYLES: Final[dict[Status, str]] = {
    "conflict": "red",
    "unreadable": "red",
    "failed": "red",
    "unknown": "red",
    "not begun": "yellow",
}
_READINGS: Final = 3
"""How often a namespace is copied that changes at its source all the time."""

_UNUSABLE: Final = (CorruptStateError, UnsupportedFormatError, GoneError)


class _Row(msgspec.Struct):
    namespace: str
    status: Status = "not begun"
    bytes: int | None = None
    detail: str | None = None


class _Report(msgspec.Struct):
    source: str
    source_prefix: str | None
    destination: str
    destination_prefix: str
    complete: bool
    namespaces: list[_Row]


def move(session: Session, source: Source, destination: Destination, *, skip_unreadable: bool = False) -> None:
    """Move all that `source` has, and tell what has become of each namespace.

    Args:
        session: the run of the command.
        source: where from.
        destination: where to.
        skip_unreadable: whether what cannot be read at the source keeps nothing else from being moved.

    Raises:
        Refusal: not all of it is at the destination.
        Interrupted: likewise, because of Ctrl-C.
        Misuse: the source is a file that is not as it was written.
        StoreFailure: a store could not be read, before anything was written.
    """
    output = session.output
    try:
        rows = _plan(output, source, destination)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; nothing was written to {destination.name}") from None
    fatal = ("conflict",) if skip_unreadable else ("conflict", "unreadable")
    planned = not any(row.status in fatal for row in rows)
    error: Exception | None = None
    if planned and any(row.status == "not begun" for row in rows):
        error = _write(session, source, destination, rows)
    done = sum(row.status in _DONE for row in rows)
    report = _Report(source.location, source.prefix, destination.location, destination.prefix, done == len(rows), rows)
    output.result(report, lambda: _render(output, report))
    if not planned:
        raise _refused([row for row in rows if row.status in fatal], destination)
    if not report.complete or not (error is None or isinstance(error, Interrupted)):
        raise _stopped(error, done, rows, destination)


# -- before anything is written ----------------------------------------------------------------------------


def _plan(output: Output, source: Source, destination: Destination) -> list[_Row]:
    rows: list[_Row] = []
    with output.counting() as progress:
        bar = progress.add_task("comparing", total=source.count)
        for item in source.items():
            rows.append(_planned(item, destination))
            progress.advance(bar)
    return rows


def _planned(item: Item, destination: Destination) -> _Row:
    row = _Row(item.namespace)
    try:
        content = item.read()
    except _UNUSABLE as error:
        row.status, row.detail = "unreadable", str(error)
        return row
    assert content is not None
    row.bytes = len(content.body)
    try:
        standing = destination.standing(item.namespace, content)
    except (CorruptStateError, UnsupportedFormatError) as error:
        row.status, row.detail = "conflict", str(error)
        return row
    if standing is Standing.SAME:
        row.status = "unchanged"
    elif standing is Standing.OTHER and not destination.replace:
        row.status, row.detail = "conflict", f"{destination.name} holds something else"
    return row


def _refused(rows: Sequence[_Row], destination: Destination) -> Refusal:
    """Nothing is written because of `rows`."""
    found = {row.status for row in rows}
    advice = []
    if "unreadable" in found:
        advice.append("--skip-unreadable leaves out what cannot be read at the source")
    if "conflict" in found and not destination.replace:
        advice.append("--replace overwrites what is there")
    advice.append("-n leaves others out")
    return Refusal(
        f"nothing was written to {destination.name}, because of {_names(rows)}: see above why; {', and '.join(advice)}"
    )


def _names(rows: Sequence[_Row]) -> str:
    return ", ".join(name_text(row.namespace) for row in rows)


# -- one namespace after the other -------------------------------------------------------------------------


def _write(session: Session, source: Source, destination: Destination, rows: Sequence[_Row]) -> Exception | None:
    """Write what is not there yet; what ended it before its time, if anything did."""
    waiting = {row.namespace: row for row in rows if row.status == "not begun"}

    def write_all(stop: threading.Event) -> Exception | None:
        destination.stop = stop
        try:
            destination.ensure_safe()
            for item in source.items():
                if stop.is_set():
                    break
                if (row := waiting.get(item.namespace)) is not None:
                    _write_one(session.output, source, destination, item, row)
                    progress.advance(bar)
        except (MetadataDBError, StoreFailure, CommandError, OutOfTime) as error:
            return Interrupted() if stop.is_set() else error
        return Interrupted() if stop.is_set() else None

    with session.output.counting() as progress:
        bar = progress.add_task("writing", total=len(waiting))
        return session.uninterrupted(write_all)


def _write_one(output: Output, source: Source, destination: Destination, item: Item, row: _Row) -> None:
    """Write a namespace, and again if it has changed at its source meanwhile.

    Raises:
        StoreFailure, OutOfTime: the others need not be tried; the row says what has become of this one.
    """
    ours: set[Version] = set()
    for _ in range(_READINGS):
        content = _read(item, row)
        if content is None:
            return
        _place(destination, item.namespace, content, ours, row)
        if row.status not in _DONE:
            return
    if _read(item, row) is not None:
        output.warn(
            f"{name_text(item.namespace)} goes on changing at {source.name}: stop who writes there, "
            f"and copy it again with --replace"
        )


def _read(item: Item, row: _Row) -> Content | None:
    try:
        return item.read()
    except _UNUSABLE as error:
        row.status, row.detail = "failed", str(error)
    except StoreFailure as failure:
        row.status, row.detail = "failed", f"its source cannot be read: {failure}"
        raise
    return None


def _place(destination: Destination, namespace: str, content: Content, ours: set[Version], row: _Row) -> None:
    try:
        placement = destination.place(namespace, content, lambda version: destination.replace or version in ours)
    except (CorruptStateError, UnsupportedFormatError) as error:
        row.status, row.detail = "failed", str(error)
    except OutcomeUnknown as failure:
        row.status, row.detail = "unknown", str(failure)
        raise
    except StoreFailure as failure:
        row.status, row.detail = "failed", str(failure)
        if not isinstance(failure, (Denied, Rejected)):  # those say nothing about the next
            raise
    except OutOfTime as failure:
        if destination.stop.is_set():
            raise
        row.status, row.detail = "failed", f"somebody else holds its lock, or the store does not answer: {failure}"
    else:
        if not ours or placement.version is None:
            row.status, row.detail = _told(placement.outcome)
        if placement.version is not None:
            ours.add(placement.version)


def _told(outcome: Outcome) -> tuple[Status, str | None]:
    match outcome:
        case Outcome.WRITTEN:
            return "written", None
        case Outcome.REPLACED:
            return "replaced", None
        case Outcome.UNCHANGED:
            return "unchanged", None
        case Outcome.OCCUPIED:
            return "conflict", "somebody has just written something else there; it was left as it is"
        case Outcome.OVERTAKEN:
            return "unknown", "somebody else wrote there at the same moment; look at what is there"
        case Outcome.DAMAGED:
            return "failed", "what was read back is not what was written; do not trust this store"
        case _:
            assert_never(outcome)


# -- what is told ------------------------------------------------------------------------------------------


def _stopped(error: Exception | None, done: int, rows: Sequence[_Row], destination: Destination) -> Exception:
    text = f"{done} of {len(rows)} namespaces are at {destination.name}"
    unreadable = [row for row in rows if row.status == "unreadable"]
    if done + len(unreadable) < len(rows):
        text += "; the same command again goes on with the rest"
    if unreadable:
        text += f"; left out, since they cannot be read: {_names(unreadable)}"
    match error:
        case None:
            return Refusal(text)
        case Interrupted():
            return Interrupted(f"interrupted: {text}")
        case StoreFailure() | OutOfTime():
            return Refusal(f"{text}; what ended it: {error}")
        case _:
            error.add_note(text)
            return error


def _render(output: Output, report: _Report) -> Iterator[RenderableType]:
    if not report.namespaces:
        yield f"{report.source} holds no namespace"
        return
    yield output.rows(
        ("NAMESPACE", "SIZE", "RESULT", "NOTE"),
        [
            (
                name_text(row.namespace),
                bytes_text(row.bytes),
                Text(row.status, style=_STYLES.get(row.status, "green")),
                row.detail or "",
            )
            for row in report.namespaces
        ],
    )
