"""The store that namespaces are moved to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar, final

from metadatadb_core.cli.targets import OpenTarget
from metadatadb_core.replication.content import Content
from metadatadb_core.replication.driver import Driver, Traffic
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.lock import Lock, lock_key
from metadatadb_core.replication.object_store import Version
from metadatadb_core.replication.placement import Placement, Standing, place, standing
from metadatadb_core.replication.probe import probe
from metadatadb_core.replication.requests import Steps

__all__ = ["Destination"]

R = TypeVar("R")

_BEYOND_LOCKS_SECONDS: Final = 30.0


@final
class Destination:
    """Where namespaces are put, each as a whole.

    Args:
        opened: the store.
        replace: whether what is there may be replaced.
        waiting: called once with the name of a namespace whose lock somebody else holds.

    Attributes:
        name: the store, as it is printed.
        location: likewise for programs, who are told its prefix apart.
        prefix: what its keys begin with.
        stop: set to end all waits.

    Raises:
        Refusal: the backend does not lie in an object store.
    """

    def __init__(self, opened: OpenTarget, *, replace: bool, waiting: Callable[[str], object]) -> None:
        backend = opened.replicated
        self.name, self.location, self.prefix = opened.name, opened.location, backend.config.prefix
        self.replace = replace
        self.stop = threading.Event()
        self._store = backend.object_store()
        self._lock_ttl = backend.config.lock_ttl.seconds
        self._waiting = waiting
        self._told: set[str] = set()
        self._environment = Environment()
        self._deletes_enforced = True

    def ensure_safe(self) -> None:
        """Refuse a store that does not keep its conditions, as the engine does before its first write.

        Raises:
            UnsafeStoreError: it does not.
            StoreFailure: that could not be found out.
        """
        self._deletes_enforced = self._run(probe(self.prefix, self.name, self._environment))

    def standing(self, namespace: str, content: Content) -> Standing:
        """What is there of `namespace`, compared with `content`; see `metadatadb_core.replication.placement`."""
        return self._run(standing(self.prefix, namespace, content, self._environment))

    def place(self, namespace: str, content: Content, may_replace: Callable[[Version], bool]) -> Placement:
        """Put `content` there; see `metadatadb_core.replication.placement`."""
        lock = Lock(
            lock_key(self.prefix, namespace),
            self._lock_ttl,
            self._environment,
            deletes_enforced=lambda: self._deletes_enforced,
            waited=lambda _seconds: self._tell_of_waiting(namespace),
        )
        steps = place(self.prefix, namespace, content, lock, self._environment, may_replace)
        return self._run(steps)

    def _tell_of_waiting(self, namespace: str) -> None:
        if namespace not in self._told:
            self._told.add(namespace)
            self._waiting(namespace)

    def _run(self, steps: Steps[R]) -> R:
        # As long as it may take to see that the holder of a lock is dead, and to take it over.
        deadline = time.monotonic() + 2 * self._lock_ttl + _BEYOND_LOCKS_SECONDS

        def pause(seconds: float) -> bool:
            return time.monotonic() + seconds < deadline and not self.stop.wait(seconds)

        return Driver(self._store, pause, Traffic()).run(steps)
