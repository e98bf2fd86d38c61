"""``metadatadb status``: how the namespaces of a store stand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import click
import msgspec
from rich.console import RenderableType
from rich.text import Text

from metadatadb_core.cli.failures import Refusal
from metadatadb_core.cli.locks import LockDocument, lock_document, lock_text
from metadatadb_core.cli.options import check_namespace_word, command, json_option, target_option
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.targets import OpenTarget
from metadatadb_core.cli.views import unknown_namespace
from metadatadb_core.cli.wording import bytes_text, name_text, time_text
from metadatadb_core.errors import CorruptStateError, UnsupportedFormatError
from metadatadb_core.replication import ReplicatedBackend
from metadatadb_core.replication.inspection import StoredState, list_namespaces, read_lock, read_state
from metadatadb_core.replication.record import Record

__all__ = ["status"]

_SHOWN_WRITERS: Final = 5


class _Writer(msgspec.Struct):
    id: str
    sequence: int
    commit: int


class _Stored(msgspec.Struct):
    namespace: str
    version: str | None = None
    bytes: int | None = None
    modified: datetime | None = None
    structures: int | None = None
    commits: int | None = None
    floor: int | None = None
    writers: list[_Writer] | None = None
    lock: LockDocument | None = None
    problem: str | None = None


@command("status", "metadatadb status", "metadatadb status jobs --json")
@click.argument("namespace", required=False, callback=check_namespace_word)
@target_option
@json_option
@pass_session
def status(session: Session, namespace: str | None, target: str) -> int:
    """Show how NAMESPACE stands, or every namespace: what is stored, who has written it, and who holds its lock.

    The exit status is 1 if the state of a namespace cannot be read.
    """
    with session.open(target, make=False) as opened:
        if not isinstance(opened.backend, ReplicatedBackend):
            _local_status(session.output, opened, namespace)
            return 0
        backend = opened.backend
        wanted = [namespace]
        if namespace is None:
            wanted = [one.name for one in list_namespaces(backend.object_store(), backend.config.prefix)]
        found = [_stored(backend, name) for name in wanted if name is not None]
        if namespace is not None and found == [_Stored(namespace)]:
            raise unknown_namespace(opened, namespace)
    document = {"store": opened.location, "prefix": opened.prefix, "namespaces": found}
    session.output.result(document, lambda: _render(session.output, opened.name, found))
    return 1 if any(one.problem for one in found) else 0


def _stored(backend: ReplicatedBackend, namespace: str) -> _Stored:
    store, prefix = backend.object_store(), backend.config.prefix
    lock = read_lock(store, prefix, namespace)
    found = _Stored(namespace, lock=None if lock is None else lock_document(lock))
    try:
        state = read_state(store, prefix, namespace)
    except (CorruptStateError, UnsupportedFormatError) as error:
        found.problem = str(error)
    else:
        if state is not None:
            _describe(found, state)
    return found


def _describe(found: _Stored, state: StoredState) -> None:
    found.version, found.bytes, found.modified = state.version, len(state.body), state.modified
    found.structures = len(state.names)
    found.commits, found.floor = state.record.commits, state.record.floor
    found.writers = _writers(state.record)


def _writers(record: Record) -> list[_Writer]:
    """Those who have written, the last first."""
    writers = [_Writer(id, entry.sequence, entry.commit) for id, entry in record.writers.items()]
    return sorted(writers, key=lambda writer: (-writer.commit, writer.id))


def _local_status(output: Output, opened: OpenTarget, namespace: str | None) -> None:
    if namespace is None:
        raise Refusal(f"{opened.name} cannot be listed; name a namespace: metadatadb status NAMESPACE")
    found = opened.store.namespace(namespace)
    found.flush()
    status = found.status()
    document = {
        "store": opened.location,
        "prefix": opened.prefix,
        "namespaces": [{"namespace": namespace, "backend": status}],
    }
    rows = [(name, _local_text(name, value)) for name, value in msgspec.structs.asdict(status).items()]
    output.result(document, lambda: [output.facts(rows)])


def _local_text(name: str, value: object) -> str:
    if name == "last_success" and isinstance(value, float):
        return time_text(datetime.fromtimestamp(value, UTC))
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _render(output: Output, store: str, found: list[_Stored]) -> Iterator[RenderableType]:
    if not found:
        yield f"{store} holds no namespace"
    for number, one in enumerate(found):
        if number:
            yield ""
        yield output.facts(list(_facts(one)))


def _facts(one: _Stored) -> Iterator[tuple[str, str | Text]]:
    yield "namespace", Text(name_text(one.namespace), style="bold cyan")
    if one.problem is not None:
        yield "problem", Text(one.problem, style="red")
    elif one.version is None:
        yield "state", "nothing is stored"
    else:
        yield "version", one.version
        yield "size", bytes_text(one.bytes)
        yield "structures", str(one.structures)
        yield "written", time_text(one.modified)
        yield "commits", str(one.commits)
    if one.writers is not None:
        yield from _writer_facts(one.writers, one.floor or 0)
    yield "lock", lock_text(one.lock)


def _writer_facts(writers: list[_Writer], floor: int) -> Iterator[tuple[str, str]]:
    if not writers:
        yield "writers", "none recorded: only replicas of the original have written"
        return
    forgotten = f", and those silent since commit {floor}, who are forgotten" if floor else ""
    yield "writers", f"{len(writers)}{forgotten}"
    for writer in writers[:_SHOWN_WRITERS]:
        yield "", f"commit {writer.commit}: {writer.id}, its batch {writer.sequence}"
    if len(writers) > _SHOWN_WRITERS:
        yield "", "..."
