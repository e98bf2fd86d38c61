"""The coalescing queue: fewer ops, and the same state from every state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metadatadb_core.keys import INT64_MAX, INT64_MIN
from metadatadb_core.ops import (
    WRITE_OPS,
    IntAdd,
    IntDiv,
    IntMapAdd,
    IntMapDelete,
    IntMapDiv,
    IntMapMul,
    IntMapSet,
    IntMul,
    IntSet,
    ListAppend,
    MapDelete,
    MapSet,
    Op,
    ScalarDelete,
    ScalarSet,
    SetAdd,
    SetRemove,
)
from metadatadb_core.replication.coalescing import CoalescingQueue
from metadatadb_core.state import NamespaceState
from metadatadb_core.testing.strategies import int64s, write_ops

# A few names, keys and numbers, so that ops meet again; values of every shape, so that they meet a wrong kind too.
_NAMES = st.sampled_from(["x", "x", "y"])
_KEYS = st.sampled_from(["a", "a", "b", 1, True, "1", None])
_VALUES = st.sampled_from([0, 1, -3, True, None, "text", 1.5, [], [1], {}, {"a": 1}, {'"a"': 7}, INT64_MAX, 2.0**63])
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "key": _NAMES,
    "map_key": _KEYS,
    "member": _KEYS,
    "value": _VALUES,
    "delta": int64s(),
    "factor": st.sampled_from([0, 1, -1, 3, INT64_MIN]),
    "divisor": st.sampled_from([0, 1, -1, 2]),
}


def _meeting_ops() -> st.SearchStrategy[Op]:
    return st.one_of(
        *(
            st.builds(
                kind,
                **{
                    field: int64s() if field == "value" and kind in (IntSet, IntMapSet) else _FIELDS[field]
                    for field in kind.__struct_fields__
                },
            )
            for kind in WRITE_OPS
        )
    )


def queue_of(*ops: Op) -> CoalescingQueue:
    """A queue to which these were added."""
    queue = CoalescingQueue()
    for op in ops:
        queue.add(op)
    return queue


def state_after(*ops: Op) -> str:
    """The stored form of an empty state after these, in a form that compares exactly: True is not 1, 1.0 not 1."""
    state = NamespaceState()
    for op in ops:
        state.apply(op)
    return json.dumps(json.loads(state.encode()), sort_keys=True)


@settings(max_examples=400)
@given(base=st.lists(_meeting_ops(), max_size=6), ops=st.lists(_meeting_ops(), max_size=14))
@example(base=[ScalarSet("x", "v")], ops=[MapDelete("x", "a"), MapSet("x", "b", 1), MapSet("x", "a", 2)])
@example(base=[ScalarSet("x", "v")], ops=[MapSet("x", "a", 1), MapDelete("x", "a")])
@example(base=[], ops=[IntMapDiv("x", "a", 2), IntMapSet("x", "a", 1), IntMapDelete("x", "a")])
def test_coalesced_and_original_ops_give_the_same_state_from_every_state(base: list[Op], ops: list[Op]) -> None:
    """Whatever was there, of whatever kind: queueing changes how many ops there are, and nothing else."""
    queue = queue_of(*ops)

    assert state_after(*base, *ops) == state_after(*base, *queue.ops)
    assert len(queue) <= len(ops)


@settings(max_examples=100)
@given(base=st.lists(write_ops(), max_size=6), ops=st.lists(write_ops(), max_size=12))
def test_the_same_holds_for_any_ops_at_all(base: list[Op], ops: list[Op]) -> None:
    """With any names, keys and values, as the conformance suite draws them."""
    assert state_after(*base, *ops) == state_after(*base, *queue_of(*ops).ops)


@settings(max_examples=100)
@given(ops=st.lists(_meeting_ops(), max_size=14), cut=st.integers(0, 14))
def test_a_queue_that_was_cut_anywhere_gives_the_same_state(ops: list[Op], cut: int) -> None:
    """A batch that was sealed is not coalesced into: what follows is coalesced on its own."""
    first, second = queue_of(*ops[:cut]), queue_of(*ops[cut:])

    assert state_after(*ops) == state_after(*first.ops, *second.ops)


@settings(max_examples=100)
@given(ops=st.lists(_meeting_ops(), min_size=1, max_size=14))
def test_an_op_is_absorbed_if_and_only_if_the_queue_does_not_grow(ops: list[Op]) -> None:
    """What a full queue relies on when it accepts an op all the same."""
    queue = queue_of(*ops[:-1])
    before = len(queue)
    absorbs = queue.absorbs(ops[-1])
    queue.add(ops[-1])

    assert absorbs == (len(queue) == before)


@pytest.mark.parametrize(
    ("ops", "left"),
    [
        ([IntAdd("x", 1)] * 3, [IntAdd("x", 3)]),
        ([IntAdd("x", INT64_MAX), IntAdd("x", 1)], [IntAdd("x", INT64_MIN)]),
        ([IntSet("x", INT64_MAX), IntAdd("x", 2)], [IntSet("x", INT64_MIN + 1)]),
        ([IntAdd("x", 1), IntSet("x", 5)], [IntSet("x", 5)]),
        ([IntAdd("x", 1), IntAdd("y", 1), IntAdd("x", 1)], [IntAdd("x", 2), IntAdd("y", 1)]),
        ([ScalarSet("x", 1), ScalarSet("x", 2)], [ScalarSet("x", 2)]),
        ([ScalarSet("x", 1), ScalarDelete("x")], [ScalarDelete("x")]),
        ([MapSet("x", "a", 1), MapSet("x", "b", 1), MapSet("x", "a", 2)], [MapSet("x", "a", 2), MapSet("x", "b", 1)]),
        ([IntMapAdd("x", "a", 1), IntMapAdd("x", "a", 2)], [IntMapAdd("x", "a", 3)]),
        ([IntMapAdd("x", 1, 1), IntMapAdd("x", 1.0, 2)], [IntMapAdd("x", 1.0, 3)]),
        ([IntMapSet("x", "a", 1), IntMapAdd("x", "a", 2)], [IntMapSet("x", "a", 3)]),
        ([SetRemove("x", "a"), SetRemove("x", "a")], [SetRemove("x", "a")]),
        ([SetAdd("x", "b"), SetAdd("x", "a"), SetRemove("x", "a")], [SetAdd("x", "b"), SetRemove("x", "a")]),
    ],
)
def test_ops_that_make_earlier_ones_superfluous_take_their_place(ops: list[Op], left: list[Op]) -> None:
    """Counters add up, the last value counts, and what lies between on other names or members stays where it is."""
    assert left == queue_of(*ops).ops


@pytest.mark.parametrize(
    "ops",
    [
        [IntAdd("x", 1), IntMul("x", 2), IntAdd("x", 1)],
        [IntAdd("x", 1), IntDiv("x", 2), IntAdd("x", 1)],
        [IntMul("x", 2), IntMul("x", 2)],
        [IntMapAdd("x", "a", 1), IntMapMul("x", "a", 2), IntMapAdd("x", "a", 1)],
        [IntMapAdd("x", "a", 1), IntMapDiv("x", "a", 2), IntMapAdd("x", "a", 1)],
        [ListAppend("x", 1), ListAppend("x", 1)],
        [ScalarSet("x", 1), ListAppend("x", 1), ScalarSet("x", 1)],
        [MapSet("x", "a", 1), ScalarDelete("x"), MapSet("x", "a", 1)],
        [ScalarSet("x", 1), MapSet("x", "a", 1), ScalarSet("x", 1)],
        [MapDelete("x", "a"), MapSet("x", "a", 1)],
        [MapSet("x", "a", 1), MapDelete("x", "a")],
        [IntMapAdd("x", "1", 1), IntMapAdd("x", 1, 1), IntMapAdd("x", True, 1)],
    ],
)
def test_what_cannot_be_one_op_stays_in_order(ops: list[Op]) -> None:
    """Nothing crosses a multiplication or division; the whole is a barrier for members, and they for it."""
    assert ops == queue_of(*ops).ops


def test_many_ops_on_many_members_stay_one_each() -> None:
    """A queue is as long as there are members touched."""
    ops: Sequence[Op] = [IntMapAdd("x", index % 100, 1) for index in range(10_000)]

    assert [IntMapAdd("x", index, 100) for index in range(100)] == queue_of(*ops).ops
