"""Signatures that say what a reader can use."""

from __future__ import annotations

from typing import Any

from config_attributes import is_configuration
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", _shorten)
    return {"parallel_read_safe": True}


def _shorten(
    app: Sphinx, what: str, name: str, described: object, options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    if is_configuration(described):  # its attributes are listed, with their defaults
        return "(**attributes)", None
    # No Python, so that Sphinx could not read the rest either.
    return signature and signature.replace("<factory>", "..."), returned
