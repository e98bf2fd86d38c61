"""One backend, as a plugin or a program registers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, final

import msgspec
from msgspec.structs import fields

from metadatadb_core.backend import Backend
from metadatadb_core.config import BackendConfig, convert
from metadatadb_core.errors import PluginError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__all__ = ["FromUrl", "Registration", "check_config_class"]

FromUrl: TypeAlias = "Callable[[SplitResult], Mapping[str, object]]"
"""Turns a parsed URL into attributes, by their HCL names; the query is none of its business."""


@final
class Registration(msgspec.Struct, frozen=True):
    """A backend as it was registered; see `Registry.register`."""

    name: str
    description: str
    factory: Callable[[Any], Backend]
    config_class: type[BackendConfig]
    from_url: FromUrl | None


def check_config_class(name: str, config_class: object) -> None:
    """Refuse what cannot be the configuration of a backend.

    Raises:
        PluginError: it does not derive from BackendConfig, or an attribute has a type that msgspec cannot use.
    """
    if not (isinstance(config_class, type) and issubclass(config_class, BackendConfig)):
        raise PluginError(name, f"its config_class {config_class!r} does not derive from BackendConfig")
    for field in fields(config_class):
        # An annotation that msgspec cannot use is the author's mistake, and better told before a user's value is.
        try:
            convert(None, field.type)
        except msgspec.ValidationError:
            pass
        except TypeError as error:
            reason = f"attribute {field.name!r} of its {config_class.__name__} has a type that cannot be used: {error}"
            raise PluginError(name, reason, cause=error) from error
