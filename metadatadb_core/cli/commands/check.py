"""``metadatadb check``: is a configuration right, before anything is deployed with it?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import click
from rich.console import RenderableType
from rich.text import Text

from metadatadb_core.cli.options import command, complete_file, json_option
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.problems import show_problems
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.targets import check_readable, masked
from metadatadb_core.cli.wording import printable
from metadatadb_core.errors import BackendNotFoundError, ConfigError, ConfigProblem
from metadatadb_core.registry import Registry
from metadatadb_core.settings import Settings
from metadatadb_core.targets import read_target

__all__ = ["check"]


@command("check", "metadatadb check meta.hcl", "metadatadb check 's3://builds?lock-ttl=10s'")
@click.argument("config", shell_complete=complete_file)
@json_option
@pass_session
def check(session: Session, config: str) -> int:
    """Check CONFIG, an HCL file or a URL, and tell every mistake in it.

    Variables are taken from the environment. No store is asked for anything.
    """
    backend: str | None = None
    problems: Sequence[ConfigProblem] = ()
    try:
        backend = _checked(config)
    except ConfigError as error:
        problems = error.problems
    name = masked(config)
    document = {"config": name, "valid": not problems, "backend": backend, "problems": problems}
    session.output.result(document, lambda: _render(session.output, name, backend, problems))
    return 1 if problems else 0


def _checked(config: str) -> str:
    registry = Registry()
    name, settings = _read_url(config, registry) if "://" in config else _read_file(config, registry)
    settings.configure(registry.registration(name).config_class, os.environ)
    return name


def _read_url(config: str, registry: Registry) -> tuple[str, Settings]:
    try:
        return read_target(config, registry)
    except BackendNotFoundError as error:
        raise ConfigError([ConfigProblem(str(error), masked(config))]) from error


def _read_file(config: str, registry: Registry) -> tuple[str, Settings]:
    from metadatadb_core import hcl

    check_readable(config)
    block = hcl.the_block(hcl.parse_file(config))
    (label,) = block.labels
    try:
        registry.registration(label)
    except BackendNotFoundError as error:
        # Which attributes it would have nobody knows, but what was found in reading it is to be told as well.
        line, column = block.settings.at or (None, None)
        unknown = ConfigProblem(str(error), config, line, column)
        raise ConfigError([unknown, *block.settings.problems]) from error
    return label, block.settings


def _render(
    output: Output, name: str, backend: str | None, problems: Sequence[ConfigProblem]
) -> Iterator[RenderableType]:
    if problems:
        yield from show_problems(problems, output.out.width)
        yield Text(f"{len(problems)} mistake{'s' * (len(problems) > 1)}", style="red")
    else:
        yield Text.assemble((printable(name), "bold"), f" is a valid configuration of the backend {backend!r}")
