"""Kill processes by the hundred, and compare the store with what they were promised.

    python -m tests.crash [--kills 300] [--store sqlite|s3] [--seed 1]

Runs each kind of trial, one after the other, and prints a line for each; exits with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.crash.nursery import Findings
from tests.crash.trial import STORES, Trial, run


def broken_promises(trial: Trial, findings: Findings) -> list[str]:
    """What should not be."""
    broken = list(findings.odd)
    if findings.kills != trial.kills:
        broken.append(f"{findings.kills} lives were ended, not {trial.kills}")
    if findings.doubled:
        broken.append(f"{findings.doubled} writes are in the store more than once")
    if findings.missing_though_flushed:
        broken.append(f"{findings.missing_though_flushed} writes are missing that had been flushed")
    if findings.missing and trial.keeps_all:
        broken.append(f"{findings.missing} writes are missing that had been acknowledged")
    return broken


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Kill processes by the hundred.")
    parser.add_argument("--kills", type=int, default=300, help="in each trial")
    parser.add_argument("--store", choices=STORES, help="only over this one")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    stores = [options.store] if options.store else STORES
    console = Console()
    table = Table("trial", "kills", "acknowledged", "flushed", "stored", "missing", "doubled", "")
    broken: list[str] = []
    for trial in [
        Trial(store, spooled, through, options.kills, options.seed)
        for store in stores
        for spooled, through in [(True, False), (False, False), (False, True)]
    ]:
        with console.status(f"{trial}: {trial.kills} kills"), tempfile.TemporaryDirectory() as directory:
            findings = run(trial, Path(directory))
        found = broken_promises(trial, findings)
        broken += [f"{trial}: {what}" for what in found]
        columns = [findings.kills, findings.acknowledged, findings.flushed, findings.stored, findings.missing]
        table.add_row(str(trial), *map(str, columns), str(findings.doubled), "BROKEN" if found else "held")
    console.print(table)
    for what in broken:
        console.print(what)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
