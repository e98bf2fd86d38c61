"""Set: members by their canonical text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core import Namespace, Set, Store
from metadatadb_memory import MemoryBackend

Member = tuple[int, str]
MEMBERS = st.tuples(st.integers(0, 2), st.sampled_from(["", "a", "é"]))


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with Store(MemoryBackend()) as store:
        yield store.namespace("fleet")


@pytest.fixture
def done(ns: Namespace) -> Set[str]:
    return ns.set("done")


def test_a_set_is_empty_until_something_is_added(done: Set[str]) -> None:
    """By every way of reading."""
    assert ([], [], 0, False, False) == (done.members(), list(done), len(done), "a" in done, done.contains("a"))


def test_members_are_in_once(done: Set[str]) -> None:
    """However often they are added."""
    for member in ("b", "a", "b"):
        done.add(member)

    assert (["a", "b"], ["a", "b"], 2, True, True) == (
        done.members(),
        list(done),
        len(done),
        "a" in done,
        done.contains("b"),
    )


def test_remove_takes_a_member_out(done: Set[str]) -> None:
    """And one that is absent is no error."""
    done.add("a")
    done.add("b")
    done.remove("a")
    done.remove("c")

    assert ["b"] == done.members()


def test_an_emptied_set_is_still_a_set(done: Set[str]) -> None:
    """It can be used on."""
    done.add("a")
    done.remove("a")
    empty = (done.members(), len(done))
    done.add("b")

    assert (([], 0), ["b"]) == (empty, done.members())


def test_str_members_are_sorted_by_code_point(done: Set[str]) -> None:
    """Not by UTF-16 units, nor by locale."""
    for member in ("\U0001f600", "\uffff", "é", "z", "Z", "10", "9"):
        done.add(member)

    assert ["10", "9", "Z", "z", "é", "\uffff", "\U0001f600"] == done.members()


def test_numbers_are_sorted_by_value(ns: Namespace) -> None:
    """Ints and floats together."""
    numbers = ns.set("numbers", float)
    for number in (10, 9.5, -1, 2, 1e300):
        numbers.add(number)

    assert [-1, 2, 9.5, 10, 1e300] == numbers.members()


def test_mixed_members_are_sorted_by_canonical_text(ns: Namespace) -> None:
    """Where no other order holds for all of them."""
    mixed: Set[Any] = ns.set("mixed", Any)
    for member in ({"a": 1}, [1], None, 10, 9, "z", True, "1"):
        mixed.add(member)

    assert ["1", "z", 10, 9, [1], None, True, {"a": 1}] == mixed.members()


def test_the_order_of_an_objects_fields_is_no_part_of_a_member(ns: Namespace) -> None:
    """Its canonical text has them sorted."""
    objects = ns.set("objects", dict[str, int])
    objects.add({"a": 1, "b": 2})
    objects.add({"b": 2, "a": 1})

    assert 1 == len(objects)


def test_members_are_copied_both_ways(ns: Namespace) -> None:
    """Changing what was added, or what came out, changes nothing."""
    lists = ns.set("lists", list[int])
    member = [1]
    lists.add(member)
    member.append(2)
    lists.members()[0].append(3)

    assert [[1]] == lists.members()


def test_what_could_not_be_a_member_is_not_in(ns: Namespace) -> None:
    """Asking is no error, whatever one asks for."""
    numbers = ns.set("numbers", int)
    numbers.add(1)

    assert [True] + [False] * 6 == [one in numbers for one in (1, "1", True, 1.5, object(), 2**63, None)]


def test_iteration_is_over_a_snapshot(done: Set[str]) -> None:
    """The set may change while it is walked."""
    done.add("a")
    done.add("b")
    for member in done:
        done.remove(member)
        done.add(member + "!")

    assert ["a!", "b!"] == done.members()


@given(st.lists(st.tuples(st.booleans(), MEMBERS)))
def test_any_sequence_of_writes_is_pythons_set(steps: list[tuple[bool, Member]]) -> None:
    """Step by step."""
    with Store(MemoryBackend()) as store:
        handle = store.namespace("fleet").set("s", tuple[int, str])
        model: set[Member] = set()
        for adds, member in steps:
            if adds:
                handle.add(member)
                model.add(member)
            else:
                handle.remove(member)
                model.discard(member)

            assert (model, len(model), member in model) == (set(handle), len(handle), member in handle)
