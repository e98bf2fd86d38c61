"""The application: its commands, and what holds for all of them, whatever they do."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, final

import click

from metadatadb_core.cli.commands import COMMANDS
from metadatadb_core.cli.failures import INTERRUPTED, PIPE_CLOSED, Interrupted, explain
from metadatadb_core.cli.options import Seconds, examples
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.session import CONNECT_SECONDS, Session, pass_session
from metadatadb_core.cli.streams import UnwritableError

__all__ = ["application"]


@final
class _Application(click.Group):
    """Turns whatever ends a command into a word on stderr and an exit status."""

    def main(self, *positional: Any, **named: Any) -> Any:
        words = positional[0] if positional else named.get("args")
        output = Output(as_json="--json" in _before_dashes(sys.argv[1:] if words is None else list(words)))
        session = Session(output)
        # Of its own accord click takes no terminal for narrower than 50 columns, and goes by COLUMNS in a pipe.
        named["terminal_width"] = output.help_width
        named |= {"prog_name": "metadatadb", "standalone_mode": False, "obj": session}
        with session.signals.raised():
            status = self._status(output, positional, named)
        sys.exit(session.signals.status if status == INTERRUPTED else status)

    def _status(self, output: Output, positional: tuple[Any, ...], named: dict[str, Any]) -> int:
        try:
            with _warnings_told(output):
                return super().main(*positional, **named) or 0
        except click.exceptions.NoArgsIsHelpError as help_asked_for:
            help_asked_for.show()
            return help_asked_for.exit_code
        except Exception as error:
            failure = explain(error)
            if failure is None:
                raise
            with suppress(BrokenPipeError, UnwritableError):
                output.fail(failure)
            return failure.status

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            if any(name in parameter.opts for command in COMMANDS for parameter in command.params):
                place = f"it comes after the command: metadatadb COMMAND {name}"
                raise click.NoSuchOption(name, f"No such option: {name} here; {place}", ctx=ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None
        except BrokenPipeError:
            # What is still to be written when the interpreter ends would fail again, with a traceback.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        return status


def _before_dashes(words: Sequence[str]) -> Sequence[str]:
    return words[: words.index("--")] if "--" in words else words


@contextmanager
def _warnings_told(output: Output) -> Iterator[None]:
    """What the library logs as a warning is for whoever runs the command."""
    handler = _Warnings(output)
    logger = logging.getLogger("metadatadb")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@final
class _Warnings(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__(logging.WARNING)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.warn(record.getMessage())


@click.group(
    "metadatadb",
    cls=_Application,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("export METADATADB_TARGET=s3://builds", "metadatadb namespaces", "metadatadb show jobs"),
)
@click.option(
    "--connect-timeout",
    type=Seconds(min=0, min_open=True),
    default=CONNECT_SECONDS,
    show_default=True,
    envvar="METADATADB_CONNECT_TIMEOUT",
    metavar="SECONDS",
    help="How long a store may take for its first answer.",
)
@click.version_option(package_name="metadatadb-core", message="%(prog)s %(version)s")
@pass_session
def application(session: Session, connect_timeout: float) -> None:
    """Look into a metadatadb store, check its configuration, change it and look after it."""
    session.connect_timeout = connect_timeout
