"""The public API as text, a line a name: what a release promises, so that a diff shows what another one breaks.

``python -m tests.support.public_api`` writes it down anew, in ``tests/unit/public_api.txt``.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from metadatadb_core import Duration

__all__ = ["MODULES", "NAMES", "RECORDED", "describe"]

MODULES = (
    "metadatadb_core",
    "metadatadb_core.backend",
    "metadatadb_core.errors",
    "metadatadb_core.events",
    "metadatadb_core.hookspecs",
    "metadatadb_core.ops",
    "metadatadb_core.replication",
    "metadatadb_core.testing",
)
"""The modules whose ``__all__`` is public, and its names there."""

NAMES = ("metadatadb_core.keys.canonical_key", "metadatadb_core.state.NamespaceState")
"""What is public of modules that are not."""

RECORDED = Path(__file__).parents[1] / "unit" / "public_api.txt"


def describe() -> str:
    """Every public name; a class with its bases and public members, where it is first met."""
    described: set[type] = set()
    names = [f"{name}.{exported}" for name in MODULES for exported in sorted(import_module(name).__all__)]
    return "".join(f"{line}\n" for path in [*names, *NAMES] for line in _lines(path, described))


def _lines(path: str, described: set[type]) -> Iterator[str]:
    module, _, name = path.rpartition(".")
    value = getattr(import_module(module), name)
    if inspect.isfunction(value):
        yield f"{path}{_signature(value)}"
    elif isinstance(value, type):
        yield f"{path}({', '.join(base.__name__ for base in value.__bases__)})"
        if value not in described:
            described.add(value)
            yield from (f"{path}.{member}" for member in _members(value))
    else:
        yield f"{path} = {value}" if type(value) is int else path


def _members(cls: type) -> Iterator[str]:
    """Public attributes, constructors and methods that are ours, inherited ones included; no protocols of Python."""
    if issubclass(cls, msgspec.Struct):
        for field in msgspec.structs.fields(cls):
            yield f"{field.name}{'' if field.required else f' = {_Verbatim.of(field.default)}'}"
    if issubclass(cls, enum.Enum):
        yield from cls.__members__
    ours = [base for base in cls.__mro__ if base.__module__.startswith("metadatadb_core")]
    for name in sorted({name for base in ours for name in vars(base) if name == "__init__" or name[0] != "_"}):
        value: Any = inspect.getattr_static(cls, name)
        function = getattr(value, "__func__", value)
        if inspect.isfunction(function):
            yield f"{name}{_signature(function)}"
        elif isinstance(value, property) or callable(value):
            yield name


class _Verbatim:
    """What `inspect.Signature` is to print as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    @classmethod
    def of(cls, default: object) -> _Verbatim:
        """A default: itself where its text is the same in every process."""
        plain = default is None or isinstance(default, (bool, int, float, str))
        return cls(str(default) if isinstance(default, Duration) else repr(default) if plain else "...")


def _signature(function: Any) -> inspect.Signature:
    """As the source has it."""
    signature = inspect.signature(function)
    parameters = [
        each.replace(annotation=_annotation(each.annotation), default=_default(each.default))
        for each in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters, return_annotation=_annotation(signature.return_annotation))


def _annotation(annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return annotation
    return _Verbatim(annotation if isinstance(annotation, str) else inspect.formatannotation(annotation))


def _default(default: object) -> Any:
    return default if default is inspect.Parameter.empty else _Verbatim.of(default)


if __name__ == "__main__":
    RECORDED.write_text(describe(), encoding="utf-8")
