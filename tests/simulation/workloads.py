"""What applications do: each workload is a way to draw the ops of one apply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from metadatadb_core import ops
from metadatadb_core.ops import Op
from tests.simulation.ledger import BANK, LOG, Group

__all__ = ["WORKLOADS", "Draw"]

Draw = Callable[[int, str, int], Group]
"""Ops from some random bits, the writer's name, and how many applies it did before."""

_FEW: Final = ("a", "b", "c", "d")


def _count(bits: int, _writer: str, _count: int) -> Group:
    return (ops.IntAdd("n", 1 + (bits & 3)),)


def _arithmetic(bits: int, _writer: str, _count: int) -> Group:
    amount = (bits >> 4 & 7) + 1
    kinds: tuple[Op, ...] = (
        ops.IntAdd("m", amount),
        ops.IntAdd("m", -amount),
        ops.IntMul("m", amount),
        ops.IntDiv("m", amount),
        ops.IntSet("m", amount),
        ops.IntMapAdd("im", _FEW[bits >> 7 & 1], amount),
        ops.IntMapMul("im", _FEW[bits >> 7 & 1], amount),
        ops.IntMapDelete("im", _FEW[bits >> 7 & 1]),
    )
    return (kinds[bits & 7],)


def _transfer(bits: int, _writer: str, _count: int) -> Group:
    amount = (bits >> 4 & 15) + 1
    giver, taker = bits & 3, bits >> 2 & 3
    return ops.IntMapAdd(BANK, _FEW[giver], -amount), ops.IntMapAdd(BANK, _FEW[taker], amount)


def _set(bits: int, writer: str, count: int) -> Group:
    match bits & 3:
        case 0:
            return (ops.SetAdd("s", f"{writer}.{count}"),)
        case 1 | 2:
            return (ops.SetAdd("s", bits >> 2 & 3),)
        case _:
            return (ops.SetRemove("s", bits >> 2 & 3),)


def _map(bits: int, writer: str, count: int) -> Group:
    key = _FEW[bits >> 2 & 3]
    if bits & 3 == 3:
        return (ops.MapDelete("kv", key),)
    return (ops.MapSet("kv", key, f"{writer}.{count}"),)


def _list(_bits: int, writer: str, count: int) -> Group:
    return (ops.ListAppend(LOG, [writer, count]),)


def _several(bits: int, writer: str, count: int) -> Group:
    return ops.ListAppend(LOG, [writer, count]), ops.IntAdd("n", 1), ops.MapSet("kv", _FEW[bits & 3], count)


def _misuse(bits: int, writer: str, count: int) -> Group:
    """One name used as everything: what may pass what in the queue shows only here."""
    amount = (bits >> 4 & 3) + 1
    key = _FEW[bits >> 6 & 1]
    kinds: tuple[Op, ...] = (
        ops.ScalarSet("x", f"{writer}.{count}"),
        ops.ScalarDelete("x"),
        ops.IntAdd("x", amount),
        ops.IntSet("x", amount),
        ops.MapSet("x", key, amount),
        ops.MapDelete("x", key),
        ops.MapDelete("x", key),
        ops.SetAdd("x", key),
        ops.SetRemove("x", key),
        ops.IntMapAdd("x", key, amount),
        ops.IntMapAdd("x", key, amount),
        ops.IntMapSet("x", key, amount),
        ops.IntMapMul("x", key, amount),
        ops.IntMapDiv("x", key, amount),
        ops.IntMapDelete("x", key),
        ops.ListAppend("x", amount),
    )
    return (kinds[bits & 15],)


WORKLOADS: Final[dict[str, Draw]] = {
    "counters": _count,
    "arithmetic": _arithmetic,
    "transfers": _transfer,
    "sets": _set,
    "maps": _map,
    "lists": _list,
    "several structures at once": _several,
    "one name as everything": _misuse,
}
