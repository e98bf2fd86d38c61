"""``metadatadb schema``: what a configuration may hold."""

from __future__ import annotations

from typing import Literal

import click
import msgspec
from click.shell_completion import CompletionItem

from metadatadb_core.cli.options import command, json_option
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.registry import Registry

__all__ = ["schema"]


def _backends(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in Registry().names() if name.startswith(incomplete)]


@command("schema", "metadatadb schema s3", "metadatadb schema --format json > schema.json")
@click.argument("backend", required=False, shell_complete=_backends)
@click.option(
    "--format",
    type=click.Choice(["hcl", "json"]),
    default="hcl",
    show_default=True,
    help="HCL with every attribute, its default and its help; or a JSON Schema.",
)
@json_option
@pass_session
def schema(session: Session, backend: str | None, format: Literal["hcl", "json"]) -> None:
    """Show what the configuration of BACKEND may hold, or that of every installed backend."""
    output, registry = session.output, Registry()
    if output.as_json:
        output.emit(msgspec.json.decode(registry.schema(backend, format="json")))
    else:
        output.lines(registry.schema(backend, format=format).splitlines())
