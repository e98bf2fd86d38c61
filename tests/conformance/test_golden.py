"""The golden cases: what the Go original stores, the library stores."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metadatadb_core import ops
from metadatadb_core.errors import CorruptStateError
from metadatadb_core.keys import INT64_MAX, INT64_MIN, canonical_key
from metadatadb_core.ops import MISSING, Op, decode_ops, encode_ops
from metadatadb_core.state import NamespaceState
from metadatadb_core.store import Namespace, Store
from metadatadb_memory.backend import MemoryBackend

GOLDEN = Path(__file__).parents[1] / "golden"


def cases(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / file).read_text(encoding="utf-8").splitlines()]


def _number(token: str) -> tuple[str, int | float]:
    """One form for each number, which a bool does not equal: ints exact, and 1.0 the same as 1."""
    if token.lstrip("-").isdigit() and INT64_MIN <= int(token) <= INT64_MAX:
        return ("number", int(token))
    number = float(token)
    return ("number", int(number) if number.is_integer() and abs(number) <= 2**53 else number)


def strictly(text: str | bytes) -> Any:
    """The JSON value of `text`, so that equal means equal as the golden cases mean it."""
    return json.loads(text, parse_int=_number, parse_float=_number)


OPS = cases("ops.jsonl")
every_case = pytest.mark.parametrize("case", OPS, ids=[case["name"] for case in OPS])


# -- ops ---------------------------------------------------------------------------------------------------


@every_case
def test_ops_lead_to_the_recorded_state(case: dict[str, Any]) -> None:
    """Applying the ops to an empty namespace and encoding it gives what Go stores."""
    state = NamespaceState()
    for op in decode_ops(case["ops"]):
        state.apply(op)

    assert strictly(case["state"]) == strictly(state.encode())


@every_case
def test_ops_lead_there_through_the_stored_form_too(case: dict[str, Any]) -> None:
    """The same with the state encoded and decoded between any two ops, as replicas that take turns do."""
    state = NamespaceState()
    for op in decode_ops(case["ops"]):
        state = NamespaceState.decode(state.encode())
        state.apply(op)

    assert strictly(case["state"]) == strictly(NamespaceState.decode(state.encode()).encode())


@every_case
def test_ops_keep_their_meaning_in_their_json_form(case: dict[str, Any]) -> None:
    """Ops written with `encode_ops` and read again are equal, and lead to the same state."""
    once = decode_ops(case["ops"])
    twice = decode_ops(encode_ops(once))
    state = NamespaceState()
    for op in twice:
        state.apply(op)

    assert once == twice
    assert strictly(case["state"]) == strictly(state.encode())


def stored(ask: Callable[[ops.ScalarGet], Any], applied: Iterable[Op]) -> bytes:
    """What is stored under every name that `applied` mentions, as a state object."""
    found = {op.key: ask(ops.ScalarGet(op.key)) for op in applied}
    return msgspec.json.encode({name: value for name, value in found.items() if value is not MISSING})


@every_case
@pytest.mark.parametrize("together", [False, True], ids=["one-by-one", "in-one-call"])
def test_ops_lead_there_through_a_backend(case: dict[str, Any], together: bool) -> None:
    """The memory backend holds the recorded state, however the ops reach it."""
    applied = decode_ops(case["ops"])
    backend = MemoryBackend()
    for group in [applied] if together else [[op] for op in applied]:
        backend.apply("golden", *group)

    assert strictly(case["state"]) == strictly(stored(lambda op: backend.query("golden", op), applied))


# -- the public structures ---------------------------------------------------------------------------------


def do(namespace: Namespace, op: Op) -> None:
    """`op` through the method of the structure that stands for it."""
    match op:
        case ops.ScalarSet():
            namespace.scalar(op.key).set(op.value)
        case ops.ScalarDelete():
            namespace.scalar(op.key).delete()
        case ops.IntSet():
            namespace.int(op.key).set(op.value)
        case ops.IntAdd():
            namespace.int(op.key).add(op.delta)
        case ops.IntMul():
            namespace.int(op.key).mul(op.factor)
        case ops.IntDiv():
            namespace.int(op.key).div(op.divisor)
        case ops.SetAdd():
            namespace.set(op.key, Any).add(op.member)
        case ops.SetRemove():
            namespace.set(op.key, Any).remove(op.member)
        case ops.IntMapSet():
            namespace.int_map(op.key, Any).set(op.map_key, op.value)
        case ops.IntMapAdd():
            namespace.int_map(op.key, Any).add(op.map_key, op.delta)
        case ops.IntMapMul():
            namespace.int_map(op.key, Any).mul(op.map_key, op.factor)
        case ops.IntMapDiv():
            namespace.int_map(op.key, Any).div(op.map_key, op.divisor)
        case ops.IntMapDelete():
            namespace.int_map(op.key, Any).delete(op.map_key)
        case ops.MapSet():
            namespace.map(op.key, Any).set(op.map_key, op.value)
        case ops.MapDelete():
            namespace.map(op.key, Any).delete(op.map_key)
        case ops.ListAppend():
            namespace.list(op.key).append(op.value)


def _kind(op: Op) -> str:
    name = type(op).__name__
    return next(kind for kind in ("Scalar", "IntMap", "Int", "Set", "Map", "List") if name.startswith(kind))


def expressible(case: dict[str, Any]) -> bool:
    """Whether structures allow it: each name is of one kind, and no integer is outside int64."""
    applied = decode_ops(case["ops"])
    kinds = {op.key: _kind(op) for op in applied}
    contents = [content for op in applied for content in msgspec.structs.astuple(op)]
    return all(kinds[op.key] == _kind(op) for op in applied) and not any(
        type(content) is int and not INT64_MIN <= content <= INT64_MAX for content in contents
    )


EXPRESSIBLE = [case for case in OPS if expressible(case)]


def test_structures_express_most_cases() -> None:
    """The rule above leaves out misuse, and nothing else."""
    assert 80 < len(EXPRESSIBLE) < len(OPS)


@pytest.mark.parametrize("case", EXPRESSIBLE, ids=[case["name"] for case in EXPRESSIBLE])
def test_structures_lead_to_the_recorded_state(case: dict[str, Any]) -> None:
    """The same calls through Scalar, Int, Set, IntMap, Map and List store what Go stores."""
    applied = decode_ops(case["ops"])
    with Store(backend := MemoryBackend()) as store:
        for op in applied:
            do(store.namespace("golden"), op)

        assert strictly(case["state"]) == strictly(stored(lambda op: backend.query("golden", op), applied))


# -- canonical keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("keys.jsonl"), ids=lambda case: case["text"])
def test_keys_have_the_recorded_text(case: dict[str, Any]) -> None:
    """Every kind of key, as JSON text says it."""
    assert case["text"] == canonical_key(json.loads(case["key"]))


def test_strings_have_the_recorded_text() -> None:
    """Go's escapes, and no others, character for character."""
    rows = [(bytes.fromhex(case["utf8_hex"]).decode(), case["text"]) for case in cases("strings.jsonl")]

    assert [text for _, text in rows] == [canonical_key(string) for string, _ in rows]


def test_floats_have_the_recorded_text() -> None:
    """Go's shortest form, and its exponents."""
    rows = [(struct.unpack(">d", bytes.fromhex(case["bits"]))[0], case["text"]) for case in cases("floats.jsonl")]

    assert [text for _, text in rows] == [canonical_key(number) for number, _ in rows]


@pytest.mark.parametrize("file", ["keys.jsonl", "strings.jsonl", "floats.jsonl"])
def test_recorded_keys_survive_the_stored_form(file: str) -> None:
    """A member with each recorded key is found under the same key after a round trip, and removed by it."""
    texts = [case["text"] for case in cases(file)]
    state = NamespaceState.decode(msgspec.json.encode({"s": dict.fromkeys(texts, True)}))

    assert sorted(set(texts)) == sorted(map(canonical_key, state.query(ops.SetMembers("s"))))
    for member in state.query(ops.SetMembers("s")):
        state.apply(ops.SetRemove("s", member))
    assert b'{"s":{}}' == state.encode()


# -- stored states -----------------------------------------------------------------------------------------

STATES = cases("states.jsonl")


@pytest.mark.parametrize("case", [case for case in STATES if "error" not in case], ids=lambda case: case["raw"])
def test_stored_states_are_read_as_recorded(case: dict[str, Any]) -> None:
    """Whitespace, key order, foreign keys and odd numbers mean what they mean in Go."""
    assert strictly(case["state"]) == strictly(NamespaceState.decode(case["raw"].encode()).encode())


@pytest.mark.parametrize("case", [case for case in STATES if "error" in case], ids=lambda case: case["raw"])
def test_what_is_no_state_is_refused_as_corrupt(case: dict[str, Any]) -> None:
    """Complete, but not a JSON object: never taken for an empty state, which a flush would store."""
    with pytest.raises(CorruptStateError):
        NamespaceState.decode(case["raw"].encode())
