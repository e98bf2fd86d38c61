"""Types and values in the words of those who write configuration."""

from __future__ import annotations

import enum
import re
import types
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from metadatadb_core.duration import DURATION_FORM, Duration

__all__ = ["choices", "describe", "is_secret", "show", "without_credentials"]

_PLAIN: Final[dict[Any, str]] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Duration: DURATION_FORM,
    type(None): "null",
    Any: "any value",
}

_SECRET = ("secret", "passw", "token", "key", "credential")

# Up to the last "@" that may belong to it: a password with a "/" in it hides more than it must.
_USER = re.compile(r"""(?<=://)[^\s"']*@""")
_PARAMETER = re.compile(rf"""([?&][^=&\s"']*(?:{"|".join(_SECRET)})[^=&\s"']*=)[^&\s"'#]+""", re.IGNORECASE)

_SHOWN: Final = 60
"""Characters of a value that an error repeats."""


def is_secret(attribute: str) -> bool:
    """Whether the value of `attribute` must not be repeated anywhere."""
    return any(word in attribute.lower() for word in _SECRET)


def show(attribute: str, value: object) -> str:
    """`value` as HCL would have it, cut short; hidden where the attribute's name says that it is a secret."""
    if is_secret(attribute):
        return "(hidden)"
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    text = without_credentials(text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def without_credentials(text: str) -> str:
    """`text` with the users, passwords and secret parameters of the URLs in it replaced by stars."""
    return _PARAMETER.sub(r"\1***", _USER.sub("***@", text))


def choices(annotation: Any) -> tuple[str, ...]:
    """The strings that `annotation` is limited to; none if it is not."""
    origin = get_origin(annotation)
    if origin is Literal:
        return tuple(value for value in get_args(annotation) if isinstance(value, str))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return tuple(member.value for member in annotation if isinstance(member.value, str))
    if origin is Annotated or origin in (Union, types.UnionType):
        return tuple(name for part in get_args(annotation) for name in choices(part))
    return ()


def describe(annotation: Any) -> str:
    """What a value of type `annotation` is: "a whole number of at least 1", say."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = [limit for meta in parts[1:] if isinstance(meta, msgspec.Meta) for limit in _limits(meta)]
        return " ".join([describe(parts[0]), " and ".join(limits)]).rstrip()
    if origin is Literal:
        return _one_of(parts)
    if origin in (Union, types.UnionType):
        return " or ".join(map(describe, parts))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _one_of(member.value for member in annotation)
    kind = origin or annotation
    if kind in (list, tuple, set, frozenset):
        return f"a list, each item {describe(parts[0])}" if parts else "a list"
    if kind is dict:
        return f"an object, each value {describe(parts[1])}" if parts else "an object"
    return f"a {getattr(annotation, '__name__', annotation)}"


def _one_of(values: Iterable[object]) -> str:
    rows = [show("", value) for value in values]
    return rows[0] if len(rows) == 1 else f"one of {', '.join(rows)}"


def _limits(meta: msgspec.Meta) -> Iterable[str]:
    if meta.ge is not None:
        yield f"of at least {meta.ge}"
    if meta.gt is not None:
        yield f"greater than {meta.gt}"
    if meta.le is not None:
        yield f"of at most {meta.le}"
    if meta.lt is not None:
        yield f"less than {meta.lt}"
    if meta.multiple_of is not None:
        yield f"that is a multiple of {meta.multiple_of}"
    if meta.min_length is not None:
        yield f"no shorter than {meta.min_length}"
    if meta.max_length is not None:
        yield f"no longer than {meta.max_length}"
    if meta.pattern is not None:
        yield f"that matches {meta.pattern}"
