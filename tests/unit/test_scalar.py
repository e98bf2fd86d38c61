"""Scalar: one value of any type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core import InvalidValueError, Namespace, Scalar, Store
from metadatadb_memory import MemoryBackend

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with Store(MemoryBackend()) as store:
        yield store.namespace("fleet")


@pytest.fixture
def config(ns: Namespace) -> Scalar[Any]:
    return ns.scalar("config")


def test_a_scalar_is_absent_until_it_is_set(config: Scalar[Any]) -> None:
    """Absent, it reads as None, or as the default that is asked for."""
    assert (None, 5, False) == (config.get(), config.get(5), config.exists())


def test_set_replaces_what_was_there(config: Scalar[Any]) -> None:
    """By any value, of any shape."""
    read = []
    for value in (1, "a", {"a": 1}, [1], None, 2.5, False):
        config.set(value)
        read.append(config.get("default"))

    assert [1, "a", {"a": 1}, [1], None, 2.5, False] == read


def test_none_is_a_value(config: Scalar[Any]) -> None:
    """It exists, and the default does not replace it."""
    config.set(None)

    assert (None, True) == (config.get("default"), config.exists())


def test_delete_makes_it_absent(config: Scalar[Any]) -> None:
    """And an absent one can be deleted."""
    config.set(1)
    config.delete()
    config.delete()

    assert (None, False) == (config.get(), config.exists())


def test_the_default_is_given_back_as_it_is(config: Scalar[Any]) -> None:
    """It need not be of the declared type, nor JSON."""
    default = object()

    assert default is config.get(default)


def test_what_goes_in_is_copied(config: Scalar[Any]) -> None:
    """Changing it afterwards, at any depth, does not change what is stored."""
    value: dict[str, Any] = {"a": [1, {"b": []}]}
    config.set(value)
    value["a"][1]["b"].append(2)
    value["c"] = 3

    assert {"a": [1, {"b": []}]} == config.get()


def test_what_comes_out_is_a_copy(config: Scalar[Any]) -> None:
    """Changing it, at any depth, does not change what is stored."""
    config.set({"a": [1, {"b": []}]})
    value: Any = config.get()
    value["a"][1]["b"].append(2)
    value.clear()

    assert {"a": [1, {"b": []}]} == config.get()


def test_a_refused_value_leaves_the_old_one(config: Scalar[Any]) -> None:
    """Nothing is changed by what cannot be stored."""
    config.set("old")
    with pytest.raises(InvalidValueError):
        config.set([float("nan")])

    assert "old" == config.get()


@given(JSON)
def test_every_json_value_comes_back(value: Any) -> None:
    """Equal, and of the same types: ``repr`` tells 1 from 1.0 and True, and -0.0 from 0.0."""
    with Store(MemoryBackend()) as store:
        config = store.namespace("fleet").scalar("config")
        config.set(value)

        assert (value, _sorted_repr(value)) == (config.get("default"), _sorted_repr(config.get("default")))


def _sorted_repr(value: Any) -> str:
    if isinstance(value, dict):
        return repr(sorted((name, _sorted_repr(item)) for name, item in value.items()))
    return repr(list(map(_sorted_repr, value))) if isinstance(value, list) else repr(value)
