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
from rich.progress import Progress, TaskID
from rich.text import Text

from metadatadb_core.cli.destination import Destination
from metadatadb_core.cli.failures import CommandError, Interrupted, Refusal
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.session import Session
from metadatadb_core.cli.sources import GoneError, Item, Source
from metadatadb_core.cli.wording import bytes_text, name_text, printable
from metadatadb_core.errors import CorruptStateError, MetadataDBError, UnsupportedFormatError
from metadatadb_core.replication.content import Content
from metadatadb_core.replication.object_store import Version
from metadatadb_core.replication.outcomes import Denied, OutcomeUnknown, Rejected, StoreFailure
from metadatadb_core.replication.placement import Outcome, Standing
from metadatadb_core.replication.requests import OutOfTime

__all__ = ["move"]

Status: TypeAlias = Literal["written", "replaced", "unchanged", "conflict", "failed", "unknown", "not begun"]
"""What has become of a namespace; `unknown`: it may have been written, as a whole, or not."""

_DONE: Final = ("written", "replaced", "unchanged")
_STYLES: Final[dict[Status, str]] = {"conflict": "red", "failed": "red", "unknown": "red", "not begun": "yellow"}
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
    destination: str
    complete: bool
    namespaces: list[_Row]


def move(session: Session, source: Source, destination: Destination) -> None:
    """Move all that `source` has, and tell what has become of each namespace.

    Raises:
        Refusal: not all of it is at the destination.
        Interrupted: likewise, because of Ctrl-C.
        Misuse: the source is a file that is not as it was written.
        StoreFailure: a store could not be read, before anything was written.
    """
    output = session.output
    rows = _plan(output, source, destination)
    planned = all(row.status in ("unchanged", "not begun") for row in rows)
    error: Exception | None = None
    if planned and any(row.status == "not begun" for row in rows):
        error = _write(session, source, destination, rows)
    done = sum(row.status in _DONE for row in rows)
    report = _Report(source.name, destination.name, done == len(rows), rows)
    output.result(report, lambda: _render(output, report))
    if not planned:
        raise _refused(rows, destination)
    if not report.complete or not (error is None or isinstance(error, Interrupted)):
        raise _stopped(error, done, rows, destination)


# -- before anything is written ----------------------------------------------------------------------------


def _plan(output: Output, source: Source, destination: Destination) -> list[_Row]:
    with output.progress() as progress:
        bar = progress.add_task("comparing", total=source.size)
        return [_planned(item, destination, progress, bar) for item in source.items()]


def _planned(item: Item, destination: Destination, progress: Progress, bar: TaskID) -> _Row:
    row = _Row(item.namespace)
    try:
        content = item.read()
        assert content is not None
        row.bytes = len(content.body)
        standing = destination.standing(item.namespace, content)
    except _UNUSABLE as error:
        row.status, row.detail = "conflict", str(error)
        return row
    progress.advance(bar, row.bytes)
    if standing is Standing.SAME:
        row.status = "unchanged"
    elif standing is Standing.OTHER and not destination.replace:
        row.status, row.detail = "conflict", f"{destination.name} holds something else"
    return row


def _refused(rows: Sequence[_Row], destination: Destination) -> Refusal:
    names = ", ".join(name_text(row.namespace) for row in rows if row.status == "conflict")
    advice = "see above why" if destination.replace else "see above why; --replace overwrites what is there"
    return Refusal(f"nothing was written to {destination.name}, because of {names}: {advice}, and -n leaves others out")


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
                    progress.advance(bar, row.bytes or 0)
        except (MetadataDBError, StoreFailure, CommandError, OutOfTime) as error:
            return Interrupted() if stop.is_set() else error
        return Interrupted() if stop.is_set() else None

    with session.output.progress() as progress:
        bar = progress.add_task("writing", total=sum(row.bytes or 0 for row in waiting.values()))
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
    text = f"{done} of {len(rows)} namespaces are at {destination.name}; the same command again goes on with the rest"
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
        yield f"{printable(report.source)} holds no namespace"
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
