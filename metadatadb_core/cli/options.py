"""What commands have in common on the command line."""

from __future__ import annotations

from collections.abc import Callable
from threading import TIMEOUT_MAX
from typing import Any, TypeVar, final

import click
from click.shell_completion import CompletionItem

from metadatadb_core.backend import check_namespace
from metadatadb_core.errors import InvalidNamespaceError

__all__ = [
    "TARGET_VARIABLE",
    "Seconds",
    "check_namespace_word",
    "command",
    "complete_file",
    "examples",
    "json_option",
    "namespace_argument",
    "target_argument",
    "target_option",
]

F = TypeVar("F", bound=Callable[..., Any])

TARGET_VARIABLE = "METADATADB_TARGET"


@final
class Seconds(click.FloatRange):
    """A time in seconds, of those that can be waited for: neither nan nor inf, and no more than a thread can wait."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType.convert`."""
        seconds = super().convert(value, param, ctx)
        if not seconds <= TIMEOUT_MAX:  # which nan is not either
            self.fail(f"{value} is no number of seconds that can be waited for.", param, ctx)
        return seconds


def examples(*lines: str) -> str:
    """What stands below the help of a command: how it is typed."""
    return "\n".join(["\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  $ {line}" for line in lines)])


def command(name: str, *lines: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command called `name`; its docstring is its help, with `lines` as examples below."""
    return click.command(name, epilog=examples(*lines))


def json_option(function: F) -> F:
    """``--json``. That it stands on the command line is what `Output` goes by, also where nothing else is right."""
    return click.option(
        "--json", is_flag=True, expose_value=False, help="Print JSON, for programs; errors too, on stderr."
    )(function)


def complete_file(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Have the shell complete names of files; what is typed need not be one."""
    return [CompletionItem(incomplete, type="file")]


def target_option(function: F) -> F:
    """``--target``, or the environment variable METADATADB_TARGET."""
    return click.option(
        "-t",
        "--target",
        required=True,
        envvar=TARGET_VARIABLE,
        show_envvar=True,
        metavar="URL|FILE",
        shell_complete=complete_file,
        help="The store: a URL such as s3://bucket, or an HCL file.",
    )(function)


def target_argument(name: str | None = None) -> Callable[[F], F]:
    """A store as an argument; for a command that is about one, and gives it no name, METADATADB_TARGET will do."""
    if name is None:
        return click.argument("target", metavar="TARGET", envvar=TARGET_VARIABLE, shell_complete=complete_file)
    return click.argument(name, metavar=name.upper(), shell_complete=complete_file)


def namespace_argument(function: F) -> F:
    """A namespace; ``""`` is the root namespace."""
    return click.argument("namespace", callback=check_namespace_word)(function)


def check_namespace_word(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no name of a namespace, before any store is asked about it."""
    if value is not None:
        try:
            check_namespace(value)
        except InvalidNamespaceError as error:
            raise click.BadParameter(str(error), context, parameter) from error
    return value
