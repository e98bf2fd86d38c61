"""Ops: two closed sums, their admission, and their JSON form."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core import ops
from metadatadb_core.errors import InvalidValueError
from metadatadb_core.keys import CanonicalKey
from metadatadb_core.ops import READ_OPS, WRITE_OPS, Op, admit, decode_ops, encode_ops
from metadatadb_core.ops.admission import ADMISSIONS
from metadatadb_core.reads import READERS
from metadatadb_core.testing.backend_cases import CASES, REFUSED_OPS
from metadatadb_core.testing.strategies import write_ops
from metadatadb_core.writes import WRITES

# -- the sums ----------------------------------------------------------------------------------------------


def test_every_write_op_is_admitted_and_applied() -> None:
    """A write op that a table forgets would fail on the first replica that meets it."""
    assert set(WRITE_OPS) == set(WRITES) == set(ADMISSIONS)
    assert 16 == len(WRITE_OPS)


def test_every_read_op_is_answered() -> None:
    """Likewise for read ops."""
    assert set(READ_OPS) == set(READERS)


def test_every_op_stands_in_a_conformance_case() -> None:
    """The kit's table shows what each op does, so that no backend passes without one of them."""
    assert set(WRITE_OPS) == {type(op) for case in CASES for op in case.applied}
    assert set(READ_OPS) == {type(query) for case in CASES for query, _ in case.answers}


def test_the_names_exported_are_the_ops() -> None:
    """What is in a sum can be imported by its name from `metadatadb_core.ops`."""
    assert all(getattr(ops, kind.__name__) is kind for kind in (*WRITE_OPS, *READ_OPS))
    assert {kind.__name__ for kind in (*WRITE_OPS, *READ_OPS)} <= set(ops.__all__)


@pytest.mark.parametrize("kind", [*WRITE_OPS, *READ_OPS], ids=lambda kind: kind.__name__)
def test_ops_are_frozen(kind: Any) -> None:
    """An op that is queued can be changed by nobody."""
    op = kind(*kind.__struct_fields__)

    with pytest.raises(AttributeError):
        op.key = "other"


# -- admission ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [op for _, op in REFUSED_OPS], ids=[name for name, _ in REFUSED_OPS])
def test_what_cannot_be_stored_is_refused(op: Op) -> None:
    """Constructors check nothing; admission does."""
    with pytest.raises(InvalidValueError):
        admit(op)


def test_a_cycle_is_refused() -> None:
    """A list that holds itself is nested without end."""
    cycle: list[Any] = []
    cycle.append(cycle)

    with pytest.raises(InvalidValueError):
        admit(ops.ScalarSet("x", cycle))
    with pytest.raises(InvalidValueError):
        admit(ops.SetAdd("x", cycle))


@pytest.mark.parametrize(
    "text",
    [
        '"a"',
        "1.0",
        "[1, 2]",
        ' {"a":1}',
        '{"b":1,"a":2}',
        '{"a":1,"a":1}',
        "nul",
        "",
        "NaN",
        "Infinity",
        "1e400",
        '["\\ud800"]',
    ]
    + ["[" * 65 + "]" * 65, "[" * 100_000, "-00", "01", "18446744073709551616", "\ud800"],
    ids=lambda text: f"{text[:20]!a}-{len(text)}",
)
def test_texts_that_are_nobodys_key_are_refused(text: str) -> None:
    """A `CanonicalKey` made by hand must be the text of a key, and of one that is no string."""
    with pytest.raises(InvalidValueError):
        admit(ops.MapSet("x", CanonicalKey(text), 1))


@pytest.mark.parametrize(
    "text", ["-0", "[-0]", "1", "-1.5", "1e+21", "100000000000000000000", "true", "null", '{"a":2,"b":[]}']
)
def test_texts_of_keys_are_admitted(text: str) -> None:
    """And stay what they are."""
    op = ops.MapSet("x", CanonicalKey(text), 1)

    assert op == admit(op)


def test_an_admitted_op_shares_nothing_that_can_change() -> None:
    """Neither the value nor the key of the caller reaches the queue."""
    value: list[Any] = [{"deep": [1]}]
    key: dict[str, Any] = {"k": [1]}
    op = admit(ops.MapSet("x", key, value))
    value[0]["deep"].append(2)
    key["k"].append(2)

    assert ops.MapSet("x", {"k": [1]}, [{"deep": [1]}]) == op


def test_an_op_of_atoms_is_admitted_as_it_is() -> None:
    """Nothing is copied where nothing can change: the common case costs no allocation."""
    op = ops.IntMapAdd("x", "a", 1)

    assert op is admit(op)


@given(write_ops())
def test_admitting_twice_is_admitting_once(op: Op) -> None:
    """An admitted op is admissible, and stays equal: stores may admit what a backend admits again."""
    assert op == admit(op) == admit(admit(op))


# -- JSON form ---------------------------------------------------------------------------------------------


def test_the_json_form_is_the_documented_one() -> None:
    """Class name under "op", PascalCase fields: spools and command lines of other versions read it."""
    assert b'[{"op":"IntMapAdd","Key":"clones","MapKey":"repo-a","Delta":3}]' == encode_ops(
        [ops.IntMapAdd("clones", "repo-a", 3)]
    )


@given(st.lists(write_ops(), max_size=5))
def test_ops_come_back_from_their_json_form(applied: list[Op]) -> None:
    """Equal, and of equal types: an int stays an int, a float a float."""
    decoded = decode_ops(encode_ops(applied))

    assert applied == decoded
    assert repr(applied) == repr(decoded)


@pytest.mark.parametrize("text", ["-0", "1e+21", "100000000000000000000", "[1]", "true"])
def test_canonical_keys_come_back_as_the_key_they_stand_for(text: str) -> None:
    """A `CanonicalKey` goes out as the JSON it holds."""
    (decoded,) = decode_ops(encode_ops([ops.SetAdd("x", CanonicalKey(text))]))

    assert isinstance(decoded, ops.SetAdd)
    assert CanonicalKey(text) == decoded.member or text == ops_text(decoded.member)


def ops_text(member: Any) -> str:
    from metadatadb_core.keys import canonical_key

    return canonical_key(member)


@pytest.mark.parametrize("text", ["-9223372036854775808", "9223372036854775807", "-0", "0"])
def test_int64_is_read_whole(text: str) -> None:
    """Up to both ends, exactly."""
    assert [ops.IntAdd("x", int(text))] == decode_ops(f'[{{"op":"IntAdd","Key":"x","Delta":{text}}}]')


@pytest.mark.parametrize("form", [str, str.encode], ids=["str", "bytes"])
def test_text_and_bytes_are_read(form: Any) -> None:
    """From a file opened either way, with any whitespace JSON allows."""
    assert [ops.IntAdd("x", 1)] == decode_ops(form(' [ {"Delta": 1,\n"op" : "IntAdd", "Key":"x"} ]\n'))


REFUSED_TEXTS = {
    "empty": "",
    "no-json": "{",
    "trailing-comma": '[{"op":"ScalarDelete","Key":"x"},]',
    "trailing-text": "[] []",
    "byte-order-mark": "\ufeff[]",
    "an-object": '{"op":"ScalarDelete","Key":"x"}',
    "null": "null",
    "an-op-that-is-no-object": '["ScalarDelete"]',
    "no-op-field": '[{"Key":"x"}]',
    "op-null": '[{"op":null,"Key":"x"}]',
    "op-list": '[{"op":[],"Key":"x"}]',
    "unknown-op": '[{"op":"IntPow","Key":"x"}]',
    "read-op": '[{"op":"IntGet","Key":"x"}]',
    "op-of-other-case": '[{"op":"scalardelete","Key":"x"}]',
    "missing-field": '[{"op":"IntAdd","Key":"x"}]',
    "unknown-field": '[{"op":"IntAdd","Key":"x","Delta":1,"Value":1}]',
    "field-of-other-case": '[{"op":"IntAdd","key":"x","Delta":1}]',
    "repeated-field": '[{"op":"IntAdd","Key":"x","Delta":1,"Delta":1}]',
    "repeated-op": '[{"op":"IntAdd","op":"IntAdd","Key":"x","Delta":1}]',
    "name-of-another-type": '[{"op":"IntAdd","Key":1,"Delta":1}]',
    "name-null": '[{"op":"ScalarDelete","Key":null}]',
    "reserved-name": '[{"op":"ScalarDelete","Key":".metadatadb"}]',
    "delta-float": '[{"op":"IntAdd","Key":"x","Delta":1.0}]',
    "delta-exponent": '[{"op":"IntAdd","Key":"x","Delta":1e3}]',
    "delta-negative-zero-float": '[{"op":"IntAdd","Key":"x","Delta":-0.0}]',
    "delta-text": '[{"op":"IntAdd","Key":"x","Delta":"1"}]',
    "delta-bool": '[{"op":"IntAdd","Key":"x","Delta":true}]',
    "delta-above-int64": '[{"op":"IntAdd","Key":"x","Delta":9223372036854775808}]',
    "delta-that-go-writes-for-a-float": '[{"op":"IntAdd","Key":"x","Delta":9223372036854776000}]',
    "value-above-int64": '[{"op":"ScalarSet","Key":"x","Value":[9223372036854775808]}]',
    "value-of-thousands-of-digits": '[{"op":"ScalarSet","Key":"x","Value":' + "9" * 10_000 + "}]",
    "value-nan": '[{"op":"ScalarSet","Key":"x","Value":NaN}]',
    "value-infinity": '[{"op":"ScalarSet","Key":"x","Value":-Infinity}]',
    "value-out-of-float64": '[{"op":"ScalarSet","Key":"x","Value":1e400}]',
    "value-lone-surrogate": '[{"op":"ScalarSet","Key":"x","Value":"\\ud800"}]',
    "name-lone-surrogate": '[{"op":"ScalarDelete","Key":"\\udc00"}]',
    "value-nested-too-deep": '[{"op":"ScalarSet","Key":"x","Value":' + "[" * 65 + "]" * 65 + "}]",
    "value-nested-600-deep": '[{"op":"ScalarSet","Key":"x","Value":' + "[" * 600 + "]" * 600 + "}]",
    "value-nested-900-deep": '[{"op":"ScalarSet","Key":"x","Value":' + '{"a":' * 900 + "1" + "}" * 900 + "}]",
    "nested-100000-deep": "[" * 100_000,
    "control-character": '[{"op":"ScalarDelete","Key":"\n"}]',
}


@pytest.mark.parametrize("text", REFUSED_TEXTS.values(), ids=REFUSED_TEXTS.keys())
def test_what_is_no_list_of_ops_is_refused(text: str) -> None:
    """With the error for input, whatever is wrong: never another exception, never half a list."""
    with pytest.raises(InvalidValueError):
        decode_ops(text)


def test_bytes_that_are_no_utf8_are_refused() -> None:
    """A broken file is bad input, not a codec's exception."""
    with pytest.raises(InvalidValueError):
        decode_ops(b'[{"op":"ScalarDelete","Key":"\xff"}]')


def test_the_error_says_which_op_is_wrong() -> None:
    """Counted from 0, with the op's name and the field."""
    with pytest.raises(InvalidValueError, match=r"op 1: IntAdd .*'Delta'"):
        decode_ops('[{"op":"ScalarDelete","Key":"x"},{"op":"IntAdd","Key":"x"}]')


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(), st.lists, max_leaves=4))
def test_any_json_is_read_or_refused(value: Any) -> None:
    """No JSON text leads to anything but ops or `InvalidValueError`."""
    for text in (json.dumps(value), json.dumps([{"op": "MapSet", "Key": value, "MapKey": value, "Value": value}])):
        try:
            decoded = decode_ops(text)
        except InvalidValueError:
            continue
        assert all(type(op) in WRITE_OPS for op in decoded)


def test_ops_can_be_tagged_by_msgspec_too() -> None:
    """The sum decodes as a tagged union, which plugins may use for formats of their own."""
    op = ops.MapSet("x", "a", [1])

    assert op == msgspec.msgpack.decode(msgspec.msgpack.encode(op), type=ops.MapSet)
