"""How a request to an object store can end, other than well.

A store sorts each failure into exactly one of these, and never guesses between them: the engine does the
right thing for each, and none of them is right for another.
"""

from __future__ import annotations

from typing import final

from metadatadb_core.wording import without_credentials

__all__ = [
    "Denied",
    "NotModified",
    "OutcomeUnknown",
    "PreconditionFailed",
    "Rejected",
    "StoreFailure",
    "Unavailable",
]


class StoreFailure(Exception):
    """A request to an object store failed.

    Attributes:
        reason: what happened, in words for an operator; credentials in the URLs that it names are left out.
        status: the HTTP status, or None where there is none.
    """

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        self.reason = without_credentials(reason)
        self.status = status
        super().__init__(self.reason)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.reason, self.status)


def _rebuild(kind: type[StoreFailure], reason: str, status: int | None) -> StoreFailure:
    return kind(reason, status=status)


@final
class NotModified(StoreFailure):
    """A get found the object still at the version the caller has: no body was sent."""


@final
class PreconditionFailed(StoreFailure):
    """The object is not at the expected version. Not applied.

    Typically 412, or 404 NoSuchKey for a put that expects a version.
    """


@final
class Unavailable(StoreFailure):
    """Surely not applied; try the same again, later.

    Typically 429, a 409 conflict, a 503 with the store's own error code, or a request that was never sent.
    """


@final
class OutcomeUnknown(StoreFailure):
    """Perhaps applied: nobody can tell from the answer, or there was none.

    Typically a time-out, a reset, a truncated body, a 5xx, or a 503 from who knows where.
    """


@final
class Denied(StoreFailure):
    """Not applied, and useless to repeat until someone acts on permissions or credentials.

    Typically 401 and 403. S3 also answers 403 for a missing key where ListBucket is not allowed.
    """


@final
class Rejected(StoreFailure):
    """Not applied, and useless to repeat: the request itself is not acceptable.

    Typically other 4xx, 413 (too large), 501 (not implemented) and a bucket that does not exist.
    """
