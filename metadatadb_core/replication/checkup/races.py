"""Do conditional puts hold when several writers come at once? All exactly-once rests on that."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from metadatadb_core.replication.checkup.finding import Finding, Verdict
from metadatadb_core.replication.checkup.trial import Trial
from metadatadb_core.replication.object_store import ABSENT, Absent, Version
from metadatadb_core.replication.outcomes import OutcomeUnknown, PreconditionFailed, Unavailable

__all__ = ["check_put_if_absent", "check_put_if_match"]

_WRITERS: Final = 8
_ROUNDS: Final = 3
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.05


def check_put_if_absent(name: str, trial: Trial) -> Iterator[Finding]:
    """Of writers that expect no object, one wins."""
    yield _judge(name, [_race(trial, trial.new_key(), ABSENT) for _ in range(_ROUNDS)])


def check_put_if_match(name: str, trial: Trial) -> Iterator[Finding]:
    """Of writers that expect a version, one wins."""
    mistakes = []
    for _ in range(_ROUNDS):
        key = trial.new_key()
        mistakes.append(_race(trial, key, trial.put(key, b"to be replaced")))
    yield _judge(name, mistakes)


def _judge(name: str, mistakes: list[str | None]) -> Finding:
    for mistake in mistakes:
        if mistake is not None:
            return Finding(
                name,
                Verdict.FAIL,
                mistake,
                "concurrent writers would lose updates: use a store, or a version of it, that enforces "
                "conditional writes",
            )
    return Finding(name, Verdict.PASS, f"of {_WRITERS} writers at once exactly one won, {_ROUNDS} times")


def _race(trial: Trial, key: str, expect: Version | Absent) -> str | None:
    """What was wrong with how the store dealt with writers that all expect `expect` at `key`, if anything was."""
    trial.go_on()
    together = threading.Barrier(_WRITERS)

    def write(writer: int) -> bool | None:
        together.wait()
        return _write(trial, key, _body(writer), expect)

    with ThreadPoolExecutor(_WRITERS, "metadatadb-race") as pool:
        won = list(pool.map(write, range(_WRITERS)))
    if won.count(True) > 1:
        return f"{won.count(True)} of {_WRITERS} writers at once were told that theirs is stored, instead of one"
    found = trial.get(key)
    # Where no answer told who won, one of those may have that got none.
    may_have_won = {_body(writer) for writer, result in enumerate(won) if result is (True if True in won else None)}
    if found is None or found.body not in may_have_won:
        return f"of {_WRITERS} writers at once, what is stored is not from the one that was told so"
    return None


def _body(writer: int) -> bytes:
    return b"writer %d" % writer


def _write(trial: Trial, key: str, body: bytes, expect: Version | Absent) -> bool | None:
    """Whether the store said that it is stored; None if it did not say."""
    for _ in range(_ATTEMPTS):
        try:
            trial.store.put(key, body, expect=expect)
        except PreconditionFailed:
            return False
        except OutcomeUnknown:
            return None
        except Unavailable:  # a conflict with another, on S3: surely not applied
            time.sleep(_PAUSE_SECONDS)
        else:
            return True
    return False
