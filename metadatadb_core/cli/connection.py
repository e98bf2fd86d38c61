"""Whether a target can be opened at all, told as findings: what is wrong decides which of them fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from metadatadb_core.config import BackendConfig
from metadatadb_core.registry import Registry
from metadatadb_core.replication.checkup import Finding, Verdict
from metadatadb_core.replication.outcomes import Denied, Rejected
from metadatadb_core.targets import read_target

__all__ = ["connected", "not_connected", "read_configuration"]

_CONNECTION: Final = "connection"
_CREDENTIALS: Final = "credentials"
_BUCKET: Final = "bucket"


def read_configuration(target: str) -> tuple[str, BackendConfig]:
    """The backend that `target` names, and its configuration.

    Raises:
        ConfigError, BackendNotFoundError, PluginError: as `metadatadb_core.connect`.
    """
    registry = Registry()
    name, settings = read_target(target, registry)
    return name, settings.configure(registry.registration(name).config_class, os.environ)


def connected(seconds: float) -> Iterator[Finding]:
    """What is to be said of a store that was opened and has answered.

    Args:
        seconds: how long that took.
    """
    yield Finding(_CONNECTION, Verdict.PASS, f"answered within {seconds * 1000:.3g} ms", None, {"seconds": seconds})
    yield Finding(_CREDENTIALS, Verdict.PASS, "accepted")
    yield Finding(_BUCKET, Verdict.PASS, "is there")


def not_connected(error: Exception) -> Iterator[Finding]:
    """What is to be said of a store that could not be opened.

    Args:
        error: what opening it raised; its attribute `cause`, if any, is what the store said.
    """
    cause = getattr(error, "cause", None)
    reason = str(error)
    answered = getattr(cause, "status", None) is not None
    tried = (
        Finding(_CONNECTION, Verdict.PASS, "answered")
        if answered
        else Finding(_CONNECTION, Verdict.SKIP, "nothing was sent")
    )
    match cause:
        case Denied():
            yield tried
            # What kept anything from being sent is known here, and the reason says what to do about it.
            advice = "see that the credentials are those you mean, and allow them to use the bucket"
            yield Finding(_CREDENTIALS, Verdict.FAIL, reason, advice if answered else None)
            yield Finding(_BUCKET, Verdict.SKIP, "cannot be tried, since credentials failed")
        case Rejected():
            yield tried
            yield Finding(_CREDENTIALS, Verdict.SKIP, "the store did not say")
            advice = "create it, or correct its name in the configuration"
            yield Finding(_BUCKET, Verdict.FAIL, reason, advice if answered else None)
        case _:
            yield Finding(
                _CONNECTION, Verdict.FAIL, reason, "see that the store runs, and that this machine reaches it"
            )
            yield Finding(_CREDENTIALS, Verdict.SKIP, "cannot be tried, since connection failed")
            yield Finding(_BUCKET, Verdict.SKIP, "cannot be tried, since connection failed")
