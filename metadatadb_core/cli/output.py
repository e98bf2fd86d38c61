"""What commands print: to people through rich, or one JSON document for programs.

What a store holds is anybody's text, and a terminal obeys some of it: whatever is printed to people goes through
`printable`, and JSON through `encoded`. On a stream that is no terminal nothing is coloured, redrawn or wrapped.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final, final

import click
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from metadatadb_core.cli.documents import encoded
from metadatadb_core.cli.failures import Failure, Misuse
from metadatadb_core.cli.problems import show_problems
from metadatadb_core.cli.wording import printable

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Output"]

_UNLIMITED: Final = 100_000
_WIDEST_HELP: Final = 100
_PIPED_HELP: Final = 78
"""Columns that help is folded to: at most, and where there is no terminal."""
_SCREEN: Final = range(10, 10_000)
"""What may be believed of variables that say how many columns or lines a terminal has."""
_FOLDED: Final = 30
"""The last column of a table may be folded to this width before rows are printed as blocks instead."""


@final
class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # it is called while the error is handled: the application knows what to do


def _console(stream: IO[str]) -> Console:
    environment = {name: text for name, text in os.environ.items() if name not in _SIZES or _is_size(text)}
    return _Console(
        file=stream,
        width=None if stream.isatty() else _UNLIMITED,
        markup=False,
        emoji=False,
        highlight=False,
        _environ=environment,
    )


_SIZES: Final = ("COLUMNS", "LINES")


def _is_size(text: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", text) is not None and int(text) in _SCREEN


@final
class Output:
    """Where a command prints.

    Args:
        as_json: whether programs read what is printed; then people's words are left out.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        # Some terminals cannot show every character that a store may hold.
        for stream in (sys.stdout, sys.stderr):
            if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
                reconfigure(errors="backslashreplace")
        self.out = _console(sys.stdout)
        self.err = _console(sys.stderr)

    @property
    def help_width(self) -> int:
        """Columns that help is folded to."""
        return min(self.out.width, _WIDEST_HELP) if self.out.is_terminal else _PIPED_HELP

    # -- results, on stdout --------------------------------------------------------------------------------

    def result(self, document: object, render: Callable[[], Iterable[RenderableType]]) -> None:
        """Print what the command found: `document` as one line of JSON, or what `render` makes of it.

        Raises:
            UnwritableError: standard output cannot be written.
        """
        if self.as_json:
            self.emit(document)
        else:
            for part in render():
                self.show(part)
            self.flush()

    def emit(self, document: object) -> None:
        """Print `document` as one line of JSON, at once: of a stream of them, each is seen as it comes."""
        self.out.file.flush()
        sys.stdout.buffer.write(encoded(document) + b"\n")
        sys.stdout.buffer.flush()

    def flush(self) -> None:
        """Let people see what was shown so far, also by way of a pipe.

        Raises:
            UnwritableError: standard output cannot be written.
        """
        self.out.file.flush()

    def show(self, *renderables: RenderableType) -> None:
        """Print to people; a `str` as a line, however long."""
        for renderable in renderables:
            if isinstance(renderable, str):
                self.lines([renderable])
            elif self.out.is_terminal:
                self.out.print(renderable)
            else:
                with self.out.capture() as captured:
                    self.out.print(renderable, soft_wrap=isinstance(renderable, Text))
                # Columns are filled up with spaces, which only a terminal has a use for.
                self.out.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines to people as they come, however many; unlike `show` it neither measures nor folds them."""
        for line in lines:
            self.out.file.write(f"{printable(line)}\n")

    def rows(self, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> RenderableType:
        """A table, or where the terminal is too narrow for one, a block of lines for each row."""
        texts = [[cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row] for row in rows]
        widths = [max(map(cell_len, [name, *(row[at].plain for row in texts)])) + 2 for at, name in enumerate(columns)]
        if sum(widths[:-1]) + min(widths[-1], _FOLDED) <= self.out.width:
            table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
            for at, name in enumerate(columns):
                table.add_column(name, no_wrap=at < len(columns) - 1, overflow="fold")
            for row in texts:
                table.add_row(*row)
            return table
        return Group(*(self.facts([*zip(columns, row, strict=True), ("", "")]) for row in texts))

    def facts(self, facts: Sequence[tuple[str, str | Text]]) -> RenderableType:
        """Names with their values, one below the other; a name without a value is left out."""
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in facts:
            if value or not name:
                table.add_row(name, value if isinstance(value, Text) else Text(printable(value)))
        return table

    # -- words beside the results, on stderr ---------------------------------------------------------------

    def note(self, text: str) -> None:
        """Tell people what goes on; programs are not told."""
        if not self.as_json:
            self._tell(Text(printable(text), style="dim"))

    def warn(self, text: str) -> None:
        """Tell of something that may be wrong although the command goes on."""
        if self.as_json:
            self._emit_aside({"warning": text})
        else:
            self._tell(Text("warning: ", style="bold yellow") + Text(printable(text)))

    def fail(self, failure: Failure) -> None:
        """Tell why the command failed."""
        if self.as_json:
            told = {"kind": failure.kind, "message": failure.message}
            problems = {"problems": failure.problems} if failure.problems else {}
            self._emit_aside({"error": told | problems})
            return
        # A configuration's mistakes are many lines, which need no further word in front of each.
        head = Text("error: ", style="bold red")
        if failure.problems:
            self._tell(head + Text("the configuration has mistakes"))
            for line in show_problems(failure.problems, self.err.width):
                self._tell(line)
        else:
            self._tell(head + Text(printable(failure.message or failure.kind)))

    def _tell(self, line: Text) -> None:
        try:
            self.out.file.flush()  # where both streams are one, in the order in which they were written
        finally:
            self.err.print(line, soft_wrap=not self.err.is_terminal)

    def _emit_aside(self, document: object) -> None:
        sys.stderr.buffer.write(encoded(document) + b"\n")
        sys.stderr.buffer.flush()

    # -- on a terminal -------------------------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """Whether what was printed on stdout can be drawn anew."""
        return not self.as_json and self.out.is_terminal and not self.out.is_dumb_terminal

    def progress(self, *columns: Any) -> Progress:
        """A progress bar on stderr, which shows nothing where that is no terminal; a context manager."""
        from rich.progress import Progress

        shown = not self.as_json and self.err.is_terminal and not self.err.is_dumb_terminal
        return Progress(*columns, console=self.err, transient=True, disable=not shown)

    def counting(self) -> Progress:
        """A progress bar that counts namespaces: each takes its requests, however many bytes it has."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

        return self.progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show that something is under way, on a terminal, until the block ends."""
        from rich.progress import SpinnerColumn, TextColumn

        with self.progress(SpinnerColumn(), TextColumn("{task.description}", markup=False)) as progress:
            progress.add_task(printable(what), total=None)
            yield

    def confirm(self, question: str) -> bool:
        """Ask a person.

        Raises:
            Misuse: there is nobody to ask.
        """
        if self.as_json or not sys.stdin.isatty():
            raise Misuse(f"{question} There is nobody to ask: add --yes")
        try:
            return click.confirm(question, err=True)
        except click.Abort:
            self.err.line()  # what is said next is not to stand behind the question
            raise
