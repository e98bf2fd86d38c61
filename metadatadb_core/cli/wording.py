"""Names, sizes and times in the words of people, and text as a terminal may be given it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Final

from metadatadb_core.spelling import nearest

__all__ = ["age_text", "bytes_text", "instead_text", "name_text", "printable", "structure_text", "time_text"]

_SHOWN: Final = 10
_UNITS: Final = ("kB", "MB", "GB", "TB")
_STEPS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def printable(text: str) -> str:
    """`text` with escapes for what a terminal might obey: control characters and marks of direction."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def name_text(namespace: str) -> str:
    """A namespace; the root one has no name."""
    return namespace or "(root)"


def structure_text(name: str) -> str:
    """A structure; its name may be empty, which nobody would see."""
    return name or '""'


def instead_text(wanted: str, known: Collection[str], text: Callable[[str], str]) -> str:
    """What there is instead of the name `wanted`: the nearest, or the first of `known`, each as `text` has it.

    Returns:
        "" where nothing is known.
    """
    if (guess := nearest(wanted, known)) is not None:
        return f"did you mean {text(guess)!r}?"
    shown = ", ".join(map(text, sorted(known)[:_SHOWN])) + (", ..." if len(known) > _SHOWN else "")
    return f"there is {shown}" if known else ""


def bytes_text(size: int | None) -> str:
    """A size in bytes."""
    if size is None:
        return "-"
    scaled, unit = float(size), "B"
    for larger in _UNITS:
        if scaled < 999.5:
            break
        scaled, unit = scaled / 1000, larger
    return f"{scaled:.3g} {unit}"


def time_text(moment: datetime | None) -> str:
    """A moment, in UTC."""
    return "-" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def age_text(seconds: float) -> str:
    """How long ago something was, roughly."""
    for length, unit, part, smaller in _STEPS:
        if seconds >= length:
            whole, rest = divmod(int(seconds), length)
            return f"{whole}{unit} {rest // part}{smaller}"
    return f"{seconds:.3g}s"
