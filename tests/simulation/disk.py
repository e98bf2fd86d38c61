"""A machine's disk: what its processes spool there, and what the machine's death leaves of it."""

from __future__ import annotations

import copy
import os
from collections import defaultdict
from pathlib import Path
from typing import Final, final

from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.spool import DirectorySpool, Fsync, Target
from metadatadb_core.replication.spool.file import SpoolFile
from tests.simulation.ledger import Violation, Writer
from tests.simulation.store import NAMESPACE

__all__ = ["Disk", "forked"]

_TARGET: Final = Target("the store", "", NAMESPACE)


@final
class Disk:
    """The spool directory of one machine, on a real file system; its processes are all in ours.

    That works since a file is locked by whoever has opened it, not by a process.

    Args:
        directory: where it is.
        fsync: when what is acknowledged there is synced.
        environment: the machine's clocks.
    """

    def __init__(self, directory: Path, fsync: Fsync, environment: Environment) -> None:
        self._directory = directory
        self._fsync: Fsync = fsync
        self._environment = environment
        self._writers: dict[Path, Writer] = {}
        self._ancestors: defaultdict[Writer, list[Writer]] = defaultdict(list)
        self._synced: dict[Path, int] = {}

    def open(self) -> DirectorySpool:
        """The spool of a process that starts."""
        return DirectorySpool(self._directory, _TARGET, self._fsync, self._environment)

    def inherited(self, spool: DirectorySpool, heir: Writer) -> list[Writer]:
        """Whose applies the process of `heir` has just taken over, in the order in which it has them."""
        paths = [file.path for file in _files(spool)]
        if not self._writers.keys() >= set(paths):
            raise Violation("a process takes over what is neither a dead one's nor its own")
        writers = list(dict.fromkeys(map(self._writers.__getitem__, paths)))
        self._ancestors[heir] = writers
        for place, writer in enumerate(writers):
            if late := [each.name for each in self._ancestors[writer] if each in writers[place:]]:
                raise Violation(f"{heir.name} has what {writer.name} applied before what that inherited of {late}")
        return writers

    def killed(self, spool: DirectorySpool, writer: Writer) -> None:
        """A process is gone, and what it had open is closed."""
        for file in _files(spool):
            self._writers.setdefault(file.path, writer)
            if file._entry_synced:
                self._synced[file.path] = max(self._synced.get(file.path, 0), file._synced)
        spool.abandon()

    def power_fails(self) -> int:
        """What was not synced is gone, and so is every process; how many applies were lost."""
        lost = 0
        for path in self.files():
            size = self._synced.get(path, 0)
            applies = sum(line[9:13] == b"ops " for line in path.read_bytes()[size:].splitlines())
            if size:
                os.truncate(path, size)
            else:
                path.unlink()
            if applies:
                del self._writers[path].groups[-applies:]
            lost += applies
        if lost and self._fsync == "always":
            raise Violation(f"{lost} applies are lost that were acknowledged, although each is synced")
        return lost

    def files(self) -> list[Path]:
        """What is there."""
        return sorted(self._directory.iterdir()) if self._directory.exists() else []


def forked(spool: DirectorySpool) -> DirectorySpool:
    """What a fork copies: the same open files, under other descriptors."""
    child = copy.copy(spool)
    fields = vars(child)
    fields["_sealed"] = {batch: _shared(file) for batch, file in fields["_sealed"].items()}
    fields["_current"] = None if fields["_current"] is None else _shared(fields["_current"])
    return child


def _shared(file: SpoolFile) -> SpoolFile:
    child = copy.copy(file)
    descriptor = vars(file)["_descriptor"]
    vars(child)["_descriptor"] = os.dup(descriptor)
    return child


def _files(spool: DirectorySpool) -> list[SpoolFile]:
    current = spool._current
    return [*spool._sealed.values(), *([] if current is None else [current])]
