"""What dead processes have left in the spool of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from metadatadb_core.replication.checkup.finding import Finding, Verdict
from metadatadb_core.replication.spool.inspection import Leftover, leftovers

__all__ = ["check_spool"]


def check_spool(name: str, directory: str | None) -> Iterator[Finding]:
    """Nothing waits in the spool that nobody takes over.

    Args:
        name: the name of the check.
        directory: the spool's, or None if there is none.
    """
    if directory is None:
        yield Finding(name, Verdict.SKIP, "no spool is configured: a killed process loses what it had not flushed")
        return
    path = Path(directory).expanduser()
    try:
        found = list(leftovers(path))
    except FileNotFoundError:
        yield Finding(name, Verdict.PASS, f"{path} is made when it is first needed")
        return
    except OSError as error:
        yield Finding(name, Verdict.FAIL, f"{path} cannot be read: {error.strerror or error}", _remedy(error))
        return
    living = sum(leftover.held for leftover in found)
    for leftover in found:
        if not leftover.held:
            yield _dead(name, leftover)
    if living == len(found):
        yield Finding(name, Verdict.PASS, f"{path} holds nothing of dead processes; files in use: {living}")


def _remedy(error: OSError) -> str | None:
    if isinstance(error, NotADirectoryError):
        return "name a directory, which need not be there yet"
    return "let the user that runs the program own the directory" if isinstance(error, PermissionError) else None


def _dead(name: str, leftover: Leftover) -> Finding:
    if leftover.problem is not None:
        advice = "keep the file, and see docs/spool.md for what may be in it"
        return Finding(name, Verdict.WARN, f"{leftover.path}: {leftover.problem}", advice)
    where = f" for {leftover.target.store}, namespace {leftover.target.namespace!r}" if leftover.target else ""
    lost = f", {leftover.lost} unreadable" if leftover.lost else ""
    return Finding(
        name,
        Verdict.WARN,
        f"{leftover.path}: {leftover.ops} ops of process {leftover.process}{where}{lost}, not flushed when it ended",
        "the next process that opens that namespace with this spool sends them; or see metadatadb spool",
    )
