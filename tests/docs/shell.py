"""Shell blocks of documents: what a reader types, and what the terminal answers.

::

    $ metadatadb show jobs --json
    {"namespace":"jobs",...}

A line that begins with ``$`` is a command, which goes on while a quotation is open or a backslash ends the line; what
follows it is what it prints, where ``...`` stands for anything. The commands of a block run in one shell.
"""

from __future__ import annotations

import doctest
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Command", "commands_of", "run_shell", "shell_environment"]

_PROMPT: Final = "$ "
_CONTINUED: Final = "> "
_END: Final = "-- end of a command, status "
_SECONDS: Final = 100.0


@dataclass
class Command:
    """A command, and what it prints as the document has it."""

    text: str
    expected: str = ""


def commands_of(block: str) -> list[Command]:
    """The commands of a block.

    Raises:
        ValueError: it does not begin with one, or one does not end.
    """
    commands: list[Command] = []
    lines = iter(block.splitlines(keepends=True))
    for line in lines:
        if line.startswith(_PROMPT):
            commands.append(Command(_whole(line.removeprefix(_PROMPT), lines)))
        elif commands:
            commands[-1].expected += line
        else:
            raise ValueError(f"a shell block begins with a command, {_PROMPT!r}, not with {line!r}")
    return commands


def _whole(command: str, following: Iterator[str]) -> str:
    while command.endswith("\\\n") or not _is_complete(command):
        try:
            command += next(following).removeprefix(_CONTINUED)
        except StopIteration:
            raise ValueError(f"a command does not end: {command!r}") from None
    return command.rstrip("\n")


def _is_complete(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return True


def shell_environment() -> dict[str, str]:
    """That of a reader who has everything installed, and of whose pip nothing is asked that is not there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]),
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }


def run_shell(block: str, directory: Path, environment: Mapping[str, str], printed: Path) -> None:
    """Run the commands of `block`, and compare what each prints with what the document says.

    Args:
        block: the block.
        directory: where to run it.
        environment: the variables.
        printed: a file for the output; a pipe would be held open by what goes on in the background.
    """
    commands = commands_of(block)
    script = "".join(f"{command.text}\nstatus=$?; echo; echo '{_END}'$status\n" for command in commands)
    with printed.open("w+", encoding="utf-8") as output:
        subprocess.run(
            ["sh", "-c", script],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
    *outputs, rest = printed.read_text(encoding="utf-8").split(f"\n{_END}")
    for number, command in enumerate(commands):
        assert number < len(outputs), f"$ {command.text}\nended the shell, having printed:\n{rest}"
        before = outputs[number] if number == 0 else outputs[number].partition("\n")[2]
        status = (outputs[number + 1] if number + 1 < len(outputs) else rest).partition("\n")[0]
        _compare(command, before, int(status))


def _compare(command: Command, printed: str, status: int) -> None:
    if not command.expected:  # a command that shows nothing may still print, as `pip install` does, but has to succeed
        assert 0 == status, f"$ {command.text}\nexit status {status}, having printed:\n{printed}"
    elif not doctest.OutputChecker().check_output(command.expected, printed, doctest.ELLIPSIS):
        assert command.expected == printed, f"$ {command.text}"
