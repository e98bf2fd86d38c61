"""Durations as Go writes them: ``30s``, ``1m30s``, ``500ms``."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final, final

from metadatadb_core.errors import ConfigError, ConfigProblem

__all__ = ["DURATION_FORM", "Duration"]

DURATION_FORM: Final = 'a duration such as "30s", "1m30s" or "500ms"'
"""What was expected, in an error about a duration."""

# durationpy is more lenient than Go: it skips what it does not know between two terms and has units of days,
# weeks and months ("5mm" is five months). What is not Go's is refused before it gets there.
_GO_DURATION = r"[+-]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)"

_LONGEST = (2**63 - 1) / 1e9
"""Seconds; a Go duration counts nanoseconds in an int64."""

_SHOWN: Final = 60
"""Characters of a value that an error repeats."""


def _refuse(message: str) -> ConfigError:
    return ConfigError([ConfigProblem(message, expected=DURATION_FORM)])


def _shown(value: object) -> str:
    """`value` for an error, cut short where it is no duration that anybody meant."""
    if type(value) is int and value.bit_length() > 256:
        return f"an int of {value.bit_length()} bits"  # Python refuses to write out the longest
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _parse(text: str) -> float:
    import durationpy

    if not re.fullmatch(_GO_DURATION, text):
        raise _refuse(f"{_shown(text)} is not a duration")
    try:
        seconds = durationpy.from_str(text).total_seconds()
    except durationpy.DurationError:
        raise _refuse(f"{_shown(text)} is too long for a duration") from None
    # Zero means the default, so a duration must not be rounded to it.
    if seconds == 0 and re.search("[1-9]", text):
        raise _refuse(f"{_shown(text)} is shorter than a microsecond")
    return seconds


def _decimal(number: int, scale: int) -> str:
    return f"{number / scale:.6f}".rstrip("0").rstrip(".")


@final
class Duration(float):
    """A length of time: a float of seconds that reads and prints Go durations.

    It goes wherever seconds go (``event.wait(config.load_timeout)``). Resolution is a microsecond.
    As an attribute of a `BackendConfig`, zero means that attribute's default.

    Args:
        value: a Go duration (units ``ns us µs ms s m h``), seconds as a number, or a `datetime.timedelta`.

    Raises:
        ConfigError: not a duration, negative, or longer than Go can hold (292 years).
    """

    __slots__ = ()

    def __new__(cls, value: str | float | timedelta) -> Duration:
        given: object = value
        if isinstance(value, str):
            seconds = _parse(value)
        elif isinstance(value, timedelta):
            seconds = value.total_seconds()
        elif isinstance(given, (int, float)) and not isinstance(given, bool):
            # An int may be too large for a float; where it is out of range, which end of it is enough to know.
            seconds = float(min(max(given, -1), 2 * _LONGEST))
        else:
            raise _refuse(f"{_shown(value)} is not a duration")
        shown = _shown(value)
        if math.isnan(seconds):
            raise _refuse(f"{shown} is not a duration")
        if seconds < 0:
            raise _refuse(f"{shown} is negative, and a duration is not")
        if seconds > _LONGEST:
            raise _refuse(f"{shown} is too long for a duration")
        if 0 < seconds < 1e-6:
            raise _refuse(f"{shown} is shorter than a microsecond")
        return super().__new__(cls, round(seconds, 6))

    @property
    def seconds(self) -> float:
        """The duration in seconds, as a plain float."""
        return float(self)

    def __str__(self) -> str:
        total = round(self * 1_000_000)
        if total < 1_000_000:
            if total == 0:
                return "0s"
            return f"{total}us" if total < 1000 else f"{_decimal(total, 1000)}ms"
        minutes, micros = divmod(total, 60_000_000)
        hours, minutes = divmod(minutes, 60)
        terms = [f"{hours}h"] * (hours > 0) + [f"{minutes}m"] * (minutes > 0)
        return "".join(terms) + (f"{_decimal(micros, 1_000_000)}s" if micros else "")

    def __repr__(self) -> str:
        return f"Duration('{self}')"
