"""How often and how long a request is repeated before its round gives up."""

from __future__ import annotations

from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.outcomes import OutcomeUnknown, Unavailable
from metadatadb_core.replication.requests import Get, Put, Steps, Wait

__all__ = ["backoff", "patiently"]

_ATTEMPTS = 4
_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 5.0


def backoff(environment: Environment, failures: int, *, longest: float = _LONGEST_SECONDS) -> float:
    """Seconds to wait after so many failures in a row: exponential, with full jitter.

    Full jitter keeps replicas that failed together from coming back together (Brooker, "Exponential Backoff
    And Jitter", AWS Architecture Blog, 2015).
    """
    return environment.uniform(0, min(longest, _FIRST_SECONDS * 2 ** min(failures, 32)))


def patiently(environment: Environment, request: Get | Put) -> Steps[object]:
    """Repeat `request` while that is safe and may help.

    A request that surely was not applied may be sent again. One whose outcome is unknown may be too if it is
    a get; whether a put was applied, its caller has to find out first.
    """
    for failures in range(1, _ATTEMPTS + 1):
        try:
            return (yield request)
        except Unavailable:
            if failures == _ATTEMPTS:
                raise
        except OutcomeUnknown:
            if failures == _ATTEMPTS or not isinstance(request, Get):
                raise
        yield Wait(backoff(environment, failures))
    raise AssertionError("unreachable")
