"""Int: one int64 that wraps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core import Int, InvalidValueError, Namespace, Store
from metadatadb_memory import MemoryBackend

LOWEST, HIGHEST = -(2**63), 2**63 - 1
WRITES = ["set", "add", "mul", "div"]
BAD: dict[str, Any] = {
    "above int64": 2**63,
    "below int64": -(2**63) - 1,
    "what Go writes for a float": 10**19,
    "of 5000 digits": 10**5000,
    "bool": True,
    "float": 1.0,
    "nan": float("nan"),
    "str": "1",
    "none": None,
    "list": [1],
}
INT64 = st.integers(LOWEST, HIGHEST) | st.integers(-3, 3)


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with Store(MemoryBackend()) as store:
        yield store.namespace("fleet")


@pytest.fixture
def visits(ns: Namespace) -> Int:
    return ns.int("visits")


def test_an_absent_int_is_zero(visits: Int) -> None:
    """By both ways of reading."""
    assert (0, 0) == (visits.get(), int(visits))


@pytest.mark.parametrize("write", WRITES)
def test_writes_begin_at_zero(visits: Int, write: str) -> None:
    """Where nothing is stored."""
    getattr(visits, write)(3)

    assert {"set": 3, "add": 3, "mul": 0, "div": 0}[write] == visits.get()


def test_add_is_one_by_default(visits: Int) -> None:
    """A counter's most frequent use."""
    visits.add()
    visits.add()

    assert 2 == visits.get()


@pytest.mark.parametrize(
    ("start", "write", "number", "expected"),
    [
        (HIGHEST, "add", 1, LOWEST),
        (LOWEST, "add", -1, HIGHEST),
        (2**62, "mul", 2, LOWEST),
        (LOWEST, "mul", -1, LOWEST),
        (3, "mul", 2**63 - 1, HIGHEST - 2),
        (7, "div", 2, 3),
        (-7, "div", 2, -3),
        (7, "div", -2, -3),
        (-7, "div", -2, 3),
        (7, "div", 0, 7),
        (LOWEST, "div", -1, LOWEST),
        (2**53 + 1, "add", 0, 2**53 + 1),
        (HIGHEST, "div", 1, HIGHEST),
    ],
)
def test_results_wrap_and_divisions_truncate(visits: Int, start: int, write: str, number: int, expected: int) -> None:
    """As int64 does, with no precision lost above 2^53; a zero divisor does nothing."""
    visits.set(start)
    getattr(visits, write)(number)

    assert (expected, expected) == (visits.get(), int(visits))


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_is_no_int64_is_refused(visits: Int, write: str, bad: Any) -> None:
    """Bools and whole floats too; the error names the structure, and nothing has changed."""
    visits.set(5)
    with pytest.raises(InvalidValueError) as caught:
        getattr(visits, write)(bad)

    assert ("visits", 5) == (caught.value.structure, visits.get())


def wrapped(number: int) -> int:
    return (number - LOWEST) % 2**64 + LOWEST


def divided(dividend: int, divisor: int) -> int:
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


MODEL: dict[str, Callable[[int, int], int]] = {
    "set": lambda _, number: number,
    "add": lambda value, number: wrapped(value + number),
    "mul": lambda value, number: wrapped(value * number),
    "div": lambda value, number: wrapped(divided(value, number)) if number else value,
}


@given(st.lists(st.tuples(st.sampled_from(WRITES), INT64)))
def test_any_sequence_of_writes_is_int64_arithmetic(steps: list[tuple[str, int]]) -> None:
    """Step by step the same as Python's ints, wrapped."""
    with Store(MemoryBackend()) as store:
        visits = store.namespace("fleet").int("visits")
        expected = 0
        for write, number in steps:
            getattr(visits, write)(number)
            expected = MODEL[write](expected, number)

            assert expected == visits.get()
