"""A name in backticks that is a parameter or attribute of what a docstring describes is no reference."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from sphinx.application import Sphinx

_NAME = re.compile(r"(?<![`:\w])`([a-z_]\w*)`(?![`\w])")
_ATTRIBUTES = re.compile(r"^ +([\w, ]+):", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _quote, priority=100)  # before napoleon
    return {"parallel_read_safe": True}


def _quote(app: Sphinx, what: str, name: str, described: Any, options: object, lines: list[str]) -> None:
    own = set(_own_names(described, "\n".join(lines)))

    def quoted(found: re.Match[str]) -> str:
        return f"``{found[1]}``" if found[1] in own else found[0]

    lines[:] = [_NAME.sub(quoted, line) for line in lines]


def _own_names(described: Any, docstring: str) -> Iterator[str]:
    with suppress(TypeError, ValueError):  # it is nothing that can be called
        yield from inspect.signature(described).parameters
    for row in _ATTRIBUTES.findall(docstring.partition("Attributes:")[2]):
        yield from row.split(", ")
