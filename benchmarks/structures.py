"""Reads and writes through the structures, on the memory backend.

The floor is a plain dict guarded by a lock, one function call deep: its read is ``values.get(key)``, its write
``values[key] = value``, whatever the structure does besides.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from benchmarks.harness import Comparison, Timed, compare, loop, whole
from metadatadb_core import Namespace, Store
from metadatadb_core.ops import IntMapSet, IntSet, ListAppend, MapSet, SetAdd
from metadatadb_memory import MemoryBackend

SIZES = (1_000, 100_000)
READ_LIMIT = 1.2
WRITE_LIMITS = {1_000: 3.0, 100_000: 2.0}
ENTRIES_LIMIT = 2.0
FLAT_LIMIT = 1.1
"""Reading one key is to cost the same at any size; the tenth is for what the clock cannot tell apart."""


class Service(msgspec.Struct):
    """A value of a type of its own."""

    host: str
    port: int


class Floor:
    """A plain dict guarded by a lock."""

    def __init__(self, values: dict[str, Any]) -> None:
        lock = threading.Lock()

        def read(key: str) -> Any:
            with lock:
                return values.get(key)

        def read_service(key: str) -> Service:
            with lock:
                value = values.get(key)
            return msgspec.convert(value, Service)

        def write(key: str, value: Any) -> None:
            with lock:
                values[key] = value

        self.read: Callable[[str], Any] = read
        self.read_service: Callable[[str], Service] = read_service
        self.write: Callable[[str, Any], None] = write


def _keys(size: int) -> list[str]:
    """`size` keys in an order that is no order of any dict, the same on every run."""
    keys = [f"key-{number}" for number in range(size)]
    random.Random(size).shuffle(keys)
    return keys


def _filled(size: int) -> Namespace:
    """A namespace with `size` ints of their own, and `size` members in one structure of every other kind."""
    backend = MemoryBackend()
    for number in range(size):
        key = f"key-{number}"
        backend.apply(
            "bench",
            IntSet(f"int-{number}", number),
            MapSet("map", key, number),
            MapSet("services", key, {"host": "localhost", "port": number}),
            IntMapSet("int-map", key, number),
            SetAdd("set", key),
            ListAppend("list", number),
        )
    return Store(backend).namespace("bench")


def _reads(size: int) -> Iterator[Comparison]:
    namespace, keys = _filled(size), _keys(size)
    values = namespace.map("map")
    services = namespace.map("services", str, Service)
    counts = namespace.int_map("int-map")
    members = namespace.set("set")
    number = namespace.int("int-7")
    floor = Floor(values.entries())
    service_floor = Floor({key: {"host": "localhost", "port": 1} for key in keys})

    def line(what: str, subject: Timed, limit: float = READ_LIMIT) -> Comparison:
        against = loop("read(item)", over=keys, read=floor.read)
        return compare(f"{what}, {size:,} keys", subject, floor="read", against=against, limit=limit)

    yield line("Map.get", loop("values.get(item)", over=keys, values=values))
    yield line("IntMap.get", loop("counts.get(item)", over=keys, counts=counts))
    yield line("Int.get", loop("number.get()", over=keys, number=number))
    yield line("Set.contains", loop("members.contains(item)", over=keys, members=members))
    yield line("Set.__contains__", loop("item in members", over=keys, members=members))
    yield compare(
        f"Map.get of a Struct, {size:,} keys",
        loop("services.get(item)", over=keys, services=services),
        floor="read and msgspec.convert",
        against=loop("read(item)", over=keys, read=service_floor.read_service),
        limit=READ_LIMIT,
    )


def _writes(size: int) -> Iterator[Comparison]:
    namespace, keys = _filled(size), _keys(size)
    values = namespace.map("map")
    counts = namespace.int_map("int-map")
    members = namespace.set("set")
    number = namespace.int("int-7")
    entries = namespace.list("list")
    floor = Floor(values.entries())

    def line(what: str, subject: Timed) -> Comparison:
        against = loop("write(item, 7)", over=keys, write=floor.write)
        return compare(f"{what}, {size:,} keys", subject, floor="write", against=against, limit=WRITE_LIMITS[size])

    yield line("Map.set", loop("values.set(item, 7)", over=keys, values=values))
    yield line("IntMap.add", loop("counts.add(item, 7)", over=keys, counts=counts))
    yield line("Int.add", loop("number.add(7)", over=keys, number=number))
    yield line("Set.add", loop("members.add(item)", over=keys, members=members))
    yield line("List.append", loop("entries.append(7)", over=keys, entries=entries))


def _entries(size: int) -> Comparison:
    values = _filled(size).map("map")
    plain = values.entries()
    return compare(
        f"Map.entries, {size:,} keys",
        whole(values.entries),
        floor="dict(d)",
        against=whole(lambda: dict(plain)),
        limit=ENTRIES_LIMIT,
    )


def _one_key_of(small: int, large: int) -> Comparison:
    def reading(size: int) -> Timed:
        backend = MemoryBackend()
        backend.apply("bench", *(MapSet("map", f"key-{number}", number) for number in range(size)))
        return loop("values.get('key-7')", values=Store(backend).namespace("bench").map("map"))

    return compare(
        f"Map.get of one key, of {large:,}",
        reading(large),
        floor=f"Map.get of one key, of {small:,}",
        against=reading(small),
        limit=FLAT_LIMIT,
    )


def comparisons() -> Iterator[Comparison]:
    for size in SIZES:
        yield from _reads(size)
    for size in SIZES:
        yield from _writes(size)
    yield _entries(100_000)
    yield _one_key_of(100, 1_000_000)
