"""Each namespace is a file, read when it is first used and written when it is flushed; for one process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TypeVar

from metadatadb_core import Backend
from metadatadb_core.backend import check_namespace
from metadatadb_core.errors import BackendClosedError
from metadatadb_core.ops import Op, ReadOp, admit
from metadatadb_core.state import NamespaceState

R = TypeVar("R")


class FolderBackend(Backend):
    """Durable on `flush` and `close`, not before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._states: dict[str, NamespaceState] = {}
        self._closed = False

    def apply(self, namespace: str, *ops: Op) -> None:
        admitted = [admit(op) for op in ops]
        with self._lock:
            state = self._state(namespace)
            for op in admitted:
                state.apply(op)

    def query(self, namespace: str, op: ReadOp[R]) -> R:
        with self._lock:
            return self._state(namespace).query(op)

    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        with self._lock:
            self._write(namespace, self._state(namespace))

    def close(self, *, timeout: float | None = None) -> None:
        with self._lock:
            for namespace, state in self._states.items():
                self._write(namespace, state)
            self._states.clear()
            self._closed = True

    def _file(self, namespace: str) -> Path:
        return self._folder / f"{namespace}.json"

    def _state(self, namespace: str) -> NamespaceState:
        check_namespace(namespace)
        if self._closed:
            raise BackendClosedError(f"the folder {self._folder}")
        if namespace not in self._states:
            file = self._file(namespace)
            self._states[namespace] = NamespaceState.decode(file.read_bytes()) if file.exists() else NamespaceState()
        return self._states[namespace]

    def _write(self, namespace: str, state: NamespaceState) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        written = self._file(namespace).with_suffix(".new")
        written.write_bytes(state.encode())
        written.replace(self._file(namespace))
