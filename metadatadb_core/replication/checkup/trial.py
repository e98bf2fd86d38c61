"""A store under trial: what the checks have at hand, and what they leave behind until it is removed."""

from __future__ import annotations

import itertools
import threading
from typing import Any, Final, TypeVar, final

from metadatadb_core.replication.config import ReplicationConfig
from metadatadb_core.replication.driver import Driver, Traffic
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.inspection import FoundNamespace, list_namespaces
from metadatadb_core.replication.object_store import ABSENT, Absent, ObjectStore, StoredObject, Version
from metadatadb_core.replication.outcomes import OutcomeUnknown, PreconditionFailed, StoreFailure
from metadatadb_core.replication.patience import patiently
from metadatadb_core.replication.requests import Get, OutOfTime, Put, Steps

__all__ = ["Trial"]

R = TypeVar("R")

_REMOVALS: Final = 3


@final
class Trial:
    """A store under trial.

    Args:
        store: the store.
        config: how it would be used.
        environment: clocks and ids.
        stop: set when the trial is to end.

    Attributes:
        start: what the private keys of this trial begin with.
    """

    def __init__(
        self, store: ObjectStore, config: ReplicationConfig, environment: Environment, stop: threading.Event
    ) -> None:
        self.store = store
        self.config = config
        self.environment = environment
        self.stop = stop
        self.start = f"{config.prefix}.metadata/.doctor-{environment.new_id()}"
        self._numbers = itertools.count(1)
        self._keys: list[str] = []
        self._namespaces: list[FoundNamespace] | None = None

    def new_key(self) -> str:
        """A key that nobody else uses; whatever is stored there is removed with `remove_all`."""
        key = f"{self.start}-{next(self._numbers)}"
        self._keys.append(key)
        return key

    def get(self, key: str) -> StoredObject | None:
        """Get an object, more than once if that may help."""
        found: StoredObject | None = self._run(patiently(self.environment, Get(key)))
        return found

    def put(self, key: str, body: bytes, expect: Version | Absent = ABSENT) -> Version:
        """Put an object, more than once as long as it surely was not applied.

        A lost answer is no failure of the store's: what is there then tells.
        """
        try:
            return Version(str(self._run(patiently(self.environment, Put(key, body, expect)))))
        except (OutcomeUnknown, PreconditionFailed):
            found = self.get(key)
            if found is None or found.body != body:
                raise
            return found.version

    def namespaces(self) -> list[FoundNamespace]:
        """The namespaces of the store, as they were when this was first asked."""
        if self._namespaces is None:
            self._namespaces = list_namespaces(self.store, self.config.prefix)
        return self._namespaces

    def go_on(self) -> None:
        """Called between requests by a check that takes long.

        Raises:
            OutOfTime: the trial is to end.
        """
        if self.stop.is_set():
            raise OutOfTime

    def remove_all(self) -> list[str]:
        """Remove what is left under the private keys; the keys of which it cannot be said that nothing is."""
        return [key for key in self._keys if not self._remove(key)]

    def _remove(self, key: str) -> bool:
        for _ in range(_REMOVALS):
            try:
                found = self.store.get(key)
                if found is None:
                    return True
                self.store.delete(key, expect=found.version)
            except StoreFailure:
                continue
        try:
            return self.store.get(key) is None
        except StoreFailure:
            return False

    def _run(self, steps: Steps[Any]) -> Any:
        return Driver(self.store, self._pause, Traffic()).run(steps)

    def _pause(self, seconds: float) -> bool:
        return not self.stop.wait(seconds)
