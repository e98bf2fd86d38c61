"""Backends at a fork and at the end of a process."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import Final, Protocol

# What is registered for a fork runs in the order of its registration. The child's states are to be unlocked before
# their backends begin anew, which locks them.
import metadatadb_core.state  # noqa: F401

__all__ = ["forget", "watch"]

_EXIT_SECONDS: Final = 20.0
_EXIT_PRIORITY: Final = 100
"""Among multiprocessing's finalizers, which run from the highest to the lowest: before queues and pipes go."""


class _Living(Protocol):
    def close(self, *, timeout: float | None = None) -> None: ...
    def after_fork_in_child(self) -> None: ...


# Weakly: who forgets a backend without closing it has its namespaces kept alive, and it with them, by the threads
# that sync them; what no namespace was used of has nothing to flush.
_living: weakref.WeakSet[_Living] = weakref.WeakSet()
_registered_in: int | None = None


def watch(backend: _Living) -> None:
    """Flush `backend` when the process ends, and have it begin anew in a forked child."""
    _living.add(backend)
    _register()


def forget(backend: _Living) -> None:
    """The backend is closed."""
    _living.discard(backend)


def _register() -> None:
    """Once in each process: a child of multiprocessing skips atexit, and clears the finalizers it inherits."""
    global _registered_in
    if _registered_in == os.getpid():
        return
    _registered_in = os.getpid()
    atexit.register(_close_all)
    if "multiprocessing.util" in sys.modules:
        from multiprocessing.util import Finalize

        Finalize(None, _close_all, exitpriority=_EXIT_PRIORITY)


def _close_all() -> None:
    """Flush inline, with a deadline; what cannot be flushed is reported with counts."""
    failures = []
    for backend in list(_living):
        _living.discard(backend)
        try:
            backend.close(timeout=_EXIT_SECONDS)
        except Exception as error:
            error.add_note("the process ends, and nobody can close it again: what no spool has is lost")
            failures.append(error)
    if failures:
        # There is no caller to raise to; the interpreter prints this one.
        raise failures[0] if len(failures) == 1 else ExceptionGroup("at exit", failures)


def _after_fork_in_child() -> None:
    for backend in list(_living):
        backend.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
