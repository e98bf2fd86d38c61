"""Declared types: what goes in comes back as the declared type, and what cannot is refused before anything changes."""

from __future__ import annotations

import enum
import pathlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import msgspec
import pytest

from metadatadb_core import IntMap, InvalidValueError, Map, Namespace, Store
from metadatadb_core.keys import CanonicalKey
from metadatadb_memory import MemoryBackend

T = TypeVar("T")


@dataclass
class Service:
    host: str
    port: int = 80
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Point:
    x: int
    y: int


class Version(msgspec.Struct, frozen=True):
    major: int
    minor: int = 0


class Page(msgspec.Struct, Generic[T]):
    rows: list[T]
    after: str | None = None


class Row(msgspec.Struct, array_like=True, tag="row"):
    name: str
    size: int


class Settings(TypedDict):
    mode: str
    limit: int


class Pair(NamedTuple):
    left: str
    right: int


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Slug = Annotated[str, msgspec.Meta(pattern="^[a-z-]+$")]
EAST = timezone(timedelta(hours=2))

# Each a declared type and a value of it.
VALUES: dict[str, tuple[Any, Any]] = {
    "str": (str, "text \u2028 é <&>"),
    "int": (int, 2**63 - 1),
    "float": (float, 0.1),
    "float from int": (float, 2),
    "bool": (bool, True),
    "none": (None, None),
    "any": (Any, {"a": [1, None, {"b": 2.5}]}),
    "object": (object, ["a", 1]),
    "dataclass": (Service, Service("web", tags=["a"])),
    "struct": (Version, Version(1, 2)),
    "struct as array": (Row, Row("a", 1)),
    "generic struct": (Page[Service], Page([Service("web")], after="x")),
    "typed dict": (Settings, Settings(mode="on", limit=3)),
    "named tuple": (Pair, Pair("a", 1)),
    "enum": (Colour, Colour.BLUE),
    "int enum": (Level, Level.HIGH),
    "datetime": (datetime, datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)),
    "datetime elsewhere": (datetime, datetime(2024, 5, 6, 7, 8, 9, tzinfo=EAST)),
    "date": (date, date(2024, 2, 29)),
    "time": (time, time(1, 2, 3)),
    "timedelta": (timedelta, timedelta(days=1, microseconds=1)),
    "uuid": (uuid.UUID, uuid.UUID(int=7)),
    "decimal": (Decimal, Decimal("1.10")),
    "bytes": (bytes, b"\x00\xff"),
    "tuple": (tuple[int, str], (1, "a")),
    "open tuple": (tuple[int, ...], (1, 2, 3)),
    "set": (set[int], {1, 2}),
    "frozen set": (frozenset[str], frozenset({"a"})),
    "optional, there": (int | None, 3),
    "optional, none": (int | None, None),
    "union": (int | str, "3"),
    "literal": (Literal["on", "off"], "off"),
    "annotated int": (Port, 8080),
    "annotated str": (Slug, "a-b"),
    "list of dataclasses": (list[Service], [Service("a"), Service("b", 1)]),
    "dict of lists": (dict[str, list[Service | None]], {"a": [Service("a"), None]}),
    "dict by int": (dict[int, str], {1: "a", 22: "b"}),
    "dict by uuid": (dict[uuid.UUID, date], {uuid.UUID(int=1): date(2024, 1, 1)}),
}

# Each a declared key type and keys of it, in the order that `keys` gives them.
KEYS: dict[str, tuple[Any, list[Any]]] = {
    "str": (str, ["", "1", "A", "a", "é", "\uffff", "\U0001f600"]),
    "int": (int, [-(2**63), -1, 0, 2, 10, 2**63 - 1]),
    "float": (float, [-1e300, -0.5, 0.0, 0.1, 2.0, 10.5, 1e19, 1e20, 1e21]),
    "bool": (bool, [False, True]),
    "none": (None, [None]),
    "dataclass": (Point, [Point(1, 2), Point(10, 2), Point(2, 1)]),
    "struct": (Version, [Version(1), Version(1, 2)]),
    "tuple": (tuple[int, str], [(1, "a"), (1, "b"), (10, "a"), (2, "a")]),
    "named tuple": (Pair, [Pair("a", 1), Pair("b", 0)]),
    "enum": (Colour, [Colour.BLUE, Colour.RED]),
    "int enum": (Level, [Level.LOW, Level.HIGH]),
    "datetime": (datetime, [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=EAST)]),
    "date": (date, [date(2024, 1, 31), date(2024, 2, 1)]),
    "uuid": (uuid.UUID, [uuid.UUID(int=1), uuid.UUID(int=2)]),
    "decimal": (Decimal, [Decimal("1.0"), Decimal("1.1")]),
    "bytes": (bytes, [b"a", b"b"]),
    "frozen set": (frozenset[int], [frozenset({1})]),
    "optional": (int | None, [1, 2, None]),
    "union": (int | str, ["a", 1]),  # mixed: by canonical text, and a quote comes before a digit
    "literal": (Literal["a", "b"], ["a", "b"]),
    "annotated": (Port, [1, 10, 443]),
}

value_cases = pytest.mark.parametrize(("declared", "value"), VALUES.values(), ids=VALUES)
key_cases = pytest.mark.parametrize(("declared", "keys"), KEYS.values(), ids=KEYS)


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def ns(backend: MemoryBackend) -> Iterator[Namespace]:
    with Store(backend) as store:
        yield store.namespace("fleet")


def stored(backend: MemoryBackend) -> dict[str, object]:
    """All that is stored in the namespace under the names these tests use."""
    ns = Store(backend).namespace("fleet")
    return {name: ns.scalar(name).get("nothing") for name in "xy"}


# -- values ------------------------------------------------------------------------------------------------


def typed(value: object) -> tuple[type, object]:
    """1, 1.0 and True are equal; these are not."""
    return type(value), value


@value_cases
def test_scalars_give_back_the_declared_type(ns: Namespace, declared: Any, value: Any) -> None:
    """Equal, and of the same type where a number could be mistaken for another."""
    scalar = ns.scalar("x", declared)
    scalar.set(value)

    assert typed(float(value) if declared is float else value) == typed(scalar.get("default"))


@value_cases
def test_maps_give_back_the_declared_value_type(ns: Namespace, declared: Any, value: Any) -> None:
    """By every way of reading."""
    mapping = ns.map("x", str, declared)
    mapping["k"] = value

    assert [value, value, {"k": value}] == [mapping.get("k", "default"), mapping["k"], mapping.entries()]


@value_cases
def test_lists_give_back_the_declared_type(ns: Namespace, declared: Any, value: Any) -> None:
    """By every way of reading."""
    values = ns.list("x", declared)
    values.append(value)
    values.extend([value])

    assert [[value, value], [value, value], value, [value]] == [
        values.entries(),
        list(values),
        values[-1],
        values[1:],
    ]


@value_cases
def test_sets_give_back_the_declared_type(ns: Namespace, declared: Any, value: Any) -> None:
    """By every way of reading; a member need not be hashable."""
    members = ns.set("x", declared)
    members.add(value)
    members.add(value)

    assert [[value], [value], True, True, 1] == [
        members.members(),
        list(members),
        value in members,
        members.contains(value),
        len(members),
    ]


def test_attrs_classes_come_back_as_they_are(ns: Namespace) -> None:
    """As dataclasses do."""
    attrs = pytest.importorskip("attrs")
    job = attrs.make_class("Job", {"name": attrs.field(type=str), "tries": attrs.field(type=int, default=0)})
    ns.map("x", str, job)["k"] = job("build", 2)

    assert job("build", 2) == ns.map("x", str, job)["k"]


def test_any_json_comes_back_as_json(ns: Namespace) -> None:
    """Without a declared type a dataclass is its object, a tuple an array, a set an array."""
    ns.scalar("x").set({"service": Service("web"), "pair": (1, 2), "id": uuid.UUID(int=1), 5: {7}})

    assert {
        "service": {"host": "web", "port": 80, "tags": []},
        "pair": [1, 2],
        "id": "00000000-0000-0000-0000-000000000001",
        "5": [7],
    } == ns.scalar("x").get()


# -- keys --------------------------------------------------------------------------------------------------


@key_cases
def test_maps_give_back_the_declared_key_type_in_order(ns: Namespace, declared: Any, keys: list[Any]) -> None:
    """Strings by code point, numbers by value, all else by canonical text."""
    mapping = ns.map("x", declared, int)
    for index, key in reversed(list(enumerate(keys))):
        mapping[key] = index

    assert list(map(typed, keys)) == list(map(typed, mapping.keys()))
    assert keys == list(mapping)
    assert dict(zip(keys, range(len(keys)), strict=True)) == mapping.entries()
    assert [(index, True) for index in range(len(keys))] == [(mapping[key], key in mapping) for key in keys]
    for key in keys:
        del mapping[key]
    assert 0 == len(mapping)


@key_cases
def test_int_maps_give_back_the_declared_key_type_in_order(ns: Namespace, declared: Any, keys: list[Any]) -> None:
    """As maps do."""
    counts = ns.int_map("x", declared)
    for index, key in reversed(list(enumerate(keys))):
        counts.add(key, index)

    assert list(map(typed, keys)) == list(map(typed, counts.keys()))
    assert keys == list(counts)
    assert dict(zip(keys, range(len(keys)), strict=True)) == counts.entries()
    assert [(index, True) for index in range(len(keys))] == [(counts[key], key in counts) for key in keys]
    for key in keys:
        del counts[key]
    assert 0 == len(counts)


@key_cases
def test_sets_give_back_the_declared_member_type_in_order(ns: Namespace, declared: Any, keys: list[Any]) -> None:
    """Members are keys."""
    members = ns.set("x", declared)
    for key in reversed(keys):
        members.add(key)

    assert list(map(typed, keys)) == list(map(typed, members.members()))


def test_keys_that_python_holds_equal_stay_apart(ns: Namespace) -> None:
    """1, "1" and True are three keys; 1.0 is the same number as 1."""
    mapping: Map[Any, Any] = ns.map("x", Any)
    for key in (1, "1", True, None, "true", "null"):
        mapping[key] = repr(key)
    mapping[1.0] = "1.0"

    assert ["'1'", "'null'", "'true'", "1.0", "None", "True"] == [mapping[key] for key in mapping]
    assert 6 == len(mapping)


def test_entries_of_any_key_hold_each_of_them(ns: Namespace) -> None:
    """What a dict would confuse or cannot hold stands by its canonical text, which every method takes for the key."""
    mapping: Map[Any, Any] = ns.map("x", Any)
    counts: IntMap[Any] = ns.int_map("y", Any)
    keys = [1, "1", True, [1], {"a": 1}, None]
    for index, key in enumerate(keys):
        mapping[key] = index
        counts[key] = index

    assert {0, 1, 2, 3, 4, 5} == set(mapping.entries().values()) == set(counts.entries().values())
    assert list(mapping.entries().items()) == [(key, mapping[key]) for key in mapping.entries()]
    assert list(counts.entries().items()) == [(key, counts[key]) for key in counts.entries()]
    assert CanonicalKey("true") in mapping


def test_entries_refuse_rather_than_lose_a_key(ns: Namespace) -> None:
    """As bool | int, 1 and True are two keys that are one to a dict."""
    mapping = ns.map("x", bool | int)
    mapping[1] = "one"
    mapping[True] = "true"

    assert ["one", "true"] == [mapping[key] for key in mapping.keys()]  # noqa: SIM118 - what the error advises
    with pytest.raises(InvalidValueError, match=r"use keys\(\) and get\(\)"):
        mapping.entries()


def test_entries_refuse_keys_that_are_not_hashable(ns: Namespace) -> None:
    """The error says what works instead."""
    mapping = ns.map("x", list[int])
    mapping[[1, 2]] = "a"

    assert ([[1, 2]], "a") == (mapping.keys(), mapping[[1, 2]])
    with pytest.raises(InvalidValueError, match=r"use keys\(\) and get\(\)"):
        mapping.entries()


# -- refusals ----------------------------------------------------------------------------------------------


def nested(levels: int) -> Any:
    """That many lists, one in another."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def nested_objects(levels: int) -> Any:
    """That many objects, one in another."""
    value: Any = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def cyclic() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


class Opaque:
    pass


BAD: dict[str, Any] = {
    "above int64": 2**63,
    "below int64": -(2**63) - 1,
    "what Go writes for a float": 10**19,
    "of 5000 digits": 10**5000,
    "nan": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "lone surrogate": "a\ud800",
    "object": Opaque(),
    "function": nested,
    "class": int,
    "complex": 1j,
    "generator": (letter for letter in ""),
    "nested too deeply": nested(65),
    "objects nested too deeply": nested_objects(65),
    "tuples nested too deeply": (nested(64),),
    "cyclic": cyclic(),
    "object by tuple": {(1, 2): 3},
    "object by none": {None: 1},
    "object by lone surrogate": {"\udfff": 1},
}
BAD |= {f"list of {what}": [value] for what, value in BAD.items()} | {
    f"object of {what}": {"a": value} for what, value in BAD.items()
}

VALUE_WRITES: dict[str, Callable[[Namespace, Any], object]] = {
    "Scalar.set": lambda ns, bad: ns.scalar("x").set(bad),
    "Map.set": lambda ns, bad: ns.map("x").set("k", bad),
    "Map[]": lambda ns, bad: ns.map("x").__setitem__("k", bad),
    "List.append": lambda ns, bad: ns.list("x").append(bad),
    "List.extend": lambda ns, bad: ns.list("x").extend(["good", bad]),
}
KEY_WRITES: dict[str, Callable[[Namespace, Any], object]] = {
    "Set.add": lambda ns, bad: ns.set("x", Any).add(bad),
    "Set.remove": lambda ns, bad: ns.set("x", Any).remove(bad),
    "Map.set": lambda ns, bad: ns.map("x", Any).set(bad, 1),
    "Map.delete": lambda ns, bad: ns.map("x", Any).delete(bad),
    "IntMap.set": lambda ns, bad: ns.int_map("x", Any).set(bad, 1),
    "IntMap.add": lambda ns, bad: ns.int_map("x", Any).add(bad, 1),
    "IntMap.mul": lambda ns, bad: ns.int_map("x", Any).mul(bad, 1),
    "IntMap.div": lambda ns, bad: ns.int_map("x", Any).div(bad, 1),
    "IntMap.delete": lambda ns, bad: ns.int_map("x", Any).delete(bad),
}
BAD_KEYS = {what: bad for what, bad in BAD.items() if not what.startswith(("list of", "object of"))}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("write", VALUE_WRITES.values(), ids=VALUE_WRITES)
def test_values_json_cannot_hold_are_refused(
    ns: Namespace, backend: MemoryBackend, write: Callable[[Namespace, Any], object], bad: Any
) -> None:
    """At any depth, with the name of the structure, and nothing has changed."""
    with pytest.raises(InvalidValueError) as caught:
        write(ns, bad)

    assert ("x", {"x": "nothing", "y": "nothing"}) == (caught.value.structure, stored(backend))


@pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=BAD_KEYS)
@pytest.mark.parametrize("write", KEY_WRITES.values(), ids=KEY_WRITES)
def test_keys_json_cannot_hold_are_refused(
    ns: Namespace, backend: MemoryBackend, write: Callable[[Namespace, Any], object], bad: Any
) -> None:
    """As values are."""
    with pytest.raises(InvalidValueError) as caught:
        write(ns, bad)

    assert ("x", {"x": "nothing", "y": "nothing"}) == (caught.value.structure, stored(backend))


@pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=BAD_KEYS)
def test_what_cannot_be_a_key_is_not_in(ns: Namespace, bad: Any) -> None:
    """Asking is no error."""
    assert [False] * 4 == [
        bad in ns.set("set", Any),
        ns.set("set", Any).contains(bad),
        bad in ns.map("map", Any),
        bad in ns.int_map("int_map", Any),
    ]


@pytest.mark.parametrize("good", [nested(64), nested_objects(64), (nested(63),)], ids=["lists", "objects", "tuple"])
def test_64_levels_of_nesting_are_accepted(ns: Namespace, good: Any) -> None:
    """In values, keys and members."""
    ns.scalar("scalar").set(good)
    ns.set("set", Any).add(good)

    expected = [nested(63)] if isinstance(good, tuple) else good
    assert (expected, [expected]) == (ns.scalar("scalar").get(), ns.set("set", Any).members())


WRONG: dict[str, tuple[Any, Any]] = {
    "str for int": (int, "1"),
    "float for int": (int, 1.0),
    "bool for int": (int, True),
    "none for int": (int, None),
    "int for str": (str, 1),
    "bytes for str": (str, b"a"),
    "date for str": (str, date(2026, 1, 2)),
    "uuid for str": (str, uuid.UUID(int=1)),
    "int for bool": (bool, 1),
    "bool for float": (float, True),
    "another literal": (Literal["on"], "off"),
    "below its bound": (Port, 0),
    "off its pattern": (Slug, "A b"),
    "no member of the enum": (Colour, "green"),
    "object that lacks a field": (Service, {"port": 1}),
    "field of the wrong type": (Service, Service("web", "80")),  # type: ignore[arg-type]
    "tuple too long": (tuple[int, str], (1, "a", 2)),
    "wrong item": (list[int], [1, "2"]),
    "object as array": (list[int], {"a": 1}),
    "none of the union": (int | None, "1"),
}
WRONG_KEYS = {what: case for what, case in WRONG.items() if "object" not in what}


@pytest.mark.parametrize(("declared", "wrong"), WRONG.values(), ids=WRONG)
def test_values_that_would_not_come_back_as_declared_are_refused(
    ns: Namespace, backend: MemoryBackend, declared: Any, wrong: Any
) -> None:
    """Constructors do not check; handles do, and nothing has changed."""
    writes: list[Callable[[], object]] = [
        lambda: ns.scalar("x", declared).set(wrong),
        lambda: Store(backend).namespace("fleet").map("x", str, declared).set("k", wrong),
        lambda: Store(backend).namespace("fleet").list("x", declared).append(wrong),
    ]
    for write in writes:
        with pytest.raises(InvalidValueError, match=r"'x': .* does not fit the declared type") as caught:
            write()
        assert ("x", wrong) == (caught.value.structure, caught.value.value)

    assert {"x": "nothing", "y": "nothing"} == stored(backend)


@pytest.mark.parametrize(("declared", "wrong"), WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_keys_that_would_not_come_back_as_declared_are_refused(
    ns: Namespace, backend: MemoryBackend, declared: Any, wrong: Any
) -> None:
    """To write by one is an error, to read by one too, to ask for one is not."""
    mapping = ns.map("x", declared)
    with pytest.raises(InvalidValueError, match="does not fit the declared type"):
        mapping[wrong] = 1
    with pytest.raises(InvalidValueError, match="does not fit the declared type"):
        mapping.get(wrong)

    assert (False, {"x": "nothing", "y": "nothing"}) == (wrong in mapping, stored(backend))


@pytest.mark.parametrize(
    "declared",
    ["int", 3, [int], str | datetime, Service | Point, complex, pathlib.Path],
    ids=["str", "int", "list", "strs", "classes", "complex", "path"],
)
def test_types_msgspec_cannot_tell_apart_are_refused_at_once(ns: Namespace, declared: Any) -> None:
    """At the making of the handle, with msgspec's reason."""
    makers: list[Callable[[], object]] = [
        lambda: ns.scalar("scalar", declared),
        lambda: ns.set("set", declared),
        lambda: ns.int_map("int_map", declared),
        lambda: ns.map("map", declared),
        lambda: ns.map("map", str, declared),
        lambda: ns.list("list", declared),
    ]
    for make in makers:
        with pytest.raises(InvalidValueError, match="cannot be held as JSON") as caught:
            make()
        assert declared == caught.value.value


def test_what_another_writer_stored_as_another_type_is_refused_on_read(ns: Namespace) -> None:
    """The error names the structure and carries what is stored."""
    ns.map("x")["k"] = {"host": 1}
    services = ns.map("x", str, Service)

    for read in (lambda: services["k"], lambda: services.get("k"), services.entries):
        with pytest.raises(InvalidValueError, match="what is stored does not fit the declared type Service") as caught:
            read()
        assert ("x", {"host": 1}) == (caught.value.structure, caught.value.value)


def test_messages_name_generic_types_whole(ns: Namespace) -> None:
    """``list[str]``, not ``list``."""
    with pytest.raises(InvalidValueError, match=r"declared type list\[str\]"):
        ns.scalar("x", list[str]).set([1])  # type: ignore[list-item]
