"""Which namespaces a command is about: all of a store, or those that are named."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click

from metadatadb_core.backend import check_namespace
from metadatadb_core.cli.failures import Refusal
from metadatadb_core.cli.wording import instead_text, name_text
from metadatadb_core.errors import InvalidNamespaceError

__all__ = ["check_found", "only_option", "skip_unreadable_option"]

F = TypeVar("F", bound=Callable[..., Any])


def only_option(function: F) -> F:
    """``-n NAMESPACE``, as often as one likes; the parameter is `only`, empty for all namespaces."""
    return click.option(
        "-n",
        "--namespace",
        "only",
        multiple=True,
        metavar="NAMESPACE",
        callback=_checked,
        help="Only this namespace, '' being the root; may be given more than once.",
    )(function)


def skip_unreadable_option(function: F) -> F:
    """``--skip-unreadable``."""
    return click.option(
        "--skip-unreadable",
        is_flag=True,
        help="Leave out namespaces that cannot be read, and name them; the exit status is 1 all the same.",
    )(function)


def _checked(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> frozenset[str]:
    for name in names:
        try:
            check_namespace(name)
        except InvalidNamespaceError as error:
            raise click.BadParameter(str(error), context, parameter) from error
    return frozenset(names)


def check_found(only: Collection[str], found: Collection[str], where: str) -> None:
    """Refuse to go on without a namespace that was named.

    Raises:
        Refusal: one of `only` is not among `found`.
    """
    missing = sorted(set(only) - set(found))
    if missing:
        told = [f"{name_text(name)!r} ({instead_text(name, found, name_text) or 'there is none'})" for name in missing]
        raise Refusal(f"{where} holds no {', '.join(told)}")
