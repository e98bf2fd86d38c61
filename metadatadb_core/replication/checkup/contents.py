"""What lies in the store already: can all of it be used, and is all of it of use?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from metadatadb_core.errors import CorruptStateError, UnsupportedFormatError
from metadatadb_core.replication.checkup.finding import Finding, Verdict
from metadatadb_core.replication.checkup.trial import Trial
from metadatadb_core.replication.inspection import StoredLock, read_lock, read_state

__all__ = ["check_journals", "check_leftovers", "check_locks", "check_states"]

_TRIALS: Final = (".doctor-", ".probe-")
"""What the private keys begin with under which a store is tried, here or before a replica's first write."""
_OLD: Final = timedelta(hours=1)
"""No trial takes so long, also where the store's clock is a little off."""
_NAMED: Final = 10


def check_locks(name: str, trial: Trial) -> Iterator[Finding]:
    """No lock was left by a holder that is gone."""
    sound = True
    for found in trial.namespaces():
        trial.go_on()
        lock = read_lock(trial.store, trial.config.prefix, found.name) if found.lock is not None else None
        if lock is not None:
            sound = False
            yield _lock_finding(name, trial, found.name, lock)
    if sound:
        yield Finding(name, Verdict.PASS, "none is left over")


def _lock_finding(name: str, trial: Trial, namespace: str, lock: StoredLock) -> Finding:
    ttl = max(trial.config.lock_ttl.seconds, lock.ttl or 0.0)
    age = "of unknown age" if lock.age is None else f"{lock.age:.0f} s old"
    detail = f"{_named(namespace)} has one, {age}, with a TTL of {ttl:g} s"
    if lock.age is not None and lock.age > ttl:
        return Finding(
            name,
            Verdict.WARN,
            detail,
            f"its holder is gone: the next writer takes it over, or metadatadb unlock {namespace or repr(namespace)}",
        )
    return Finding(name, Verdict.PASS, f"{detail}: a flush may be under way")


def check_states(name: str, trial: Trial) -> Iterator[Finding]:
    """The state of every namespace can be read."""
    sound = size = 0
    for found in trial.namespaces():
        if found.state is None:
            continue
        trial.go_on()
        try:
            read_state(trial.store, trial.config.prefix, found.name)
        except (CorruptStateError, UnsupportedFormatError) as error:
            yield Finding(name, Verdict.FAIL, f"{_named(found.name)}: {error.reason}", _remedy(error))
        else:
            sound += 1
            size += found.state.size
    yield Finding(name, Verdict.PASS, f"{sound} can be read, {size} bytes")


def _remedy(error: CorruptStateError | UnsupportedFormatError) -> str:
    if isinstance(error, CorruptStateError):
        return f"restore {error.key} from a backup, or remove it to start empty; until then nothing is written to it"
    return "upgrade metadatadb-core here, or restore the state from a backup"


def check_journals(name: str, trial: Trial) -> Iterator[Finding]:
    """No namespace is kept in a design that this version does not speak."""
    kept = [_named(found.name) for found in trial.namespaces() if found.journal]
    if kept:
        yield Finding(
            name,
            Verdict.WARN,
            f"kept in the original's journal design, and refused here: {', '.join(kept)}",
            "use other namespaces, or another prefix",
        )
    else:
        yield Finding(name, Verdict.PASS, "no namespace is kept in the original's journal design")


def check_leftovers(name: str, trial: Trial) -> Iterator[Finding]:
    """No trial was killed before it had removed what it wrote."""
    before = datetime.fromtimestamp(trial.environment.wall(), UTC) - _OLD
    left = []
    for start in _TRIALS:
        for info in trial.store.list(f"{trial.config.prefix}.metadata/{start}"):
            old = info.modified is not None and info.modified < before
            if old and not info.key.startswith(trial.start):  # however far behind the store's clock is
                left.append(info.key)
    if left:
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        yield Finding(
            name,
            Verdict.WARN,
            f"left by trials of the store that were killed: {', '.join(left[:_NAMED])}{more}",
            "remove them when you can; they are private, and nothing reads them",
        )
    else:
        yield Finding(name, Verdict.PASS, "no killed trial has left anything")


def _named(namespace: str) -> str:
    return namespace or "the root namespace"
