"""The engine's record: which batches a stored state contains, kept in the state and written with it.

A batch is known by the id of its writer and its sequence there. The record holds a counter of commits and,
for each writer, its last sequence and the counter at its last commit; being part of the same object as the
data, it says exactly what is in. It is bounded: the writers that have been silent longest are pruned, and the
highest commit of a pruned one is kept as the floor.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, final

from metadatadb_core.errors import UnsupportedFormatError

__all__ = ["FORMAT", "MAX_WRITERS", "BatchId", "Record", "Verdict"]

FORMAT: Final = 1
"""The newest form of the record that this version writes."""

MAX_WRITERS: Final = 256
"""How many writers a record holds; about 50 bytes each."""


@dataclass(frozen=True, slots=True)
class BatchId:
    """What a batch is known by: its writer, and its sequence among that writer's, from 1."""

    writer: str
    sequence: int


class Verdict(enum.Enum):
    """Whether a stored state contains a batch."""

    IN = "in"
    NOT_IN = "not in"
    IN_DOUBT = "in doubt"


@dataclass(frozen=True, slots=True)
class Entry:
    """A writer's last sequence, and the commit counter after the commit that brought it."""

    sequence: int
    commit: int


@final
@dataclass(frozen=True, slots=True)
class Record:
    """Which batches a state contains.

    Attributes:
        commits: how many commits there have been; grows by one with each.
        writers: by writer id, its last sequence and when it came.
        floor: the highest commit of a writer that was pruned; 0 if none was.
    """

    commits: int = 0
    writers: dict[str, Entry] = field(default_factory=dict)
    floor: int = 0

    def judge(self, batch: BatchId, base: int | None) -> Verdict:
        """Whether the state contains `batch`.

        Args:
            batch: the batch.
            base: the commit counter of the state that its first put was conditional on; None if it was never sent.
                Had that put been applied, the writer's commit would be higher than `base`; so it can only have
                been pruned if the floor is higher too.
        """
        entry = self.writers.get(batch.writer)
        if entry is not None:
            return Verdict.IN if entry.sequence >= batch.sequence else Verdict.NOT_IN
        if base is None or self.floor <= base:
            return Verdict.NOT_IN
        return Verdict.IN_DOUBT

    def after(self, batches: Iterable[BatchId], *, at_least: int = 0, max_writers: int = MAX_WRITERS) -> Record:
        """The record of a state to which `batches` were added in one commit.

        Args:
            batches: what is added.
            at_least: a commit counter that this replica has seen; the counter never goes back, even if somebody
                resets the state.
            max_writers: how many writers to keep.
        """
        commit = max(self.commits, at_least) + 1
        writers = dict(self.writers)
        for batch in batches:
            known = writers.get(batch.writer)
            sequence = batch.sequence if known is None else max(batch.sequence, known.sequence)
            writers[batch.writer] = Entry(sequence, commit)
        floor = self.floor
        if len(writers) > max_writers:
            by_age = sorted(writers.items(), key=lambda row: (row[1].commit, row[0]))
            pruned, kept = by_age[: len(writers) - max_writers], by_age[len(writers) - max_writers :]
            floor = max([floor, *(entry.commit for _, entry in pruned)])
            writers = dict(kept)
        return Record(commit, writers, floor)

    def to_json(self) -> dict[str, Any]:
        """The form in which the record is stored."""
        return {
            "format": FORMAT,
            "commits": self.commits,
            "floor": self.floor,
            "writers": {writer: [entry.sequence, entry.commit] for writer, entry in self.writers.items()},
        }

    @classmethod
    def from_json(cls, stored: Any, namespace: str) -> Record:
        """The record that was stored so; None, where no replica of ours has written yet, is an empty one.

        Numbers may have become floats on their way through a Go replica; they are below 2**53 and lose nothing.

        Raises:
            UnsupportedFormatError: a newer version wrote it, or it cannot be read at all. In both cases what it
                says of our batches is unknown, so the state must not be written.
        """
        if stored is None:
            return cls()
        try:
            found = _count(stored["format"])
            if found > FORMAT:
                raise UnsupportedFormatError(
                    f"namespace {namespace!r} was written by a newer version of metadatadb (record format {found}, "
                    f"this version knows {FORMAT}); upgrade metadatadb-core here; pending writes are kept until then",
                    namespace=namespace,
                    found=found,
                    supported=FORMAT,
                )
            return cls(
                _count(stored["commits"]),
                {writer: Entry(_count(row[0]), _count(row[1])) for writer, row in stored["writers"].items()},
                _count(stored["floor"]),
            )
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise UnsupportedFormatError(
                f"namespace {namespace!r}: the reserved structure .metadatadb is not a record this version can read; "
                f"if it was damaged by hand, restore the state from a backup",
                namespace=namespace,
                found=stored,
                supported=FORMAT,
            ) from error


def _count(number: Any) -> int:
    if isinstance(number, bool) or number != int(number) or not 0 <= number <= 2**53:
        raise ValueError(f"not a count: {number!r}")
    return int(number)
