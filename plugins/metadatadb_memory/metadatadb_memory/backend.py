"""Namespaces in this process's memory: nothing to sync, nothing kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, final

from metadatadb_core.backend import Backend, check_namespace
from metadatadb_core.errors import BackendClosedError
from metadatadb_core.ops import Op, ReadOp
from metadatadb_core.state import SharedState

__all__ = ["MemoryBackend"]

R = TypeVar("R")


@final
class MemoryBackend(Backend):
    """For tests and for deployments of one process. Stores over one `MemoryBackend` share its namespaces."""

    def __init__(self) -> None:
        self._namespaces: dict[str, SharedState] = {}
        self._closed = False

    def apply(self, namespace: str, *ops: Op) -> None:
        """Apply `ops` at once, for every store over this backend; see `Backend.apply`."""
        shared = self._namespaces.get(namespace) or self._open(namespace)
        shared.apply(ops)

    def query(self, namespace: str, op: ReadOp[R]) -> R:
        """Answer `op`; see `Backend.query`."""
        shared = self._namespaces.get(namespace) or self._open(namespace)
        return shared.query(op)

    def reader(self, namespace: str, kind: type[ReadOp[R]], key: str) -> Callable[..., R]:
        """See `Backend.reader`."""
        shared = self._namespaces.get(namespace) or self._open(namespace)
        return shared.reader(kind, key)

    def writer(self, namespace: str) -> Callable[[Op], None]:
        """See `Backend.writer`."""
        return (self._namespaces.get(namespace) or self._open(namespace)).write

    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        """Do nothing: a write is as durable as it will ever be once it is applied."""
        if namespace not in self._namespaces:
            self._open(namespace)

    def close(self, *, timeout: float | None = None) -> None:
        """Forget everything; reads and writes are refused from now on."""
        self._closed = True
        for shared in list(self._namespaces.values()):
            shared.close(_closed)
        self._namespaces = {}

    def _open(self, namespace: str) -> SharedState:
        check_namespace(namespace)
        # No lock, which a fork could copy while it is held: `close` marks first and lets go afterwards.
        namespaces = self._namespaces
        if not self._closed:
            shared = namespaces.setdefault(namespace, SharedState())
            if not self._closed:
                return shared
            shared.close(_closed)
            namespaces.pop(namespace, None)
        raise _closed()


def _closed() -> BackendClosedError:
    return BackendClosedError("the memory backend")
