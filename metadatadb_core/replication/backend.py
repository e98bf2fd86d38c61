"""A `Backend` over any `ObjectStore`: the namespaces of one process, kept in sync."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from metadatadb_core.backend import Backend, Status, check_namespace
from metadatadb_core.errors import (
    BackendClosedError,
    BackendUnavailableError,
    InvalidValueError,
    MetadataDBError,
    PendingLimitError,
    SpoolError,
    UnflushedOpsError,
)
from metadatadb_core.ops import Op, ReadOp
from metadatadb_core.replication import lifecycle
from metadatadb_core.replication.config import ReplicationConfig
from metadatadb_core.replication.driver import Driver, Traffic
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.lock import Lock, lock_key
from metadatadb_core.replication.object_store import ObjectStore
from metadatadb_core.replication.outcomes import Denied, StoreFailure
from metadatadb_core.replication.patience import backoff
from metadatadb_core.replication.probe import probe
from metadatadb_core.replication.replica import Replica
from metadatadb_core.replication.scheduler import Scheduler
from metadatadb_core.replication.snapshot import SnapshotLayout
from metadatadb_core.replication.spool import NO_SPOOL, DirectorySpool, Spool, Target
from metadatadb_core.replication.syncer import Syncer

__all__ = ["ReplicatedBackend"]

_log = logging.getLogger("metadatadb")

R = TypeVar("R")

_CLOSE_SECONDS: Final = 30.0
_ROOM_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 300.0
_SPOOL_SYNC_SECONDS: Final = 1.0
_SPOOL_TROUBLE_SECONDS: Final = 60.0


class ReplicatedBackend(Backend):
    """Replicates namespaces through an object store.

    Args:
        open_store: makes the store's client; called on first use in each process, so again after a fork.
        name: the store as errors, events and logs name it, without credentials.
        config: the engine's options.
        environment: clocks, chance and ids; for tests.
    """

    def __init__(
        self,
        open_store: Callable[[], ObjectStore],
        *,
        name: str,
        config: ReplicationConfig,
        environment: Environment | None = None,
    ) -> None:
        self._make_store = open_store
        self._name = name
        self._config = config
        self._environment = environment or Environment()
        # Absolute from here on: a program may change its directory before it forks.
        self._spool_directory = None if config.spool is None else Path(config.spool).expanduser().absolute()
        self._syncers: dict[str, Syncer] = {}
        self._closing: dict[str, Syncer] = {}
        self._dormant: dict[str, Syncer] = {}
        self._load_by: dict[str, float] = {}
        self._closed = False
        self._inherited: list[object] = []
        self._store: ObjectStore | None = None
        self._deletes_enforced: bool | None = None
        self._start_threads()

    def _start_threads(self) -> None:
        self._lock = threading.Lock()
        self._close_turn = threading.Lock()
        self._closer: int | None = None
        self._opening_store = threading.Lock()
        self._probing = threading.Lock()
        self._scheduler = Scheduler(self._environment, "metadatadb-sync")

    # -- the contract --------------------------------------------------------------------------------------

    def apply(self, namespace: str, *ops: Op) -> None:
        """See `Backend.apply`.

        With ``write-mode = "through"`` it returns once the ops are durable; callers share flushes. When that
        fails, the ops remain queued and visible, and must not be applied again: the error says so. Only
        `InvalidValueError`, `InvalidNamespaceError`, `BackendClosedError` and `PendingLimitError` mean
        that nothing was applied.
        """
        syncer = self._syncers.get(namespace) or self._open(namespace)
        if not ops:
            return
        if not syncer.replica.apply(ops, limit=self._config.max_pending_ops):
            self._wait_for_room(namespace, syncer, ops)
        if self._config.write_mode == "through":
            try:
                syncer.flush(None)
            except Exception as error:
                error.add_note("the ops of this call remain queued and visible; do not apply them again")
                raise

    def _wait_for_room(self, namespace: str, syncer: Syncer, ops: tuple[Op, ...]) -> None:
        deadline = self._environment.monotonic() + _ROOM_SECONDS
        failure: Exception | None = None
        # Others may fill the queue again as soon as it was flushed.
        while failure is None and (left := deadline - self._environment.monotonic()) > 0:
            try:
                syncer.flush(left)
            except (MetadataDBError, RuntimeError) as error:  # the latter within a sync, which cannot wait for itself
                failure = error
            if syncer.replica.apply(ops, limit=self._config.max_pending_ops):
                return
        raise PendingLimitError(namespace, limit=self._config.max_pending_ops) from failure

    def query(self, namespace: str, op: ReadOp[R]) -> R:
        """See `Backend.query`."""
        return (self._syncers.get(namespace) or self._open(namespace)).replica.query(op)

    def reader(self, namespace: str, kind: type[ReadOp[R]], key: str) -> Callable[..., R]:
        """See `Backend.reader`."""
        return (self._syncers.get(namespace) or self._open(namespace)).replica.reader(kind, key)

    def flush(self, namespace: str, *, timeout: float | None = None) -> None:
        """See `Backend.flush`."""
        if timeout is not None and not timeout >= 0:
            raise InvalidValueError(f"a timeout is a number of seconds, not {timeout}", timeout)
        (self._syncers.get(namespace) or self._open(namespace)).flush(timeout)

    def status(self, namespace: str) -> Status:
        """See `Backend.status`."""
        return (self._syncers.get(namespace) or self._open(namespace)).status()

    def discard_pending(self, namespace: str) -> list[Op]:
        """See `Backend.discard_pending`; waits for a round that is running."""
        syncer = self._syncers.get(namespace) or self._open(namespace)
        with syncer.exclusively():
            dropped = syncer.replica.discard()
        try:
            syncer.flush(_ROOM_SECONDS)  # so that what is read does not show what was dropped
        except MetadataDBError as error:
            _log.info("namespace %r shows what was discarded until the next sync: %s", namespace, error)
        return dropped

    def close(self, *, timeout: float | None = None) -> None:
        """See `Backend.close`. From the first call on writes are refused, and nothing is synced but by `close`."""
        deadline = self._environment.monotonic() + (_CLOSE_SECONDS if timeout is None else timeout)
        if self._closer == threading.get_ident():
            raise RuntimeError("close was called within close, by a signal handler say: let the first call end")
        with self._close_turn:
            self._closer = threading.get_ident()
            try:
                self._close(deadline)
            finally:
                self._closer = None

    def _close(self, deadline: float) -> None:
        with self._lock:
            # Everyone who looks a namespace up now finds that the backend is closed.
            self._closed = True
            self._closing.update(self._syncers)
            self._syncers = {}
        # Ends the waits of rounds that run, so that they do not stand in the way of the flushes below.
        self._scheduler.stop()
        self._flush_all(deadline)
        lifecycle.forget(self)
        self._scheduler.join(max(0.0, deadline - self._environment.monotonic()))
        for syncer in self._closing.values():
            syncer.replica.state.close(self._closed_error)
        self._closing = {}
        if self._store is not None:
            self._store.close()
            self._store = None

    def _flush_all(self, deadline: float) -> None:
        pending: dict[str, int] = {}
        causes: dict[str, BaseException] = {}
        for namespace, syncer in self._closing.items():
            syncer.replica.refuse_writes(self._closed_error)
            if syncer.replica.pending:
                try:
                    syncer.flush(max(0.0, deadline - self._environment.monotonic()))
                except Exception as error:  # the other namespaces are to be flushed all the same
                    causes[namespace] = error
            if left := syncer.replica.pending:
                pending[namespace] = left
        if pending:
            raise UnflushedOpsError(pending, causes)

    # -- namespaces ----------------------------------------------------------------------------------------

    def _open(self, namespace: str) -> Syncer:
        check_namespace(namespace)
        if not self._closed:
            # First: a fork while another thread is in what follows must find this backend, or its child could not
            # get past a lock that nobody there holds.
            lifecycle.watch(self)
        with self._lock:
            if self._closed:
                raise self._closed_error()
            syncer = self._syncers.get(namespace)
            if syncer is None:
                syncer = self._dormant.pop(namespace, None) or self._make_syncer(namespace)
                self._syncers[namespace] = syncer
                self._load_by[namespace] = self._environment.monotonic() + self._config.load_timeout
                self._scheduler.add(self._task(syncer))
                if self._spool_directory is not None and self._config.spool_fsync == "interval":
                    self._scheduler.add(lambda: _sync_spool(namespace, syncer.replica.spool))
        return syncer

    def _make_syncer(self, namespace: str) -> Syncer:
        config, environment = self._config, self._environment
        traffic = Traffic()

        def waited(_seconds: float) -> None:
            traffic.lock_waits += 1

        lock = Lock(
            lock_key(config.prefix, namespace),
            config.lock_ttl.seconds,
            environment,
            deletes_enforced=lambda: self._deletes_enforced is not False,
            waited=waited,
        )

        def wait_for_load() -> None:
            self._open(namespace)  # in a forked child it is not, before it is used there
            syncer.settled.wait(max(0.0, self._load_by[namespace] - environment.monotonic()))
            with replica.state.lock:
                replica.state.loaded()

        replica = Replica(namespace, environment, wait_for_load, self._spool_of(namespace))
        syncer = Syncer(
            replica,
            SnapshotLayout(config.prefix, namespace, lock, environment),
            backend=self._name,
            open_store=self._open_store,
            before_write=self._ensure_safe,
            environment=environment,
            patience=2 * config.lock_ttl + _CLOSE_SECONDS,
            traffic=traffic,
        )
        return syncer

    def _spool_of(self, namespace: str) -> Spool:
        config = self._config
        if self._spool_directory is None:
            return NO_SPOOL
        target = Target(self._name, config.prefix, namespace)
        return DirectorySpool(self._spool_directory, target, config.spool_fsync, self._environment)

    def _task(self, syncer: Syncer) -> Callable[[], float]:
        config, environment = self._config, self._environment

        def sync() -> float:
            deadline = environment.monotonic() + 2 * config.lock_ttl + config.sync_interval
            failures = syncer.sync(deadline, self._scheduler.stopped)
            interval = config.sync_interval * environment.uniform(0.9, 1.1)
            if failures == 0:
                return interval
            return min(interval, 1.0) + backoff(environment, failures, longest=_LONGEST_PAUSE_SECONDS)

        return sync

    # -- the store -----------------------------------------------------------------------------------------

    def _open_store(self) -> ObjectStore:
        with self._opening_store:
            if self._store is None:
                self._store = self._make_store()
            return self._store

    def _ensure_safe(self, driver: Driver) -> None:
        """Before the first write: refuse a store that does not keep its conditions."""
        with self._probing:
            if self._deletes_enforced is None:
                self._deletes_enforced = driver.run(probe(self._config.prefix, self._name, self._environment))

    def _closed_error(self) -> BackendClosedError:
        return BackendClosedError(self._name)

    @property
    def name(self) -> str:
        """The store as errors, events and logs name it, without credentials."""
        return self._name

    @property
    def config(self) -> ReplicationConfig:
        """The engine's options."""
        return self._config

    def object_store(self) -> ObjectStore:
        """The store that the namespaces lie in, for those who look into it; the backend closes it.

        Raises:
            BackendUnavailableError: it cannot be opened.
            BackendClosedError: the backend was closed.
        """
        if self._closed:
            raise self._closed_error()
        try:
            return self._open_store()
        except StoreFailure as failure:
            denied = isinstance(failure, Denied)
            raise BackendUnavailableError(f"{self._name}: {failure}", cause=failure, denied=denied) from failure

    def sync_only_when_told(self) -> None:
        """From now on nothing is synced but by `flush` and `close`, for tools that must know what is sent and when.

        A namespace that is used for the first time after that is not loaded before it is flushed.
        """
        self._scheduler.stop()

    # -- process -------------------------------------------------------------------------------------------

    def after_fork_in_child(self) -> None:
        """Begin anew: the parent's threads, client and pending ops stay the parent's."""
        # Not closed and not collected: closing could reach into what the parent uses.
        self._inherited += [self._store, self._scheduler]
        self._store = None
        self._start_threads()
        # Namespaces wake up when they are used here.
        self._dormant.update(self._syncers | self._closing)
        self._syncers, self._closing = {}, {}
        for syncer in self._dormant.values():
            syncer.reset_threads()
            with syncer.replica.state.lock:
                syncer.replica.forget_pending()


def _sync_spool(namespace: str, spool: Spool) -> float:
    try:
        spool.sync()
    except SpoolError as error:
        _log.warning("namespace %r: %s", namespace, error)
        return _SPOOL_TROUBLE_SECONDS
    return _SPOOL_SYNC_SECONDS
