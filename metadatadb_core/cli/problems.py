"""Mistakes of a configuration, each with the line it stands in and the place marked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from metadatadb_core.cli.wording import printable
from metadatadb_core.errors import ConfigProblem
from metadatadb_core.wording import is_secret

__all__ = ["show_problems"]

_HIDDEN: Final = "***"
_INDENT: Final = "  "
_CUT: Final = "..."

_ASSIGNED = re.compile(r"([A-Za-z_][\w.-]*)\"?\s*[=:]\s*")
_HEREDOC = re.compile(r"<<[-~]?\s*([A-Za-z_]\w*)\s*$")
_CREDENTIALS = re.compile(r"(?<=://)[^\s\"'/]*@")


def show_problems(problems: Sequence[ConfigProblem], width: int) -> Iterator[Text]:
    """Each problem, and below it the line of its file with a mark under the place.

    Args:
        problems: the mistakes.
        width: columns of the terminal: of a longer line, what is around the place is shown.
    """
    files: dict[str, list[str]] = {}
    for problem in problems:
        yield Text.assemble(Text(printable(_where(problem)), style="bold"), printable(_what(problem)))
        if problem.file is None or problem.line is None or problem.column is None:
            continue
        lines = files.setdefault(problem.file, _lines(problem.file))
        if problem.line <= len(lines):
            yield from _marked(lines, problem.line, problem.column, width)


def _where(problem: ConfigProblem) -> str:
    bare = ConfigProblem("", problem.file, problem.line, problem.column)
    return str(bare)


def _what(problem: ConfigProblem) -> str:
    return str(problem).removeprefix(_where(problem))


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_bytes().decode("utf-8-sig").split("\n")
    except (OSError, ValueError):  # the file was a URL, or is gone
        return []


def _marked(lines: list[str], number: int, column: int, width: int) -> Iterator[Text]:
    line = lines[number - 1].rstrip("\r")
    before = printable(line[: column - 1].expandtabs(2))
    shown = printable(_without_secrets(lines, number).expandtabs(2))
    at = min(cell_len(before), cell_len(shown))
    room = max(width - len(_INDENT), 10)
    start = max(0, at - room // 2) if cell_len(shown) > room else 0
    if start:
        shown, at = _CUT + shown[start + len(_CUT) :], at - start
    if cell_len(shown) > room:
        shown = shown[: room - len(_CUT)] + _CUT
    yield Text(_INDENT + shown)
    yield Text(f"{_INDENT}{' ' * at}^", style="bold red")


def _without_secrets(lines: list[str], number: int) -> str:
    """A line as it may be printed: what is assigned to a name that speaks of a secret is left out of it."""
    line = lines[number - 1].rstrip("\r")
    heredoc: tuple[str, str] | None = None  # the name it is assigned to, and its end
    for above in lines[: number - 1]:
        if heredoc is not None:
            heredoc = None if above.strip() == heredoc[1] else heredoc
        elif opening := _HEREDOC.search(above):
            heredoc = above[: opening.start()], opening[1]
    if heredoc is not None and is_secret(heredoc[0]):
        return _HIDDEN
    for assigned in _ASSIGNED.finditer(line):
        if is_secret(assigned[1]):
            return line[: assigned.end()] + _HIDDEN
    return _CREDENTIALS.sub(f"{_HIDDEN}@", line)
