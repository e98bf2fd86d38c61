"""Stores and namespaces: where handles come from, what they refuse, and how they end."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from metadatadb_core import (
    BackendClosedError,
    Int,
    IntMap,
    InvalidNamespaceError,
    InvalidValueError,
    List,
    Map,
    Namespace,
    Scalar,
    Set,
    Store,
    StructureMismatchError,
)
from metadatadb_core.backend import Status
from metadatadb_memory import MemoryBackend

Handle = Scalar[object] | Int | Set[str] | IntMap[str] | Map[str, object] | List[object]

MAKERS: dict[str, Callable[[Namespace, str], Handle]] = {
    "Scalar": Namespace.scalar,
    "Int": Namespace.int,
    "Set": Namespace.set,
    "IntMap": Namespace.int_map,
    "Map": Namespace.map,
    "List": Namespace.list,
}
CLASSES: dict[str, type[Handle]] = {
    "Scalar": Scalar,
    "Int": Int,
    "Set": Set,
    "IntMap": IntMap,
    "Map": Map,
    "List": List,
}
# What each kind stores when used, and the shape another kind finds there.
FILL: dict[str, Callable[[Namespace, str], None]] = {
    "Scalar": lambda ns, name: ns.scalar(name).set("text"),
    "Int": lambda ns, name: ns.int(name).set(7),
    "Set": lambda ns, name: ns.set(name).add("a"),
    "IntMap": lambda ns, name: ns.int_map(name).set("a", 7),
    "Map": lambda ns, name: ns.map(name).set("a", 7),
    "List": lambda ns, name: ns.list(name).append(7),
}


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(MemoryBackend()) as store:
        yield store


@pytest.fixture
def ns(store: Store) -> Namespace:
    return store.namespace("fleet")


# -- namespaces --------------------------------------------------------------------------------------------


def test_a_name_gives_the_same_namespace_each_time(store: Store) -> None:
    """So that what one part of a program claims and batches, another part shares."""
    assert store.namespace("fleet") is store.namespace("fleet")


def test_threads_that_ask_at_once_get_the_same_namespace(store: Store) -> None:
    """The first asking makes the namespace; a race makes no second one."""
    start = threading.Barrier(8)

    def ask(_: int) -> Namespace:
        start.wait()
        return store.namespace("fleet")

    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(ask, range(8)))

    assert {id(store.namespace("fleet"))} == set(map(id, asked))


def test_namespaces_are_isolated(store: Store) -> None:
    """A name in one namespace says nothing about that name in another, nor about its kind."""
    store.namespace("one").int("x").set(1)
    store.namespace("two").list("x").append("a")

    assert (1, ["a"]) == (store.namespace("one").int("x").get(), store.namespace("two").list("x").entries())


@pytest.mark.parametrize("name", ["", "a", "A", "0", "git-clones", "a_b", "9-", "Z__", "x" * 300])
def test_names_that_keep_the_rule_are_accepted(store: Store, name: str) -> None:
    """Letters, digits, ``_`` and ``-``, a letter or digit first; or the empty root namespace."""
    store.namespace(name).int("n").add(1)

    assert (name, 1) == (store.namespace(name).name, store.namespace(name).int("n").get())


@pytest.mark.parametrize(
    "name",
    [
        "git\n",
        "\n",
        " ",
        "-a",
        "_a",
        "a b",
        "a/b",
        "../a",
        ".",
        "a.b",
        "é",
        "\uff11",
        "a\0",
        "\ud800",
        None,
        5,
        b"a",
        [],
    ],
)
def test_names_that_break_the_rule_are_refused(store: Store, name: object) -> None:
    """The whole name must match, and be a str; the error carries what was refused."""
    with pytest.raises(InvalidNamespaceError) as caught:
        store.namespace(name)  # type: ignore[arg-type]

    assert name == caught.value.namespace


def test_two_stores_over_one_backend_share_its_state() -> None:
    """A store holds nothing of its own."""
    backend = MemoryBackend()
    Store(backend).namespace("fleet").map("m")["a"] = 1

    assert {"a": 1} == Store(backend).namespace("fleet").map("m").entries()


def test_a_namespace_in_memory_has_nothing_pending(ns: Namespace) -> None:
    """Flush returns, status says loaded and clean, and there is nothing to discard."""
    ns.int("n").add(1)
    ns.flush(timeout=1)

    assert (Status(), [], 1) == (ns.status(), ns.discard_pending(), ns.int("n").get())


def test_reprs_name_what_they_stand_for(ns: Namespace) -> None:
    """What a log shows says which structure of which namespace it is."""
    assert "<Map 'services' of <Namespace 'fleet'>>" == repr(ns.map("services"))


# -- names and kinds of structures -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAKERS)
def test_both_spellings_make_the_same_handle(ns: Namespace, kind: str) -> None:
    """``Map(ns, "x")`` and ``ns.map("x")`` are one thing."""
    FILL[kind](ns, "x")
    made, called = CLASSES[kind](ns, "x"), MAKERS[kind](ns, "x")

    assert (type(made), made.name) == (type(called), called.name)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ["", "a b", "a/b", "é\u2028\U0001f600", ".metadatadb2", '"', "\0"])
def test_any_text_is_a_structure_name(ns: Namespace, kind: str, name: str) -> None:
    """The empty one too: names are names in a JSON object."""
    FILL[kind](ns, name)

    assert name == MAKERS[kind](ns, name).name


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", [".metadatadb", "\ud800", "a\udfff", None, 5, b"x", ["x"]])
def test_names_json_cannot_hold_and_the_reserved_one_are_refused(ns: Namespace, kind: str, name: object) -> None:
    """At the making of the handle, before anything could be written; the error carries the name."""
    with pytest.raises(InvalidValueError) as caught:
        MAKERS[kind](ns, name)  # type: ignore[arg-type]

    assert name == caught.value.value


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("other", MAKERS)
def test_a_name_taken_by_a_handle_of_another_kind_is_refused(ns: Namespace, kind: str, other: str) -> None:
    """One name is one kind of structure in one store, even while nothing is stored."""
    MAKERS[kind](ns, "x")
    if kind == other:
        MAKERS[other](ns, "x")
        return

    with pytest.raises(StructureMismatchError) as caught:
        MAKERS[other](ns, "x")

    error = caught.value
    assert ("x", other, kind, "fleet") == (error.name, error.wanted, error.found, error.namespace)


def test_handles_of_one_kind_may_declare_other_types(ns: Namespace) -> None:
    """Types are the reader's view; only the kind is claimed."""
    ns.map("m", str, int)["a"] = 1

    assert 1.0 == ns.map("m", str, float)["a"]


@pytest.mark.parametrize("make", [Namespace.scalar, Namespace.set, Namespace.int_map, Namespace.list])
def test_a_handle_that_could_not_be_made_claims_nothing(ns: Namespace, make: Callable[..., Handle]) -> None:
    """After a mistyped declaration the name is free for every kind."""
    with pytest.raises(InvalidValueError):
        make(ns, "x", "no type")
    with pytest.raises(InvalidValueError):
        ns.map("x", str, "no type")

    assert 0 == ns.int("x").get()


READS: dict[str, list[Callable[[Namespace], object]]] = {
    "Int": [lambda ns: ns.int("x").get(), lambda ns: int(ns.int("x"))],
    "Set": [
        lambda ns: ns.set("x").contains("b"),
        lambda ns: "b" in ns.set("x"),
        lambda ns: ns.set("x").members(),
        lambda ns: len(ns.set("x")),
        lambda ns: list(ns.set("x")),
    ],
    "IntMap": [
        lambda ns: ns.int_map("x").get("b"),
        lambda ns: ns.int_map("x")["b"],
        lambda ns: "b" in ns.int_map("x"),
        lambda ns: ns.int_map("x").keys(),
        lambda ns: ns.int_map("x").entries(),
        lambda ns: len(ns.int_map("x")),
        lambda ns: list(ns.int_map("x")),
    ],
    "Map": [
        lambda ns: ns.map("x").get("b"),
        lambda ns: ns.map("x").get("b", 1),
        lambda ns: ns.map("x")["b"],
        lambda ns: "b" in ns.map("x"),
        lambda ns: ns.map("x").keys(),
        lambda ns: ns.map("x").entries(),
        lambda ns: len(ns.map("x")),
        lambda ns: list(ns.map("x")),
    ],
    "List": [
        lambda ns: ns.list("x").entries(),
        lambda ns: ns.list("x").len(),
        lambda ns: len(ns.list("x")),
        lambda ns: list(ns.list("x")),
        lambda ns: ns.list("x")[0],
        lambda ns: ns.list("x")[:1],
    ],
}
WRITES: dict[str, list[Callable[[Namespace], object]]] = {
    "Int": [
        lambda ns: ns.int("x").set(1),
        lambda ns: ns.int("x").add(1),
        lambda ns: ns.int("x").mul(1),
        lambda ns: ns.int("x").div(1),
    ],
    "Set": [lambda ns: ns.set("x").add("b"), lambda ns: ns.set("x").remove("b")],
    "IntMap": [
        lambda ns: ns.int_map("x").set("b", 1),
        lambda ns: ns.int_map("x").add("b", 1),
        lambda ns: ns.int_map("x").mul("b", 1),
        lambda ns: ns.int_map("x").div("b", 1),
        lambda ns: ns.int_map("x").delete("b"),
        lambda ns: ns.int_map("x").__setitem__("b", 1),
        lambda ns: ns.int_map("x").__delitem__("b"),
    ],
    "Map": [
        lambda ns: ns.map("x").set("b", 1),
        lambda ns: ns.map("x").delete("b"),
        lambda ns: ns.map("x").__setitem__("b", 1),
        lambda ns: ns.map("x").__delitem__("b"),
    ],
    "List": [lambda ns: ns.list("x").append(1), lambda ns: ns.list("x").extend([1])],
}
FOREIGN: dict[str, list[object]] = {
    "Int": ["text", True, None, [1], {"a": 1}],
    "Set": ["text", True, None, [1], 1, 1.5],
    "IntMap": ["text", True, None, [1], 1, 1.5],
    "Map": ["text", True, None, [1], 1, 1.5],
    "List": ["text", True, None, 1, 1.5, {"a": 1}],
}
MISUSES = [
    pytest.param(kind, found, use, id=f"{kind}-{found!r}-{index}")
    for kind, found_values in FOREIGN.items()
    for found in found_values
    for index, use in enumerate(READS[kind] + WRITES[kind])
]


@pytest.mark.parametrize(("kind", "found", "use"), MISUSES)
def test_a_shape_that_does_not_fit_is_refused(kind: str, found: object, use: Callable[[Namespace], object]) -> None:
    """Whoever stored it: a read would misread it and a write destroy it, so neither happens."""
    backend = MemoryBackend()
    elsewhere = Store(backend).namespace("fleet").scalar("x")
    elsewhere.set(found)

    with pytest.raises(StructureMismatchError) as caught:
        use(Store(backend).namespace("fleet"))

    assert ("x", kind, "fleet", found) == (
        caught.value.name,
        caught.value.wanted,
        caught.value.namespace,
        elsewhere.get(),
    )


def test_a_scalar_may_hold_any_shape() -> None:
    """It reads what another kind of another store made."""
    backend = MemoryBackend()
    for kind, fill in FILL.items():
        fill(Store(backend).namespace("fleet"), kind)
    ns = Store(backend).namespace("fleet")

    assert ["text", 7, {'"a"': True}, {'"a"': 7}, {'"a"': 7}, [7]] == [ns.scalar(kind).get() for kind in FILL]


# -- ends --------------------------------------------------------------------------------------------------


def test_leaving_the_block_closes_the_backend() -> None:
    """The store owns the backend it was given."""
    backend = MemoryBackend()
    with Store(backend) as store:
        store.namespace("fleet").int("n").add(1)

    with pytest.raises(BackendClosedError):
        backend.flush("fleet")


def test_leaving_the_block_by_an_error_closes_too_and_hides_nothing() -> None:
    """The error is what the caller sees."""
    store = Store(MemoryBackend())
    with pytest.raises(ZeroDivisionError), store:
        raise ZeroDivisionError

    with pytest.raises(BackendClosedError):
        store.namespace("fleet")


def test_closing_twice_does_nothing() -> None:
    """So that cleaning up needs no flag."""
    store = Store(MemoryBackend())
    store.close()
    store.close(timeout=1)

    with pytest.raises(BackendClosedError):
        store.namespace("fleet")


@pytest.mark.parametrize("kind", MAKERS)
def test_after_close_no_handle_is_made(kind: str) -> None:
    """Nothing is read from, or written to, a state nobody keeps any more."""
    store = Store(MemoryBackend())
    ns = store.namespace("fleet")
    store.close()

    with pytest.raises(BackendClosedError):
        MAKERS[kind](ns, "x")


def _scalar(ns: Namespace) -> list[Callable[[], object]]:
    handle = ns.scalar("scalar")
    return [handle.get, handle.exists, lambda: handle.set(1), handle.delete]


def _int(ns: Namespace) -> list[Callable[[], object]]:
    handle = ns.int("int")
    writes = [lambda: handle.set(1), handle.add, lambda: handle.mul(1), lambda: handle.div(1)]
    return [handle.get, lambda: int(handle), *writes]


def _set(ns: Namespace) -> list[Callable[[], object]]:
    handle = ns.set("set")
    reads = [lambda: "a" in handle, handle.members, lambda: len(handle), lambda: list(handle)]
    return [*reads, lambda: handle.add("a"), lambda: handle.remove("a")]


def _int_map(ns: Namespace) -> list[Callable[[], object]]:
    handle = ns.int_map("int_map")
    reads = [lambda: handle["a"], lambda: "a" in handle, handle.keys, handle.entries, lambda: len(handle)]
    return [*reads, lambda: handle.set("a", 1), lambda: handle.add("a"), lambda: handle.delete("a")]


def _map(ns: Namespace) -> list[Callable[[], object]]:
    handle = ns.map("map")
    reads = [lambda: handle.get("a"), lambda: "a" in handle, handle.keys, handle.entries, lambda: len(handle)]
    return [*reads, lambda: handle.set("a", 1), lambda: handle.delete("a"), lambda: handle.__delitem__("a")]


def _list(ns: Namespace) -> list[Callable[[], object]]:
    handle = ns.list("list")
    reads = [handle.entries, handle.len, lambda: handle[0], lambda: handle[:], lambda: list(handle)]
    return [*reads, lambda: handle.append(1), lambda: handle.extend([1])]


@pytest.mark.parametrize("uses", [_scalar, _int, _set, _int_map, _map, _list])
def test_after_close_handles_made_before_are_refused(uses: Callable[[Namespace], list[Callable[[], object]]]) -> None:
    """Reads too: a handle keeps no copy that would outlive the store."""
    store = Store(MemoryBackend())
    calls = uses(store.namespace("fleet"))
    store.close()

    for call in calls:
        with pytest.raises(BackendClosedError):
            call()


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("spread", [pickle.dumps, copy.copy, copy.deepcopy])
def test_handles_do_not_pickle_nor_copy(ns: Namespace, kind: str, spread: Callable[[object], object]) -> None:
    """A copy in another process would be another replica by accident; the error says what to do instead."""
    with pytest.raises(TypeError, match=rf"^{kind} handles cannot be pickled.*open the store in the child"):
        spread(MAKERS[kind](ns, "x"))


@pytest.mark.parametrize("spread", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_stores_and_namespaces_do_not_pickle_nor_copy(
    store: Store, ns: Namespace, spread: Callable[..., object], protocol: int
) -> None:
    """In every protocol, with the same advice."""
    arguments = (protocol,) if spread is pickle.dumps else ()
    for held in (store, ns):
        with pytest.raises(TypeError, match="open the store in the child"):
            spread(held, *arguments)
