"""List: values that are appended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core import InvalidValueError, List, Namespace, Store
from metadatadb_memory import MemoryBackend

BOUNDS = st.none() | st.integers(-8, 8) | st.sampled_from([-(10**30), 10**30])
STEPS = st.none() | st.integers(-3, 3).filter(bool)


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with Store(MemoryBackend()) as store:
        yield store.namespace("fleet")


@pytest.fixture
def log(ns: Namespace) -> List[Any]:
    return ns.list("log")


def test_a_list_is_empty_until_something_is_appended(log: List[Any]) -> None:
    """By every way of reading."""
    assert ([], [], [], 0, 0) == (log.entries(), list(log), log[:], log.len(), len(log))


def test_values_are_kept_in_order(log: List[Any]) -> None:
    """Equal ones too."""
    for value in (2, 1, 2):
        log.append(value)

    assert ([2, 1, 2], [2, 1, 2], 3, 3) == (log.entries(), list(log), log.len(), len(log))


def test_extend_appends_all(log: List[Any]) -> None:
    """From any iterable, and none of none."""
    log.extend([1, 2])
    log.extend(number for number in (3, 4))
    log.extend([])

    assert [1, 2, 3, 4] == log.entries()


def test_a_list_can_extend_itself(log: List[Any]) -> None:
    """By what it holds at that moment."""
    log.extend([1, 2])
    log.extend(log)

    assert [1, 2, 1, 2] == log.entries()


def test_an_extend_with_one_bad_value_appends_none(ns: Namespace) -> None:
    """It is one write."""
    numbers = ns.list("numbers", int)
    numbers.append(0)
    with pytest.raises(InvalidValueError):
        numbers.extend([1, 2, "3"])  # type: ignore[list-item]

    assert [0] == numbers.entries()


@pytest.mark.parametrize("index", range(-4, 4))
def test_an_index_counts_from_either_end(log: List[Any], index: int) -> None:
    """As in a list."""
    plain = ["a", "b", "c", "d"]
    log.extend(plain)

    assert plain[index] == log[index]


@pytest.mark.parametrize("index", [4, -5, 10**30, -(10**30)])
def test_an_index_beyond_the_ends_is_an_error(log: List[Any], index: int) -> None:
    """Which says of which list."""
    log.extend("abcd")

    with pytest.raises(IndexError, match=f"'log' has no index {index}"):
        log[index]


@pytest.mark.parametrize("index", [0, -1])
def test_an_empty_list_has_no_index(log: List[Any], index: int) -> None:
    """Not the last either."""
    with pytest.raises(IndexError):
        log[index]


@pytest.mark.parametrize("index", ["0", 1.0, None, (0, 1)], ids=repr)
def test_what_is_no_index_is_a_type_error(log: List[Any], index: Any) -> None:
    """As in a list."""
    log.append(1)

    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        log[index]


def test_a_slice_without_a_step_is_an_error(log: List[Any]) -> None:
    """As in a list."""
    with pytest.raises(ValueError, match="step cannot be zero"):
        log[::0]


@given(st.lists(st.integers(0, 9), max_size=6), BOUNDS, BOUNDS, STEPS)
def test_slices_are_pythons(plain: list[int], start: int | None, stop: int | None, step: int | None) -> None:
    """With any bounds and any step."""
    with Store(MemoryBackend()) as store:
        log = store.namespace("fleet").list("log", int)
        log.extend(plain)

        assert plain[start:stop:step] == log[start:stop:step]


def test_values_are_copied_both_ways(log: List[Any]) -> None:
    """Changing what was appended, or what came out, changes nothing."""
    value = {"a": [1]}
    log.append(value)
    log.extend([value])
    value["a"].append(2)
    for read in (log[0], log[-1], log[:1][0], log[::-1][0], log.entries()[1], next(iter(log))):
        read["a"].append(3)
    log.entries().clear()

    assert [{"a": [1]}, {"a": [1]}] == log.entries()


def test_a_list_stored_as_a_scalar_grows_in_place_of_it() -> None:
    """And what the scalar's writer holds does not."""
    backend = MemoryBackend()
    value = [1]
    Store(backend).namespace("fleet").scalar("log").set(value)
    log = Store(backend).namespace("fleet").list("log")
    log.append(2)

    assert ([1, 2], [1]) == (log.entries(), value)


def test_iteration_is_over_a_snapshot(log: List[Any]) -> None:
    """A list that grows while it is walked does not make the walk endless."""
    log.extend([1, 2])
    for value in log:
        log.append(value + 10)

    assert [1, 2, 11, 12] == log.entries()


@given(st.lists(st.lists(st.tuples(st.integers(), st.text(max_size=2)), max_size=3)))
def test_any_sequence_of_writes_is_pythons_list(steps: list[list[tuple[int, str]]]) -> None:
    """Step by step, one at a time or several."""
    with Store(MemoryBackend()) as store:
        handle = store.namespace("fleet").list("l", tuple[float, str])
        model: list[tuple[float, str]] = []
        for values in steps:
            numbers = [(float(number % 2**53), text) for number, text in values]
            if len(numbers) == 1:
                handle.append(numbers[0])
            else:
                handle.extend(numbers)
            model += numbers

            assert (model, len(model), model[-2:]) == (handle.entries(), len(handle), handle[-2:])
