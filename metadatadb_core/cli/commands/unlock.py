"""``metadatadb unlock``: away with a lock whose holder is gone."""

from __future__ import annotations

import threading
import time
from typing import Final

import click

from metadatadb_core.cli.failures import Interrupted, Refusal
from metadatadb_core.cli.locks import lock_document, lock_text
from metadatadb_core.cli.options import Seconds, command, json_option, namespace_argument, target_option
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.views import unknown_namespace
from metadatadb_core.cli.wording import name_text
from metadatadb_core.replication import OutcomeUnknown, PreconditionFailed, ReplicatedBackend
from metadatadb_core.replication.driver import Driver, Traffic
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.inspection import StoredLock, list_namespaces, read_lock
from metadatadb_core.replication.lock import Lock, lock_key
from metadatadb_core.replication.probe import probe
from metadatadb_core.replication.requests import OutOfTime

__all__ = ["unlock"]

_GRACE_SECONDS: Final = 10.0
_ATTEMPTS: Final = 3


@command("unlock", "metadatadb unlock jobs", "metadatadb unlock jobs --force --yes")
@namespace_argument
@click.option(
    "--timeout",
    type=Seconds(min=0),
    metavar="SECONDS",
    help="How long to wait for the lock; by default until its time to live is certainly over.",
)
@click.option("--force", is_flag=True, help="Remove the lock at once, although its holder may be alive.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask whether --force is meant.")
@target_option
@json_option
@pass_session
def unlock(session: Session, namespace: str, timeout: float | None, force: bool, yes: bool, target: str) -> None:
    """Free the lock of NAMESPACE.

    A lock is taken over as replicas do it: once it has been seen unchanged for its whole time to live, or the
    store's own clock says that it is older than that. So the lock of a living holder is safe.

    With --force this very lock is removed at once. That loses and doubles nothing either, but a living holder may
    have to write again.
    """
    output = session.output
    with session.open(target, make=False) as opened:
        backend = opened.replicated
        lock = read_lock(backend.object_store(), backend.config.prefix, namespace)
        document = {
            "store": opened.location,
            "prefix": opened.prefix,
            "namespace": namespace,
            "lock": None if lock is None else lock_document(lock),
            "forced": force and lock is not None,
        }
        if lock is None:
            if namespace not in [
                found.name for found in list_namespaces(backend.object_store(), backend.config.prefix)
            ]:
                raise unknown_namespace(opened, namespace)
            output.result(document, lambda: [f"{name_text(namespace)}: the lock is free"])
            return
        output.note(f"{name_text(namespace)}: {lock_text(lock_document(lock))}")
        if force:
            if not yes and not output.confirm("Remove this lock?"):
                raise Refusal("nothing was removed")
            _remove(backend, namespace, lock)
        else:
            limit = _patience(backend, lock) if timeout is None else timeout
            session.uninterrupted(
                lambda stop: _take_over(backend, namespace, limit, stop),
                busy=f"waiting for the lock, for at most {limit:g} s",
            )
    output.result(document, lambda: [f"{name_text(namespace)}: the lock is free now"])


def _patience(backend: ReplicatedBackend, lock: StoredLock) -> float:
    return max(backend.config.lock_ttl.seconds, lock.ttl or 0.0) + _GRACE_SECONDS


def _take_over(backend: ReplicatedBackend, namespace: str, limit: float, stop: threading.Event) -> None:
    """Take the lock as a replica that wants to write would, and give it back."""
    config, environment = backend.config, Environment()
    deadline = time.monotonic() + limit

    def pause(seconds: float) -> bool:
        return time.monotonic() + seconds < deadline and not stop.wait(seconds)

    driver = Driver(backend.object_store(), pause, Traffic())
    try:
        driver.run(probe(config.prefix, backend.name, environment))
        lock = Lock(lock_key(config.prefix, namespace), config.lock_ttl.seconds, environment)
        driver.run(lock.release(driver.run(lock.acquire())))
    except OutOfTime:
        if stop.is_set():
            raise Interrupted("interrupted; the lock is as it was") from None
        raise Refusal(
            f"the lock is still held after {limit:g} s: its holder may be alive, or others take it in turn; "
            f"wait longer with --timeout, or remove it with --force"
        ) from None


def _remove(backend: ReplicatedBackend, namespace: str, lock: StoredLock) -> None:
    """Remove exactly that lock."""
    store, config = backend.object_store(), backend.config
    Driver(store, lambda seconds: True, Traffic()).run(probe(config.prefix, backend.name, Environment()))
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            store.delete(lock_key(config.prefix, namespace), expect=lock.version)
        except PreconditionFailed:
            # After an attempt whose outcome is unknown it may have been removed by that: it is gone in any case.
            if attempt == 1:
                raise Refusal("the lock has changed hands meanwhile; nothing was removed") from None
        except OutcomeUnknown:
            if attempt == _ATTEMPTS:
                raise
            continue
        return
