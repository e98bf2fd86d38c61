"""``metadatadb bench``: how fast is a store from here?"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from typing import Final

import click
import msgspec
from rich.console import RenderableType

from metadatadb_core.backend import Backend
from metadatadb_core.cli.benchmark import STRUCTURE, Measurement, measure
from metadatadb_core.cli.failures import Interrupted
from metadatadb_core.cli.options import Seconds, command, json_option, target_argument
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.wording import bytes_text
from metadatadb_core.errors import MetadataDBError
from metadatadb_core.ops import ScalarDelete
from metadatadb_core.replication import ObjectStore, ReplicatedBackend, StoreFailure
from metadatadb_core.replication.lock import lock_key
from metadatadb_core.replication.snapshot import state_key

__all__ = ["bench"]

_SECONDS: Final = 4.0
_REMOVALS: Final = 3
_REMOVAL_SECONDS: Final = 10.0


class _Report(msgspec.Struct):
    store: str
    prefix: str | None
    namespace: str
    measured: Measurement


@command("bench", "metadatadb bench s3://builds", "metadatadb bench --seconds 20 sqlite:///var/lib/app/meta.db --json")
@target_argument()
@click.option(
    "--seconds",
    type=Seconds(min=0, min_open=True, max=3600),
    default=_SECONDS,
    show_default=True,
    help="How long to measure.",
)
@json_option
@pass_session
def bench(session: Session, target: str, seconds: float) -> None:
    """Measure reads, writes and flushes on TARGET, from this machine.

    TARGET is METADATADB_TARGET if it is left out. It is done in a namespace of its own, which is removed afterwards. A
    flush takes 10 writes to the store.
    """
    namespace = f"metadatadb-bench-{secrets.token_hex(8)}"
    report = session.uninterrupted(lambda stop: _bench(session, target, namespace, seconds, stop))
    session.output.result(report, lambda: _render(session.output, report))


def _bench(session: Session, target: str, namespace: str, seconds: float, stop: threading.Event) -> _Report:
    with session.open(target) as opened:
        store, prefix = opened.location, opened.prefix
        try:
            with session.output.progress() as progress:
                bar = progress.add_task("measuring", total=seconds)
                measured = measure(
                    opened.store.namespace(namespace),
                    seconds,
                    stop,
                    lambda over: progress.update(bar, completed=over),
                )
        finally:
            opened.backend.discard_pending(namespace)
            try:
                _remove(opened.backend, namespace)
            except (MetadataDBError, StoreFailure) as error:
                session.output.warn(f"the namespace {namespace} was left behind; remove it when you can: {error}")
    if measured is None:
        raise Interrupted("interrupted; nothing was measured")
    return _Report(store, prefix, namespace, measured)


def _remove(backend: Backend, namespace: str) -> None:
    """Remove what the store holds of `namespace`, of which nothing is pending."""
    if isinstance(backend, ReplicatedBackend):
        prefix = backend.config.prefix
        for key in (state_key(prefix, namespace), lock_key(prefix, namespace)):
            _remove_object(backend.object_store(), key)
    else:
        backend.apply(namespace, ScalarDelete(STRUCTURE))
        backend.flush(namespace, timeout=_REMOVAL_SECONDS)


def _remove_object(store: ObjectStore, key: str) -> None:
    for attempt in range(1, _REMOVALS + 1):
        try:
            found = store.get(key)
            if found is None:
                return
            store.delete(key, expect=found.version)
        except StoreFailure:
            if attempt == _REMOVALS:
                raise


def _render(output: Output, report: _Report) -> Iterator[RenderableType]:
    measured, flushes = report.measured, report.measured.flushes
    latency = flushes.seconds
    yield output.facts(
        [
            ("store", report.store),
            ("prefix", report.prefix or ""),
            ("local writes", f"{measured.writes_per_second:,.0f}/s"),
            ("local reads", f"{measured.reads_per_second:,.0f}/s"),
            ("flushes measured", str(latency.count)),
            ("flush, half within", _time(latency.p50)),
            ("flush, 90% within", _time(latency.p90)),
            ("flush, 99% within", _time(latency.p99)),
            ("flush, longest", _time(latency.max)),
            ("requests per flush", _number(flushes.requests)),
            ("sent per flush", _bytes(flushes.bytes_sent)),
            ("received per flush", _bytes(flushes.bytes_received)),
            ("waits for the lock", "" if flushes.lock_waits is None else str(flushes.lock_waits)),
        ]
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _number(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"


def _bytes(size: float | None) -> str:
    return "" if size is None else bytes_text(round(size))
