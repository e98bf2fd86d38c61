"""A write op from words, as somebody types it: ``int-map-add clones repo-a 3``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from metadatadb_core.cli.contents import preview
from metadatadb_core.cli.failures import Misuse
from metadatadb_core.keys import Json
from metadatadb_core.ops import WRITE_OPS, Op, admit
from metadatadb_core.spelling import nearest

__all__ = ["FORMS", "op_from_words", "op_word"]

_INT64_DIGITS: Final = 19
_KEYS: Final = frozenset({"key", "map_key", "member"})


def op_word(kind: type[Op]) -> str:
    """How an op is called: ``IntMapAdd`` is ``int-map-add``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


_BY_WORD: Final[dict[str, type[Op]]] = {op_word(kind): kind for kind in WRITE_OPS}

_LABELS: Final = {"key": "NAME", "map_key": "KEY"}

FORMS: Final = {
    word: " ".join([word, *(_LABELS.get(field, field.upper()) for field in kind.__struct_fields__)])
    for word, kind in _BY_WORD.items()
}
"""How each op is typed."""


def op_from_words(words: Sequence[str]) -> Op:
    """The op that `words` are.

    Names, keys and members are taken as text. A value is JSON, or the text itself where it is none.

    Raises:
        Misuse: they are no op.
        InvalidValueError: they are one that cannot be stored.
    """
    word, *values = words
    kind = _BY_WORD.get(word)
    if kind is None:
        guess = nearest(word, _BY_WORD)
        hint = f"did you mean {guess}?" if guess else f"there is {', '.join(_BY_WORD)}"
        raise Misuse(f"unknown op {word!r}; {hint}")
    fields = msgspec.structs.fields(kind)
    if len(values) != len(fields):
        raise Misuse(f"{word} takes {len(fields)} words, not {len(values)}: {FORMS[word]}")
    for field, value in zip(fields, values, strict=True):
        if not _is_utf8(value):
            raise Misuse(f"{word}: {_label(field)} must be UTF-8, which {value!r} is not")
    return admit(kind(*(_read(word, field, value) for field, value in zip(fields, values, strict=True))))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # Python has lone surrogates for what it cannot decode
        return False
    return True


def _label(field: msgspec.structs.FieldInfo) -> str:
    return _LABELS.get(field.name, field.name.upper())


def _read(word: str, field: msgspec.structs.FieldInfo, text: str) -> Any:
    if field.name in _KEYS:
        return text
    if field.type is int:
        if re.fullmatch(r"[+-]?[0-9]+", text) is None:
            raise Misuse(f"{word}: {field.name.upper()} must be a whole number, not {text!r}")
        if len(text.lstrip("+-0")) > _INT64_DIGITS:
            raise Misuse(f"{word}: {field.name.upper()} is {preview(text)}, but a number must fit in int64")
        return int(text)
    try:
        return _json_or_text(text)
    except (ValueError, RecursionError):
        what = f"{word}: {field.name.upper()} is JSON that cannot be stored: a number too large, or too many levels"
        raise Misuse(f"{what}; in quotes, '\"...\"', it is text") from None


def _json_or_text(text: str) -> Json:
    """What `text` is.

    Raises:
        ValueError, RecursionError: it is JSON, but none that can be stored.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        if _is_json(text):
            raise
        return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_int=float, parse_constant=_no_json)
    except ValueError:
        return False
    return True


def _no_json(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
