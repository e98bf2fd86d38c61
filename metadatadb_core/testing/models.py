"""State machines, one for each structure, that compare it step by step with what Python has for it.

Each takes the namespace to work in::

    run_state_machine_as_test(lambda: MapMachine(store.namespace("example")))

`metadatadb_core.testing.BackendSuite` runs all of them; a machine needs an empty namespace each time it is made.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from metadatadb_core.keys import INT64_MIN, canonical_key
from metadatadb_core.ops import MISSING
from metadatadb_core.store import Namespace
from metadatadb_core.testing.strategies import int64s, json_values, keys, texts

__all__ = ["MACHINES", "IntMachine", "IntMapMachine", "ListMachine", "MapMachine", "ScalarMachine", "SetMachine"]


def _wrapped(number: int) -> int:
    """What is left of `number` in 64 bits, read as a signed int: what C, Go and Java do."""
    return int.from_bytes((number % 2**64).to_bytes(8, "big"), "big", signed=True)


def _divided(number: int, divisor: int) -> int:
    if divisor == 0:
        return number
    quotient, remainder = divmod(number, divisor)
    return _wrapped(quotient + (remainder != 0 and quotient < 0))


def _copy(value: Any) -> Any:
    """The JSON value on its way through text, so that the model shares nothing with the store."""
    return msgspec.json.decode(msgspec.json.encode(value))


class _Machine(RuleBasedStateMachine):
    """A structure named ``x`` of one namespace; a flush at any time changes nothing."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__()
        self.namespace = namespace

    @rule()
    def flush(self) -> None:
        self.namespace.flush()


class ScalarMachine(_Machine):
    """A Scalar is a variable that may be unset."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self.scalar = namespace.scalar("x")
        self.model: Any = MISSING

    @rule(value=json_values())
    def set(self, value: Any) -> None:
        self.scalar.set(value)
        self.model = _copy(value)

    @rule()
    def delete(self) -> None:
        self.scalar.delete()
        self.model = MISSING

    @invariant()
    def reads_as_the_model(self) -> None:
        assert self.model == self.scalar.get(MISSING)
        assert (self.model is not MISSING) == self.scalar.exists()


class IntMachine(_Machine):
    """An Int is an int of 64 bits that begins at 0."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self.int = namespace.int("x")
        self.model = 0

    @rule(value=int64s())
    def set(self, value: int) -> None:
        self.int.set(value)
        self.model = value

    @rule(delta=int64s())
    def add(self, delta: int) -> None:
        self.int.add(delta)
        self.model = _wrapped(self.model + delta)

    @rule(factor=int64s())
    def mul(self, factor: int) -> None:
        self.int.mul(factor)
        self.model = _wrapped(self.model * factor)

    @rule(divisor=int64s())
    def div(self, divisor: int) -> None:
        self.int.div(divisor)
        self.model = _divided(self.model, divisor)

    @invariant()
    def reads_as_the_model(self) -> None:
        assert (self.model, self.model) == (self.int.get(), int(self.int))
        assert INT64_MIN <= self.model


class SetMachine(_Machine):
    """A Set is a set; members are told apart by their canonical text."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self.set = namespace.set("x", Any)
        self.model: set[str] = set()

    @rule(member=keys())
    def add(self, member: Any) -> None:
        self.set.add(member)
        self.model.add(canonical_key(member))

    @rule(member=keys())
    def remove(self, member: Any) -> None:
        self.set.remove(member)
        self.model.discard(canonical_key(member))

    @rule(member=keys())
    def contains(self, member: Any) -> None:
        assert (canonical_key(member) in self.model) == (member in self.set)

    @invariant()
    def reads_as_the_model(self) -> None:
        assert sorted(self.model) == sorted(map(canonical_key, self.set.members()))
        assert len(self.model) == len(self.set)


class IntMapMachine(_Machine):
    """An IntMap is a dict of ints of 64 bits that begin at 0."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self.map = namespace.int_map("x", Any)
        self.model: dict[str, int] = {}
        self.made = False

    @rule(key=keys(), value=int64s())
    def set(self, key: Any, value: int) -> None:
        self.map[key] = value
        self._store(key, value)

    @rule(key=keys(), delta=int64s())
    def add(self, key: Any, delta: int) -> None:
        self.map.add(key, delta)
        self._store(key, self._entry(key) + delta)

    @rule(key=keys(), factor=int64s())
    def mul(self, key: Any, factor: int) -> None:
        self.map.mul(key, factor)
        self._store(key, self._entry(key) * factor)

    @rule(key=keys(), divisor=int64s())
    def div(self, key: Any, divisor: int) -> None:
        self.map.div(key, divisor)
        if divisor != 0 and self.made:  # a division alone makes no map
            self._store(key, _divided(self._entry(key), divisor))

    @rule(key=keys())
    def delete(self, key: Any) -> None:
        self.map.delete(key)
        self.model.pop(canonical_key(key), None)

    @rule(key=keys())
    def get(self, key: Any) -> None:
        assert self._entry(key) == self.map.get(key)
        assert (canonical_key(key) in self.model) == (key in self.map)

    @invariant()
    def reads_as_the_model(self) -> None:
        assert sorted(self.model) == sorted(map(canonical_key, self.map.keys()))
        assert self.model == {canonical_key(key): self.map[key] for key in self.map}
        assert len(self.model) == len(self.map)

    def _entry(self, key: Any) -> int:
        return self.model.get(canonical_key(key), 0)

    def _store(self, key: Any, value: int) -> None:
        self.model[canonical_key(key)] = _wrapped(value)
        self.made = True


class MapMachine(_Machine):
    """A Map is a dict; keys are told apart by their canonical text."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self.map = namespace.map("x", Any)
        self.model: dict[str, Any] = {}

    @rule(key=keys(), value=json_values())
    def set(self, key: Any, value: Any) -> None:
        self.map[key] = value
        self.model[canonical_key(key)] = _copy(value)

    @rule(key=keys())
    def delete(self, key: Any) -> None:
        self.map.delete(key)
        self.model.pop(canonical_key(key), None)

    @rule(key=keys())
    def get(self, key: Any) -> None:
        assert self.model.get(canonical_key(key), MISSING) == self.map.get(key, MISSING)
        assert (canonical_key(key) in self.model) == (key in self.map)

    @rule(key=texts(), value=json_values())
    def set_by_text(self, key: str, value: Any) -> None:
        self.set(key, value)

    @invariant()
    def reads_as_the_model(self) -> None:
        assert sorted(self.model) == sorted(map(canonical_key, self.map.keys()))
        assert self.model == {canonical_key(key): self.map[key] for key in self.map}
        assert len(self.model) == len(self.map)


class ListMachine(_Machine):
    """A List is a list that only grows."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self.list = namespace.list("x")
        self.model: list[Any] = []

    @rule(value=json_values())
    def append(self, value: Any) -> None:
        self.list.append(value)
        self.model.append(_copy(value))

    @rule(values=st.lists(json_values(), max_size=4))
    def extend(self, values: list[Any]) -> None:
        self.list.extend(values)
        self.model.extend(_copy(values))

    @rule(data=st.data())
    def look_up(self, data: st.DataObject) -> None:
        bounds = st.none() | st.integers(-len(self.model) - 2, len(self.model) + 2)
        part = slice(data.draw(bounds), data.draw(bounds), data.draw(st.sampled_from([None, 1, 2, -1])))
        assert self.model[part] == self.list[part]
        for index in range(-len(self.model), len(self.model)):
            assert self.model[index] == self.list[index]

    @invariant()
    def reads_as_the_model(self) -> None:
        assert self.model == self.list.entries() == list(self.list)
        assert (len(self.model), len(self.model)) == (len(self.list), self.list.len())


MACHINES: tuple[type[_Machine], ...] = (
    ScalarMachine,
    IntMachine,
    SetMachine,
    IntMapMachine,
    MapMachine,
    ListMachine,
)
"""All of them: each is called with the namespace to work in."""
