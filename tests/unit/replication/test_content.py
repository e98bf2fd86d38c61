"""The content of a namespace: what moves from store to store is what is stored, to the digit."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core.codec import decode_names
from metadatadb_core.errors import CorruptStateError
from metadatadb_core.ops import Op
from metadatadb_core.replication.content import Content
from metadatadb_core.replication.record import Record
from metadatadb_core.state import NamespaceState
from metadatadb_core.testing.strategies import write_ops

AS_WRITTEN = b'{"big":123456789012345678901234567890,"text":"\\u003c\\u00e9/","number":1.50,"exponent":1e2,"zero":-0.0}'


def test_numbers_and_strings_stay_as_they_are_written() -> None:
    """Neither a digit nor an escape is changed on the way."""
    assert AS_WRITTEN == Content.of_state(AS_WRITTEN).body


def test_the_record_of_the_engine_is_left_out() -> None:
    """It says what is in this store, and would be wrong in another."""
    record = msgspec.json.encode(Record(7).to_json())

    assert b'{"a":1,"b":2}' == Content.of_state(b'{"a":1,".metadatadb":%s,"b":2}' % record).body


def test_a_state_that_was_indented_by_hand_has_one_line() -> None:
    """A line of a file holds one namespace."""
    assert b'{"a":{"\\"x\\"":[1,2.50]}}' == Content.of_state(b'{\n  "a": {"\\"x\\"": [1,\r\n 2.50]}\n}').body


def test_what_only_go_reads_is_moved_as_every_replica_reads_it() -> None:
    """A lone surrogate is U+FFFD to all of them."""
    assert '{"a":"�"}'.encode() == Content.of_state(b'{"a":"\\ud800"}').body


@pytest.mark.parametrize("stored", [b"[1]", b'{"a":', b"", b'{"a":1e400}', b"\xff"])
def test_what_is_no_state_is_not_moved(stored: bytes) -> None:
    """Nobody could read it there either."""
    with pytest.raises(CorruptStateError):
        Content.of_state(stored)


@pytest.mark.parametrize(
    "text", [b"[1]", b'{"a":', b'{"a":"\\ud800"}', b'{".metadatadb":{}}', b'{"\\u002emetadatadb":{}}', b"\xff"]
)
def test_what_comes_from_outside_is_checked(text: bytes) -> None:
    """A record above all would make an engine believe that batches of its own are in."""
    with pytest.raises(CorruptStateError):
        Content.of_text(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"a":1,"b":{"x":1,"y":2}}', b'{"b":{"y":2,"x":1}, "a":1}', True),
        (b'{"a":"\\u00e9"}', '{"a":"é"}'.encode(), True),
        (b'{"a":1.5}', b'{"a":1.50}', False),
        (b'{"a":0.0}', b'{"a":-0.0}', False),
        (b'{"a":1}', b'{"a":1.0}', False),
        (b'{"a":1}', b'{"a":"1"}', False),
        (b'{"a":1}', b'{"a":true}', False),
        (b'{"a":[1]}', b'{"a":1}', False),
        (b'{"a":9007199254740993}', b'{"a":9007199254740992}', False),
        (b'{"a":[1,2]}', b'{"a":[2,1]}', False),
        (b"{}", b'{"a":null}', False),
    ],
)
def test_two_are_the_same_if_they_hold_the_same_values(one: bytes, other: bytes, same: bool) -> None:
    """The order of names does not matter; the kind of a number and each of its digits do."""
    assert same is Content(one).same_as(Content(other))
    assert same is Content(other).same_as(Content(one))


def test_a_namespace_that_holds_nothing_is_stored_as_its_record() -> None:
    """It is there all the same."""
    assert b'{".metadatadb":{"format":1,"commits":0,"floor":0,"writers":{}}}' == Content(b"{}").stored_with(Record())


@given(st.lists(write_ops(), max_size=8))
def test_whatever_ops_make_is_stored_again_as_it_was(batch: list[Op]) -> None:
    """Content and record make up the state that the content was taken from, and it is its own content."""
    state = NamespaceState()
    for op in batch:
        state.apply(op)
    body = state.encode()
    stored = Content.of_state(body).stored_with(Record(3))

    assert {**msgspec.json.decode(body), ".metadatadb": Record(3).to_json()} == msgspec.json.decode(stored)
    assert decode_names(stored).keys() == {*state.names, ".metadatadb"}
    assert Content.of_state(body) == Content.of_state(stored)
    assert Content.of_text(Content.of_state(body).body).same_as(Content.of_state(body))
