"""Syncing one namespace: who runs a round, when it is repeated, and what is told of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, final

from metadatadb_core.backend import Status
from metadatadb_core.errors import BackendUnavailableError, FlushTimeoutError, MetadataDBError
from metadatadb_core.events import SyncFinished, emit
from metadatadb_core.replication.driver import Driver, Traffic
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.layout import Layout
from metadatadb_core.replication.object_store import ObjectStore
from metadatadb_core.replication.outcomes import Denied, OutcomeUnknown, PreconditionFailed, StoreFailure, Unavailable
from metadatadb_core.replication.patience import backoff
from metadatadb_core.replication.replica import Replica
from metadatadb_core.replication.requests import OutOfTime

__all__ = ["Syncer"]

_log = logging.getLogger("metadatadb")

_WARN_EVERY_SECONDS: Final = 60.0

_PASSING: Final = (Unavailable, OutcomeUnknown, PreconditionFailed, OutOfTime)
"""What a round may fail with that another one may not."""


@final
class Syncer:
    """Runs rounds for a replica, one at a time.

    Args:
        replica: the replica.
        layout: how its namespace lies in the store.
        backend: the store's name, for events and errors.
        open_store: the store to use; may raise a `StoreFailure`.
        before_write: called with a driver before each round that writes.
        environment: clocks and chance.
        patience: seconds for which a flush without a time-out of its own keeps trying.
        traffic: what the round that runs has sent; shared with the lock.
    """

    def __init__(
        self,
        replica: Replica,
        layout: Layout,
        *,
        backend: str,
        open_store: Callable[[], ObjectStore],
        before_write: Callable[[Driver], object],
        environment: Environment,
        patience: float,
        traffic: Traffic,
    ) -> None:
        self.replica = replica
        self._layout = layout
        self._backend = backend
        self._open_store = open_store
        self._before_write = before_write
        self._environment = environment
        self._patience = patience
        self._traffic = traffic
        self._served = 0
        self._last_success: float | None = None
        self._last_error: str | None = None
        self._failures = 0
        self._warned = -_WARN_EVERY_SECONDS
        self.reset_threads()

    def reset_threads(self) -> None:
        """Start over with what belongs to threads: none of them lives on in a forked child."""
        self._turn = threading.Lock()
        self._runner: int | None = None
        self.settled = threading.Event()

    # -- flush ---------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None) -> None:
        """See `Backend.flush`.

        Raises:
            RuntimeError: this thread is in a round already.
        """
        self._refuse_own_round()
        now = self._environment.monotonic
        ticket = self.replica.request()
        limit = self._patience if timeout is None else timeout
        deadline = now() + limit
        failures = 0
        failure: Exception | None = None
        while True:
            # Callers share rounds: whoever waited here while a round began to read after its call is served.
            if not self._turn.acquire(timeout=max(0.0, deadline - now())):
                raise self._gave_up(timeout, limit, failure)
            try:
                if self._served >= ticket:
                    return
                try:
                    self._round(lambda seconds: _sleep_until(deadline, seconds, now))
                except _PASSING as error:
                    failure = error
                else:
                    return
            finally:
                self._turn.release()
            failures += 1
            seconds = backoff(self._environment, failures)
            if now() + seconds >= deadline:
                raise self._gave_up(timeout, limit, failure)
            time.sleep(seconds)

    def _gave_up(self, timeout: float | None, limit: float, failure: Exception | None) -> MetadataDBError:
        cause = failure.__cause__ if isinstance(failure, OutOfTime) else failure
        if timeout is None and isinstance(cause, StoreFailure):
            return self._unavailable(cause)
        return FlushTimeoutError(self.replica.namespace, timeout=limit, pending=self.replica.pending, cause=cause)

    def _unavailable(self, failure: StoreFailure) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"namespace {self.replica.namespace!r}: {self._backend} {_verb(failure)}: {failure}; "
            f"{self.replica.pending} ops remain queued and visible, do not apply them again",
            namespace=self.replica.namespace,
            cause=failure,
            denied=isinstance(failure, Denied),
        )

    # -- in the background ---------------------------------------------------------------------------------

    def sync(self, deadline: float, stop: threading.Event) -> int:
        """One round, unless another is running; failures are logged and counted.

        Args:
            deadline: when to give up, on the monotonic clock.
            stop: ends waits early.

        Returns:
            How many rounds have failed in a row.
        """
        if not self._turn.acquire(blocking=False):
            return self._failures

        def pause(seconds: float) -> bool:
            return self._environment.monotonic() + seconds < deadline and not stop.wait(seconds)

        try:
            self._round(pause)
        except (MetadataDBError, StoreFailure, OutOfTime) as failure:
            self._warn(str(failure))
        except Exception as error:
            self._warn(f"unexpected {type(error).__name__}: {error}", error)
        finally:
            self._turn.release()
        return self._failures

    def _warn(self, reason: str, unexpected: Exception | None = None) -> None:
        now = self._environment.monotonic()
        level = logging.DEBUG
        if now - self._warned >= _WARN_EVERY_SECONDS:
            self._warned, level = now, logging.WARNING
        _log.log(
            level,
            "sync of namespace %r with %s failed (%d in a row; %d ops pending): %s",
            self.replica.namespace,
            self._backend,
            self._failures,
            self.replica.pending,
            reason,
            exc_info=unexpected,
        )

    # -- rounds --------------------------------------------------------------------------------------------

    def _round(self, pause: Callable[[float], bool]) -> None:
        """Have the replica and the store meet once. The caller holds the turn."""
        self._runner = threading.get_ident()
        try:
            self._meet(pause)
        finally:
            self._runner = None

    def _meet(self, pause: Callable[[float], bool]) -> None:
        environment, replica = self._environment, self.replica
        started, clock = environment.wall(), environment.monotonic()
        self._traffic.restart()
        pending = replica.begin()
        error: BaseException | None = None
        try:
            driver = Driver(self._open_store(), pause, self._traffic)
            if replica.version is None or not pending:
                # Loading is not to wait for a lock, nor to need a store that can be written.
                driver.run(self._layout.refresh(replica))
                self.settled.set()
            if pending:
                self._before_write(driver)
                driver.run(self._layout.commit(replica))
        except _PASSING as failure:
            error = failure
            raise
        except StoreFailure as failure:
            error = self._unavailable(failure)
            self.settled.set()
            raise error from failure
        except BaseException as failure:  # whatever it is, the round did not do what it was for
            error = failure
            self.settled.set()
            raise
        else:
            self._served = replica.serving
            self.settled.set()
        finally:
            self._note(error)
            emit(
                SyncFinished(
                    backend=self._backend,
                    namespace=replica.namespace,
                    kind="write" if pending else "read",
                    outcome="ok" if error is None else "failed",
                    started=started,
                    duration=environment.monotonic() - clock,
                    ops=replica.made_durable,
                    requests=self._traffic.requests,
                    bytes_sent=self._traffic.bytes_sent,
                    bytes_received=self._traffic.bytes_received,
                    lock_waits=self._traffic.lock_waits,
                    reset=replica.reset,
                    error=error,
                )
            )

    def _note(self, error: BaseException | None) -> None:
        if error is None:
            self._last_success = self._environment.wall()
            self._last_error = None
            self._failures = 0
        else:
            self._last_error = str(error) or type(error).__name__
            self._failures += 1

    def status(self) -> Status:
        """See `Backend.status`."""
        return Status(
            last_success=self._last_success,
            last_error=self._last_error,
            consecutive_failures=self._failures,
            **self.replica.describe(),
        )

    def exclusively(self) -> threading.Lock:
        """Held while a round runs.

        Raises:
            RuntimeError: this thread is in one.
        """
        self._refuse_own_round()
        return self._turn

    def _refuse_own_round(self) -> None:
        if self._runner == threading.get_ident():
            raise RuntimeError(
                f"namespace {self.replica.namespace!r}: an observer or a signal handler has called flush, discard or "
                f"close within a sync of that namespace, and would wait for itself; have another thread do it"
            )


def _sleep_until(deadline: float, seconds: float, now: Callable[[], float]) -> bool:
    if now() + seconds >= deadline:
        return False
    time.sleep(seconds)
    return True


def _verb(failure: StoreFailure) -> str:
    return "denies access" if isinstance(failure, Denied) else "cannot be used"
