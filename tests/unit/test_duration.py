"""Durations as Go reads and prints them."""

from __future__ import annotations

import copy
import math
import pickle
from datetime import timedelta
from typing import Any

import pytest

from metadatadb_core.config import Duration
from metadatadb_core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("1h0m0.5s", 3600.5),
        ("1.5h", 5400.0),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("+3s", 3.0),
        ("0", 0.0),
        ("0s", 0.0),
    ],
)
def test_a_go_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    """What Go's time.ParseDuration takes."""
    assert seconds == Duration(text).seconds


@pytest.mark.parametrize(
    "text",
    ["", "s", "30", "1h30", "1d", "2w", "5mm", "1y", "1m 30s", "1m!!30s", " 30s", "30s\n", "1..5s", ".s", "١s", "1e3s"],
)
def test_what_go_refuses_is_refused(text: str) -> None:
    """Also what durationpy would let pass: units of days and months, and anything between two terms."""
    with pytest.raises(ConfigError, match="is not a duration") as caught:
        Duration(text)

    assert caught.value.expected is not None
    assert '"30s"' in caught.value.expected


@pytest.mark.parametrize("value", ["-1s", -1, -0.5, timedelta(seconds=-1), -math.inf])
def test_a_negative_duration_is_refused(value: Any) -> None:
    """Nothing waits a negative time."""
    with pytest.raises(ConfigError, match="negative"):
        Duration(value)


@pytest.mark.parametrize(
    "value",
    ["x" * 5000, "9" * 5000 + "h", "0." + "0" * 5000 + "1ns", 10**5000, ["x"] * 5000],
    ids=["text", "too long", "too short", "int", "list"],
)
def test_an_error_repeats_only_the_beginning_of_what_is_too_long(value: Any) -> None:
    """And Python would not even write out the longest int."""
    with pytest.raises(ConfigError) as caught:
        Duration(value)

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", ["3000000h", "9" * 400 + "h", 1e12, 10**400, math.inf, timedelta.max])
def test_a_duration_go_could_not_hold_is_refused(value: Any) -> None:
    """Go counts nanoseconds in an int64: 292 years."""
    with pytest.raises(ConfigError, match="too long"):
        Duration(value)


@pytest.mark.parametrize("value", ["1ns", "0.1us", 1e-9])
def test_a_duration_too_short_to_tell_from_zero_is_refused(value: Any) -> None:
    """Zero means the default, so nothing else may be rounded to it."""
    with pytest.raises(ConfigError, match="shorter than a microsecond"):
        Duration(value)


@pytest.mark.parametrize("value", [True, None, b"30s", math.nan, [30]])
def test_what_is_no_time_is_refused(value: Any) -> None:
    """Neither a number, nor text, nor a timedelta."""
    with pytest.raises(ConfigError, match="is not a duration"):
        Duration(value)


@pytest.mark.parametrize("value", [90, 90.0, timedelta(minutes=1.5), Duration("1m30s")])
def test_a_number_of_seconds_and_a_timedelta_are_durations(value: Any) -> None:
    """In Python there are other ways to say it."""
    assert Duration("1m30s") == Duration(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0s"), (1e-6, "1us"), (0.0015, "1.5ms"), (0.5, "500ms"), (1.25, "1.25s"), (90, "1m30s"), (3600, "1h")]
    + [(5400, "1h30m"), (3600.000001, "1h0.000001s"), (86400 * 365, "8760h")],
)
def test_a_duration_prints_as_go_reads_it(value: float, text: str) -> None:
    """And reads back as the same."""
    duration = Duration(value)

    assert (text, f"Duration('{text}')", text) == (str(duration), repr(duration), f"{duration}")
    assert duration == Duration(text)


def test_a_duration_is_the_float_of_its_seconds() -> None:
    """It goes wherever seconds go, and hashes and compares like them."""
    duration = Duration("1m30s")

    assert isinstance(duration, float)
    assert {90.0: "x"} == {duration: "x"}
    assert 91.0 == duration + 1


def test_a_duration_survives_copy_and_pickle() -> None:
    """As itself, not as a float."""
    duration = Duration("1m30s")
    copies = [copy.deepcopy(duration), pickle.loads(pickle.dumps(duration))]

    assert [duration, duration] == copies
    assert [Duration, Duration] == [type(each) for each in copies]
