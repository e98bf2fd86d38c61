"""The checks of a store, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from metadatadb_core.replication.checkup import contents, permissions, races, timings
from metadatadb_core.replication.checkup.finding import Finding
from metadatadb_core.replication.checkup.trial import Trial

__all__ = ["CHECKS", "Check"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: what it is called.
        needs: the checks without which it cannot be run.
        run: runs it; is given its name.
        advice: what to do if the store refuses a request of it.
    """

    name: str
    needs: tuple[str, ...]
    run: Callable[[str, Trial], Iterator[Finding]]
    advice: str


_LET_GET = "allow these credentials to read objects below the prefix's .metadata/"
_LET_LIST = "allow these credentials to list the bucket; without that, doctor and metadatadb namespaces see nothing"
_LET_PUT = "allow these credentials to write objects below the prefix's .metadata/"
_LET_DELETE = "allow these credentials to remove objects below the prefix's .metadata/: locks are released so"
_BE_THERE = "see whether the store is healthy, and run this again"

CHECKS: Final = (
    Check("get", (), permissions.check_get, _LET_GET),
    Check("list", (), permissions.check_list, _LET_LIST),
    Check("put", ("get",), permissions.check_put, _LET_PUT),
    Check("delete", ("put",), permissions.check_delete, _LET_DELETE),
    Check("put-if-absent", ("put",), races.check_put_if_absent, _LET_PUT),
    Check("put-if-match", ("put",), races.check_put_if_match, _LET_PUT),
    Check("conditional delete", ("delete",), permissions.check_conditional_delete, _LET_DELETE),
    Check("read after write", ("put",), permissions.check_read_after_write, _BE_THERE),
    Check("list after write", ("put", "list"), permissions.check_list_after_write, _BE_THERE),
    Check("clock", ("put",), timings.check_clock, _BE_THERE),
    Check("latency", ("put", "delete"), timings.check_latency, _BE_THERE),
    Check("locks", ("list", "get"), contents.check_locks, _LET_GET),
    Check("states", ("list", "get"), contents.check_states, _LET_GET),
    Check("journals", ("list",), contents.check_journals, _LET_LIST),
    Check("leftovers", ("list",), contents.check_leftovers, _LET_LIST),
)
