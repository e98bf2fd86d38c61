"""The fast path for keys says the same as the slow one, or says that it cannot tell."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metadatadb_core import quoting
from metadatadb_core.keys import canonical_key, from_member_key
from metadatadb_core.quoting import quote_keys, unquote_keys
from metadatadb_core.testing.strategies import json_values, texts

TRICKY = ['":', ',"', '"', ":", ",", "\\", '\\"', "{", "}", "[", "]", "<", "&", "\u2028", "é", "a", "1", " "]

tricky_text = st.lists(st.sampled_from(TRICKY), max_size=4).map("".join) | texts()
plain_text = st.text(st.sampled_from("ab:,{}[] é1-"), max_size=5)


def slowly_quoted(items: dict[str, Any]) -> dict[str, Any]:
    return {canonical_key(key): value for key, value in items.items()}


# -- quoting -----------------------------------------------------------------------------------------------


@given(
    st.dictionaries(tricky_text, json_values() | tricky_text, max_size=5)
    | st.dictionaries(plain_text, plain_text | st.integers(-9, 9) | st.lists(plain_text, max_size=2), max_size=6)
    | st.dictionaries(plain_text, st.dictionaries(plain_text, plain_text, max_size=2), max_size=4)
)
@example({":": 1})
@example({"a": 1, ":b": 2})
@example({"a,": 1, "b": 2})
@example({",": ":", ":": ","})
@example({"a": ":b"})
@example({"a": {"b": 1}})
@example({"a": ["b", "c"], "d": 1})
@example({"": "", "a": ""})
@example({"a": ",", "b": ","})
@example({":a": ",", "b": 1})
def test_quoted_fast_is_quoted_slowly(items: dict[str, Any]) -> None:
    """Character for character, or None."""
    quoted = quote_keys(msgspec.json.encode(items), len(items))

    assert quoted is None or msgspec.json.encode(slowly_quoted(items)) == quoted


@pytest.mark.parametrize(
    "items",
    [
        {"a": 1, "b": 2},
        {"repo-a": 1.5, "repo b": None, "é": True},
        {"a": "x", "b": "y z"},
        {"a": [1, 2], "b": {}},
        {"https://host/path?q=1": "W/etag"},
        {"": 1},
        {"a,b": 1, "c:d": 2},
    ],
    ids=str,
)
def test_ordinary_members_take_the_fast_way(items: dict[str, Any]) -> None:
    """Keys without escapes, values that are numbers or text: what stores mostly hold."""
    assert msgspec.json.encode(slowly_quoted(items)) == quote_keys(msgspec.json.encode(items), len(items))


# -- unquoting ---------------------------------------------------------------------------------------------


def slowly_unquoted(raw: bytes) -> dict[str, Any] | None:
    """The members by key, None if a stored text is no string key."""
    keys = {text: from_member_key(text) for text in json.loads(raw)}
    if not all(isinstance(key, str) for key in keys.values()):
        return None
    return {keys[text]: value for text, value in json.loads(raw).items()}  # type: ignore[misc]


def check_unquoted(raw: bytes) -> None:
    """What `unquote_keys` claims, once its caller has checked what it must, is what the slow way finds."""
    answer = unquote_keys(raw)
    if answer is None:
        return
    plain, count, proved = answer
    try:
        items = msgspec.json.decode(plain)
    except msgspec.DecodeError:
        return
    if isinstance(items, dict) and len(items) == count and (proved or msgspec.json.encode(items) == plain):
        assert slowly_unquoted(raw) == items


stored_text = st.one_of(
    tricky_text.map(canonical_key),
    tricky_text,
    plain_text.map(canonical_key),
    plain_text.map(lambda text: f'"{text}'),
    plain_text.map(lambda text: f'{text}"'),
)


@given(st.dictionaries(stored_text, json_values() | tricky_text, max_size=5))
def test_foreign_objects_are_never_misread(stored: dict[str, Any]) -> None:
    """Compact objects with any names: canonical ones, half-quoted ones, other people's fields."""
    check_unquoted(msgspec.json.encode(stored))


@given(
    st.lists(
        st.tuples(stored_text, st.sampled_from(["1", '"v"', "-0", "1.0", "1E2", "null", "{}", '"\\""'])), max_size=4
    ),
    st.sampled_from(["", " ", "\n", "  "]),
    st.booleans(),
)
def test_odd_spellings_are_never_misread(rows: list[tuple[str, str]], space: str, ascii_only: bool) -> None:
    """Whitespace anywhere, repeated names, numbers in other spellings, escapes that need not be."""
    members = f",{space}".join(f"{json.dumps(name, ensure_ascii=ascii_only)}{space}:{value}" for name, value in rows)

    check_unquoted(f"{{{space}{members}{space}}}".encode())


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"\"a":1,"b\"":2}',
        rb'{"\"a":1,"\"b\"":2,"c\"":3}',
        rb'{"\"a\"":1,"\"a\"":2}',
        rb'{"\"a\"": 1}',
        rb'{"\"a\"":"\":","\"b\"":","}',
        rb'{"\"a\\\"":1}',
        rb'{"\"<\"":1}',
        b'{"\\"\xe2\x80\xa8\\"":1}',
        rb'{"\"a\"":{"\"b\"":1}}',
        rb'{"\"a\"":1,"b":2}',
        rb'{"\"\"":1,"\"":2}',
    ],
    ids=lambda raw: ascii(raw)[:40],
)
def test_known_traps_are_never_misread(raw: bytes) -> None:
    """Each looks like canonical members to a look that is too quick."""
    check_unquoted(raw)


@given(st.dictionaries(plain_text, st.integers(-9, 9) | plain_text, min_size=1, max_size=5))
def test_what_was_quoted_is_unquoted(items: dict[str, Any]) -> None:
    """The two are inverse where both can tell."""
    encoded = msgspec.json.encode(items)
    quoted = quote_keys(encoded, len(items))
    answer = unquote_keys(quoted) if quoted is not None else None

    assert answer is None or (encoded, len(items)) == answer[:2]


# -- in pieces ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 8, 13, 64])
def test_cutting_into_pieces_changes_nothing(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a large object is cut: within a key, a value, between them."""
    samples: list[dict[str, Any]] = [
        {"a,": 1, ",": 2, "b": 3, ",,": 4},
        {"a,": "x", ",b": "y,", "c": ",", "d": ""},
        {f"key-{number}": number for number in range(50)},
        {f"key,{number}": f"value,{number}" for number in range(50)},
        {"a": [1, 2, 3], "b": [], "c": {}, "d,": [4]},
    ]
    monkeypatch.setattr(quoting, "_PIECE", piece)
    for items in samples:
        encoded = msgspec.json.encode(items)
        quoted = quote_keys(encoded, len(items))

        assert quoted is None or msgspec.json.encode(slowly_quoted(items)) == quoted
        check_unquoted(msgspec.json.encode(slowly_quoted(items)))


@pytest.mark.parametrize("value", [1, "text", "with,comma", None, [1, 2]], ids=repr)
def test_large_objects_take_the_fast_way(value: Any) -> None:
    """Objects of many pieces, of which none is special."""
    items = {f"key-{number:06}": value for number in range(20_000)}
    stored = msgspec.json.encode(slowly_quoted(items))

    assert stored == quote_keys(msgspec.json.encode(items), len(items))
    if not isinstance(value, list):
        answer = unquote_keys(stored)

        assert answer is not None
        assert (msgspec.json.encode(items), len(items)) == answer[:2]
