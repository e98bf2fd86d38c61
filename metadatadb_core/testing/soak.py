"""Keeps stores under load and watches what must hold all the time; a function and a command.

::

    python -m metadatadb_core.testing.soak --seconds 600 --target s3://bucket --replicas 3

Workers write at random, each through one of the stores. What they wrote they keep account of, and between rounds
every store is asked whether it comes to the same. A violation ends the soak, and the command exits with 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from metadatadb_core import ops
from metadatadb_core.errors import MetadataDBError
from metadatadb_core.store import Namespace, Store
from metadatadb_core.testing.concurrency import run_together
from metadatadb_core.testing.progress import Bar
from metadatadb_core.testing.soak_load import NAMES, Broken, Invariant, Violation, Worker, check_replica

__all__ = ["Invariant", "Progress", "Report", "Violation", "soak"]

ROUND_OPS = 500
"""Writes of each worker between two checks of everything."""

ROUND_TIMEOUT = 3600.0
"""Seconds after which a round that does not end counts as deadlocked; a slow store may well need minutes."""

ROUNDS_TO_RESET = 20
"""Rounds after which everything is deleted, so that a long soak does not fill the memory."""


@dataclass(frozen=True)
class Progress:
    """How far a soak is.

    Attributes:
        ops: writes so far.
        rounds: complete checks so far.
        elapsed: seconds since the beginning.
        fraction: how much is done, from 0 to 1.
    """

    ops: int
    rounds: int
    elapsed: float
    fraction: float


@dataclass(frozen=True)
class Report:
    """What a soak found.

    Attributes:
        ops: writes made.
        rounds: complete checks made.
        elapsed: seconds it took.
        violations: what did not hold; empty if all is well.
    """

    ops: int
    rounds: int
    elapsed: float
    violations: Sequence[Violation]


def _check_equal(namespaces: Sequence[Namespace]) -> None:
    logs = [namespace.list("log").entries() for namespace in namespaces]
    accounts = [namespace.int_map("accounts").entries() for namespace in namespaces]
    for number in range(1, len(namespaces)):
        if (logs[number], accounts[number]) != (logs[0], accounts[0]):
            raise Broken(Invariant.CONVERGENCE, f"store 0 and store {number} hold log or accounts differently")


def _flush(namespaces: Iterable[Namespace]) -> None:
    """Bring everybody's writes to everybody: the first flushes send them, the second fetch them."""
    everyone = list(namespaces)
    for namespace in (*everyone, *everyone):
        namespace.flush()


def _reset(namespaces: Sequence[Namespace]) -> None:
    namespaces[0].apply(*(ops.ScalarDelete(name) for name in NAMES))
    _flush(namespaces)


def soak(
    stores: Sequence[Store],
    *,
    seconds: float | None = None,
    ops_per_worker: int | None = None,
    workers: int = 4,
    seed: int = 0,
    namespace: str = "soak",
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Report:
    """Write through `stores` until the time or the ops are used up, or something does not hold.

    Args:
        stores: stores over one storage, or one store; each worker uses one of them.
        seconds: how long, or None for no limit.
        ops_per_worker: how many writes of each worker, or None for no limit; one of the two is needed.
        workers: how many threads write.
        seed: what the workers' choices follow from.
        namespace: the namespace to work in; what a soak uses in it is deleted first.
        on_progress: called after each round.

    Raises:
        ValueError: there is no store, no worker or no limit.
    """
    if not stores or workers < 1 or (seconds is None and ops_per_worker is None):
        raise ValueError("a soak needs a store, a worker, and a limit in seconds or in ops")
    started = time.monotonic()
    deadline = started + seconds if seconds is not None else float("inf")
    namespaces = [store.namespace(namespace) for store in stores]
    crew = [Worker(number, namespaces[number % len(namespaces)], seed) for number in range(workers)]
    violations: list[Violation] = []
    rounds = left = 0

    def progress() -> Progress:
        elapsed = time.monotonic() - started
        done = sum(worker.written for worker in crew)
        fractions = [elapsed / seconds] if seconds else [1.0] if seconds == 0 else []
        fractions += [done / (ops_per_worker * workers)] if ops_per_worker else [1.0] if ops_per_worker == 0 else []
        return Progress(done, rounds, elapsed, min(1.0, max(fractions)))

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Broken as broken:
                violations.append(broken.violation)
            except Exception as error:  # whatever fails under load is what a soak is there to find
                violations.append(Violation(Invariant.NO_FAILURE, f"{type(error).__name__}: {error}"))

        return run

    def verify() -> None:
        _flush(namespaces)
        for number, replica in enumerate(namespaces):
            check_replica(number, replica, [worker.account for worker in crew])
        _check_equal(namespaces)

    left = ops_per_worker if ops_per_worker is not None else sys.maxsize
    guarded(lambda: _reset(namespaces))()
    while left > 0 and time.monotonic() < deadline and not violations:
        count = min(left, ROUND_OPS)
        left -= count
        work = [guarded(partial(worker.run, count, deadline)) for worker in crew]
        guarded(partial(run_together, *work, timeout=ROUND_TIMEOUT))()
        if not violations:
            guarded(verify)()
            rounds += 1
        if rounds % ROUNDS_TO_RESET == 0 and not violations:
            guarded(lambda: _reset(namespaces))()
            for worker in crew:
                worker.reset()
        on_progress(progress())
    final = progress()
    return Report(final.ops, final.rounds, final.elapsed, tuple(violations))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m metadatadb_core.testing.soak", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--target", default="memory://", metavar="URL", help="what to open (default: %(default)s)")
    parser.add_argument("--seconds", type=float, metavar="N", help="how long (default: 60, unless --ops is given)")
    parser.add_argument("--ops", type=int, metavar="N", help="how many writes of each worker (default: no limit)")
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="threads that write (default: %(default)s)")
    parser.add_argument(
        "--replicas",
        type=int,
        default=1,
        metavar="N",
        help="how often to open the target; more than 1 needs one that several backends share (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the workers' choices (default: %(default)s)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 is well, 1 is a violation, 2 is a target that cannot be opened."""
    from metadatadb_core.connect import connect

    options = _arguments(arguments)
    seconds = options.seconds if options.seconds is not None or options.ops is not None else 60.0
    stores: list[Store] = []
    try:
        try:
            stores += [connect(options.target) for _ in range(options.replicas)]
        except (MetadataDBError, ValueError) as error:
            sys.stderr.write(f"cannot open {options.target}: {error}\n")
            return 2
        with Bar(sys.stderr) as bar:
            report = soak(
                stores,
                seconds=seconds,
                ops_per_worker=options.ops,
                workers=options.workers,
                seed=options.seed,
                on_progress=lambda progress: bar.show(
                    progress.fraction, f"{progress.ops:,} ops, {progress.rounds:,} checks, {progress.elapsed:,.0f}s"
                ),
            )
    finally:
        for store in stores:
            store.close()
    for violation in report.violations:
        sys.stdout.write(f"{violation}\n")
    sys.stdout.write(
        f"{report.ops:,} ops in {report.elapsed:,.1f}s, everything checked {report.rounds:,} times, "
        f"{len(report.violations)} violations\n"
    )
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
