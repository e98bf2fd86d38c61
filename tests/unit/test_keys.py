"""Canonical keys: one text for each key, and one key for each text."""

from __future__ import annotations

import enum
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core.errors import InvalidValueError
from metadatadb_core.keys import (
    CanonicalKey,
    canonical_key,
    float_text,
    from_member_key,
    member_key,
    member_text,
    sort_keys,
    stored_float,
    to_json,
)
from metadatadb_core.testing.strategies import json_values, keys, texts


@dataclass(frozen=True)
class Point:
    y: int
    x: int


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


class Mode(enum.StrEnum):
    ON = "on"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        (Mode.ON, '"on"'),
        (1, "1"),
        (1.0, "1"),
        (True, "true"),
        (None, "null"),
        ((1, (2,)), "[1,[2]]"),
        ({"b": 1, "a": [1.0]}, '{"a":[1],"b":1}'),
        (Point(1, 2), '{"x":2,"y":1}'),
        (Colour.RED, '"red"'),
        (Colour.ONE, "1"),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00Z"'),
        (1e20, "100000000000000000000"),
        (CanonicalKey("[1]"), "[1]"),
    ],
    ids=repr,
)
def test_every_kind_of_key_has_a_text(value: object, text: str) -> None:
    """Anything msgspec converts to JSON can be a key, and is the key of its JSON value."""
    assert text == canonical_key(value)


UNFIT: dict[str, Any] = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "nested infinity": [float("-inf")],
    "above int64": 2**63,
    "below int64": -(2**63) - 1,
    "of thousands of digits": 10**5000,
    "lone surrogate": "\ud800",
    "lone surrogate in a name": {"\udfff": 1},
    "object": object(),
    "nested object": {1: {2: object()}},
}


@pytest.mark.parametrize("value", UNFIT.values(), ids=UNFIT.keys())
def test_what_json_cannot_hold_is_no_key(value: object) -> None:
    """With the error for input, never one of an encoder."""
    with pytest.raises(InvalidValueError):
        canonical_key(value)


@given(keys())
def test_the_text_is_json_of_the_key(key: Any) -> None:
    """Any JSON reader reads the key from its text, numbers as float64."""
    assert json.loads(json.dumps(key), parse_int=float) == json.loads(canonical_key(key), parse_int=float)


@given(keys())
def test_a_text_leads_back_to_its_key(key: Any) -> None:
    """In memory, in storage and on the way, a key is one key."""
    text = canonical_key(key)
    held = member_key(key)

    assert text == member_text(held)
    assert held == from_member_key(text)
    assert text == canonical_key(held if isinstance(held, str) else held.value)


@given(keys(), keys())
def test_keys_are_the_same_when_their_json_is(one: Any, other: Any) -> None:
    """``1`` and ``1.0`` are one key; ``1``, ``"1"``, True and ``-0.0`` are not the same as any other."""
    same = msgspec.json.encode(_normal(one), order="sorted") == msgspec.json.encode(_normal(other), order="sorted")

    assert same == (member_key(one) == member_key(other))


def _normal(value: Any) -> Any:
    """Numbers by value, and the two zeros apart."""
    if isinstance(value, float | int) and not isinstance(value, bool):
        return ["number", float_text(value) if isinstance(value, float) else str(value)]
    if isinstance(value, list):
        return ["list", *map(_normal, value)]
    if isinstance(value, dict):
        return {name: _normal(item) for name, item in value.items()}
    return value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_float_reads_as_that_float(number: float) -> None:
    """Bit for bit, the sign of zero included, whether it is written with an exponent or as an integer."""
    text = float_text(number)

    assert number == float(text)
    assert repr(number) == repr(float(text))
    if "." not in text and "e" not in text and abs(number) >= 2**63:
        assert number == stored_float(text)


@given(st.integers(2**63, 10**21))
def test_integers_that_int64_cannot_hold_are_no_floats(number: int) -> None:
    """Unless they are exactly what Go writes for one."""
    assert (float_text(float(number)) == str(number)) == (stored_float(str(number)) is not None)


@given(texts())
def test_arbitrary_text_is_a_key_or_nobodys(text: str) -> None:
    """Whatever stands in a stored object, it is either the one text of a key, or it is left alone."""
    key = from_member_key(text)

    assert key is None or text == member_text(key) == canonical_key(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1.0",
        "1e0",
        "+1",
        "01",
        "-00",
        "0.10",
        "1E21",
        "1e21",
        "[1, 2]",
        '{"b":1,"a":2}',
        '{"a":1,"a":2}',
        "nul",
    ]
    + ["NaN", "Infinity", "-Infinity", '"\\u0041"', '"<"', '"\\/"', '"\u2028"', '"\\ud800"', '["\\ud800"]', '"a', "a"]
    + ["9223372036854775808", "18446744073709551616", "1e400", "[" * 65 + "]" * 65, "[" * 100_000, "9" * 5000],
    ids=lambda text: f"{text[:12]!a}-{len(text)}",
)
def test_texts_that_are_not_canonical_are_nobodys(text: str) -> None:
    """A second text for one key would be a second entry that no op could reach."""
    assert from_member_key(text) is None


def test_both_zeros_are_keys_of_their_own() -> None:
    """Go writes -0 for the float -0.0; read as the int 0 it would be another key."""
    assert ["0", "-0", "0"] == [canonical_key(0), canonical_key(-0.0), canonical_key(0.0)]
    assert CanonicalKey("-0") == from_member_key("-0") == member_key(-0.0)
    assert "-0.0" == repr(CanonicalKey("-0").value)
    assert "[-0.0, {'a': -0.0}]" == repr(CanonicalKey('[-0,{"a":-0}]').value)


def test_a_number_beyond_int64_is_the_float_it_was() -> None:
    """So that what comes out can go in again."""
    assert "1e+20" == repr(CanonicalKey("100000000000000000000").value)
    assert "[9.223372036854776e+18]" == repr(CanonicalKey("[9223372036854776000]").value)


def test_text_is_sorted_by_code_point() -> None:
    """As Go does, and not by UTF-16 unit."""
    assert ["", "Z", "a", "\uff61", "\U00010000"] == sort_keys(["\U00010000", "a", "\uff61", "", "Z"])


def test_numbers_are_sorted_by_value() -> None:
    """Not by their text, in which 10 is less than 9."""
    assert [-1.5, 2, 9, 10] == sort_keys([10, 9, -1.5, 2])


def test_mixed_keys_are_sorted_by_their_text() -> None:
    """Any order will do where there is no natural one, as long as it is always the same."""
    assert ["a", 1, [2], None, True, {"k": 1}] == sort_keys([{"k": 1}, True, None, 1, "a", [2]])


@given(st.lists(keys(), max_size=6))
def test_sorting_needs_no_luck(rows: list[Any]) -> None:
    """Keys of any kinds can be sorted, and none is lost."""
    assert sorted(map(canonical_key, rows)) == sorted(map(canonical_key, sort_keys(rows)))


@given(json_values())
def test_a_json_value_is_itself(value: Any) -> None:
    """Nothing is converted that is JSON already, and what can change is copied."""
    converted = to_json(value, "a value")

    assert value == converted
    assert converted is not value or not isinstance(value, list | dict)


@pytest.mark.parametrize("depth", [65, 66, 500, 5000])
@pytest.mark.parametrize(
    "wrap",
    [lambda value: [value], lambda value: {"a": value}, lambda value: (value,)],
    ids=["list", "dict", "tuple"],
)
def test_deep_values_are_refused(depth: int, wrap: Any) -> None:
    """At any depth with the same error, long before the interpreter's stack ends."""
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)

    with pytest.raises(InvalidValueError, match="nested deeper than 64"):
        to_json(value, "a value")


def test_two_keys_that_become_one_name_are_refused() -> None:
    """A dict whose keys JSON cannot tell apart would lose an entry."""
    with pytest.raises(InvalidValueError, match="the same name"):
        to_json({1: "a", "1": "b"}, "a value")
