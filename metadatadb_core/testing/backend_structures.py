"""What the typed structures must do over a backend: the same as over every other."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from metadatadb_core.backend import Backend
from metadatadb_core.errors import InvalidValueError, StructureMismatchError
from metadatadb_core.store import Namespace, Store
from metadatadb_core.testing.models import MACHINES

__all__ = ["ModelTests", "StructureTests"]


@dataclass
class Service:
    host: str
    port: int


def _deposit_and_fail(namespace: Namespace) -> None:
    with namespace.batch():
        namespace.int("account").add(5)
        namespace.int("account").add(2**63)


class StructureTests:
    """Each structure's methods and protocols."""

    def test_scalar(self, namespace: Namespace) -> None:
        """A Scalar holds a value of its type, and says whether there is one.

        A failure means that programs see something else than the scalar ops do. Usually `test_ops_do_what_they_say`
        fails for them too: begin there. Where only this one does, `Backend.reader` answers unlike `query`.
        """
        scalar = namespace.scalar("x", Service)
        assert (None, False) == (scalar.get(), scalar.exists())
        scalar.set(Service("localhost", 80))
        namespace.flush()

        assert (Service("localhost", 80), True) == (scalar.get(), scalar.exists())
        scalar.delete()
        assert Service("", 0) == scalar.get(Service("", 0))

    def test_int(self, namespace: Namespace) -> None:
        """An Int adds, multiplies, divides and is an int.

        A failure means that programs see something else than the int ops do. Usually `test_ops_do_what_they_say`
        fails for them too: begin there. Where only this one does, `Backend.reader` answers unlike `query`.
        """
        number = namespace.int("x")
        number.set(10)
        number.add(-17)
        number.mul(5)
        namespace.flush()
        number.div(2)

        assert (-17, -17) == (number.get(), int(number))

    def test_set(self, namespace: Namespace) -> None:
        """A Set holds members once, sorted when they are listed.

        A failure means that programs see something else than the set ops do. Usually `test_ops_do_what_they_say`
        fails for them too: begin there. Where only this one does, `Backend.reader` answers unlike `query`.
        """
        numbers = namespace.set("x", int)
        for number in (10, 9, 10, 8):
            numbers.add(number)
        namespace.flush()
        numbers.remove(9)

        assert [8, 10] == numbers.members() == list(numbers)
        assert (2, True, False) == (len(numbers), 8 in numbers, numbers.contains(9))

    def test_int_map(self, namespace: Namespace) -> None:
        """An IntMap counts by key.

        A failure means that programs see something else than the int map ops do. Usually `test_ops_do_what_they_say`
        fails for them too: begin there. Where only this one does, `Backend.reader` answers unlike `query`.
        """
        counts = namespace.int_map("x")
        counts.add("b", 3)
        counts["a"] = -7
        counts.mul("a", 3)
        namespace.flush()
        counts.div("a", 2)
        counts.add("c", 1)
        del counts["c"]

        assert {"a": -10, "b": 3} == counts.entries()
        assert ["a", "b"] == counts.keys() == list(counts)
        assert (2, True, False, 3, 0) == (len(counts), "a" in counts, "c" in counts, counts["b"], counts.get("c"))

    def test_map(self, namespace: Namespace) -> None:
        """A Map holds values of its type by key.

        A failure means that programs see something else than the map ops do. Usually `test_ops_do_what_they_say`
        fails for them too: begin there. Where only this one does, `Backend.reader` answers unlike `query`.
        """
        services = namespace.map("x", int, Service)
        services.set(2, Service("b", 2))
        services[1] = Service("a", 1)
        services[3] = Service("c", 3)
        namespace.flush()
        del services[3]

        assert {1: Service("a", 1), 2: Service("b", 2)} == services.entries()
        assert [1, 2] == services.keys() == list(services)
        assert (2, True, False) == (len(services), 1 in services, 3 in services)
        assert (Service("a", 1), None) == (services[1], services.get(3))
        with pytest.raises(KeyError):
            services[3]

    def test_list(self, namespace: Namespace) -> None:
        """A List grows at its end.

        A failure means that programs see something else than the list ops do. Usually `test_ops_do_what_they_say`
        fails for them too: begin there. Where only this one does, `Backend.reader` answers unlike `query`.
        """
        log = namespace.list("x", Service)
        log.append(Service("a", 1))
        log.extend([Service("b", 2), Service("c", 3)])
        namespace.flush()

        assert [Service("a", 1), Service("b", 2), Service("c", 3)] == log.entries() == list(log)
        assert (3, Service("c", 3), [Service("b", 2)]) == (len(log), log[-1], log[1:2])
        with pytest.raises(IndexError):
            log[3]

    def test_a_batch_is_applied_as_one(self, namespace: Namespace) -> None:
        """Writes of a ``with namespace.batch()`` block take effect together at its end, and not if it raises.

        A failure means that `apply` with several ops is not the same as with one. Usually `apply` begins to
        change the state before it has admitted all of them.
        """
        account, log = namespace.int("account"), namespace.list("log")
        with namespace.batch():
            account.add(5)
            log.append("deposit")
            assert (0, 0) == (account.get(), len(log))
        with pytest.raises(InvalidValueError):
            _deposit_and_fail(namespace)
        namespace.flush()

        assert (5, ["deposit"]) == (account.get(), log.entries())

    @pytest.mark.parametrize(
        "write",
        [
            pytest.param(lambda namespace: namespace.int("int").add(2**63), id="int-out-of-int64"),
            pytest.param(lambda namespace: namespace.int("int").add(True), id="int-that-is-a-bool"),
            pytest.param(
                lambda namespace: namespace.int_map("counts").set("a", -(2**63) - 1), id="int-map-value-too-small"
            ),
            pytest.param(lambda namespace: namespace.scalar("scalar").set(float("nan")), id="scalar-nan"),
            pytest.param(lambda namespace: namespace.scalar("scalar").set("\ud800"), id="scalar-lone-surrogate"),
            pytest.param(lambda namespace: namespace.scalar("scalar").set(object()), id="scalar-object"),
            pytest.param(lambda namespace: namespace.scalar("typed", int).set("text"), id="scalar-of-another-type"),
            pytest.param(lambda namespace: namespace.map("map").set("a", [float("inf")]), id="map-nested-infinity"),
            pytest.param(lambda namespace: namespace.map("map").set("\udfff", 1), id="map-key-lone-surrogate"),
            pytest.param(lambda namespace: namespace.map("map").set(1, 1), id="map-key-of-another-type"),
            pytest.param(lambda namespace: namespace.set("set").add(5), id="set-member-of-another-type"),
            pytest.param(lambda namespace: namespace.list("list").append({"a": 2**64 + 1}), id="list-value-too-large"),
            pytest.param(lambda namespace: namespace.list("list").extend([1, float("nan")]), id="list-nan"),
            pytest.param(lambda namespace: namespace.scalar(".metadatadb").set(1), id="reserved-name"),
        ],
    )
    def test_handles_refuse_what_cannot_be_stored(
        self, namespace: Namespace, write: Callable[[Namespace], None]
    ) -> None:
        """Bad input through a handle is an `InvalidValueError`, and nothing has changed.

        A failure means that what one replica accepts, another cannot read. Usually `test_bad_ops_are_refused`
        fails too: begin there. Where only this one does, `Backend.writer` is overridden and admits nothing.
        """
        namespace.int("int").set(1)
        namespace.scalar("scalar").set("kept")
        namespace.list("list").append("kept")
        with pytest.raises(InvalidValueError):
            write(namespace)
        namespace.flush()

        assert (1, "kept", ["kept"]) == (
            namespace.int("int").get(),
            namespace.scalar("scalar").get(),
            namespace.list("list").entries(),
        )
        assert (0, 0, 0) == (len(namespace.int_map("counts")), len(namespace.map("map")), len(namespace.set("set")))

    def test_one_name_is_one_structure(self, backend: Backend) -> None:
        """A name used as another kind is a `StructureMismatchError`, in this store and in others of the backend.

        A failure means that a write can destroy another structure. Usually `ShapeGet` answers wrongly.
        """
        ours, theirs = Store(backend).namespace("conformance"), Store(backend).namespace("conformance")
        ours.list("x").append(1)
        with pytest.raises(StructureMismatchError):
            ours.map("x")
        with pytest.raises(StructureMismatchError):
            theirs.map("x").set("a", 1)
        with pytest.raises(StructureMismatchError):
            theirs.map("x").get("a")

        assert [1] == ours.list("x").entries()


class ModelTests:
    """Each structure against Python's own, in random sequences of steps.

    Attributes:
        examples: sequences tried for each structure; more find more, and take longer.
        steps: steps in each.
    """

    examples: ClassVar[int] = 20
    steps: ClassVar[int] = 25

    @pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
    def test_structures_behave_like_their_models(self, backend: Backend, machine: Any) -> None:
        """A structure reads as a plain variable, int, set, dict or list to which the same was done.

        A failure means that a program reads what it has not written, and prints the shortest sequence of steps that
        shows it. The sequences are the same each time.
        Usually a rare key (``1`` and ``"1"``), an int at the end of int64, or a flush in between is mistreated.
        """
        namespaces = (Store(backend).namespace(f"example-{number}") for number in itertools.count())

        def start() -> RuleBasedStateMachine:
            started: RuleBasedStateMachine = machine(next(namespaces))
            return started

        run_state_machine_as_test(
            start,  # type: ignore[arg-type] # Hypothesis takes any callable, and declares a class
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=self.steps,
                derandomize=True,
                database=None,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            ),
        )
