"""The stored form: what is written is read, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core.codec import MAX_STORED_DEPTH, Names, decode_names, encode_names
from metadatadb_core.errors import CorruptStateError
from metadatadb_core.keys import canonical_key, member_key
from metadatadb_core.members import Members
from metadatadb_core.testing.strategies import json_values, keys, names, texts

members = st.dictionaries(keys().map(member_key), json_values(), max_size=5)
foreign = st.dictionaries(texts(), json_values(), max_size=3).map(Members.from_object)


def comparable(found: Names) -> Any:
    return {
        name: ("members", value.items, value.foreign) if isinstance(value, Members) else value
        for name, value in found.items()
    }


@st.composite
def states(draw: st.DrawFn) -> Names:
    """Any state: maps with keys of every kind, scalars, lists, objects that somebody else wrote."""
    scalars = json_values().filter(lambda value: not isinstance(value, dict))
    return draw(st.dictionaries(names() | texts(), members.map(Members) | foreign | scalars, max_size=4))


@given(states())
def test_what_is_written_is_read(state: Names) -> None:
    """Keys, values and foreign members, each of its own type."""
    decoded = decode_names(encode_names(state))

    assert comparable(state) == comparable(decoded)
    assert encode_names(state) == encode_names(decoded)


@given(states())
def test_the_stored_form_is_plain_json(state: Names) -> None:
    """Any JSON reader reads it, and the names in objects are canonical keys."""
    stored = json.loads(encode_names(state))
    expected = {
        name: {canonical_key(key) for key in value.items} | set(value.foreign)
        for name, value in state.items()
        if isinstance(value, Members)
    }

    assert set(state) == set(stored)
    assert expected == {name: set(stored[name]) for name in expected}


@given(states(), st.sampled_from([None, 0, 1, 4]), st.booleans(), st.booleans())
def test_the_spelling_of_the_stored_form_does_not_matter(
    state: Names, indent: int | None, sort: bool, ascii_only: bool
) -> None:
    """Pretty-printed, re-sorted, escaped in other ways: replicas and people rewrite objects."""
    body = encode_names(state)
    respelt = json.dumps(json.loads(body), indent=indent, sort_keys=sort, ensure_ascii=ascii_only).encode()

    assert comparable(decode_names(body)) == comparable(decode_names(respelt))


@given(st.dictionaries(texts(), st.dictionaries(texts(), json_values(), max_size=5), max_size=3))
def test_foreign_objects_are_carried_along(stored: dict[str, Any]) -> None:
    """Objects with any names, canonical or not, are written as they were read."""
    assert stored == json.loads(encode_names(decode_names(msgspec.json.encode(stored))))


@pytest.mark.parametrize(
    "names",
    [
        ['"\\u0041"'],
        ['"<"'],
        [' "a"'],
        ['"a" '],
        ['"a', '"b"', 'b"'],
        ['"a', 'b"'],
        ['"a"', '"b"', "c"],
        ['"a",\n "b"', ""],
        ['"a"', "1", "[1, 2]", "nul", ""],
        ['"\\ud800"'],
        ["true", "True", "null"],
    ],
    ids=str,
)
@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5], ["v", ":", ",", '"', "<"], [[1], {}, None, True, 0.5]], ids=str)
def test_names_that_look_canonical_are_not_mistaken(names: list[str], values: list[Any]) -> None:
    """Half a canonical key, one in another spelling, several in one name: each is a name of its own, and stays one."""
    stored = dict(zip(names, values, strict=False))
    for body in (msgspec.json.encode({"m": stored}), json.dumps({"m": stored}).encode()):
        (decoded,) = decode_names(body).values()
        assert isinstance(decoded, Members)

        assert comparable({"m": Members.from_object(stored)}) == comparable({"m": decoded})
        assert {"m": stored} == json.loads(encode_names({"m": decoded}))


def test_decoding_notes_whether_values_can_change() -> None:
    """A map with a list in it is copied when it is read; one of numbers need not be."""
    decoded = decode_names(b'{"a":{"\\"k\\"":1},"b":{"\\"k\\"":[1]},"c":{"\\"k\\"":{}},"d":{"1":"x"},"e":{}}')

    assert {"a": True, "b": False, "c": False, "d": True, "e": True} == {
        name: value.atomic for name, value in decoded.items() if isinstance(value, Members)
    }


@pytest.mark.parametrize("odd", ["plain", 'quo"ted', "<html>", "\u2028", "\\", ":colon", "comma,"])
@pytest.mark.parametrize("value", [1, "text", '":', [{"a": 1}]], ids=repr)
def test_large_maps_survive(odd: str, value: Any) -> None:
    """Bodies of many pieces, also with one key or value among them that the fast way cannot take."""
    items: dict[Any, Any] = {f"key-{number:05}": number for number in range(5000)}
    items[odd] = value
    stored = {canonical_key(key): item for key, item in items.items()}
    body = encode_names({"m": Members(dict(items))})
    (decoded,) = decode_names(body).values()

    assert len(body) > 1 << 16
    assert stored == json.loads(body)["m"]
    assert isinstance(decoded, Members)
    assert (items, {}) == (decoded.items, decoded.foreign)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"a":1}}',
        b'{"a":1} x',
        b'{"a":{"b":1}',
        b'{"a":nul}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e400}',
        b'{"a":[1e400]}',
        b'{"a":{"b":-1e400}}',
        b'{"a":01}',
        b'{"a":"\n"}',
        b'{"a\n":1}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\\x"}',
        b"{a:1}",
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":"\\ud800","b":' + b"[" * 600 + b"]" * 600 + b"}",
    ],
    ids=lambda body: f"{ascii(body)[:30]}-{len(body)}",
)
def test_what_is_no_state_is_corrupt(body: bytes) -> None:
    """Never another exception, and never taken for a state: a flush would overwrite it."""
    with pytest.raises(CorruptStateError):
        decode_names(body)


@pytest.mark.parametrize("surrogate", [b"", b'"s":"\\ud800",'], ids=["", "with a lone surrogate"])
@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'{"\\"a\\"":', b"}"), (b"[0,true,", b",2]")], ids=repr
)
def test_nesting_has_a_limit(opening: bytes, closing: bytes, surrogate: bytes) -> None:
    """What is decoded on one thread can be encoded on any, however deep its stack is by then; more is corrupt."""
    body = {
        depth: b"{" + surrogate + b'"x":' + opening * depth + b"1" + closing * depth + b"}"
        for depth in (MAX_STORED_DEPTH, MAX_STORED_DEPTH + 1)
    }
    names = decode_names(body[MAX_STORED_DEPTH])

    assert names["x"] is not None
    assert encode_names(names) == at_depth(500, lambda: encode_names(names))
    with pytest.raises(CorruptStateError, match=f"deeper than {MAX_STORED_DEPTH} levels"):
        decode_names(body[MAX_STORED_DEPTH + 1])


def at_depth(frames: int, call: Callable[[], bytes]) -> bytes:
    """What `call` returns on a deeper stack."""
    return call() if frames == 0 else at_depth(frames - 1, call)


def test_many_brackets_are_not_nested_deeply() -> None:
    """Beside each other they may be as many as there are."""
    stored = {"l": [[{"a": []}]] * 500, "o": {str(number): {"x": [number]} for number in range(500)}, "t": "[" * 500}

    assert stored == json.loads(encode_names(decode_names(json.dumps(stored).encode())))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":"\\ud800"}', "\ufffd"),
        (b'{"a":"\\udc00x"}', "\ufffdx"),
        (b'{"a":"\\ud83d\\ude00"}', "\U0001f600"),
        (b'{"a":["\\ud800",{"b":"\\ud800"}]}', ["\ufffd", {"b": "\ufffd"}]),
    ],
)
def test_lone_surrogates_are_read_as_go_reads_them(body: bytes, value: Any) -> None:
    """One bad escape in one value must not make a namespace unreadable."""
    assert {"a": value} == decode_names(body)


@given(st.binary(max_size=40) | st.text(st.sampled_from('{}[]":,\\u0d8 1ae-.'), max_size=30).map(str.encode))
def test_any_bytes_are_a_state_or_corrupt(body: bytes) -> None:
    """And what is a state can be written again."""
    try:
        decoded = decode_names(body)
    except CorruptStateError:
        return
    assert comparable(decoded) == comparable(decode_names(encode_names(decoded)))
