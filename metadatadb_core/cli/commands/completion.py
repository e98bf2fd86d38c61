"""``metadatadb completion``: the script by which a shell completes commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from metadatadb_core.cli.options import command
from metadatadb_core.cli.session import Session, pass_session

__all__ = ["completion"]

_SHELLS: Final = ("bash", "zsh", "fish")


@command("completion", 'eval "$(metadatadb completion bash)"', "metadatadb completion fish | source")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
@pass_session
def completion(session: Session, context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and names of backends."""
    make = get_completion_class(shell)
    assert make is not None
    script = make(context.find_root().command, {}, "metadatadb", "_METADATADB_COMPLETE").source()
    session.output.lines(script.splitlines())
