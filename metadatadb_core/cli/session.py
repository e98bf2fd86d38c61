"""What a command is given: where it prints, and how it opens a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Final, TypeVar

import click

from metadatadb_core.cli.output import Output
from metadatadb_core.cli.signals import Signals
from metadatadb_core.cli.targets import OpenTarget, open_target
from metadatadb_core.cli.waiting import apart

__all__ = ["CONNECT_SECONDS", "Session", "pass_session"]

R = TypeVar("R")

CONNECT_SECONDS: Final = 4.0
"""So that whoever asks an unreachable store is told so within five seconds, with what it takes to start."""


@dataclass
class Session:
    """One run of the command.

    Attributes:
        output: where it prints.
        connect_timeout: seconds a store may take for its first answer.
        signals: what has asked it to end.
    """

    output: Output
    connect_timeout: float = CONNECT_SECONDS
    signals: Signals = field(default_factory=Signals)

    @contextmanager
    def open(self, target: str, *, spool: Path | None = None, make: bool = True) -> Iterator[OpenTarget]:
        """Open a URL or HCL file, and see that the store answers; closed when the block ends.

        Args:
            target: a URL or the path of an HCL file.
            spool: a spool directory to take leftovers from; None is none, whatever the target says.
            make: whether a store that is not there may be made, as a file is; whoever merely looks does not make it.

        Raises:
            ConfigError, BackendNotFoundError, PluginError: as `metadatadb_core.connect`.
            BackendUnavailableError: the store denies access, or gave no answer in time.
            Refusal: the backend cannot be opened for another reason, or the store is not there.
        """
        opened = open_target(target, limit=self.connect_timeout, spool=spool, make=make)
        try:
            yield opened
        finally:
            opened.close()

    def uninterrupted(self, task: Callable[[Event], R], *, busy: str | None = None) -> R:
        """What `task` returns or raises; Ctrl-C, or another such signal, asks it to come to an end.

        Args:
            task: soon after its event is set it returns or raises, with nothing half done.
            busy: what is under way, for a terminal; None where the task shows that itself.
        """
        shown = self.output.busy(busy) if busy is not None else nullcontext()
        with self.signals.held(lambda: self.output.note("ending; Ctrl-C again ends on the spot")) as stop, shown:
            return apart(lambda: task(stop))


pass_session = click.make_pass_decorator(Session)
