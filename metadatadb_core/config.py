"""Typed configuration of a backend: the base class that backends derive theirs from.

::

    class S3BackendConfig(BackendConfig):
        bucket: Annotated[str, Meta(description="The bucket that holds the state.")]
        lock_ttl: Annotated[Duration, Meta(description="...")] = Duration("30s")

In HCL, in a URL and in errors an attribute is called by its kebab-case name, ``lock-ttl``.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, dataclass_transform

import msgspec
from msgspec.structs import FieldInfo, fields, force_setattr

from metadatadb_core.duration import Duration
from metadatadb_core.errors import ConfigError, ConfigProblem
from metadatadb_core.spelling import nearest
from metadatadb_core.variables import expand
from metadatadb_core.wording import choices, describe, is_secret, show, without_credentials

__all__ = ["BackendConfig", "Duration", "convert", "has_default", "misfit"]


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class _ConfigMeta(msgspec.StructMeta):
    # msgspec lets subclasses inherit `frozen` and `rename`, but not `kw_only`, without which a required
    # attribute could not follow an optional one.
    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        options.setdefault("kw_only", True)
        return super().__new__(mcls, name, bases, namespace, **options)


class BackendConfig(
    msgspec.Struct, metaclass=_ConfigMeta, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True
):
    """Base of a backend's configuration; its attributes are what a ``metadata`` block may hold.

    However it is made, its values are checked, a string given for a `Duration` is read as one, and a duration of
    zero is replaced by the attribute's default. A subclass that checks more does so in ``__post_init__``, after
    ``super().__post_init__()``, and raises `ValueError`.

    Raises:
        ConfigError: values that do not fit, all of them at once.
    """

    def __post_init__(self) -> None:
        problems: list[ConfigProblem] = []
        for field in fields(type(self)):
            value = given = getattr(self, field.name)
            if value is field.default and isinstance(value, str):
                value = expand(value, os.environ, problems)
            try:
                value = convert(value, field.type)
            except msgspec.ValidationError as error:
                problems.append(misfit(field, given, error, expanded=value is not given))
                continue
            if isinstance(value, Duration) and not value and has_default(field):
                value = field.default
            if value is not given:
                force_setattr(self, field.name, value)
        if problems:
            raise ConfigError(problems)

    def __repr__(self) -> str:
        rows = (f"{field.name}={_shown(field.name, getattr(self, field.name))}" for field in fields(type(self)))
        return f"{type(self).__name__}({', '.join(rows)})"


def _shown(attribute: str, value: object) -> str:
    return "(hidden)" if is_secret(attribute) else without_credentials(repr(value))


def has_default(field: FieldInfo) -> bool:
    """Whether the attribute has a default that is a value, not a factory."""
    return field.default is not msgspec.NODEFAULT


def _decode(kind: type, value: object) -> object:
    if isinstance(value, kind):
        return value
    if kind is Duration and isinstance(value, (str, timedelta)):
        return Duration(value)
    raise TypeError(f"expected {describe(kind)}")


def convert(value: object, annotation: Any, *, from_text: bool = False) -> Any:
    """`value` as the type `annotation`.

    Args:
        value: a value as HCL holds it, or one of that type already.
        annotation: the attribute's type, with its constraints.
        from_text: whether the value came from text (a variable, a URL), so that "5" is 5 where an int is wanted,
            and "[1,2]" a list where one is wanted.

    Raises:
        msgspec.ValidationError: it does not fit.
    """
    try:
        return msgspec.convert(value, annotation, dec_hook=_decode)
    except msgspec.ValidationError as error:
        if not from_text:
            raise
        if isinstance(value, str) and value[:1] in ("[", "{"):
            try:
                return msgspec.json.decode(value, type=annotation, dec_hook=_decode)
            except (ValueError, RecursionError):
                raise error from None
    return msgspec.convert(value, annotation, strict=False, dec_hook=_decode)


def misfit(field: FieldInfo, value: object, error: msgspec.ValidationError, *, expanded: bool = False) -> ConfigProblem:
    """What is wrong with `value` for that attribute, without a position.

    Args:
        field: the attribute.
        value: the value as it was written, before variables were expanded.
        error: what `convert` raised.
        expanded: whether variables were; what they hold is not repeated.
    """
    name = field.encode_name
    message = f"wrong value for {name!r}: {show(name, value)}"
    reason = error.__cause__
    if isinstance(reason, ConfigError) and not expanded and not is_secret(name):
        message += f" ({reason.problems[0].message})"
    elif " - at `$" in str(error):  # deep in a list or object: say where
        message += f" at {str(error).rpartition('`$')[2].rstrip('`')}"
    known = choices(field.type)
    guess = nearest(value, known) if isinstance(value, str) and not is_secret(name) else None
    return ConfigProblem(message, attribute=name, expected=describe(field.type), nearest=guess)
