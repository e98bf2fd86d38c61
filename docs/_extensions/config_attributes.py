"""The attributes of a configuration class, from their types: what a docstring of it would have to repeat."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields
from sphinx.application import Sphinx

from metadatadb_core import BackendConfig
from metadatadb_core.wording import describe


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _add_attributes, priority=200)  # before napoleon
    return {"parallel_read_safe": True}


def is_configuration(described: object) -> bool:
    """Whether it is the class of a backend's configuration."""
    return isinstance(described, type) and issubclass(described, BackendConfig) and described is not BackendConfig


def _add_attributes(app: Sphinx, what: str, name: str, described: Any, options: object, lines: list[str]) -> None:
    if is_configuration(described) and fields(described):
        lines += ["", "Attributes:", *(f"    {field.name}: {_about(field)}" for field in fields(described))]


def _about(field: FieldInfo) -> str:
    metas = (part for part in getattr(field.type, "__metadata__", ()) if isinstance(part, msgspec.Meta))
    described = next((meta.description for meta in metas if meta.description), "")
    default = "required" if field.required else f"default ``{field.default!r}``"
    return f"{described} It is {describe(field.type)}; {default}."
