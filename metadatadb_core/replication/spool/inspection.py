"""Looking into a spool directory without taking anything from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metadatadb_core.errors import SpoolError, UnsupportedFormatError
from metadatadb_core.replication.record import BatchId
from metadatadb_core.replication.spool import records
from metadatadb_core.replication.spool.directory import SUFFIX
from metadatadb_core.replication.spool.file import is_held
from metadatadb_core.replication.spool.records import Target

__all__ = ["Leftover", "leftovers"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A spool file.

    Attributes:
        path: where it is.
        bytes: its size.
        held: whether a living process has it; what it holds may change then.
        target: where its ops belong; None if that cannot be read.
        process: the id of the process that made it.
        created: when, RFC 3339 in UTC.
        ops: how many ops are in it.
        batch: the id under which they may have been sent; None if they surely were not.
        lost: how many records are unreadable although others follow them.
        problem: why it cannot be read, or None.
    """

    path: Path
    bytes: int
    held: bool
    target: Target | None = None
    process: int | None = None
    created: str | None = None
    ops: int = 0
    batch: BatchId | None = None
    lost: int = 0
    problem: str | None = None


def leftovers(directory: Path) -> Iterator[Leftover]:
    """The spool files in `directory`, also those of processes that live.

    Raises:
        OSError: the directory cannot be read.
    """
    for path in sorted(path for path in directory.iterdir() if path.suffix == SUFFIX):
        try:
            yield _inspect(path)
        except FileNotFoundError:  # its owner was done with it
            continue


def _inspect(path: Path) -> Leftover:
    size = path.stat().st_size
    try:
        held = is_held(path)
        with path.open("rb") as file:
            contents = records.read(file)
    except (SpoolError, UnsupportedFormatError) as error:
        reason = error.reason if isinstance(error, SpoolError) else str(error)
        return Leftover(path, size, held=False, problem=reason)
    if contents is None:
        return Leftover(path, size, held, problem="it is no spool file, or its beginning is damaged")
    header = contents.header
    return Leftover(
        path=path,
        bytes=size,
        held=held,
        target=header.target,
        process=header.process,
        created=header.created,
        ops=len(contents.ops),
        batch=contents.batch,
        lost=contents.lost,
    )
