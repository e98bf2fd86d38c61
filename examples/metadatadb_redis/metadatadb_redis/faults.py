"""Which outcome a failure is: a table over what redis-py raises, without any I/O.

Only an answer of the server that is known to mean "not applied" is sorted as that. Each script of the store ends with
its one write, and Redis refuses a write before it begins, so an error that a script is answered with left nothing
behind. What the table does not know (a proxy's own words, say) is OutcomeUnknown: the engine reads again and finds out.
"""

from __future__ import annotations

from typing import Final

from redis import exceptions as sdk

from metadatadb_core.replication import Denied, OutcomeUnknown, Rejected, StoreFailure, Unavailable

__all__ = ["FAILURES", "failed_connection", "failed_request"]

FAILURES: Final = (sdk.RedisError, OSError)
"""What redis-py raises when it fails; anything else is a mistake in a program."""

_Meaning = tuple[type[StoreFailure], str]
"""An outcome, and what an operator can do about it."""

_CREDENTIALS: Final = (Denied, "correct the username and password")
_PERMISSIONS: Final = (
    Denied,
    "allow the user +eval +scan +hget +hmget +hset +hstrlen +del +exists +type +time, on the keys of the prefix",
)
_CLUSTER: Final = "this is a node of a Redis Cluster, which is not supported: use a server of its own"

_BY_CLASS: Final[dict[type[Exception], _Meaning]] = {
    sdk.AuthenticationError: _CREDENTIALS,
    sdk.AuthenticationWrongNumberOfArgsError: _CREDENTIALS,
    sdk.AuthorizationError: _CREDENTIALS,
    sdk.NoPermissionError: _PERMISSIONS,
    sdk.BusyLoadingError: (Unavailable, "the server has just started"),
    sdk.ReadOnlyError: (Unavailable, "this is a replica, perhaps since a failover: name the primary as the host"),
    sdk.OutOfMemoryError: (Unavailable, "the server has reached its maxmemory: give it more, or remove keys"),
    sdk.MasterDownError: (Unavailable, "this is a replica that has lost its primary"),
    sdk.ClusterDownError: (Unavailable, _CLUSTER),
    sdk.TryAgainError: (Unavailable, _CLUSTER),
    sdk.ClusterCrossSlotError: (Rejected, _CLUSTER),
    sdk.AskError: (Rejected, _CLUSTER),  # and MovedError, which derives from it
}

_BY_TEXT: Final[dict[str, _Meaning]] = {
    "ACL failure in script": _PERMISSIONS,
    "BUSY ": (Unavailable, "the server is running somebody's script"),
    "DENIED ": (Denied, "the server is in protected mode: set a password, or let it listen on this network"),
    "MISCONF ": (Unavailable, "the server cannot save its data: see its log, and make room on its disk"),
    "NOREPLICAS ": (Unavailable, "the server has fewer replicas than its min-replicas-to-write"),
    "The user executing the script can't": _PERMISSIONS,
    "WRONGTYPE ": (Rejected, "something else is stored at this key: set another prefix or database"),
    "unknown command": (Rejected, "use Redis or Valkey, version 7 or newer"),
}
"""Answers that redis-py has no class for, by how they begin."""


def failed_connection(error: Exception) -> StoreFailure:
    """The outcome of a request that could not be sent, for want of a connection."""
    answer = _answer(error)
    if answer is None and isinstance(error, sdk.ResponseError):  # SELECT: no such database
        return Rejected(_describe(error))
    return answer or Unavailable(_describe(error))


def failed_request(error: Exception) -> StoreFailure:
    """The outcome of a request that was sent, or begun to be sent."""
    return _answer(error) or OutcomeUnknown(_describe(error))


def _answer(error: Exception) -> StoreFailure | None:
    """What the server's answer means, if it is one that is known."""
    meaning = next((_BY_CLASS[kind] for kind in type(error).__mro__ if kind in _BY_CLASS), None)
    if meaning is None and isinstance(error, sdk.ResponseError):
        meaning = next((known for text, known in _BY_TEXT.items() if str(error).startswith(text)), None)
    if meaning is None:
        return None
    outcome, advice = meaning
    return outcome(f"{_describe(error)}; {advice}")


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
