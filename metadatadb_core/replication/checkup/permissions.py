"""Is each request allowed, and does it do what it says?"""

from __future__ import annotations

from collections.abc import Iterator

from metadatadb_core.replication.checkup.finding import Finding, Verdict
from metadatadb_core.replication.checkup.trial import Trial
from metadatadb_core.replication.object_store import Version
from metadatadb_core.replication.outcomes import OutcomeUnknown, PreconditionFailed

__all__ = [
    "check_conditional_delete",
    "check_delete",
    "check_get",
    "check_list",
    "check_list_after_write",
    "check_put",
    "check_read_after_write",
]

_NOT_CONSISTENT = "use a store that shows every write at once, with no cache between it and here"


def check_get(name: str, trial: Trial) -> Iterator[Finding]:
    """Objects can be read, and one that is not there is told from one that is denied."""
    if trial.get(trial.start) is None:
        yield Finding(name, Verdict.PASS, "allowed")
    else:
        yield Finding(name, Verdict.FAIL, "there is an object where nobody can have put one", _NOT_CONSISTENT)


def check_list(name: str, trial: Trial) -> Iterator[Finding]:
    """Objects can be listed."""
    found = len(trial.namespaces())
    yield Finding(name, Verdict.PASS, f"allowed; {found} namespace{'' if found == 1 else 's'}")


def check_put(name: str, trial: Trial) -> Iterator[Finding]:
    """Objects can be written."""
    trial.put(trial.new_key(), b"put")
    yield Finding(name, Verdict.PASS, "allowed")


def check_read_after_write(name: str, trial: Trial) -> Iterator[Finding]:
    """What was written is read at once, also in place of something else."""
    key = trial.new_key()
    version = trial.put(key, b"first")
    fresh = _is_at(trial, key, version, b"first")
    version = trial.put(key, b"second", version)
    if fresh and _is_at(trial, key, version, b"second"):
        yield Finding(name, Verdict.PASS, "what was written is read at once")
    else:
        yield Finding(name, Verdict.FAIL, "what was written is not what is read right after", _NOT_CONSISTENT)


def _is_at(trial: Trial, key: str, version: Version, body: bytes) -> bool:
    found = trial.get(key)
    return found is not None and (found.version, found.body) == (version, body)


def check_list_after_write(name: str, trial: Trial) -> Iterator[Finding]:
    """What was written is listed at once."""
    key = trial.new_key()
    version = trial.put(key, b"listed")
    if (key, version) in [(info.key, info.version) for info in trial.store.list(key)]:
        yield Finding(name, Verdict.PASS, "what was written is listed at once")
    else:
        yield Finding(name, Verdict.FAIL, "what was written is not listed right after", _NOT_CONSISTENT)


def check_delete(name: str, trial: Trial) -> Iterator[Finding]:
    """Objects can be removed."""
    key = trial.new_key()
    version = trial.put(key, b"delete")
    try:
        trial.store.delete(key, expect=version)
    except OutcomeUnknown:
        if trial.get(key) is not None:
            raise
    if trial.get(key) is None:
        yield Finding(name, Verdict.PASS, "allowed")
    else:
        yield Finding(name, Verdict.FAIL, "what was removed is still read", _NOT_CONSISTENT)


def check_conditional_delete(name: str, trial: Trial) -> Iterator[Finding]:
    """A delete on condition of a version leaves another version alone."""
    key, other = trial.new_key(), trial.new_key()
    trial.put(key, b"keep")
    version_of_other = trial.put(other, b"other")
    try:
        trial.store.delete(key, expect=version_of_other)
    except PreconditionFailed:
        # As the probe of a backend sees it: a delete that was repeated on the way can be refused, and done.
        enforced = trial.get(key) is not None
    else:
        enforced = False
    if enforced:
        yield Finding(name, Verdict.PASS, "enforced")
    else:
        yield Finding(
            name,
            Verdict.WARN,
            "the store does not enforce conditions on deletes",
            "it can be used: a lock is then released within half of its lock-ttl, or left to expire; a longer "
            "lock-ttl makes that rare",
        )
