"""Map and IntMap: values, and int64s, by key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core import IntMap, InvalidValueError, Map, Namespace, Store
from metadatadb_memory import MemoryBackend

LOWEST, HIGHEST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Service:
    host: str
    ports: tuple[int, ...] = ()


Key = tuple[int, str]
KEYS = st.tuples(st.integers(0, 2), st.sampled_from(["", "a"]))
SERVICES = st.builds(Service, st.text(max_size=2), st.lists(st.integers(1, 9), max_size=2).map(tuple))


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with Store(MemoryBackend()) as store:
        yield store.namespace("fleet")


@pytest.fixture
def services(ns: Namespace) -> Map[str, Any]:
    return ns.map("services")


@pytest.fixture
def clones(ns: Namespace) -> IntMap[str]:
    return ns.int_map("clones")


# -- Map ---------------------------------------------------------------------------------------------------


def test_a_map_is_empty_until_something_is_set(services: Map[str, Any]) -> None:
    """By every way of reading."""
    assert ([], {}, [], 0, False, None) == (
        services.keys(),
        services.entries(),
        list(services),
        len(services),
        "web" in services,
        services.get("web"),
    )


def test_set_stores_and_replaces(services: Map[str, Any]) -> None:
    """By method and by brackets."""
    services.set("web", 1)
    services["web"] = {"port": 80}
    services["db"] = None

    assert ({"web": {"port": 80}, "db": None}, ["db", "web"], 2) == (
        services.entries(),
        services.keys(),
        len(services),
    )


def test_get_gives_the_default_for_an_absent_key_only(services: Map[str, Any]) -> None:
    """None is a value; the default may be anything."""
    services["db"] = None
    default = object()

    assert (None, True, True) == (services.get("db", 1), default is services.get("web", default), "db" in services)


def test_brackets_raise_key_error_for_an_absent_key(services: Map[str, Any]) -> None:
    """With the key, as in a dict."""
    services["db"] = None
    with pytest.raises(KeyError) as caught:
        services["web"]

    assert (("web",), None) == (caught.value.args, services["db"])


def test_del_removes_and_raises_key_error_for_an_absent_key(services: Map[str, Any]) -> None:
    """As in a dict."""
    services["web"] = None
    del services["web"]
    with pytest.raises(KeyError) as caught:
        del services["web"]

    assert (("web",), {}) == (caught.value.args, services.entries())


def test_delete_of_an_absent_key_does_nothing(services: Map[str, Any]) -> None:
    """Unlike ``del``."""
    services["web"] = 1
    services.delete("web")
    services.delete("web")

    assert (False, 0) == ("web" in services, len(services))


def test_a_map_makes_a_dict(services: Map[str, Any]) -> None:
    """It has what ``dict`` asks of a mapping."""
    services["web"] = 1
    services["db"] = 2

    assert {"db": 2, "web": 1} == dict(services)


@pytest.mark.parametrize(
    "key", ["", " ", '"', "\\", "<&>", "\u2028", "é", "\U0001f600", "\0", "1", "true", "null", "[1]", '{"a":1}']
)
def test_any_text_is_a_key(services: Map[str, Any], key: str) -> None:
    """It comes back as it was, in all reads."""
    services[key] = 1

    assert (1, [key], {key: 1}, True) == (services[key], services.keys(), services.entries(), key in services)


def test_map_values_are_copied_both_ways(services: Map[str, Any]) -> None:
    """Changing what was set, or what came out, at any depth, changes nothing."""
    value = {"ports": [80]}
    services["web"] = value
    value["ports"].append(81)
    reads: list[Any] = [services["web"], services.get("web"), services.entries()["web"]]
    for read in reads:
        read["ports"].append(82)
    services.entries().clear()
    services.keys().clear()

    assert {"web": {"ports": [80]}} == services.entries()


def test_map_keys_are_copied_too(ns: Namespace) -> None:
    """A key that can change does not change what is stored."""
    by_list = ns.map("by-list", list[int], str)
    key = [1]
    by_list[key] = "a"
    key.append(2)
    by_list.keys()[0].append(3)

    assert ([[1]], "a", False) == (by_list.keys(), by_list[[1]], [1, 2] in by_list)


def test_a_bad_key_or_value_leaves_the_entry(ns: Namespace) -> None:
    """Nothing is changed by what cannot be stored."""
    ports = ns.map("ports", str, int)
    ports["web"] = 80
    for key, value in (("web", "81"), ("web", 2**63), ("\ud800", 1), (5, 1)):
        with pytest.raises(InvalidValueError):
            ports.set(key, value)  # type: ignore[arg-type]

    assert {"web": 80} == ports.entries()


def test_map_iteration_is_over_a_snapshot(services: Map[str, Any]) -> None:
    """The map may change while it is walked."""
    services["a"] = 1
    services["b"] = 2
    for key in services:
        del services[key]
        services[key + "!"] = 0

    assert ["a!", "b!"] == services.keys()


MAP_STEPS = st.one_of(
    st.tuples(st.just("set"), KEYS, SERVICES),
    st.tuples(st.just("delete"), KEYS, st.none()),
    st.tuples(st.just("del"), KEYS, st.none()),
)


@given(st.lists(MAP_STEPS))
def test_any_sequence_of_writes_is_pythons_dict(steps: list[tuple[str, Key, Any]]) -> None:
    """Step by step, with typed keys and values."""
    with Store(MemoryBackend()) as store:
        handle = store.namespace("fleet").map("m", tuple[int, str], Service)
        model: dict[Key, Service] = {}
        for step, key, value in steps:
            if step == "set":
                handle[key] = model[key] = value
            elif step == "del" and key in model:
                del handle[key], model[key]
            elif step == "del":
                with pytest.raises(KeyError):
                    del handle[key]
            else:
                handle.delete(key)
                model.pop(key, None)

            assert (model, set(model), len(model)) == (handle.entries(), set(handle), len(handle))
            assert (model.get(key), key in model) == (handle.get(key), key in handle)


# -- IntMap ------------------------------------------------------------------------------------------------


def test_an_int_map_is_empty_until_something_is_set(clones: IntMap[str]) -> None:
    """An absent entry is 0, and reading it makes none."""
    assert (0, 0, False, [], {}, [], 0) == (
        clones.get("repo"),
        clones["repo"],
        "repo" in clones,
        clones.keys(),
        clones.entries(),
        list(clones),
        len(clones),
    )


def test_int_map_writes_begin_at_zero(clones: IntMap[str]) -> None:
    """Where there is no entry."""
    clones.set("set", 3)
    clones["brackets"] = 4
    clones.add("one")
    clones.add("add", 5)
    clones.mul("mul", 6)

    assert {"set": 3, "brackets": 4, "one": 1, "add": 5, "mul": 0} == clones.entries()


def test_brackets_count(clones: IntMap[str]) -> None:
    """As with a ``Counter``."""
    clones["repo"] += 2
    clones["repo"] += 3

    assert 5 == clones["repo"]


def test_zero_is_an_entry(clones: IntMap[str]) -> None:
    """Set to it, or come to it."""
    clones["set"] = 0
    clones.add("back", 1)
    clones.add("back", -1)

    assert (True, True, {"set": 0, "back": 0}, 2) == (
        "set" in clones,
        "back" in clones,
        clones.entries(),
        len(clones),
    )


def test_int_map_delete_and_del_are_one(clones: IntMap[str]) -> None:
    """An absent entry is 0, so removing it is no error: as with a ``Counter``."""
    clones["a"] = clones["b"] = 1
    clones.delete("a")
    del clones["b"]
    clones.delete("a")
    del clones["b"]

    assert {} == clones.entries()


@pytest.mark.parametrize(
    ("start", "write", "number", "expected"),
    [
        (HIGHEST, "add", 1, LOWEST),
        (LOWEST, "add", -1, HIGHEST),
        (LOWEST, "mul", -1, LOWEST),
        (-7, "div", 2, -3),
        (7, "div", 0, 7),
        (LOWEST, "div", -1, LOWEST),
        (2**53 + 1, "add", 0, 2**53 + 1),
    ],
)
def test_entries_wrap_and_divisions_truncate(
    clones: IntMap[str], start: int, write: str, number: int, expected: int
) -> None:
    """As an Int does."""
    clones["repo"] = start
    getattr(clones, write)("repo", number)

    assert (expected, {"repo": expected}) == (clones["repo"], clones.entries())


@pytest.mark.parametrize("write", ["set", "add", "mul", "div", "__setitem__"])
@pytest.mark.parametrize("bad", [2**63, 10**19, True, 1.0, "1", None], ids=repr)
def test_what_is_no_int64_is_refused(clones: IntMap[str], write: str, bad: Any) -> None:
    """The error names the structure, and nothing has changed."""
    clones["repo"] = 5
    with pytest.raises(InvalidValueError) as caught:
        getattr(clones, write)("repo", bad)

    assert ("clones", {"repo": 5}) == (caught.value.structure, clones.entries())


def test_int_keys_are_sorted_by_value(ns: Namespace) -> None:
    """9 before 10."""
    by_number = ns.int_map("by-number", int)
    for number in (10, -1, 9, 100):
        by_number.add(number)

    assert ([-1, 9, 10, 100], [-1, 9, 10, 100]) == (by_number.keys(), list(by_number))


def test_what_could_not_be_a_key_is_not_in(ns: Namespace) -> None:
    """Asking is no error, whatever one asks for."""
    counts, mapping = ns.int_map("counts", int), ns.map("mapping", int)
    counts[1] = 1
    mapping[1] = 1
    keys = (1, "1", True, 1.5, object(), 2**63, None, [1], float("nan"))

    assert [True] + [False] * 8 == [key in counts for key in keys] == [key in mapping for key in keys]


def test_what_a_map_of_another_store_holds_reads_as_int() -> None:
    """A Map and an IntMap have one stored shape: numbers truncate, all else is 0."""
    backend = MemoryBackend()
    mapping = Store(backend).namespace("fleet").map("m")
    for key, value in {"int": 7, "float": -2.9, "text": "7", "none": None}.items():
        mapping[key] = value
    counts = Store(backend).namespace("fleet").int_map("m")
    counts.add("text", 1)

    assert {"int": 7, "float": -2, "text": 1, "none": 0} == counts.entries()


def wrapped(number: int) -> int:
    return (number - LOWEST) % 2**64 + LOWEST


INT_MAP_STEPS = st.tuples(st.sampled_from(["set", "add", "mul", "delete"]), KEYS, st.integers(LOWEST, HIGHEST))


@given(st.lists(INT_MAP_STEPS))
def test_any_sequence_of_int_writes_is_int64_arithmetic(steps: list[tuple[str, Key, int]]) -> None:
    """Step by step, with typed keys."""
    with Store(MemoryBackend()) as store:
        handle = store.namespace("fleet").int_map("m", tuple[int, str])
        model: dict[Key, int] = {}
        for step, key, number in steps:
            if step == "delete":
                handle.delete(key)
                model.pop(key, None)
            else:
                getattr(handle, step)(key, number)
                before = model.get(key, 0)
                model[key] = wrapped({"set": number, "add": before + number, "mul": before * number}[step])

            assert (model, set(model), len(model)) == (handle.entries(), set(handle), len(handle))
            assert (model.get(key, 0), key in model) == (handle[key], key in handle)
