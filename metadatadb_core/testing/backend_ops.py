"""What a backend must do with raw ops: every op, bad input, copies, namespaces."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from metadatadb_core import ops
from metadatadb_core.backend import Backend
from metadatadb_core.errors import InvalidNamespaceError, InvalidValueError
from metadatadb_core.ops import MISSING, Op, ReadOp
from metadatadb_core.testing.backend_cases import CASES, REFUSED_OPS, Case

__all__ = ["BadInputTests", "CopyTests", "NamespaceTests", "OpTests"]

NS = "conformance"

BAD_NAMESPACES: tuple[Any, ...] = (
    "git\n",
    "\ngit",
    "a b",
    "a/b",
    "../a",
    ".metadata",
    "-a",
    "_a",
    " ",
    "é",
    "a.json",
    "a\x00",
    None,
    5,
    b"git",
)


def _prepared(backend: Backend, namespace: str, op: ReadOp[Any]) -> Any:
    """The answer to `op` through `Backend.reader`."""
    return backend.reader(namespace, type(op), op.key)(*msgspec.structs.astuple(op)[1:])


class OpTests:
    """Every op, alone and together."""

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_ops_do_what_they_say(self, backend: Backend, case: Case) -> None:
        """Each op, applied in a call of its own, has its one defined effect, and queries answer with the right type.

        A failure means that replicas on this backend derive another state than all others.
        Usually the backend has op logic of its own; `metadatadb_core.state.NamespaceState` has all of it.
        """
        for op in case.applied:
            backend.apply(NS, op)

        for query, expected in case.answers:
            answer = backend.query(NS, query)
            assert (expected, type(expected)) == (answer, type(answer)), query

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_ops_of_one_call_are_applied_in_order(self, backend: Backend, case: Case) -> None:
        """Ops passed in one call lead to what they lead to one by one, also when there are none.

        A failure means that a batch is reordered, or coalesced wrongly. Usually a queue merges ops across a
        multiplication, a division or a deletion.
        """
        backend.apply(NS, *case.applied)

        assert [expected for _, expected in case.answers] == [backend.query(NS, query) for query, _ in case.answers]

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_a_flush_changes_no_answer(self, backend: Backend, case: Case) -> None:
        """What is read after a flush is what was read before it.

        A failure means that the stored form loses something: usually the type of a key, an int above 2^53, or
        the order of a list.
        """
        for op in case.applied:
            backend.apply(NS, op)
            backend.flush(NS)

        assert [expected for _, expected in case.answers] == [backend.query(NS, query) for query, _ in case.answers]

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_prepared_reads_and_writes_are_reads_and_writes(self, backend: Backend, case: Case) -> None:
        """`Backend.reader` answers as `query` does, and `Backend.writer` does what `apply` does.

        A failure means that handles, which use them, see something else than raw ops do. Usually a backend has
        its own fast path; the inherited methods are right without it.
        """
        readers = [backend.reader(NS, type(query), query.key) for query, _ in case.answers]
        write = backend.writer(NS)
        for op in case.applied:
            write(op)

        fields = [msgspec.structs.astuple(query)[1:] for query, _ in case.answers]
        answers = [read(*rest) for read, rest in zip(readers, fields, strict=True)]
        assert [expected for _, expected in case.answers] == answers

    def test_applying_no_op_is_allowed(self, backend: Backend) -> None:
        """`apply` without ops does nothing.

        A failure means that an empty batch is taken for a mistake. Usually code looks at the first op unasked.
        """
        backend.apply(NS)
        backend.flush(NS)

        assert MISSING is backend.query(NS, ops.ScalarGet("x"))

    def test_own_writes_are_seen_at_once(self, backend: Backend) -> None:
        """Every read after a write sees it, flushed or not.

        A failure means that reads are served from the stored state alone. Usually queued ops are applied to
        local state only when they are flushed.
        """
        for count in range(1, 101):
            backend.apply(NS, ops.IntAdd("int", 1), ops.ListAppend("list", count), ops.SetAdd("set", count))
            if count % 10 == 0:
                backend.flush(NS)

            assert count == backend.query(NS, ops.IntGet("int"))
            assert count == backend.query(NS, ops.ListLen("list"))
            assert backend.query(NS, ops.SetContains("set", count))


class CopyTests:
    """What goes in is copied, what comes out is a copy."""

    @pytest.mark.parametrize(
        ("write", "read"),
        [
            (lambda value: ops.ScalarSet("x", value), lambda: ops.ScalarGet("x")),
            (lambda value: ops.MapSet("x", "a", value), lambda: ops.MapGet("x", "a")),
            (lambda value: ops.ListAppend("x", value), lambda: ops.ListSlice("x", 0, 1)),
        ],
        ids=["scalar", "map", "list"],
    )
    def test_changing_a_value_after_it_was_applied_changes_nothing(
        self, backend: Backend, write: Any, read: Any
    ) -> None:
        """The caller may go on using, and changing, the list or dict it passed.

        A failure means that state changes without an op, and that replicas diverge. Usually ops are kept
        without `metadatadb_core.ops.admit`, which copies what can change.
        """
        value: Any = {"items": [1, {"deep": [2]}]}
        backend.apply(NS, write(value))
        before = backend.query(NS, read())
        value["items"][1]["deep"].append(3)
        value["new"] = 1

        assert before == backend.query(NS, read())
        assert "new" not in str(before)

    def test_changing_a_key_after_it_was_applied_changes_nothing(self, backend: Backend) -> None:
        """A key that is a list or dict is copied too.

        A failure means that the entry moves to another key behind the backend's back. Usually the op is queued
        as it was passed.
        """
        key = [1, [2]]
        backend.apply(NS, ops.MapSet("x", key, "v"), ops.SetAdd("s", key))
        key[1] = [3]
        backend.flush(NS)

        assert "v" == backend.query(NS, ops.MapGet("x", [1, [2]]))
        assert [[1, [2]]] == backend.query(NS, ops.SetMembers("s"))

    @pytest.mark.parametrize(
        "query",
        [
            ops.ScalarGet("scalar"),
            ops.ScalarGet("array"),
            ops.MapGet("map", "a"),
            ops.MapEntries("map"),
            ops.MapKeys("map"),
            ops.IntMapEntries("counts"),
            ops.IntMapKeys("counts"),
            ops.SetMembers("set"),
            ops.ListEntries("list"),
            ops.ListSlice("list", 0, None),
        ],
        ids=lambda query: f"{type(query).__name__}-{query.key}",
    )
    def test_changing_an_answer_changes_nothing(self, backend: Backend, query: ReadOp[Any]) -> None:
        """An answer belongs to the caller, down to its innermost list.

        A failure means that a reader can change the store by accident. Usually a shallow copy is returned.
        """
        backend.apply(
            NS,
            ops.ScalarSet("scalar", {"a": [1]}),
            ops.ScalarSet("array", [[1], {"a": 1}]),
            ops.MapSet("map", "number", 1),
            ops.MapSet("map", "a", {"b": [1]}),
            ops.IntMapSet("counts", "a", 1),
            ops.SetAdd("set", [1]),
            ops.ListAppend("list", {"b": [1]}),
            ops.ListAppend("list", [1]),
        )
        before = msgspec.json.encode(backend.query(NS, query))
        _spoil(backend.query(NS, query))
        _spoil(_prepared(backend, NS, query))

        assert before == msgspec.json.encode(backend.query(NS, query))


def _spoil(answer: Any) -> None:
    """Change everything in `answer` that can be changed."""
    if isinstance(answer, list):
        for item in answer:
            _spoil(item)
        answer.append("spoilt")
    elif isinstance(answer, dict):
        for item in answer.values():
            _spoil(item)
        answer["spoilt"] = "spoilt"


class NamespaceTests:
    """Namespaces share nothing, and their names keep the rule."""

    def test_namespaces_share_nothing(self, backend: Backend) -> None:
        """The same name in two namespaces is two structures; the root namespace ``""`` is one of them.

        A failure means that one application overwrites another's state. Usually the namespace is left out of
        a key, or the empty one is taken for none.
        """
        namespaces = ["", "a", "A", "a-b", "a_b", "0"]
        for index, namespace in enumerate(namespaces):
            backend.apply(namespace, ops.IntSet("x", index), ops.ListAppend("l", index))
        for namespace in namespaces:
            backend.flush(namespace)

        assert [(index, [index]) for index in range(len(namespaces))] == [
            (backend.query(namespace, ops.IntGet("x")), backend.query(namespace, ops.ListEntries("l")))
            for namespace in namespaces
        ]
        assert MISSING is backend.query("b", ops.ScalarGet("x"))

    @pytest.mark.parametrize("namespace", BAD_NAMESPACES, ids=repr)
    def test_bad_namespaces_are_refused(self, backend: Backend, namespace: Any) -> None:
        """A namespace that breaks the rule is an `InvalidNamespaceError`, whatever is asked of it.

        A failure means that a name reaches the storage that means something else there: a path, another
        object. Usually a regular expression is matched with ``match`` or ``$``, which let ``"git\\n"`` pass;
        `metadatadb_core.backend.check_namespace` is right.
        """
        for call in (
            lambda: backend.apply(namespace, ops.IntAdd("x", 1)),
            lambda: backend.apply(namespace),
            lambda: backend.query(namespace, ops.IntGet("x")),
            lambda: backend.flush(namespace),
            lambda: backend.status(namespace),
            lambda: backend.discard_pending(namespace),
            lambda: backend.reader(namespace, ops.IntGet, "x"),
            lambda: backend.writer(namespace),
        ):
            with pytest.raises(InvalidNamespaceError) as caught:
                call()
            assert namespace == caught.value.namespace


class BadInputTests:
    """What cannot be stored is refused before anything has changed."""

    @pytest.mark.parametrize("op", [op for _, op in REFUSED_OPS], ids=[name for name, _ in REFUSED_OPS])
    def test_bad_ops_are_refused(self, backend: Backend, op: Op) -> None:
        """An op that holds what cannot be stored is an `InvalidValueError`, and nothing has changed.

        A failure means that replay can raise later, on every replica. Usually ops are queued without
        `metadatadb_core.ops.admit`: msgspec's constructors check nothing.
        """
        before = _fill(backend)
        with pytest.raises(InvalidValueError):
            backend.apply(NS, op)
        with pytest.raises(InvalidValueError):
            backend.writer(NS)(op)
        backend.flush(NS)

        assert before == _answers(backend)

    @pytest.mark.parametrize("op", [op for _, op in REFUSED_OPS], ids=[name for name, _ in REFUSED_OPS])
    def test_a_bad_op_takes_the_others_of_its_call_with_it(self, backend: Backend, op: Op) -> None:
        """With one bad op among good ones, none of the call is applied: not those before it, not those after.

        A failure means that half a transfer is stored. Usually ops are checked one at a time while they are
        being applied.
        """
        before = _fill(backend)
        good: list[Op] = [
            ops.IntAdd("x", 1),
            ops.ListAppend("list", 1),
            ops.MapSet("map", "a", 2),
            ops.ScalarDelete("scalar"),
        ]
        with pytest.raises(InvalidValueError):
            backend.apply(NS, *good, op, *good)
        backend.flush(NS)

        assert before == _answers(backend)

    def test_the_limits_themselves_are_accepted(self, backend: Backend) -> None:
        """Int64's ends, nesting of 64 levels, the largest float: what is just allowed is stored exactly.

        A failure means that what one replica accepts, another refuses or changes. Usually a check is off by one, or
        numbers pass through float64 on their way.
        """
        deep: Any = 1
        for _ in range(64):
            deep = [deep]
        values = [2**63 - 1, -(2**63), 1.7976931348623157e308, 5e-324, deep, "\U0010ffff\x00"]
        backend.apply(NS, *(ops.ListAppend("list", value) for value in values))
        backend.flush(NS)

        assert values == backend.query(NS, ops.ListEntries("list"))

    @pytest.mark.parametrize(
        "query",
        [
            ops.MapGet("x", float("nan")),
            ops.SetContains("x", ["\ud800"]),
            ops.IntMapGet("x", object()),
            ops.IntAdd("x", 1),
        ],
        ids=["key-nan", "member-with-a-lone-surrogate", "key-of-an-object", "write-op"],
    )
    def test_bad_queries_are_refused(self, backend: Backend, query: Any) -> None:
        """A query with a key JSON cannot hold, or that is no read op, is an `InvalidValueError`.

        A failure means that a mistake is answered as if nothing were stored. Usually the dispatch on read ops
        ends in a default instead of an error.
        """
        backend.apply(NS, ops.MapSet("x", "a", 1))
        with pytest.raises(InvalidValueError):
            backend.query(NS, query)


def _fill(backend: Backend) -> list[Any]:
    backend.apply(
        NS,
        ops.IntSet("x", 1),
        ops.ListAppend("list", 0),
        ops.MapSet("map", "a", 1),
        ops.ScalarSet("scalar", "kept"),
    )
    return _answers(backend)


def _answers(backend: Backend) -> list[Any]:
    queries: list[ReadOp[Any]] = [
        ops.IntGet("x"),
        ops.ShapeGet("x"),
        ops.ListEntries("list"),
        ops.MapEntries("map"),
        ops.ScalarGet("scalar"),
    ]
    return [backend.query(NS, query) for query in queries]
