"""The stored objects, as literal bytes: what the original writes and what it makes of ours."""

from __future__ import annotations

import json
from typing import Self

import pytest

from metadatadb_core import ops
from metadatadb_core.keys import INT64_MAX, INT64_MIN
from metadatadb_core.testing.object_store import Bucket, etag
from tests.support.engine import LOCK, RECORD, STATE, TTL, FakeTime, Peer

# As the original writes it: compact, no newline, keys sorted by UTF-8 bytes at every level.
GO_STATE = (
    '{"clones":{"\\"repo-a\\"":7},'
    '"labels":{"\\"a\\\\u003cb\\\\u003e\\\\u0026é\\\\u2028\\"":{"a":[1,null,"x"],"b":1}},"sc":"hello"}'
).encode()


@pytest.fixture
def time() -> FakeTime:
    """Time that stands still until told otherwise."""
    return FakeTime()


@pytest.fixture
def bucket(time: FakeTime) -> Bucket:
    """A storage with ETags."""
    return Bucket(clock=time.date, versions=etag)


def rewritten_by_go(body: bytes, *, floats: bool) -> bytes:
    """The same state as a replica of the original stores it after a write: keys sorted, numbers as it has them."""

    def through_float64(value: object) -> object:
        if isinstance(value, dict):
            return {name: through_float64(item) for name, item in value.items()}
        if isinstance(value, list):
            return [through_float64(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool) and floats:
            number = float(value)
            # Go's encoding/json writes the shortest decimal, without exponent below 1e21.
            return json.loads(f"{number:.17g}") if abs(number) < 2**53 else _Shortest(number)
        return value

    text = json.dumps(through_float64(json.loads(body)), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


class _Shortest(int):
    """A number above 2**53 as Go writes a float64: shortest digits, filled up with zeros."""

    def __new__(cls, number: float) -> Self:
        digits, _, exponent = f"{number!r}".partition("e")
        mantissa = digits.replace(".", "")
        places = len(digits.partition(".")[2])
        return super().__new__(cls, int(mantissa) * 10 ** (int(exponent or 0) - places))


def test_a_state_of_the_original_is_read(bucket: Bucket, time: FakeTime) -> None:
    """Byte for byte as golden/README.md has it."""
    bucket.write(STATE, GO_STATE, content_type="application/json")
    peer = Peer(bucket, time)
    peer.sync()

    assert 7 == peer.replica.query(ops.IntMapGet("clones", "repo-a"))
    assert {"a": [1, None, "x"], "b": 1} == peer.replica.query(ops.MapGet("labels", "a<b>&é\u2028"))
    assert "hello" == peer.replica.query(ops.ScalarGet("sc"))


def test_what_we_write_on_it_keeps_its_form(bucket: Bucket, time: FakeTime) -> None:
    """The same canonical keys, and one name more: the record, under its reserved name."""
    bucket.write(STATE, GO_STATE, content_type="application/json")
    peer = Peer(bucket, time)
    peer.apply(ops.IntMapAdd("clones", "repo-a", 1))
    peer.sync()
    found = bucket.objects[STATE]

    assert (
        '{"clones":{"\\"repo-a\\"":8},'
        '"labels":{"\\"a\\\\u003cb\\\\u003e\\\\u0026é\\\\u2028\\"":{"a":[1,null,"x"],"b":1}},"sc":"hello",'
        '".metadatadb":{"format":1,"commits":1,"floor":0,"writers":{"a-1":[1,1]}}}'
    ).encode() == found.body
    assert "application/json" == bucket.content_types[STATE]


def test_every_kind_is_stored_as_the_format_says(bucket: Bucket, time: FakeTime) -> None:
    """Scalar, int, map, int map, set and list, one object, compact."""
    peer = Peer(bucket, time)
    peer.apply(
        ops.ScalarSet("s", {"a": [1, 2.5, None, True, "é"]}),
        ops.IntSet("i", INT64_MIN),
        ops.MapSet("m", 42, "v"),
        ops.MapSet("m", "42", "w"),
        ops.IntMapAdd("c", [1, "x"], 3),
        ops.SetAdd("set", True),
        ops.SetAdd("set", 1.5),
        ops.ListAppend("l", {"x": 1}),
    )
    peer.sync()
    body, _, record = bucket.objects[STATE].body.partition(b',".metadatadb":')

    assert (
        '{"s":{"a":[1,2.5,null,true,"é"]},"i":-9223372036854775808,"m":{"42":"v","\\"42\\"":"w"},'
        '"c":{"[1,\\"x\\"]":3},"set":{"true":true,"1.5":true},"l":[{"x":1}]'
    ).encode() == body
    assert b'{"format":1,"commits":1,"floor":0,"writers":{"a-1":[1,1]}}}' == record


@pytest.mark.parametrize("floats", [False, True], ids=["newer", "older"])
def test_a_state_that_the_original_rewrote_is_accepted(bucket: Bucket, time: FakeTime, floats: bool) -> None:
    """Keys sorted, the record carried along, numbers through float64 in older versions: exactly-once goes on."""
    peer, other = Peer(bucket, time, "a"), Peer(bucket, time, "b")
    peer.apply(ops.IntAdd("n", 5), ops.MapSet("m", "<z>", 1), ops.MapSet("m", "a", 2), ops.ListAppend("l", "p1"))
    peer.sync()
    bucket.write(STATE, rewritten_by_go(bucket.objects[STATE].body, floats=floats))
    assert bucket.objects[STATE].body.startswith(b'{".metadatadb":{"commits":1,"floor":0,"format":1,"writers":')
    peer.apply(ops.IntAdd("n", 1))
    other.apply(ops.IntAdd("n", 1), ops.ListAppend("l", "p2"))
    for one in (peer, other, peer):
        one.sync()
    record = json.loads(bucket.objects[STATE].body)[RECORD]

    assert 7 == peer.replica.query(ops.IntGet("n")) == other.replica.query(ops.IntGet("n"))
    assert {"<z>": 1, "a": 2} == peer.replica.query(ops.MapEntries("m"))
    assert ["p1", "p2"] == peer.entries
    assert {"format": 1, "commits": 3, "floor": 0, "writers": {"a-1": [2, 2], "b-1": [1, 3]}} == record


def test_a_put_of_ours_is_recognised_in_what_the_original_made_of_it(bucket: Bucket, time: FakeTime) -> None:
    """The answer was lost, and a Go replica has rewritten the state since: the record in it says that we are in."""
    peer = Peer(bucket, time)
    peer.append("a1")
    round_ = peer.commit()
    while STATE not in bucket.objects:
        assert round_.request is not None
        if type(round_.request).__name__ == "Put" and getattr(round_.request, "key", "") == STATE:
            bucket.put(STATE, round_.request.body, expect=round_.request.expect)  # type: ignore[union-attr]
            bucket.write(STATE, rewritten_by_go(bucket.objects[STATE].body, floats=True))
        else:
            round_.step()
    from metadatadb_core.replication import OutcomeUnknown

    round_.throw(OutcomeUnknown("the answer was lost"))
    round_.finish()

    assert ["a1"] == json.loads(bucket.objects[STATE].body)["l"] == peer.entries
    assert 0 == peer.replica.pending


def test_ints_above_2_to_the_53_come_back_as_the_original_left_them(bucket: Bucket, time: FakeTime) -> None:
    """Exact among replicas of ours; rounded by an older Go replica, MaxInt64 even to a token above int64."""
    peer = Peer(bucket, time)
    peer.apply(ops.IntSet("max", INT64_MAX), ops.IntSet("odd", 2**53 + 1))
    peer.sync()
    assert b'"max":9223372036854775807,"odd":9007199254740993' in bucket.objects[STATE].body
    bucket.write(STATE, rewritten_by_go(bucket.objects[STATE].body, floats=True))
    assert b'"max":9223372036854776000,"odd":9007199254740992' in bucket.objects[STATE].body
    peer.apply(ops.IntAdd("odd", 1))
    peer.sync()

    assert INT64_MIN == peer.replica.query(ops.IntGet("max"))
    assert 2**53 + 1 == peer.replica.query(ops.IntGet("odd"))


def test_the_lock_of_the_original_is_respected(bucket: Bucket, time: FakeTime) -> None:
    """Six bytes with a date: its holder writes undisturbed, and ours goes through once it has gone."""
    version = bucket.write(LOCK, b"locked", metadata={"Expires-At": "2026-11-22T20:56:38Z"})
    peer = Peer(bucket, time)
    peer.add()
    round_ = peer.commit()
    began = time.now
    while time.now - began < TTL - 1:
        round_.step()
    assert STATE not in bucket.objects
    bucket.write(STATE, b'{"n":41}')
    bucket.delete(LOCK, expect=version)
    round_.finish()

    assert 42 == json.loads(bucket.objects[STATE].body)["n"]


def test_our_lock_can_be_read_by_the_original(bucket: Bucket, time: FakeTime) -> None:
    """Whole seconds, RFC 3339, UTC, a TTL from now."""
    peer = Peer(bucket, time)
    peer.add()
    round_ = peer.commit()
    round_.step()
    (expires,) = bucket.objects[LOCK].metadata.values()

    assert time.date(error=TTL).strftime("%Y-%m-%dT%H:%M:%SZ") == expires
    assert b'{"nonce":"a-2","ttl":30.0}' == bucket.objects[LOCK].body


def test_objects_lie_where_the_original_looks_for_them(time: FakeTime) -> None:
    """Below `.metadata/`, also for the root namespace."""
    from metadatadb_core.replication.snapshot import state_key

    assert [".metadata/.json", ".metadata/a-b_1.json", "team/.metadata/n.json"] == [
        state_key("", ""),
        state_key("", "a-b_1"),
        state_key("team/", "n"),
    ]
