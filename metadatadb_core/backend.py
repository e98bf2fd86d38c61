"""The contract a backend keeps: what a store calls, whoever wrote the backend."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

import msgspec

from metadatadb_core.errors import InvalidNamespaceError
from metadatadb_core.ops import Op, ReadOp

__all__ = ["BACKEND_API_VERSION", "Backend", "Status", "check_namespace"]

BACKEND_API_VERSION = 1
"""The plugin API this core speaks; a plugin written for another one is refused (`PluginVersionError`)."""

R = TypeVar("R")

_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def check_namespace(namespace: object) -> None:
    """Refuse a namespace that breaks the original's rule; the empty one, the root, is allowed.

    Raises:
        InvalidNamespaceError: it does not match ``[A-Za-z0-9][A-Za-z0-9_-]*`` from end to end.
    """
    if not isinstance(namespace, str) or (namespace and _NAMESPACE.fullmatch(namespace) is None):
        raise InvalidNamespaceError(namespace)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a namespace stands, for operators.

    Attributes:
        loaded: whether the state behind the backend has been read at least once.
        pending_ops: ops applied here and not yet durable (after coalescing).
        unresolved_ops: those of them that may have been sent, and of which it is not known whether they took effect.
        oldest_pending_age: seconds since the oldest of them was applied, or None.
        last_success: time of the last successful sync in seconds since the epoch, or None.
        last_error: the last failure as text, or None once a sync has succeeded since.
        consecutive_failures: failed syncs since the last successful one.
        remote_version: the version of the stored state last seen, or None.
        bytes: size of the stored state last seen, or None.
    """

    loaded: bool = True
    pending_ops: int = 0
    unresolved_ops: int = 0
    oldest_pending_age: float | None = None
    last_success: float | None = None
    last_error: str | None = None
    consecutive_failures: int = 0
    remote_version: str | None = None
    bytes: int | None = None


class Backend(ABC):
    """Holds namespaces; every replica reads and writes its own copy of them.

    All methods may be called from any thread. Reads and writes are local; only `flush` and `close`
    wait for the store behind a backend, if it has one.
    """

    @abstractmethod
    def apply(self, namespace: str, *ops: Op) -> None:
        """Apply `ops` to `namespace`, all of them or, if one is invalid, none.

        They become visible together and are never split by a flush. An implementation checks them first
        (`metadatadb_core.ops.admit`), so that nothing has changed when it refuses.

        Raises:
            InvalidNamespaceError: `namespace` breaks the naming rule.
            InvalidValueError: an op holds what cannot be stored.
            BackendClosedError: the backend was closed.
            PendingLimitError: the queue is full, and stayed so.
        """

    @abstractmethod
    def query(self, namespace: str, op: ReadOp[R]) -> R:
        """Answer `op` from local state; own writes are always seen.

        The result is the caller's own: changing it never changes the store.

        Raises:
            InvalidNamespaceError: `namespace` breaks the naming rule.
            InvalidValueError: `op` holds a key that cannot be stored.
            BackendClosedError: the backend was closed.
        """

    def reader(self, namespace: str, kind: type[ReadOp[R]], key: str) -> Callable[..., R]:
        """The read op `kind` on the structure `key`, as a function of its other fields: a prepared query.

        Handles read through these. A backend whose state is at hand may return something faster than a call
        of `query`; it answers the same and raises the same.

        Raises:
            InvalidNamespaceError: `namespace` breaks the naming rule.
        """
        check_namespace(namespace)
        return lambda *fields: self.query(namespace, kind(key, *fields))

    def writer(self, namespace: str) -> Callable[[Op], None]:
        """`apply` of one op to `namespace`, as a function of the op: what `reader` is to `query`.

        Raises:
            InvalidNamespaceError: `namespace` breaks the naming rule.
        """
        check_namespace(namespace)
        return lambda op: self.apply(namespace, op)

    @abstractmethod
    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        """Wait until all that was applied before this call is durable, and all that was durable is visible.

        Args:
            namespace: the namespace to flush.
            timeout: seconds to wait at most; None waits as long as the backend deems right.

        Raises:
            FlushTimeoutError: it took longer than `timeout`; what is pending stays queued and visible.
            BackendUnavailableError: the store cannot be reached or denies; likewise.
            BackendClosedError: the backend was closed.
        """

    @abstractmethod
    def close(self, *, timeout: float | None = None) -> None:
        """Flush what is pending and release everything; closing twice does nothing.

        Args:
            timeout: seconds to wait at most; None waits as long as the backend deems right.

        Raises:
            UnflushedOpsError: some ops could not be flushed; close can be called again.
        """

    def status(self, namespace: str) -> Status:
        """How `namespace` stands; a backend with nothing behind it is always loaded and has nothing pending.

        Raises:
            InvalidNamespaceError: `namespace` breaks the naming rule.
        """
        check_namespace(namespace)
        return Status()

    def discard_pending(self, namespace: str) -> list[Op]:
        """Drop what is pending in `namespace` and return it: the only way to lose an op on purpose.

        Raises:
            InvalidNamespaceError: `namespace` breaks the naming rule.
        """
        check_namespace(namespace)
        return []
