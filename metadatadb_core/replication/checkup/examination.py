"""Running the checks: those that can be run, and in any case away with what they wrote."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from metadatadb_core.replication.checkup.checks import CHECKS, Check
from metadatadb_core.replication.checkup.finding import Finding, Verdict, worst
from metadatadb_core.replication.checkup.trial import Trial
from metadatadb_core.replication.config import ReplicationConfig
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.object_store import ObjectStore
from metadatadb_core.replication.outcomes import Denied, StoreFailure
from metadatadb_core.replication.requests import OutOfTime

__all__ = ["examine", "skip_all"]

_CLEANUP = "cleanup"


def examine(
    store: ObjectStore, config: ReplicationConfig, environment: Environment, stop: threading.Event
) -> Iterator[Finding]:
    """What the checks find, as they go on.

    Args:
        store: the store.
        config: how it would be used.
        environment: clocks and ids.
        stop: set when the rest is to be left out; what was written is removed all the same.
    """
    trial = Trial(store, config, environment, stop)
    try:
        yield from _findings(trial)
    finally:
        left = trial.remove_all()
    yield _cleanup(left)


def skip_all(reason: str) -> Iterator[Finding]:
    """What is to be said of each check if none can be run."""
    for check in CHECKS:
        yield Finding(check.name, Verdict.SKIP, reason)


def _findings(trial: Trial) -> Iterator[Finding]:
    verdicts: dict[str, Verdict] = {}
    for check in CHECKS:
        if trial.stop.is_set():
            return
        found: list[Finding] = []
        for finding in _run(check, trial, verdicts):
            found.append(finding)
            yield finding
        verdicts[check.name] = worst(found)


def _run(check: Check, trial: Trial, verdicts: dict[str, Verdict]) -> Iterator[Finding]:
    for need in check.needs:
        if verdicts[need] is Verdict.FAIL:
            yield Finding(check.name, Verdict.SKIP, f"cannot be tried, since {need} failed")
            return
        if verdicts[need] is Verdict.SKIP:
            yield Finding(check.name, Verdict.SKIP, f"cannot be tried, since {need} was skipped")
            return
    try:
        yield from check.run(check.name, trial)
    except StoreFailure as failure:
        # Where no server has denied it, no credentials are to blame: the failure says what is.
        denied = isinstance(failure, Denied) and failure.status is not None
        yield Finding(check.name, Verdict.FAIL, str(failure), check.advice if denied else None)
    except OutOfTime:
        return


def _cleanup(left: list[str]) -> Finding:
    if left:
        advice = "remove them when you can; they are private, and nothing reads them"
        return Finding(_CLEANUP, Verdict.WARN, f"could not be removed: {', '.join(left)}", advice)
    return Finding(_CLEANUP, Verdict.PASS, "nothing was left behind")
