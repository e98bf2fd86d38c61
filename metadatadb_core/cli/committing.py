"""Bringing ops into a store, all or none, and saying truly what became of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from metadatadb_core.cli.failures import CommandError, Interrupted, Refusal
from metadatadb_core.cli.targets import OpenTarget
from metadatadb_core.errors import BackendUnavailableError, FlushTimeoutError
from metadatadb_core.ops import Op
from metadatadb_core.replication import ReplicatedBackend
from metadatadb_core.store import Namespace

__all__ = ["commit", "flush"]

_SLICE_SECONDS: Final = 2.0
"""How long Ctrl-C may have to wait for a flush that waits for another writer."""


def flush(namespace: Namespace, *, deadline: float, stop: threading.Event) -> None:
    """Flush, unless it is to stop.

    Args:
        namespace: what to flush.
        deadline: when to give up, on the monotonic clock.
        stop: set when it is to stop.

    Raises:
        Interrupted: it was stopped; what is pending is pending still.
        FlushTimeoutError, BackendUnavailableError: as `Namespace.flush`.
    """
    while not stop.is_set():
        left = deadline - time.monotonic()
        try:
            namespace.flush(timeout=max(0.0, min(left, _SLICE_SECONDS)))
        except FlushTimeoutError:
            if left <= _SLICE_SECONDS:
                raise
        else:
            return
    raise Interrupted("interrupted")


def commit(
    opened: OpenTarget,
    namespace: str,
    batch: Sequence[Op],
    *,
    check: Callable[[], object],
    timeout: float,
    stop: threading.Event,
) -> None:
    """Apply ops and flush them, or give all of them up.

    Args:
        opened: the store.
        namespace: where to.
        batch: the ops.
        check: called with the namespace loaded, before anything is applied; what it raises ends it.
        timeout: seconds it may take.
        stop: set when it is to stop.

    Raises:
        Interrupted: it was stopped; the error says whether anything was applied.
        Refusal: it failed; likewise.
    """
    deadline = time.monotonic() + timeout
    target = opened.store.namespace(namespace)
    try:
        flush(target, deadline=deadline, stop=stop)
    except (Interrupted, FlushTimeoutError, BackendUnavailableError) as error:
        raise _ended(error, "nothing was applied") from error
    check()
    target.apply(*batch)
    try:
        flush(target, deadline=deadline, stop=stop)
    except Exception as error:
        outcome = _give_up(opened, target)
        if outcome is not None:
            raise _ended(error, outcome) from error
    if stop.is_set():
        raise Interrupted("interrupted, after everything had been applied")


def _give_up(opened: OpenTarget, target: Namespace) -> str | None:
    """Drop what is pending; what has become of it in words, or None if all of it is in the store after all."""
    unresolved = target.status().unresolved_ops
    dropped = target.discard_pending()
    if isinstance(opened.backend, ReplicatedBackend):
        if not dropped:
            return None
        if not unresolved:
            return "nothing was applied"
    return f"whether it was applied is not known; look (metadatadb show {target.name}) before you apply it again"


def _ended(error: Exception, outcome: str) -> CommandError:
    if isinstance(error, Interrupted):
        return Interrupted(f"interrupted; {outcome}")
    return Refusal(f"{_reason(error)}; {outcome}")


def _reason(error: Exception) -> str:
    """Why it failed. What errors say of ops that stay queued is meant for programs that go on."""
    if not isinstance(error, (FlushTimeoutError, BackendUnavailableError)):
        return str(error)
    if error.cause is not None:
        return f"the store cannot be used: {error.cause}"
    if isinstance(error, FlushTimeoutError):
        return "it took too long: another writer holds the lock (metadatadb status tells), or the store is slow"
    return error.reason
