"""What each op does, as a table: ops applied to an empty namespace, and what queries answer afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metadatadb_core import ops
from metadatadb_core.keys import INT64_MAX, INT64_MIN, CanonicalKey
from metadatadb_core.ops import MISSING, Op, ReadOp

__all__ = ["CASES", "REFUSED_OPS", "Case"]


@dataclass(frozen=True)
class Case:
    """What the ops `applied` to an empty namespace lead to.

    Attributes:
        name: what the case shows.
        applied: ops, in order.
        answers: queries and what each must answer afterwards.
    """

    name: str
    applied: Sequence[Op]
    answers: Sequence[tuple[ReadOp[Any], Any]]

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def _scalar(value: Any) -> Any:
    return ops.ScalarSet("x", value)


CASES: Sequence[Case] = (
    Case(
        "nothing stored reads as empty",
        [],
        [
            (ops.ScalarGet("x"), MISSING),
            (ops.IntGet("x"), 0),
            (ops.SetContains("x", "a"), False),
            (ops.SetMembers("x"), []),
            (ops.SetLen("x"), 0),
            (ops.IntMapGet("x", "a"), 0),
            (ops.IntMapContains("x", "a"), False),
            (ops.IntMapKeys("x"), []),
            (ops.IntMapEntries("x"), {}),
            (ops.IntMapLen("x"), 0),
            (ops.MapGet("x", "a"), MISSING),
            (ops.MapKeys("x"), []),
            (ops.MapEntries("x"), {}),
            (ops.MapLen("x"), 0),
            (ops.ListEntries("x"), []),
            (ops.ListSlice("x", None, None), []),
            (ops.ListLen("x"), 0),
            (ops.ShapeGet("x"), "absent"),
        ],
    ),
    # -- scalars -----------------------------------------------------------------------------------------------
    Case("a scalar is stored", [_scalar("v")], [(ops.ScalarGet("x"), "v"), (ops.ShapeGet("x"), "other")]),
    Case("a scalar is replaced", [_scalar("v"), _scalar([1])], [(ops.ScalarGet("x"), [1])]),
    Case("null is a value", [_scalar(None)], [(ops.ScalarGet("x"), None), (ops.ShapeGet("x"), "other")]),
    Case("false is a value", [_scalar(False)], [(ops.ScalarGet("x"), False)]),
    Case(
        "text of any script is kept",
        [_scalar("<é\u2028\U0001f600\x00>")],
        [(ops.ScalarGet("x"), "<é\u2028\U0001f600\x00>")],
    ),
    Case(
        "a nested value is kept",
        [_scalar({"a": {"b": [1, None, 1.5, {"c": []}]}})],
        [(ops.ScalarGet("x"), {"a": {"b": [1, None, 1.5, {"c": []}]}}), (ops.ShapeGet("x"), "object")],
    ),
    Case(
        "ints above 2^53 are exact",
        [_scalar(2**53 + 1)],
        [(ops.ScalarGet("x"), 2**53 + 1), (ops.ShapeGet("x"), "number")],
    ),
    Case("an array has its shape", [_scalar([])], [(ops.ShapeGet("x"), "array")]),
    Case("a deleted scalar is missing", [_scalar(1), ops.ScalarDelete("x")], [(ops.ScalarGet("x"), MISSING)]),
    Case("deleting nothing is nothing", [ops.ScalarDelete("x")], [(ops.ShapeGet("x"), "absent")]),
    Case("a name may be empty", [ops.ScalarSet("", 1)], [(ops.ScalarGet(""), 1)]),
    # -- ints --------------------------------------------------------------------------------------------------
    Case("an int is set", [ops.IntSet("x", -7)], [(ops.IntGet("x"), -7), (ops.ShapeGet("x"), "number")]),
    Case("deltas add up", [ops.IntAdd("x", 5), ops.IntAdd("x", -8)], [(ops.IntGet("x"), -3)]),
    Case("an int is multiplied", [ops.IntSet("x", -7), ops.IntMul("x", 6)], [(ops.IntGet("x"), -42)]),
    Case(
        "an absent int times anything is 0", [ops.IntMul("x", 6)], [(ops.IntGet("x"), 0), (ops.ShapeGet("x"), "number")]
    ),
    Case("division truncates toward zero", [ops.IntSet("x", -7), ops.IntDiv("x", 2)], [(ops.IntGet("x"), -3)]),
    Case("division by a negative truncates too", [ops.IntSet("x", 7), ops.IntDiv("x", -2)], [(ops.IntGet("x"), -3)]),
    Case("division by zero does nothing", [ops.IntSet("x", 7), ops.IntDiv("x", 0)], [(ops.IntGet("x"), 7)]),
    Case("division by zero makes nothing", [ops.IntDiv("x", 0)], [(ops.ShapeGet("x"), "absent")]),
    Case("sums wrap upwards", [ops.IntSet("x", INT64_MAX), ops.IntAdd("x", 1)], [(ops.IntGet("x"), INT64_MIN)]),
    Case("sums wrap downwards", [ops.IntSet("x", INT64_MIN), ops.IntAdd("x", -1)], [(ops.IntGet("x"), INT64_MAX)]),
    Case("products wrap", [ops.IntSet("x", INT64_MAX), ops.IntMul("x", 2)], [(ops.IntGet("x"), -2)]),
    Case(
        "the least int has no negative",
        [ops.IntSet("x", INT64_MIN), ops.IntDiv("x", -1)],
        [(ops.IntGet("x"), INT64_MIN)],
    ),
    Case(
        "large quotients are exact",
        [ops.IntSet("x", INT64_MAX), ops.IntDiv("x", 3)],
        [(ops.IntGet("x"), 3074457345618258602)],
    ),
    Case("a float is truncated by int ops", [_scalar(-3.7), ops.IntAdd("x", 1)], [(ops.IntGet("x"), -2)]),
    Case("text counts as 0 for int ops", [_scalar("12"), ops.IntAdd("x", 1)], [(ops.IntGet("x"), 1)]),
    # -- sets --------------------------------------------------------------------------------------------------
    Case(
        "members are in once",
        [ops.SetAdd("x", "b"), ops.SetAdd("x", "a"), ops.SetAdd("x", "b")],
        [
            (ops.SetMembers("x"), ["a", "b"]),
            (ops.SetLen("x"), 2),
            (ops.SetContains("x", "a"), True),
            (ops.SetContains("x", "c"), False),
            (ops.ShapeGet("x"), "object"),
        ],
    ),
    Case(
        "a removed member is out",
        [ops.SetAdd("x", "a"), ops.SetAdd("x", "b"), ops.SetRemove("x", "a"), ops.SetRemove("x", "z")],
        [(ops.SetMembers("x"), ["b"]), (ops.SetContains("x", "a"), False)],
    ),
    Case(
        "an emptied set stays",
        [ops.SetAdd("x", "a"), ops.SetRemove("x", "a")],
        [(ops.SetLen("x"), 0), (ops.ShapeGet("x"), "object")],
    ),
    Case(
        "1, '1' and true are three members",
        [ops.SetAdd("x", 1), ops.SetAdd("x", "1"), ops.SetAdd("x", True)],
        [(ops.SetLen("x"), 3), (ops.SetContains("x", 1.0), True), (ops.SetContains("x", False), False)],
    ),
    Case("1 and 1.0 are one member", [ops.SetAdd("x", 1), ops.SetAdd("x", 1.0)], [(ops.SetMembers("x"), [1])]),
    Case(
        "numbers are sorted by value",
        [ops.SetAdd("x", 10), ops.SetAdd("x", 9.5), ops.SetAdd("x", -1)],
        [(ops.SetMembers("x"), [-1, 9.5, 10])],
    ),
    Case(
        "text is sorted by code point",
        [ops.SetAdd("x", "\uff61"), ops.SetAdd("x", "\U00010000"), ops.SetAdd("x", "Z"), ops.SetAdd("x", "a")],
        [(ops.SetMembers("x"), ["Z", "a", "\uff61", "\U00010000"])],
    ),
    Case(
        "a member may be an array or object",
        [ops.SetAdd("x", [1, "<"]), ops.SetAdd("x", {"z": 1, "a": 2}), ops.SetAdd("x", {"a": 2, "z": 1})],
        [
            (ops.SetLen("x"), 2),
            (ops.SetContains("x", {"a": 2, "z": 1}), True),
            (ops.SetMembers("x"), [[1, "<"], {"a": 2, "z": 1}]),
        ],
    ),
    # -- int maps ----------------------------------------------------------------------------------------------
    Case(
        "entries are counted by key",
        [ops.IntMapAdd("x", "b", 2), ops.IntMapAdd("x", "a", 1), ops.IntMapAdd("x", "b", 3)],
        [
            (ops.IntMapGet("x", "b"), 5),
            (ops.IntMapGet("x", "z"), 0),
            (ops.IntMapContains("x", "b"), True),
            (ops.IntMapContains("x", "z"), False),
            (ops.IntMapKeys("x"), ["a", "b"]),
            (ops.IntMapEntries("x"), {"a": 1, "b": 5}),
            (ops.IntMapLen("x"), 2),
            (ops.ShapeGet("x"), "object"),
        ],
    ),
    Case(
        "an entry is set, multiplied and divided",
        [ops.IntMapSet("x", "a", -7), ops.IntMapMul("x", "a", 3), ops.IntMapDiv("x", "a", 2)],
        [(ops.IntMapGet("x", "a"), -10)],
    ),
    Case(
        "an entry of 0 is an entry",
        [ops.IntMapAdd("x", "a", 0)],
        [(ops.IntMapContains("x", "a"), True), (ops.IntMapLen("x"), 1)],
    ),
    Case(
        "entries wrap",
        [ops.IntMapSet("x", "a", INT64_MAX), ops.IntMapAdd("x", "a", 1)],
        [(ops.IntMapGet("x", "a"), INT64_MIN)],
    ),
    Case(
        "products of entries wrap",
        [ops.IntMapSet("x", "a", INT64_MIN), ops.IntMapMul("x", "a", -1)],
        [(ops.IntMapGet("x", "a"), INT64_MIN)],
    ),
    Case(
        "an entry divided by zero stays",
        [ops.IntMapSet("x", "a", 7), ops.IntMapDiv("x", "a", 0)],
        [(ops.IntMapGet("x", "a"), 7)],
    ),
    Case("dividing where no map is makes none", [ops.IntMapDiv("x", "a", 2)], [(ops.ShapeGet("x"), "absent")]),
    Case(
        "dividing an absent entry makes it 0",
        [ops.IntMapSet("x", "b", 1), ops.IntMapDiv("x", "a", 2)],
        [(ops.IntMapEntries("x"), {"a": 0, "b": 1})],
    ),
    Case(
        "a deleted entry is gone",
        [ops.IntMapSet("x", "a", 1), ops.IntMapDelete("x", "a")],
        [(ops.IntMapContains("x", "a"), False), (ops.IntMapLen("x"), 0)],
    ),
    Case(
        "keys may be numbers",
        [ops.IntMapAdd("x", 10, 1), ops.IntMapAdd("x", 9, 2)],
        [(ops.IntMapKeys("x"), [9, 10]), (ops.IntMapEntries("x"), {9: 2, 10: 1})],
    ),
    Case(
        "what is no number counts as 0 in an entry",
        [ops.MapSet("x", "a", "7"), ops.IntMapAdd("x", "a", 2)],
        [(ops.IntMapGet("x", "a"), 2)],
    ),
    # -- maps --------------------------------------------------------------------------------------------------
    Case(
        "values are stored by key",
        [ops.MapSet("x", "b", [1]), ops.MapSet("x", "a", None), ops.MapSet("x", "b", {"k": "v"})],
        [
            (ops.MapGet("x", "b"), {"k": "v"}),
            (ops.MapGet("x", "a"), None),
            (ops.MapGet("x", "z"), MISSING),
            (ops.MapKeys("x"), ["a", "b"]),
            (ops.MapEntries("x"), {"a": None, "b": {"k": "v"}}),
            (ops.MapLen("x"), 2),
            (ops.ShapeGet("x"), "object"),
        ],
    ),
    Case(
        "a deleted key is gone",
        [ops.MapSet("x", "a", 1), ops.MapDelete("x", "a"), ops.MapDelete("x", "z")],
        [(ops.MapGet("x", "a"), MISSING), (ops.MapEntries("x"), {})],
    ),
    Case(
        "keys with characters that JSON or Go escape are kept apart",
        [
            ops.MapSet("x", key, index)
            for index, key in enumerate(['a"b', "a\\b", "<&>", "\u2028", "\n", "\x00", '":', ',"', ""])
        ],
        [
            (
                ops.MapEntries("x"),
                {'a"b': 0, "a\\b": 1, "<&>": 2, "\u2028": 3, "\n": 4, "\x00": 5, '":': 6, ',"': 7, "": 8},
            )
        ],
    ),
    Case(
        "keys that Python's dict would confuse stay apart",
        [
            ops.MapSet("x", 1, "int"),
            ops.MapSet("x", True, "bool"),
            ops.MapSet("x", "1", "str"),
            ops.MapSet("x", [1], "list"),
        ],
        [
            (ops.MapGet("x", 1), "int"),
            (ops.MapGet("x", True), "bool"),
            (ops.MapGet("x", "1"), "str"),
            (ops.MapGet("x", [1]), "list"),
            (ops.MapGet("x", CanonicalKey("[1]")), "list"),
            (ops.MapEntries("x"), {1: "int", CanonicalKey("true"): "bool", "1": "str", CanonicalKey("[1]"): "list"}),
        ],
    ),
    # -- lists -------------------------------------------------------------------------------------------------
    Case(
        "values are appended in order",
        [
            ops.ListAppend("x", "b"),
            ops.ListAppend("x", None),
            ops.ListAppend("x", "b"),
            ops.ListAppend("x", {"k": [1]}),
        ],
        [
            (ops.ListEntries("x"), ["b", None, "b", {"k": [1]}]),
            (ops.ListLen("x"), 4),
            (ops.ListSlice("x", 1, 3), [None, "b"]),
            (ops.ListSlice("x", -1, None), [{"k": [1]}]),
            (ops.ListSlice("x", None, 1), ["b"]),
            (ops.ListSlice("x", 3, 1), []),
            (ops.ListSlice("x", 2, 99), ["b", {"k": [1]}]),
            (ops.ShapeGet("x"), "array"),
        ],
    ),
    Case(
        "a list is removed whole",
        [ops.ListAppend("x", 1), ops.ScalarDelete("x")],
        [(ops.ListLen("x"), 0), (ops.ShapeGet("x"), "absent")],
    ),
    Case("a scalar that is an array grows", [_scalar([1]), ops.ListAppend("x", 2)], [(ops.ListEntries("x"), [1, 2])]),
    # -- a name used as another kind: replay is total ----------------------------------------------------------
    Case(
        "an int op replaces a map",
        [ops.MapSet("x", "a", 1), ops.IntAdd("x", 5)],
        [(ops.IntGet("x"), 5), (ops.ShapeGet("x"), "number")],
    ),
    Case(
        "a map op replaces a list", [ops.ListAppend("x", 1), ops.MapSet("x", "a", 2)], [(ops.MapEntries("x"), {"a": 2})]
    ),
    Case("an append replaces a scalar", [_scalar("v"), ops.ListAppend("x", 1)], [(ops.ListEntries("x"), [1])]),
    Case(
        "maps and sets share their members",
        [ops.MapSet("x", "a", 5), ops.SetAdd("x", "a"), ops.SetAdd("x", "b")],
        [(ops.MapEntries("x"), {"a": True, "b": True})],
    ),
    Case(
        "removing from another kind does nothing",
        [_scalar("v"), ops.SetRemove("x", "a"), ops.MapDelete("x", "a")],
        [(ops.ScalarGet("x"), "v")],
    ),
)
"""Every write op and every read op stands in at least one case."""


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _ill_typed(value: Any) -> Any:
    """A value that type checkers would refuse as well."""
    return value


REFUSED_OPS: Sequence[tuple[str, Op]] = (
    ("int-above-int64", ops.IntSet("x", 2**63)),
    ("int-below-int64", ops.IntSet("x", -(2**63) - 1)),
    ("huge-int", ops.IntAdd("x", 10**5000)),
    ("int-that-is-a-bool", ops.IntAdd("x", True)),
    ("int-that-is-a-float", ops.IntMul("x", _ill_typed(1.0))),
    ("int-that-is-text", ops.IntDiv("x", _ill_typed("1"))),
    ("int-map-delta-above-int64", ops.IntMapAdd("x", "a", 2**63)),
    ("int-map-value-that-is-none", ops.IntMapSet("x", "a", _ill_typed(None))),
    ("int-map-factor-that-is-a-float", ops.IntMapMul("x", "a", _ill_typed(0.5))),
    ("int-map-divisor-below-int64", ops.IntMapDiv("x", "a", -(2**63) - 1)),
    ("value-with-an-int-out-of-int64", ops.ScalarSet("x", {"a": [2**63 + 1]})),
    ("value-nan", ops.ScalarSet("x", float("nan"))),
    ("value-infinity", ops.MapSet("x", "a", float("inf"))),
    ("nested-infinity", ops.ListAppend("x", [{"a": -float("inf")}])),
    ("value-with-a-lone-surrogate", ops.ScalarSet("x", "\ud800")),
    ("value-with-a-lone-surrogate-in-a-name", ops.ScalarSet("x", {"\udfff": 1})),
    ("value-nested-too-deep", ops.ScalarSet("x", _nested(65))),
    ("key-nested-too-deep", ops.MapSet("x", _nested(65), 1)),
    ("value-of-bytes", ops.ScalarSet("x", b"raw")),
    ("value-of-a-set", ops.ScalarSet("x", {1})),
    ("value-of-a-tuple", ops.ScalarSet("x", (1, 2))),
    ("value-of-an-object", ops.ListAppend("x", object())),
    ("value-with-int-names", ops.ScalarSet("x", {1: 2})),
    ("value-missing", ops.ScalarSet("x", MISSING)),
    ("key-nan", ops.MapSet("x", float("nan"), 1)),
    ("key-with-a-lone-surrogate", ops.IntMapAdd("x", "\ud800", 1)),
    ("key-of-bytes", ops.MapDelete("x", b"raw")),
    ("key-of-text-that-is-not-canonical", ops.MapSet("x", CanonicalKey("[1, 2]"), 1)),
    ("key-of-text-that-is-no-json", ops.IntMapDelete("x", CanonicalKey("{"))),
    ("canonical-key-without-text", ops.MapSet("x", CanonicalKey(_ill_typed(5)), 1)),
    ("member-infinity", ops.SetAdd("x", float("inf"))),
    ("member-with-a-lone-surrogate", ops.SetRemove("x", ["\ud800"])),
    ("name-that-is-no-text", ops.ScalarSet(_ill_typed(5), 1)),
    ("name-with-a-lone-surrogate", ops.ScalarDelete("\ud800")),
    ("reserved-name", ops.ScalarSet(".metadatadb", 1)),
    ("reserved-name-deleted", ops.ScalarDelete(".metadatadb")),
    ("read-op", _ill_typed(ops.IntGet("x"))),
    ("no-op-at-all", _ill_typed({"op": "IntAdd", "Key": "x", "Delta": 1})),
)
"""Ops that every backend refuses with `InvalidValueError`, each with a name."""
