"""The spool of one namespace of one process: files in a directory that processes of one machine share."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias, final

from metadatadb_core.errors import SpoolError, UnsupportedFormatError
from metadatadb_core.ops import Op
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.record import BatchId
from metadatadb_core.replication.spool import records
from metadatadb_core.replication.spool.contract import Recovered
from metadatadb_core.replication.spool.file import SpoolFile, claim, sync_directory
from metadatadb_core.replication.spool.records import Contents, Target

__all__ = ["SUFFIX", "DirectorySpool", "Fsync"]

_log = logging.getLogger("metadatadb")

Fsync: TypeAlias = Literal["always", "interval", "never"]
"""When an acknowledged op is synced to the disk; a sealed batch always is, before it is sent."""

SUFFIX: Final = ".spool"
_NAME_LENGTH: Final = 100
_OPS_IN_A_RECORD: Final = 1000
_COMFORTABLE_BYTES: Final = 2**20
_GROWTH: Final = 4
_UNFINISHED_SECONDS: Final = 3600.0


@final
class DirectorySpool:
    """See `Spool`, and the package for how files and batches go together.

    What is appended, and the current file with it, is guarded by the lock of the replica's state; what is sealed, by
    the turn of its rounds.

    Args:
        directory: where the files are; made, for this user only, if it is not there.
        target: whose ops they are.
        fsync: when what is acknowledged is synced.
        environment: makes writer ids, and says when a process began.
    """

    def __init__(self, directory: Path, target: Target, fsync: Fsync, environment: Environment) -> None:
        self._directory = directory
        self._target = target
        self._fsync = fsync
        self._environment = environment
        self._begin()

    def _name_run(self, earliest: int) -> str:
        """A name for our files: those of processes that begin later sort after it, and none is called the same."""
        began = max(int(self._environment.wall() * 1e9), earliest)
        return f"{began:020d}-{self._environment.new_id()}"

    def _begin(self) -> None:
        self._run = self._name_run(0)
        self._count = 0
        self._current: SpoolFile | None = None
        self._comfortable = _COMFORTABLE_BYTES
        self._sealed: dict[BatchId, SpoolFile] = {}
        self._undead: list[SpoolFile] = []

    # -- what is queued ------------------------------------------------------------------------------------

    def append(self, ops: Sequence[Op]) -> None:
        """See `Spool.append`."""
        record = records.operations(ops)
        if self._current is None:
            self._current = self._create(record)
        else:
            self._current.append(record)

    def _create(self, record: bytes) -> SpoolFile:
        self._count += 1
        path = self._directory / f"{_stem(self._target)}.{self._run}-{self._count:08d}{SUFFIX}"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SpoolError(str(self._directory), cause=error) from error
        return SpoolFile.create(path, self._opening() + record)

    def _opening(self) -> bytes:
        return records.opening(
            self._target, os.getpid(), datetime.fromtimestamp(self._environment.wall(), UTC).isoformat()
        )

    @property
    def outgrown(self) -> bool:
        """See `Spool.outgrown`."""
        return self._current is not None and self._current.size > self._comfortable

    def rewrite(self, queued: Sequence[Op]) -> None:
        """See `Spool.rewrite`; if there is no room for that, the long record is as good."""
        outgrown = self._current
        if outgrown is None:
            return
        parts = [queued[start : start + _OPS_IN_A_RECORD] for start in range(0, len(queued), _OPS_IN_A_RECORD)]
        start = b"".join([self._opening(), *map(records.operations, parts)])
        try:
            self._current = SpoolFile.create(outgrown.path, start, replaces=True)
        except SpoolError as error:
            _log.info("%s is not shortened: %s", outgrown.path, error)
            self._comfortable = _GROWTH * outgrown.size
        else:
            outgrown.close()
            self._comfortable = max(_COMFORTABLE_BYTES, _GROWTH * self._current.size)

    def keep_pace(self) -> None:
        """See `Spool.keep_pace`."""
        if self._fsync == "always":
            self.sync()

    def sync(self) -> None:
        """See `Spool.sync`."""
        # In this order: what is sealed meanwhile is among the sealed before it ceases to be the current.
        current = self._current
        for file in [*self._sealed.values(), current]:
            if file is not None:
                file.sync()

    # -- what is sealed ------------------------------------------------------------------------------------

    def seal(self, batch: BatchId) -> None:
        """See `Spool.seal`."""
        assert self._current is not None
        self._current.append(records.seal(batch))
        self._sealed[batch] = self._current
        self._current = None
        self._comfortable = _COMFORTABLE_BYTES

    def attempt(self, batch: BatchId, base: int) -> None:
        """See `Spool.attempt`."""
        if file := self._sealed.get(batch):  # there is none left where a discard failed half-way
            file.append(records.attempt(base))

    def resolve(self, batches: Collection[BatchId]) -> None:
        """See `Spool.resolve`; a file that cannot be removed does no harm, and is tried again."""
        done = [*self._undead, *(self._sealed.pop(batch) for batch in batches if batch in self._sealed)]
        self._undead = []
        for file in done:
            try:
                file.remove()
            except SpoolError as error:
                _log.warning("what is in the store already stays in the spool for now: %s", error)
                self._undead.append(file)

    def discard(self) -> None:
        """See `Spool.discard`; a machine that dies right after it does not bring anything back."""
        for batch, file in list(self._sealed.items()):
            file.remove()
            del self._sealed[batch]
        if self._current is not None:
            self._current.remove()
            self._current = None
        try:
            if self._directory.exists():
                sync_directory(self._directory)
        except OSError as error:
            _log.warning("%s: what was discarded may be back if the machine dies now: %s", self._directory, error)

    def abandon(self) -> None:
        """See `Spool.abandon`."""
        for file in [*self._sealed.values(), *self._undead, self._current]:
            if file is not None:
                file.abandon()
        self._begin()

    # -- what the dead left --------------------------------------------------------------------------------

    def recover(self) -> list[Recovered]:
        """See `Spool.recover`; what cannot be taken over is logged, and left where it is."""
        recovered: list[Recovered] = []
        try:
            # Names begin with when their process began, and then count: in their order ops were applied.
            paths = sorted(self._directory.glob(f"{_stem(self._target)}.*"))
        except OSError as error:
            _log.warning("spool %s cannot be read: %s", self._directory, error)
            return []
        for path in paths:
            try:
                if path.suffix == SUFFIX and (batch := self._take_over(path)) is not None:
                    recovered.append(batch)
                elif path.suffix == ".new":
                    _remove_unfinished(path)
            except (SpoolError, UnsupportedFormatError, OSError) as error:
                reason = error.reason if isinstance(error, SpoolError) else error
                _log.error(
                    "%s is left as it is: %s; what is in it may have been acknowledged, and is not brought in",
                    path,
                    reason,
                )
        if recovered:
            # Should we die too, what we inherit comes before what is ours, whatever the clock says.
            newest = max(map(_began, (file.path for file in self._sealed.values())))
            self._run = self._name_run(newest + 1)
            ops = sum(len(batch.ops) for batch in recovered)
            _log.warning("namespace %r: %d ops of processes that died are recovered", self._target.namespace, ops)
        return recovered

    def _take_over(self, path: Path) -> Recovered | None:
        file = claim(path)
        if file is None:
            return None
        try:
            with file.reading() as stream:
                contents = records.read(stream)
            if contents is None:
                raise SpoolError(str(path), reason="it is no spool file, or its beginning is damaged")
            if contents.header.target != self._target:
                file.close()
                return None
            # What a death cut short is written over: a record after it would be taken for the rest of it.
            file.size = contents.size
            if contents.lost:
                _keep_damaged(path, contents)
            if not contents.ops and contents.batch is None:
                file.remove()
                return None
            batch = contents.batch
            if batch is None:
                batch = BatchId(self._environment.new_id(), 1)
                file.append(records.seal(batch))
            if batch in self._sealed:
                raise SpoolError(str(path), reason=f"it is a copy of {self._sealed[batch].path}")
        except BaseException:
            file.close()
            raise
        self._sealed[batch] = file
        return Recovered(batch, contents.ops, contents.base)


def _stem(target: Target) -> str:
    """What the names of a namespace's files begin with; the root namespace is one that nobody can call so."""
    return (target.namespace or "_root")[:_NAME_LENGTH]


def _began(path: Path) -> int:
    digits = path.name.partition(".")[2].partition("-")[0]
    return int(digits) if digits.isdecimal() and len(digits) <= 20 else 0


def _keep_damaged(path: Path, contents: Contents) -> None:
    kept = path.with_suffix(".damaged")
    with suppress(FileExistsError):  # who recovered it before us died too
        kept.hardlink_to(path)
    _log.error(
        "%s: the disk has lost %d records of it; the %d ops that can be read are recovered, and %s is kept to look at",
        path,
        contents.lost,
        len(contents.ops),
        kept,
    )


def _remove_unfinished(path: Path) -> None:
    """Remove a file whose maker died before it had a name, and so before anything in it was acknowledged."""
    if time.time() - path.stat().st_mtime > _UNFINISHED_SECONDS and (file := claim(path)) is not None:
        file.remove()
