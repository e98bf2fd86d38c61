"""What is dear to make is made once in a run, whichever of pytest's workers needs it first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


class Workshop:
    """Directories that are filled once and then only read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """The directory `name`, as `make` has filled it; after a failure the next caller tries anew."""
        place, made = self._directory / name, self._directory / f"{name}.made"
        with FileLock(self._directory / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                make(place)
                made.touch()
        return place
