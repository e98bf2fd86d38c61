"""What type checkers infer at the call site, with no annotation there: run by ``nox -s types``."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, assert_type
from uuid import UUID

import msgspec

from metadatadb_core import Int, IntMap, List, Map, Namespace, Scalar, Set, Store, connect
from metadatadb_core.ops import MISSING, IntGet, IntMapEntries, MapGet, Op, SetContains, SetMembers
from metadatadb_memory import MemoryBackend


@dataclass
class Service:
    host: str
    port: int


class Colour(enum.Enum):
    RED = "red"


Port = Annotated[int, msgspec.Meta(ge=1)]


def opening() -> None:
    assert_type(connect("memory://"), Store)
    with Store(MemoryBackend()) as store:
        assert_type(store, Store)
        assert_type(store.namespace("fleet"), Namespace)


async def opening_async() -> None:
    async with connect("memory://") as store:
        assert_type(store, Store)


def maps(ns: Namespace, fallback: Service) -> None:
    services = ns.map("services", str, Service)
    assert_type(services, Map[str, Service])
    assert_type(services.get("web"), Service | None)
    assert_type(services.get("web", fallback), Service)
    assert_type(services["web"], Service)
    assert_type(services.keys(), list[str])
    assert_type(ns.map("tags", str, list[str]).get("web"), list[str] | None)
    assert_type(services.entries(), dict[str, Service])
    assert_type("web" in services, bool)
    assert_type(len(services), int)
    assert_type(list(services), list[str])
    services.set("web", fallback)
    services["web"] = fallback
    del services["web"]
    assert_type(ns.map("by-id", UUID, datetime).get(UUID(int=0)), datetime | None)


def maps_without_types(ns: Namespace) -> None:
    anything = ns.map("anything")
    assert_type(anything, Map[str, Any])
    assert_type(ns.map("numbers", int), Map[int, Any])


def type_forms(ns: Namespace) -> None:
    """A type form that is no class is accepted; its handle takes the type that it is annotated with."""
    assert_type(ns.map("owners", str, str | None), Map[str, Any])
    assert_type(ns.scalar("deadline", datetime | None), Scalar[Any])
    owners: Map[str, str | None] = ns.map("owners", str, str | None)
    modes: Map[str, Literal["on", "off"]] = ns.map("modes", str, Literal["on", "off"])
    ports: Map[str, int] = ns.map("ports", str, Port)
    flags: Set[Literal["a", "b"]] = ns.set("flags", Literal["a", "b"])
    steps: List[int | str] = ns.list("steps", int | str)
    assert_type(modes.get("web"), Literal["on", "off"] | None)
    assert_type(ports.entries(), dict[str, int])
    assert_type(flags.members(), list[Literal["a", "b"]])
    assert_type(steps[0], int | str)
    owners.set("web", None)


def made_by_hand(ns: Namespace) -> None:
    assert_type(Map(ns, "services", str, Service), Map[str, Service])
    assert_type(Scalar(ns, "leader", str), Scalar[str])
    assert_type(Int(ns, "visits"), Int)
    assert_type(Set(ns, "done", int), Set[int])
    assert_type(IntMap(ns, "clones", str), IntMap[str])
    assert_type(List(ns, "log", str), List[str])


def scalars(ns: Namespace) -> None:
    leader = ns.scalar("leader", str)
    assert_type(leader, Scalar[str])
    assert_type(leader.get(), str | None)
    assert_type(leader.get("nobody"), str)
    assert_type(leader.exists(), bool)
    assert_type(ns.scalar("anything"), Scalar[Any])
    assert_type(ns.scalar("colour", Colour).get(), Colour | None)


def ints(ns: Namespace) -> None:
    visits = ns.int("visits")
    assert_type(visits, Int)
    assert_type(visits.get(), int)
    assert_type(int(visits), int)


def sets(ns: Namespace) -> None:
    done = ns.set("done")
    assert_type(done, Set[str])
    assert_type(done.members(), list[str])
    assert_type(ns.set("numbers", int).members(), list[int])
    assert_type(list(done), list[str])
    assert_type(done.contains("a"), bool)
    assert_type("a" in done, bool)
    assert_type(len(done), int)


def int_maps(ns: Namespace) -> None:
    clones = ns.int_map("clones")
    assert_type(clones, IntMap[str])
    assert_type(clones.get("repo"), int)
    assert_type(clones["repo"], int)
    assert_type(clones.keys(), list[str])
    assert_type(clones.entries(), dict[str, int])
    assert_type(ns.int_map("by-number", int).keys(), list[int])
    clones["repo"] = 3
    del clones["repo"]


def lists(ns: Namespace) -> None:
    log = ns.list("log", Service)
    assert_type(log, List[Service])
    assert_type(log.entries(), list[Service])
    assert_type(log.len(), int)
    assert_type(log[0], Service)
    assert_type(log[1:], list[Service])
    assert_type(list(log), list[Service])
    assert_type(ns.list("anything"), List[Any])
    log.extend([Service("localhost", 80)])


def pending(ns: Namespace) -> None:
    assert_type(ns.discard_pending(), list[Op])


def reads(backend: MemoryBackend) -> None:
    """What a backend's query returns follows from the op."""
    assert_type(backend.query("fleet", IntGet("visits")), int)
    assert_type(backend.query("fleet", SetContains("done", "a")), bool)
    assert_type(backend.query("fleet", SetMembers("done")), list[Any])
    assert_type(backend.query("fleet", IntMapEntries("clones")), dict[Any, int])
    found = backend.query("fleet", MapGet("services", "web"))
    if found is not MISSING:
        assert_type(found, Any)
