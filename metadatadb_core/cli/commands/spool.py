"""``metadatadb spool``: what processes that died have left in a spool directory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import click
import msgspec
from rich.console import RenderableType
from rich.text import Text

from metadatadb_core.cli.committing import flush
from metadatadb_core.cli.failures import Interrupted, Misuse
from metadatadb_core.cli.options import TARGET_VARIABLE, Seconds, command, complete_file, json_option
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.targets import OpenTarget
from metadatadb_core.cli.wording import bytes_text, name_text, time_text
from metadatadb_core.errors import MetadataDBError
from metadatadb_core.replication.spool import Leftover, leftovers

__all__ = ["spool"]

_State = Literal["left", "held", "damaged", "unreadable"]

_STYLES: Final[dict[_State, str]] = {"left": "yellow", "held": "green", "damaged": "red", "unreadable": "red"}


class _File(msgspec.Struct):
    file: str
    state: _State
    bytes: int
    ops: int
    store: str | None
    prefix: str | None
    namespace: str | None
    process: int | None
    created: datetime | None
    sent: bool
    problem: str | None


class _Replayed(msgspec.Struct):
    namespace: str
    ops: int
    done: bool
    problem: str | None = None


@command("spool", "metadatadb spool /var/lib/app/spool", "metadatadb spool /var/lib/app/spool --replay -t s3://builds")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--replay", is_flag=True, help="Bring into --target what was left for it.")
@click.option(
    "-t",
    "--target",
    envvar=TARGET_VARIABLE,
    show_envvar=True,
    metavar="URL|FILE",
    shell_complete=complete_file,
    help="The store, for --replay: a URL such as s3://bucket, or an HCL file.",
)
@click.option(
    "--timeout",
    type=Seconds(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long --replay may take for a namespace.",
)
@json_option
@pass_session
def spool(session: Session, directory: Path, replay: bool, target: str | None, timeout: float) -> int:
    """List the files in a spool DIRECTORY: what was acknowledged and not yet flushed.

    A file is held as long as its process lives, and then is nobody else's business. With --replay, what dead
    processes have left for a store is brought into it, each batch once, however often this is tried.

    The exit status is 1 if something could not be brought in.
    """
    files = _files(directory)
    replayed: list[_Replayed] | None = None
    if replay:
        if target is None:
            raise Misuse("--replay needs a store: add --target URL")
        with session.open(target, spool=directory) as opened:
            due = _due(files, opened)
            replayed = session.uninterrupted(
                lambda stop: _replay(opened, due, timeout, stop), busy=f"writing to {opened.name}"
            )
        files = _files(directory)
    document = {"directory": str(directory), "files": files}
    if replayed is not None:
        document["replayed"] = replayed
    session.output.result(document, lambda: _render(session.output, directory, files, replayed))
    if replayed is None:
        return 0
    return 0 if all(one.done for one in replayed) and not _unreadable(files) else 1


def _unreadable(files: Sequence[_File]) -> list[_File]:
    """Those of which nobody knows where they belong."""
    return [file for file in files if file.state == "unreadable"]


def _files(directory: Path) -> list[_File]:
    try:
        return list(map(_file, leftovers(directory)))
    except OSError as error:
        raise Misuse(f"cannot read {directory}: {error.strerror or error}") from error


def _file(found: Leftover) -> _File:
    state: _State = "left"
    if found.held:
        state = "held"
    elif found.problem is not None:
        state = "unreadable"
    elif found.lost:
        state = "damaged"
    problem = found.problem
    if problem is None and found.lost:
        problem = f"{found.lost} records of it cannot be read"
    target = found.target
    return _File(
        file=found.path.name,
        state=state,
        bytes=found.bytes,
        ops=found.ops,
        store=target.store if target else None,
        prefix=target.prefix if target else None,
        namespace=target.namespace if target else None,
        process=found.process,
        created=_moment(found.created),
        sent=found.batch is not None,
        problem=problem,
    )


def _moment(created: str | None) -> datetime | None:
    try:
        return None if created is None else datetime.fromisoformat(created)
    except ValueError:  # whatever stands there, the file is to be listed
        return None


def _due(files: Sequence[_File], opened: OpenTarget) -> dict[str, int]:
    """What was left for that store: ops by namespace."""
    backend = opened.replicated
    due: dict[str, int] = {}
    for file in files:
        ours = (file.store, file.prefix) == (backend.name, backend.config.prefix)
        if ours and file.namespace is not None and file.state in ("left", "damaged"):
            due[file.namespace] = due.get(file.namespace, 0) + file.ops
    return due


def _replay(opened: OpenTarget, due: dict[str, int], timeout: float, stop: threading.Event) -> list[_Replayed]:
    replayed = []
    for namespace, count in due.items():
        outcome = _Replayed(namespace, count, done=False)
        try:
            # Opening a namespace takes over what was left of it; what cannot be flushed stays in the spool.
            flush(opened.store.namespace(namespace), deadline=time.monotonic() + timeout, stop=stop)
            outcome.done = True
        except Interrupted:
            raise Interrupted("interrupted; what is not in the store is in the spool still") from None
        except MetadataDBError as error:
            outcome.problem = str(error)
        replayed.append(outcome)
    return replayed


def _render(
    output: Output, directory: Path, files: list[_File], replayed: list[_Replayed] | None
) -> Iterator[RenderableType]:
    for one in replayed or ():
        done = f"{one.ops} ops are in the store" if one.done else f"not brought in: {one.problem}"
        yield f"{name_text(one.namespace)}: {done}"
    unreadable = _unreadable(files) if replayed is not None else []
    for file in unreadable:
        yield f"{file.file}: not brought in: {file.problem}; what is in it may have been acknowledged"
    if replayed == [] and not unreadable:
        yield "nothing was left for that store"
    if not files:
        yield f"{directory} holds nothing"
        return
    yield output.rows(
        ("FILE", "STATE", "NAMESPACE", "OPS", "SIZE", "PROCESS", "CREATED", "STORE", "PROBLEM"),
        [
            (
                file.file,
                Text(file.state, style=_STYLES[file.state]),
                "-" if file.namespace is None else name_text(file.namespace),
                str(file.ops),
                bytes_text(file.bytes),
                str(file.process or "-"),
                time_text(file.created),
                f"{file.store or '-'}{f' {file.prefix}' if file.prefix else ''}",
                file.problem or "",
            )
            for file in files
        ],
    )
