"""How a command can fail, and the status it then exits with.

The rule: 2 where what was typed, or a file it names, is wrong whatever the store holds, so that the same words would
fail again; 1 where they were understood and the answer is no; 74 where the answer could not be printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import click

from metadatadb_core.cli.streams import UnwritableError
from metadatadb_core.errors import (
    BackendNotFoundError,
    ConfigError,
    ConfigProblem,
    InvalidNamespaceError,
    InvalidValueError,
    MetadataDBError,
)
from metadatadb_core.replication.outcomes import StoreFailure

__all__ = ["INTERRUPTED", "PIPE_CLOSED", "CommandError", "Failure", "Interrupted", "Misuse", "Refusal", "explain"]

INTERRUPTED: Final = 130
"""What shells report of a program that SIGINT ended: 128 and the number of the signal."""

PIPE_CLOSED: Final = 141
"""Likewise for SIGPIPE: whoever reads the output wants no more."""

UNWRITABLE: Final = 74
"""What sysexits.h calls an error while doing I/O: what was to be printed could not be."""

_WRONG_WORDS: Final = (BackendNotFoundError, ConfigError, InvalidNamespaceError, InvalidValueError)


class CommandError(Exception):
    """A command cannot do what it was asked for; its text says why, and what to do next."""


class Refusal(CommandError):
    """The answer is no: exit status 1."""


class Misuse(CommandError):
    """What was typed, or a file it names, is wrong: exit status 2."""


class Interrupted(CommandError):
    """Ctrl-C ended it, exit status 130, or another such signal: see `Signals.status`."""


@dataclass(frozen=True)
class Failure:
    """A failure as it is told.

    Attributes:
        kind: the class of the error, for programs.
        message: what is wrong and what to do, for people.
        status: the exit status.
        problems: the mistakes of a configuration, each with its place.
    """

    kind: str
    message: str
    status: int
    problems: tuple[ConfigProblem, ...] = ()


def explain(error: Exception) -> Failure | None:
    """How `error` is told; None for one that nobody foresaw, and whose traceback is of use."""
    kind = type(error).__name__
    match error:
        case click.ClickException():
            context = getattr(error, "ctx", None)
            advice = f"; see {context.command_path} --help" if context is not None else ""
            return Failure(kind, error.format_message().rstrip(".") + advice, 2)
        case click.Abort():  # Ctrl-C or Ctrl-D at a question, or while the command line was read
            return Failure("Interrupted", "interrupted", INTERRUPTED)
        case Misuse():
            return Failure(kind, str(error), 2)
        case Interrupted():
            return Failure(kind, str(error), INTERRUPTED)
        case UnwritableError():
            return Failure(kind, str(error), UNWRITABLE)
        case Refusal():
            return Failure(kind, str(error), 1)
        case ConfigError():
            return Failure(kind, str(error), 2, error.problems)
        case MetadataDBError():
            return Failure(kind, _with_notes(error), 2 if isinstance(error, _WRONG_WORDS) else 1)
        case StoreFailure():
            return Failure(kind, f"the store cannot be used: {error}", 1)
        case _:
            return None


def _with_notes(error: Exception) -> str:
    return "; ".join([str(error), *getattr(error, "__notes__", ())])
