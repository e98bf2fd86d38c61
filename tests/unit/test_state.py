"""What a namespace holds: total replay, answers that belong to the asker, and the stored form in between."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core import ops
from metadatadb_core.errors import CorruptStateError, InvalidValueError
from metadatadb_core.keys import INT64_MAX, INT64_MIN, CanonicalKey
from metadatadb_core.ops import MISSING, Op, ReadOp, admit
from metadatadb_core.state import NamespaceState
from metadatadb_core.testing.backend_cases import CASES, Case
from metadatadb_core.testing.strategies import json_values, keys, names, texts, write_ops


def replay(applied: list[Op], state: NamespaceState | None = None) -> NamespaceState:
    state = NamespaceState() if state is None else state
    for op in applied:
        state.apply(admit(op))
    return state


def sorted_json(state: NamespaceState) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(state.encode()), order="deterministic")


def every_query(name: str, key: Any) -> list[ReadOp[Any]]:
    return [
        kind(
            *[
                {"key": name, "map_key": key, "member": key, "start": None, "stop": None}[f]
                for f in kind.__struct_fields__
            ]
        )
        for kind in ops.READ_OPS
    ]


# -- replay ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
def test_ops_do_what_the_conformance_cases_say(case: Case) -> None:
    """The state machine, without a backend, is what the kit holds backends to."""
    state = replay(list(case.applied))

    assert [expected for _, expected in case.answers] == [state.query(query) for query, _ in case.answers]


@given(st.lists(write_ops(), max_size=12))
def test_replay_never_raises_and_its_result_can_be_stored(applied: list[Op]) -> None:
    """Whatever stands under a name, every op has a result; a batch that is in cannot be refused later."""
    state = replay(applied)

    assert isinstance(msgspec.json.decode(state.encode()), dict)


@given(st.lists(write_ops(), max_size=10))
def test_replay_through_the_stored_form_is_replay(applied: list[Op]) -> None:
    """Encoding and decoding between any two ops changes nothing: replicas that take turns agree with one that stays."""
    state = NamespaceState()
    for op in applied:
        state = NamespaceState.decode(state.encode())
        state.apply(admit(op))

    assert sorted_json(replay(applied)) == sorted_json(state)


@given(st.lists(write_ops(), max_size=8), names(), keys())
def test_every_query_has_an_answer(applied: list[Op], name: str, key: Any) -> None:
    """Of the type its op promises, whatever kind the name is; the same before and after the stored form."""
    state = replay(applied)
    decoded = NamespaceState.decode(state.encode())
    for query in every_query(name, key):
        assert state.query(query) == decoded.query(query)


@given(
    st.dictionaries(names(), st.dictionaries(texts(), json_values(), max_size=3), max_size=3),
    st.lists(write_ops(), max_size=6),
)
def test_replay_on_foreign_state_never_raises(stored: dict[str, Any], applied: list[Op]) -> None:
    """What somebody else wrote is no reason to fail either."""
    state = NamespaceState.decode(msgspec.json.encode(stored))

    assert isinstance(msgspec.json.decode(replay(applied, state).encode()), dict)


@given(st.lists(write_ops(), max_size=8), st.lists(write_ops(), max_size=4))
def test_a_copy_is_a_snapshot(applied: list[Op], later: list[Op]) -> None:
    """Neither side's later ops reach the other."""
    state = replay(applied)
    before = state.encode()
    twin = state.copy()
    replay(later, state)
    after = state.encode()

    assert before == twin.encode()
    replay(later[::-1], twin)
    assert after == state.encode()


@given(write_ops())
def test_ops_are_not_changed_by_the_state_they_made(op: Op) -> None:
    """An op that is queued stays what it is while the state goes on."""
    op = admit(op)
    before = msgspec.json.encode(op)
    state = NamespaceState()
    state.apply(op)
    for later in (
        ops.ListAppend(op.key, 1),
        ops.MapSet(op.key, "a", 1),
        ops.IntAdd(op.key, 1),
        ops.ListAppend(op.key, 2),
    ):
        state.apply(later)

    assert before == msgspec.json.encode(op)


@given(st.lists(write_ops(), max_size=6), names(), keys())
def test_answers_belong_to_the_asker(applied: list[Op], name: str, key: Any) -> None:
    """Whatever is done to an answer, the state stays what it was."""
    state = replay(applied)
    before = state.encode()
    for query in every_query(name, key):
        spoil(state.query(query))

    assert before == state.encode()


def test_answers_belong_to_the_asker_after_numbers_too() -> None:
    """A map of numbers that later gets a list is copied like one that always had it."""
    state = replay([ops.MapSet("m", "a", 1), ops.MapSet("m", "b", [1])])
    state.query(ops.MapEntries("m"))["b"].append(2)

    assert {"a": 1, "b": [1]} == state.query(ops.MapEntries("m"))


def spoil(answer: Any) -> None:
    if isinstance(answer, list):
        for item in answer:
            spoil(item)
        answer.append("spoilt")
    elif isinstance(answer, dict):
        for item in answer.values():
            spoil(item)
        answer["spoilt"] = 1


# -- integers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("9223372036854776000", INT64_MIN),
        ("-9223372036854778000", INT64_MIN),
        ("9223372036854775807", INT64_MAX),
        ("9223372036854775808", INT64_MIN),
        ("1e19", INT64_MIN),
        ("1e300", INT64_MIN),
        ("3.99", 3),
        ("-3.99", -3),
        ("-0.0", 0),
        ("9223372036854774784.0", 9223372036854774784),
        ("true", 0),
        ('"12"', 0),
        ("null", 0),
        ("[1]", 0),
        ('{"a":1}', 0),
    ],
)
def test_every_stored_value_reads_as_an_int(stored: str, read: int) -> None:
    """As the Go original reads it: numbers truncated, beyond int64 its minimum, all else 0."""
    state = NamespaceState.decode(f'{{"x":{stored},"m":{{"\\"k\\"":{stored}}}}}'.encode())

    assert (read, read) == (state.query(ops.IntGet("x")), state.query(ops.IntMapGet("m", "k")))
    assert {"k": read} == state.query(ops.IntMapEntries("m"))


# -- keys --------------------------------------------------------------------------------------------------


def test_zero_and_minus_zero_are_two_entries() -> None:
    """The floats 0.0 and -0.0 have two canonical texts, and each is found, read and replaced by its own."""
    state = replay([ops.MapSet("m", 0, "zero"), ops.MapSet("m", -0.0, "minus"), ops.MapSet("n", [-0.0], 1)])
    state = NamespaceState.decode(state.encode())
    replay([ops.MapSet("m", -0.0, "minus zero"), ops.MapSet("n", [-0.0], 2)], state)

    assert b'{"m":{"0":"zero","-0":"minus zero"},"n":{"[-0]":2}}' == state.encode()
    assert {0: "zero", CanonicalKey("-0"): "minus zero"} == state.query(ops.MapEntries("m"))
    assert ("minus zero", 2) == (state.query(ops.MapGet("m", -0.0)), state.query(ops.MapGet("n", [-0.0])))


def test_foreign_members_are_carried_along_and_reached_by_nobody() -> None:
    """Texts that are no canonical key stay in the object, and no op mistakes them for one."""
    state = NamespaceState.decode(b'{"m":{"raw":1,"[1, 2]":2,"\\"a\\"":3}}')
    replay([ops.MapSet("m", [1, 2], "ours"), ops.MapDelete("m", "raw")], state)

    assert {"a": 3, CanonicalKey("[1,2]"): "ours"} == state.query(ops.MapEntries("m"))
    assert {'"a"': 3, "[1,2]": "ours", "raw": 1, "[1, 2]": 2} == state.query(ops.ScalarGet("m"))


# -- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [ops.IntAdd("x", 1), None, "x"], ids=repr)
def test_what_is_no_read_op_is_refused(query: Any) -> None:
    """A mistake of the caller is told to the caller."""
    with pytest.raises(InvalidValueError):
        NamespaceState().query(query)


def test_a_corrupt_body_is_refused() -> None:
    """And not taken for an empty namespace."""
    with pytest.raises(CorruptStateError):
        NamespaceState.decode(b"[]")


def test_nothing_stored_is_missing_and_null_is_not() -> None:
    """None is a value; `MISSING` is the absence of one."""
    state = replay([ops.ScalarSet("x", None), ops.MapSet("m", "k", None)])

    assert (None, None) == (state.query(ops.ScalarGet("x")), state.query(ops.MapGet("m", "k")))
    assert (MISSING, MISSING) == (state.query(ops.ScalarGet("y")), state.query(ops.MapGet("m", "other")))
