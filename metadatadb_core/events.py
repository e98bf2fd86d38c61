"""What a replica reports, and who listens.

This is the seam between the engine, which emits, and observers, which are found by a higher floor: the engine
calls `emit` and knows nobody. Listeners are the process's, not a backend's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, final

import msgspec

__all__ = ["Listener", "SyncFinished", "emit", "subscribe"]


@final
class SyncFinished(msgspec.Struct, frozen=True, kw_only=True):
    """One sync round of one namespace is over.

    Attributes:
        backend: the store, as it names itself, without credentials.
        namespace: the namespace that was synced; "" is the root.
        kind: "read" if nothing was pending, "write" otherwise.
        outcome: whether the round did what it was for.
        started: when it began, in seconds since the epoch.
        duration: how long it took, in seconds.
        ops: how many ops it made durable.
        requests: how many requests went to the store.
        bytes_sent, bytes_received: sizes of the bodies, in bytes.
        lock_waits: how often it had to wait because somebody else held the lock.
        reset: whether the stored state was there before and is gone: somebody reset the namespace.
        error: what went wrong, or None.
    """

    backend: str
    namespace: str
    kind: Literal["read", "write"]
    outcome: Literal["ok", "failed"]
    started: float
    duration: float
    ops: int = 0
    requests: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    lock_waits: int = 0
    reset: bool = False
    error: BaseException | None = None


Listener: TypeAlias = Callable[[SyncFinished], object]

_listeners: dict[str, Listener] = {}
_failing: set[str] = set()


def subscribe(name: str, listener: Listener) -> Callable[[], None]:
    """Have `listener` called after every sync round, on the thread that synced.

    Args:
        name: who listens, for the log; another listener of that name is replaced.
        listener: what to call; it may fail, and should not block.

    Returns:
        A function that ends it.
    """
    _listeners[name] = listener

    def unsubscribe() -> None:
        if _listeners.get(name) is listener:
            del _listeners[name]

    return unsubscribe


def emit(event: SyncFinished) -> None:
    """Tell every listener; one that fails is logged and changes nothing."""
    for name, listener in list(_listeners.items()):
        try:
            listener(event)
        except Exception:
            _report(name)


def _report(name: str) -> None:
    import logging  # dear to import, and `import metadatadb_core` does not need it

    # A listener fails at every sync or never: the first time tells all there is to say.
    level = logging.DEBUG if name in _failing else logging.WARNING
    _failing.add(name)
    message = "observer %r failed; later failures of it are logged as DEBUG"
    logging.getLogger("metadatadb").log(level, message, name, exc_info=True)
