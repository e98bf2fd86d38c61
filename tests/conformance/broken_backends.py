"""Backends that break one rule each, and an honest one; `test_backend_suite.py` runs the suite over them.

Not collected by itself: most of these tests must fail.
"""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from typing import Any, TypeVar

import msgspec
import pytest

from metadatadb_core import Backend, ops
from metadatadb_core.backend import Status, check_namespace
from metadatadb_core.errors import BackendClosedError, InvalidNamespaceError
from metadatadb_core.ops import Op, ReadOp, admit
from metadatadb_core.state import NamespaceState
from metadatadb_core.testing import BackendSuite, Capability, MakeBackends

R = TypeVar("R")


class Storage:
    """What outlives a backend: the ops of each namespace, in the order in which they were committed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.log: dict[str, list[Op]] = defaultdict(list)


class Replica:
    """One backend's copy of a namespace."""

    def __init__(self) -> None:
        self.remote = NamespaceState()
        self.local = NamespaceState()
        self.seen = 0
        self.pending: list[Op] = []


class HonestBackend(Backend):
    """Keeps every rule, as simply as can be: each replica replays one shared log."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.lock = threading.RLock()
        self.replicas: dict[str, Replica] = {}
        self.closed = False

    def apply(self, namespace: str, *ops: Op) -> None:
        admitted = self.admitted(ops)
        with self.lock:
            replica = self.replica(namespace)
            for op in admitted:
                replica.local.apply(op)
            replica.pending += admitted

    def query(self, namespace: str, op: ReadOp[R]) -> R:
        with self.lock:
            return self.replica(namespace).local.query(op)

    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        with self.lock:
            self.sync(namespace, self.replica(namespace))

    def close(self, *, timeout: float | None = None) -> None:
        with self.lock:
            for namespace, replica in self.replicas.items():
                self.sync(namespace, replica)
            self.replicas = {}
            self.closed = True

    def status(self, namespace: str) -> Status:
        with self.lock:
            return Status(pending_ops=len(self.replica(namespace).pending))

    def discard_pending(self, namespace: str) -> list[Op]:
        with self.lock:
            replica = self.replica(namespace)
            discarded, replica.pending = replica.pending, []
            replica.local = replica.remote.copy()
            return discarded

    def admitted(self, ops: tuple[Op, ...]) -> list[Op]:
        return [admit(op) for op in ops]

    def replica(self, namespace: str) -> Replica:
        check_namespace(namespace)
        if self.closed:
            raise BackendClosedError("the honest backend")
        return self.replicas.setdefault(namespace, Replica())

    def sync(self, namespace: str, replica: Replica) -> None:
        with self.storage.lock:
            log = self.storage.log[namespace]
            log += replica.pending
            for op in log[replica.seen :]:
                replica.remote.apply(op)
            replica.seen, replica.pending = len(log), []
            replica.local = replica.remote.copy()


class Local(BackendSuite):
    """The suite over one kind of backend, which shares no storage with others."""

    kind: type[HonestBackend] = HonestBackend
    capabilities = frozenset()

    @pytest.fixture
    def make_backends(self) -> MakeBackends:
        storage = Storage()
        return lambda count: [self.kind(storage) for _ in range(count)]


class Shared(Local):
    """The same with all capabilities."""

    capabilities = frozenset(Capability)


class TestHonest(Shared):
    """All of the suite passes."""


# -- input -------------------------------------------------------------------------------------------------


class WithoutAdmission(HonestBackend):
    def admitted(self, ops: tuple[Op, ...]) -> list[Op]:
        return list(ops)


class TestWithoutAdmission(Local):
    kind = WithoutAdmission


class AdmitsOneByOne(HonestBackend):
    def apply(self, namespace: str, *ops: Op) -> None:
        super().apply(namespace)
        for op in ops:
            super().apply(namespace, op)


class TestAdmitsOneByOne(Local):
    kind = AdmitsOneByOne


class MatchesWithDollar(HonestBackend):
    def replica(self, namespace: str) -> Replica:
        if not isinstance(namespace, str) or not re.match(r"([A-Za-z0-9][A-Za-z0-9_-]*)?$", namespace):
            raise InvalidNamespaceError(namespace)
        return super().replica(namespace.strip())


class TestMatchesWithDollar(Local):
    kind = MatchesWithDollar


class AnswersBadQueries(HonestBackend):
    def query(self, namespace: str, op: ReadOp[R]) -> R:
        try:
            return super().query(namespace, op)
        except ValueError as error:
            if isinstance(error, InvalidNamespaceError):
                raise
            return None  # type: ignore[return-value]


class TestAnswersBadQueries(Local):
    kind = AnswersBadQueries


# -- what ops do -------------------------------------------------------------------------------------------


class FloorDivides(HonestBackend):
    def apply(self, namespace: str, *ops_: Op) -> None:
        super().apply(namespace, *map(self.floor, ops_))

    def floor(self, op: Op) -> Op:
        if isinstance(op, ops.IntDiv) and isinstance(op.divisor, int) and op.divisor:
            return ops.IntSet(op.key, self.query("conformance", ops.IntGet(op.key)) // op.divisor)
        return op


class TestFloorDivides(Local):
    kind = FloorDivides


class PassesNumbersThroughFloats(HonestBackend):
    def query(self, namespace: str, op: ReadOp[R]) -> R:
        answer: Any = super().query(namespace, op)
        return int(float(answer)) if type(answer) is int else answer  # type: ignore[return-value]


class TestPassesNumbersThroughFloats(Local):
    kind = PassesNumbersThroughFloats


class ConfusesKeys(HonestBackend):
    def admitted(self, ops: tuple[Op, ...]) -> list[Op]:
        return [self.confused(op) for op in super().admitted(ops)]

    def confused(self, op: Op) -> Op:
        field = next((name for name in ("member", "map_key") if isinstance(getattr(op, name, None), bool)), None)
        return op if field is None else msgspec.structs.replace(op, **{field: int(getattr(op, field))})


class TestConfusesKeys(Local):
    kind = ConfusesKeys


class Reorders(HonestBackend):
    def admitted(self, ops: tuple[Op, ...]) -> list[Op]:
        return sorted(super().admitted(ops), key=lambda op: type(op).__name__)


class TestReorders(Local):
    kind = Reorders


class RefusesNoOps(HonestBackend):
    def apply(self, namespace: str, *ops: Op) -> None:
        super().apply(namespace, *ops[:1], *ops[1:])
        assert ops[0] is not None


class TestRefusesNoOps(Local):
    kind = RefusesNoOps


class FlushLosesTypes(HonestBackend):
    def sync(self, namespace: str, replica: Replica) -> None:
        super().sync(namespace, replica)
        body = msgspec.json.decode(replica.local.encode())
        listed = {name: sorted(value, key=str) if isinstance(value, list) else value for name, value in body.items()}
        replica.local = NamespaceState.decode(msgspec.json.encode(listed))


class TestFlushLosesTypes(Local):
    kind = FlushLosesTypes


class PreparesOnce(HonestBackend):
    def reader(self, namespace: str, kind: Any, key: str) -> Any:
        read = super().reader(namespace, kind, key)
        answers: list[Any] = []

        def read_once(*fields: Any) -> Any:
            if not answers:
                answers.append(read(*fields))
            return answers[0]

        read_once() if not kind.__struct_fields__[1:] else None
        return read_once


class TestPreparesOnce(Local):
    kind = PreparesOnce


# -- copies and namespaces ---------------------------------------------------------------------------------


class SharesAnswers(HonestBackend):
    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.answers: dict[str, Any] = {}

    def query(self, namespace: str, op: ReadOp[R]) -> R:
        answer: R = self.answers.setdefault(f"{namespace}/{op!r}", super().query(namespace, op))
        return answer


class TestSharesAnswers(Local):
    kind = SharesAnswers


class MixesNamespaces(HonestBackend):
    def replica(self, namespace: str) -> Replica:
        super().replica(namespace)
        return super().replica(namespace.lower() or "a")


class TestMixesNamespaces(Local):
    kind = MixesNamespaces


# -- visibility --------------------------------------------------------------------------------------------


class ShowsHalfOfACall(HonestBackend):
    def apply(self, namespace: str, *ops: Op) -> None:
        admitted = self.admitted(ops)
        super().apply(namespace)
        for op in admitted:
            super().apply(namespace, op)
            time.sleep(0)


class TestShowsHalfOfACall(Local):
    kind = ShowsHalfOfACall


class ReadsWhatIsFlushed(HonestBackend):
    def query(self, namespace: str, op: ReadOp[R]) -> R:
        with self.lock:
            return self.replica(namespace).remote.query(op)


class TestReadsWhatIsFlushed(Local):
    kind = ReadsWhatIsFlushed


class LosesAnOp(HonestBackend):
    count = 0

    def admitted(self, ops: tuple[Op, ...]) -> list[Op]:
        self.count += 1
        return super().admitted(ops)[: -1 if self.count % 500 == 0 else None]


class TestLosesAnOp(Local):
    kind = LosesAnOp


class OpensNamespacesTwice(HonestBackend):
    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.own = threading.local()

    def replica(self, namespace: str) -> Replica:
        check_namespace(namespace)
        mine: dict[str, Replica] = self.own.__dict__
        return mine.setdefault(namespace, Replica())


class TestOpensNamespacesTwice(Local):
    kind = OpensNamespacesTwice


# -- ends --------------------------------------------------------------------------------------------------


class ClosesOnlyOnce(HonestBackend):
    def close(self, *, timeout: float | None = None) -> None:
        assert not self.closed
        super().close()


class TestClosesOnlyOnce(Local):
    kind = ClosesOnlyOnce


class WorksOnAfterClose(HonestBackend):
    def close(self, *, timeout: float | None = None) -> None:
        """Nothing."""


class TestWorksOnAfterClose(Local):
    kind = WorksOnAfterClose


class DiscardsInSilence(HonestBackend):
    def discard_pending(self, namespace: str) -> list[Op]:
        super().discard_pending(namespace)
        return []


class TestDiscardsInSilence(Local):
    kind = DiscardsInSilence


class FlushesNothing(HonestBackend):
    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        self.replica(namespace)


class TestFlushesNothing(Shared):
    kind = FlushesNothing


# -- storage -----------------------------------------------------------------------------------------------


class KeepsNothing(HonestBackend):
    def __init__(self, storage: Storage) -> None:
        super().__init__(Storage())


class TestKeepsNothing(Shared):
    kind = KeepsNothing


class ClosesWithoutFlush(HonestBackend):
    def close(self, *, timeout: float | None = None) -> None:
        self.closed = True


class TestClosesWithoutFlush(Shared):
    kind = ClosesWithoutFlush


class LastFlushOverwrites(HonestBackend):
    def sync(self, namespace: str, replica: Replica) -> None:
        with self.storage.lock:
            log = self.storage.log[namespace]
            if replica.pending:
                del log[replica.seen :]
        super().sync(namespace, replica)


class TestLastFlushOverwrites(Shared):
    kind = LastFlushOverwrites


class FetchesOnlyWhenItSends(HonestBackend):
    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        if self.replica(namespace).pending:
            super().flush(namespace)


class TestFetchesOnlyWhenItSends(Shared):
    kind = FetchesOnlyWhenItSends


class SplitsACall(HonestBackend):
    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        with self.lock:
            replica = self.replica(namespace)
            kept = replica.pending[1:] if len(replica.pending) % 2 == 0 else []
            replica.pending = replica.pending[: len(replica.pending) - len(kept)]
            super().flush(namespace)
            for op in kept:
                replica.local.apply(op)
            replica.pending = kept


class TestSplitsACall(Shared):
    kind = SplitsACall


class SendsTwice(HonestBackend):
    def sync(self, namespace: str, replica: Replica) -> None:
        if len(replica.pending) > 3:
            replica.pending *= 2
        super().sync(namespace, replica)


class TestSendsTwice(Shared):
    kind = SendsTwice
