"""The soak: quiet over a backend that keeps its word, and loud, about the right thing, over one that does not."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest

from metadatadb_core import Backend, Store, ops
from metadatadb_core.ops import Op, ReadOp
from metadatadb_core.testing import soak as soak_module
from metadatadb_core.testing.progress import Bar
from metadatadb_core.testing.soak import Invariant, Progress, main, soak
from metadatadb_memory.backend import MemoryBackend


class Lying(Backend):
    """A memory backend between which and the store somebody changes ops and answers."""

    def __init__(
        self,
        write: Callable[[tuple[Op, ...]], tuple[Op, ...]] = lambda ops: ops,
        answer: Callable[[ReadOp[Any], Any], Any] = lambda query, answer: answer,
    ) -> None:
        self._backend = MemoryBackend()
        self._write = write
        self._answer = answer

    def apply(self, namespace: str, *ops: Op) -> None:
        changed = self._write(ops)
        if changed or not ops:
            self._backend.apply(namespace, *changed)

    def query(self, namespace: str, op: ReadOp[Any]) -> Any:
        return self._answer(op, self._backend.query(namespace, op))

    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        self._backend.flush(namespace)

    def close(self, *, timeout: float | None = None) -> None:
        self._backend.close()


def every(
    count: int, change: Callable[[Op], tuple[Op, ...]], *kinds: type[Op]
) -> Callable[[tuple[Op, ...]], tuple[Op, ...]]:
    """Do `change` to each op of `kinds`, those of transfers apart, whose number is a multiple of `count`."""
    numbers = itertools.count(1)

    def write(applied: tuple[Op, ...]) -> tuple[Op, ...]:
        return tuple(
            changed
            for op in applied
            for changed in (
                change(op) if type(op) in kinds and op.key != "accounts" and next(numbers) % count == 0 else (op,)
            )
        )

    return write


def lose(op: Op) -> tuple[Op, ...]:
    return ()


def double(op: Op) -> tuple[Op, ...]:
    return (op, op)


def half_a_transfer(applied: tuple[Op, ...]) -> tuple[Op, ...]:
    return applied[:1] if len(applied) == 2 else applied


def shrinking(query: ReadOp[Any], answer: Any) -> Any:
    return answer - 3 if type(query) is ops.SetLen and answer % 7 == 0 else answer


def reversed_log(query: ReadOp[Any], answer: Any) -> Any:
    return answer[::-1] if type(query) in (ops.ListSlice, ops.ListEntries) else answer


def fail(applied: tuple[Op, ...]) -> tuple[Op, ...]:
    if any(type(op) is ops.ListAppend for op in applied):
        raise OSError("the disk is full")
    return applied


def forget_member(query: ReadOp[Any], answer: Any) -> Any:
    return answer[1:] if type(query) is ops.SetMembers else answer


def one_more(query: ReadOp[Any], answer: Any) -> Any:
    return answer + 1 if type(query) is ops.IntGet else answer


def deny_member(query: ReadOp[Any], answer: Any) -> Any:
    return False if type(query) is ops.SetContains else answer


LIES: dict[str, tuple[Lying, Invariant]] = {
    "an int that is one too high": (Lying(answer=one_more), Invariant.SUMS),
    "an int that doubles an op": (Lying(every(40, double, ops.IntAdd)), Invariant.SUMS),
    "an int map that doubles an op": (Lying(every(20, double, ops.IntMapAdd)), Invariant.SUMS),
    "a set that loses a member afterwards": (Lying(answer=forget_member), Invariant.MEMBERS),
    "a set that denies a member": (Lying(answer=deny_member), Invariant.OWN_WRITES),
    "a list that doubles an append": (Lying(every(20, double, ops.ListAppend)), Invariant.LENGTHS),
    "a list that loses its order": (Lying(answer=reversed_log), Invariant.LENGTHS),
    "a write that is not seen": (Lying(every(5, lose, ops.IntMapSet)), Invariant.OWN_WRITES),
    "a length that shrinks": (Lying(answer=shrinking), Invariant.NEVER_BACK),
    "half a transfer": (Lying(half_a_transfer), Invariant.CONSERVED),
    "an error": (Lying(fail), Invariant.NO_FAILURE),
}


@pytest.mark.parametrize(("backend", "invariant"), LIES.values(), ids=LIES.keys())
def test_a_lie_breaks_an_invariant(backend: Lying, invariant: Invariant) -> None:
    """Each invariant is really checked, and the report names it."""
    with Store(backend) as store:
        report = soak([store], ops_per_worker=400, workers=2)

    assert invariant in {violation.invariant for violation in report.violations}
    assert all(violation.detail for violation in report.violations)


def test_replicas_that_do_not_share_are_found_out() -> None:
    """Two stores over two storages have each other's writes missing."""
    with Store(MemoryBackend()) as one, Store(MemoryBackend()) as other:
        report = soak([one, other], ops_per_worker=50, workers=2)

    assert {Invariant.SUMS} == {violation.invariant for violation in report.violations}


def test_replicas_that_hold_the_same_differently_are_found_out() -> None:
    """Sums may agree where the orders of a list do not: replicas must be equal, not only plausible."""
    backend = MemoryBackend()

    class OtherOrder(Lying):
        def query(self, namespace: str, op: ReadOp[Any]) -> Any:
            answer = backend.query(namespace, op)
            if type(op) not in (ops.ListSlice, ops.ListEntries):
                return answer
            by_worker = sorted(answer)
            return by_worker if by_worker != answer else sorted(answer, key=lambda row: (-row[0], row[1]))

        def apply(self, namespace: str, *ops: Op) -> None:
            backend.apply(namespace, *ops)

    with Store(backend) as one, Store(OtherOrder()) as other:
        report = soak([one, other], ops_per_worker=300, workers=4)

    assert [Invariant.CONVERGENCE] == [violation.invariant for violation in report.violations]


def test_a_backend_that_keeps_its_word_passes() -> None:
    """All writes made, all checks made, nothing found; also through several stores."""
    backend = MemoryBackend()
    with Store(backend) as one, Store(backend) as other:
        report = soak([one, other], ops_per_worker=1200, workers=3)

    assert (3600, 3, ()) == (report.ops, report.rounds, report.violations)


def test_a_long_soak_begins_anew_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored stays small, and what was deleted is not missed."""
    monkeypatch.setattr(soak_module, "ROUND_OPS", 10)
    monkeypatch.setattr(soak_module, "ROUNDS_TO_RESET", 3)
    with Store(backend := MemoryBackend()) as store:
        report = soak([store], ops_per_worker=100, workers=2)
        left = backend.query("soak", ops.ListLen("log"))

    assert (200, 10, ()) == (report.ops, report.rounds, report.violations)
    assert left <= 20


def test_a_soak_ends_in_time() -> None:
    """The limit in seconds holds where no limit in ops is given."""
    started = time.monotonic()
    with Store(MemoryBackend()) as store:
        report = soak([store], seconds=0.05)

    assert () == report.violations
    assert 0 < report.ops
    assert time.monotonic() - started < 30


def test_progress_is_told_after_each_round() -> None:
    """From little to all of it."""
    told: list[Progress] = []
    with Store(MemoryBackend()) as store:
        soak([store], ops_per_worker=1500, workers=2, on_progress=told.append)

    assert [(1000, 1), (2000, 2), (3000, 3)] == [(progress.ops, progress.rounds) for progress in told]
    assert pytest.approx([1 / 3, 2 / 3, 1.0]) == [progress.fraction for progress in told]


@pytest.mark.parametrize("limits", [{}, {"seconds": 1, "workers": 0}], ids=["no-limit", "no-worker"])
def test_a_soak_without_limit_or_worker_is_refused(limits: dict[str, Any]) -> None:
    """It would never end, or never begin."""
    with Store(MemoryBackend()) as store, pytest.raises(ValueError, match="a soak needs"):
        soak([store], **limits)


# -- the command -------------------------------------------------------------------------------------------


def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, a summary on the output, and nothing on the error stream where there is no terminal."""
    code = main(["--ops", "100", "--workers", "2"])
    output = capsys.readouterr()

    assert (0, "") == (code, output.err)
    assert output.out.startswith("200 ops in ")
    assert output.out.endswith("everything checked 1 times, 0 violations\n")


def test_the_command_fails_on_a_violation(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1: memory:// opened twice is two storages."""
    code = main(["--ops", "50", "--workers", "2", "--replicas", "2"])

    assert 1 == code
    assert "SUMS: a counter is not the sum of what was added to it" in capsys.readouterr().out


def test_the_command_says_why_it_cannot_open(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the registry's own words."""
    code = main(["--ops", "1", "--target", "nowhere://"])

    assert 2 == code
    assert capsys.readouterr().err.startswith("cannot open nowhere://: ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_draws_on_a_terminal() -> None:
    """One line, drawn over itself, and ended at the end; a shorter text leaves nothing of a longer one."""
    stream = Terminal()
    with Bar(stream) as bar:
        bar.show(0.5, "half of it")
        bar.show(1.0, "all")

    first, second = stream.getvalue().split("\r")[1:]
    assert f"[{'#' * 15}{'.' * 15}]  50%  half of it" == first
    assert f"[{'#' * 30}] 100%  all       \n" == second


def test_the_bar_draws_nothing_elsewhere() -> None:
    """A log file is not filled with bars."""
    stream = io.StringIO()
    with Bar(stream) as bar:
        bar.show(0.5, "half of it")

    assert "" == stream.getvalue()
