"""Keep a store under load, and watch that what must hold, holds.

    python -m tests.soak [--minutes 1] [--target sqlite|s3|URL] [--replicas 4] [--workers 2] [--seed 1]

``sqlite`` and ``s3`` are stores made for the purpose, ``s3`` behind a proxy that loses requests and answers. At any
other target the faults are those of the replicas: they are stopped for a while, longer than a lock is honoured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tests.crash.trial import STORES, disturbed_store
from tests.soak.conductor import Conductor, Report


@contextmanager
def _url(target: str, seed: int) -> Iterator[str]:
    if target not in STORES:
        yield target
        return
    with tempfile.TemporaryDirectory() as directory, disturbed_store(target, Path(directory), seed) as (url, _):
        yield f"{url}{'&' if '?' in url else '?'}sync-interval=200ms&lock-ttl=1s"


def _figure(grown: dict[str, float | None]) -> str:
    known = [factor for factor in grown.values() if factor is not None]
    return f"{max(known):.2f}" if known else "unknown, it was too short"


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module; 0 is well, 1 is a violation."""
    parser = argparse.ArgumentParser(description="Keep a store under load, with many processes and faults.")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--target", default="sqlite", help="sqlite, s3, or a URL")
    parser.add_argument("--replicas", type=int, default=4, help="processes")
    parser.add_argument("--workers", type=int, default=2, help="threads that write, in each")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    console = Console()
    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with _url(options.target, options.seed) as url, Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=60 * options.minutes)

        def show(report: Report, gone: float) -> None:
            words = f"{report.ops:,} ops, {report.rounds} checks, {report.pauses} pauses"
            progress.update(task, completed=gone, description=words)

        conductor = Conductor(url, replicas=options.replicas, workers=options.workers, seed=options.seed)
        report = conductor.run(60 * options.minutes, show)
    for violation in report.violations:
        console.print(violation, style="red")
    console.print(
        f"{report.ops:,} ops, everything checked {report.rounds:,} times, {report.pauses} pauses; growth of memory "
        f"{_figure(report.memory)}, of descriptors {_figure(report.descriptors)}; {len(report.violations)} violations"
    )
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
