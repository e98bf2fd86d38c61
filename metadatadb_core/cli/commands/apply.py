"""``metadatadb apply``: change a namespace, all of it or nothing."""

from __future__ import annotations

import sys
import threading
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from typing import Final

import click
from click.shell_completion import CompletionItem
from rich.console import RenderableType

from metadatadb_core.cli.changes import Change, check_kinds, places_of, value_at
from metadatadb_core.cli.committing import commit
from metadatadb_core.cli.failures import Misuse
from metadatadb_core.cli.options import Seconds, command, json_option, namespace_argument, target_option
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.streams import UnwritableError
from metadatadb_core.cli.targets import OpenTarget
from metadatadb_core.cli.words import FORMS, op_from_words
from metadatadb_core.errors import InvalidValueError
from metadatadb_core.ops import Op, decode_ops

__all__ = ["apply"]

_SHOWN: Final = 100
"""How many changes people are shown."""


def _op_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    if context.params.get("words"):
        return []
    return [CompletionItem(word, help=form) for word, form in FORMS.items() if word.startswith(incomplete)]


@command(
    "apply",
    "metadatadb apply git int-map-add clones repo-a 3",
    'metadatadb apply jobs map-set builds api \'{"commit": "4f1c2ab"}\'',
    'echo \'{"op":"IntMapAdd","Key":"clones","MapKey":"repo-a","Delta":3}\' | metadatadb apply git',
)
@namespace_argument
@click.argument("words", nargs=-1, metavar="[OP WORD...]", shell_complete=_op_words)
@click.option(
    "--timeout",
    type=Seconds(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it may take, with waiting for other writers.",
)
@target_option
@json_option
@pass_session
def apply(session: Session, namespace: str, words: tuple[str, ...], timeout: float, target: str) -> None:
    """Apply ops to NAMESPACE and flush them: all of them or, where anything is wrong with one, none.

    One op is given as words; without words, ops are read from standard input, a JSON object on each line.
    What is under the names concerned is shown as it was before and as it is after.

    Names, keys and members are text. A value is JSON, or text where it is no JSON.
    """
    batch = [op_from_words(words)] if words else _read_ops(session.output)
    with session.open(target) as opened:
        changes = session.uninterrupted(
            lambda stop: _apply(opened, namespace, batch, timeout, stop), busy=f"applying to {opened.name}"
        )
    document = {
        "store": opened.location,
        "prefix": opened.prefix,
        "namespace": namespace,
        "ops": len(batch),
        "changes": changes,
    }
    try:
        session.output.result(document, lambda: _render(session.output, len(batch), changes))
    except UnwritableError as error:
        raise UnwritableError(f"{_applied(len(batch))}, but {error}") from error


apply.epilog = "\n".join(["\b", "Ops:", *(f"  {form}" for form in FORMS.values()), "", apply.epilog or ""])
apply.context_settings["ignore_unknown_options"] = True  # so that -3 is a number


def _read_ops(output: Output) -> list[Op]:
    if sys.stdin.isatty():
        output.note("reading ops, a JSON object on each line; Ctrl-D ends them, Ctrl-C drops them")
    batch: list[Op] = []
    for number, line in enumerate(_lines_of_input(), 1):
        text = line.removeprefix(BOM_UTF8) if number == 1 else line
        if text.strip():
            try:
                batch += decode_ops(b"[" + text + b"]")
            except (InvalidValueError, UnicodeDecodeError) as error:
                raise Misuse(f"line {number} of the input: {_reason(error)}; nothing was applied") from None
    if not batch:
        raise Misuse("no op was given: type one as words, or write JSON lines to standard input")
    return batch


def _lines_of_input() -> Iterator[bytes]:
    try:
        yield from sys.stdin.buffer
    except OSError as error:
        raise Misuse(f"standard input cannot be read: {error.strerror}; nothing was applied") from error


def _reason(error: InvalidValueError | UnicodeDecodeError) -> str:
    return error.reason.removeprefix("op 0: ")


def _apply(
    opened: OpenTarget, namespace: str, batch: Sequence[Op], timeout: float, stop: threading.Event
) -> list[Change]:
    changes: list[Change] = []

    def check() -> None:
        check_kinds(opened.backend, namespace, batch)
        changes[:] = [Change.beginning(place, value_at(opened.backend, namespace, place)) for place in places_of(batch)]

    commit(opened, namespace, batch, check=check, timeout=timeout, stop=stop)
    for change, place in zip(changes, places_of(batch), strict=True):
        change.ended(value_at(opened.backend, namespace, place))
    return changes


def _render(output: Output, count: int, changes: list[Change]) -> Iterator[RenderableType]:
    yield output.rows(("NAME", "BEFORE", "AFTER"), [change.row() for change in changes[:_SHOWN]])
    if len(changes) > _SHOWN:
        yield f"... and {len(changes) - _SHOWN} more"
    output.note(_applied(count))


def _applied(count: int) -> str:
    return f"{count} op{'s' if count > 1 else ''} applied"
