"""What importing the library costs, against its two dependencies that are always imported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.harness import Comparison

RUNS = 31


def _seconds_to_import(modules: str) -> float:
    program = f"from time import perf_counter as now; start = now(); import {modules}; print(now() - start)"
    # Byte code is kept, as it is for whoever installs the library.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(finished.stdout)


def comparisons() -> Iterator[Comparison]:
    """Medians over new interpreters, in turns; the interpreter's own start does not count."""
    ours, floor = "metadatadb_core", "msgspec, pluggy"
    for modules in (ours, floor):
        _seconds_to_import(modules)  # writes the byte code, once
    pairs = [(_seconds_to_import(ours), _seconds_to_import(floor)) for _ in range(RUNS)]
    yield Comparison(
        what=f"import {ours}",
        floor=f"import {floor}",
        floor_time=median(pair[1] for pair in pairs),
        time=median(pair[0] for pair in pairs),
        limit=1.5,
    )
