"""What both type checkers must refuse: run by ``nox -s types``.

Each line here is wrong, and says so to both checkers by an ignore of its own; an ignore that is not needed is
an error, so a line that one of them would accept fails the session.
"""

from __future__ import annotations

from dataclasses import dataclass

from metadatadb_core import Map, Namespace
from metadatadb_core.ops import IntGet, MapSet


@dataclass
class Service:
    host: str
    port: int


def values_of_another_type(ns: Namespace) -> None:
    services = ns.map("services", str, Service)
    services.set("web", "localhost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    services["web"] = 80  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
    ns.int("visits").add("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ns.int_map("clones").set("repo", 1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ns.scalar("leader", str).set(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ns.list("log", str).append(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def keys_of_another_type(ns: Namespace) -> None:
    ns.map("services", str, Service).get(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    ns.set("done").add(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ns.int_map("clones")[1] = 1  # type: ignore[index]  # pyright: ignore[reportArgumentType]


def absence_forgotten(ns: Namespace) -> None:
    ns.map("services", str, Service).get("web").port  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    ns.scalar("leader", str).get().upper()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


def handles_of_another_type(ns: Namespace) -> None:
    services = ns.map("services", str, Service)
    by_number: Map[int, Service] = services  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    services.add("web", 1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def ops_are_frozen(op: MapSet, read: IntGet) -> None:
    op.value = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    read.key = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
