"""Hypothesis strategies for what a store holds: JSON values, keys, ops."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from metadatadb_core import ops
from metadatadb_core.keys import INT64_MAX, INT64_MIN
from metadatadb_core.ops import Op

__all__ = ["int64s", "json_values", "keys", "names", "texts", "write_ops"]

_TROUBLE = [
    '"',
    "\\",
    ":",
    ",",
    "{",
    "}",
    "[",
    "<",
    ">",
    "&",
    "\u2028",
    "\u2029",
    "\n",
    "\x00",
    "\x7f",
    "é",
    "\U0001f600",
]


def texts() -> st.SearchStrategy[str]:
    """Text that UTF-8 can hold, often of the characters that encoders trip over."""
    return st.one_of(
        st.text(st.sampled_from([*_TROUBLE, "a", "1", " "]), max_size=6),
        st.text(max_size=8),
        st.sampled_from(["", "a", "1", "true", "null", '":', ',"', '"a"', '\\"', '{"a":1}', "a,", ":a"]),
    )


def int64s() -> st.SearchStrategy[int]:
    """Ints within int64, often at its ends and around 2^53."""
    near = [0, 2**53, -(2**53), INT64_MAX, INT64_MIN]
    return st.one_of(
        st.integers(-5, 5),
        st.integers(INT64_MIN, INT64_MAX),
        st.sampled_from([edge + step for edge in near for step in (-1, 0, 1)]).filter(
            lambda number: INT64_MIN <= number <= INT64_MAX
        ),
    )


def _atoms() -> st.SearchStrategy[Any]:
    floats = st.floats(allow_nan=False, allow_infinity=False)
    return st.one_of(st.none(), st.booleans(), int64s(), floats, texts())


def json_values() -> st.SearchStrategy[Any]:
    """Values that a Scalar, Map or List holds."""
    return st.recursive(
        _atoms(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
        max_leaves=6,
    )


def keys() -> st.SearchStrategy[Any]:
    """Keys and members: mostly short text and small numbers, so that they meet again; and every other kind."""
    return st.one_of(
        st.sampled_from(["a", "b", "1", "true", ""]),
        st.sampled_from([0, 1, 1.0, -0.0, True, False, None, 1.5, 1e21, 1e20, 10, 2**53 + 1]),
        texts(),
        json_values(),
    )


def names() -> st.SearchStrategy[str]:
    """A few structure names, so that ops of different kinds meet on one."""
    return st.sampled_from(["x", "y", "", '":'])


def write_ops() -> st.SearchStrategy[Op]:
    """Any write op that `metadatadb_core.ops.admit` admits."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "key": names(),
        "map_key": keys(),
        "member": keys(),
        "value": json_values(),
        "delta": int64s(),
        "factor": int64s(),
        "divisor": int64s(),
    }
    integral = {"value": int64s()}
    return st.one_of(
        *(
            st.builds(
                kind,
                **{
                    field: (integral if kind in (ops.IntSet, ops.IntMapSet) else {}).get(field, fields[field])
                    for field in kind.__struct_fields__
                },
            )
            for kind in ops.WRITE_OPS
        )
    )
