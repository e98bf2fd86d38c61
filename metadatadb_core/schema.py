"""What a backend's configuration may hold, as HCL text for people and as JSON Schema for tools."""

from __future__ import annotations

import textwrap
from typing import Any, Final

import msgspec
from msgspec.structs import FieldInfo, fields

from metadatadb_core.config import BackendConfig, Duration
from metadatadb_core.wording import describe

__all__ = ["hcl_block", "json_schema"]

_WIDTH: Final = 100

_BLANKS: Final = {
    "true or false": "false",
    "a whole number": "0",
    "a number": "0",
    "a list": "[]",
    "an object": "{}",
    "a duration": '"0s"',
}


def hcl_block(name: str, description: str, config_class: type[BackendConfig]) -> str:
    """A ``metadata`` block with every attribute: its default, or where it must be set, a place for its value.

    The text is HCL, and a configuration once the required attributes are filled in.
    """
    lines = [*_comment(description), f'metadata "{name}" {{']
    for number, field in enumerate(fields(config_class)):
        lines += [""] * (number > 0)
        lines += textwrap.indent("\n".join(_attribute(field)), "  ").split("\n")
    return "\n".join([*lines, "}"]) + "\n"


def _attribute(field: FieldInfo) -> list[str]:
    help_text = _help(field)
    lines = _comment(help_text) if help_text else []
    if field.required:
        return [*lines, *_comment(f"Required: {describe(field.type)}."), f"{field.encode_name} = {_blank(field.type)}"]
    default = _hcl(_default(field))
    return [*lines, *_comment(f"Optional: {describe(field.type)}."), f"{field.encode_name} = {default}"]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, _WIDTH)]


def _help(field: FieldInfo) -> str | None:
    metas = (part for part in getattr(field.type, "__metadata__", ()) if isinstance(part, msgspec.Meta))
    return next((meta.description for meta in metas if meta.description), None)


def _default(field: FieldInfo) -> Any:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return msgspec.to_builtins(value, enc_hook=_encode)


def _encode(value: object) -> str:
    return str(value)  # a Duration; of what msgspec does not know there is nothing better to show


def _blank(annotation: Any) -> str:
    """A value of about the type asked for, to be replaced."""
    words = describe(annotation)
    return next((blank for beginning, blank in _BLANKS.items() if words.startswith(beginning)), '""')


def _hcl(value: Any) -> str:
    # JSON's values are HCL's, but for what begins a template directive; references to variables stay references.
    return msgspec.json.encode(value).decode().replace("%{", "\\u0025{")


def json_schema(name: str, description: str, config_class: type[BackendConfig]) -> dict[str, Any]:
    """The attributes of a ``metadata`` block as a JSON Schema (2020-12) of one object."""
    rows = fields(config_class)
    # By attribute rather than of the whole class: msgspec cannot write the default of a Duration by itself.
    schemas, components = msgspec.json.schema_components([field.type for field in rows], schema_hook=_duration_schema)
    properties: dict[str, Any] = {}
    for field, schema in zip(rows, schemas, strict=True):
        properties[field.encode_name] = schema if field.required else {**schema, "default": _default(field)}
    result: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:metadatadb:backend:{name}",
        "title": name,
        "description": description,
        "type": "object",
        "properties": properties,
        "required": [field.encode_name for field in rows if field.required],
        "additionalProperties": False,
    }
    return {**result, "$defs": components} if components else result


def _duration_schema(kind: type) -> dict[str, Any]:
    if kind is Duration:
        return {"type": "string", "format": "go-duration", "examples": ["30s", "1m30s", "500ms"]}
    raise NotImplementedError(f"{kind.__name__} has no JSON Schema")
