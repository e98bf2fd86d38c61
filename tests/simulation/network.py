"""What can become of a request on its way, before and after the store applied it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, final

from metadatadb_core.replication.outcomes import (
    Denied,
    OutcomeUnknown,
    PreconditionFailed,
    StoreFailure,
    Unavailable,
)

__all__ = ["FAULTS", "PARTITIONED", "Fault"]


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """A way for a request to fail.

    Attributes:
        words: how histories tell it.
        applied: whether the store applies a write: never, before the answer is lost, at some later time, or now
            and then once more.
        fail: the outcome the replica gets.
    """

    words: str
    applied: Literal["never", "now", "later", "twice"]
    fail: Callable[[], StoreFailure]


FAULTS: Final[dict[str, Fault]] = {
    "429": Fault("is refused with 429", "never", lambda: Unavailable("too many requests", status=429)),
    "409": Fault("is refused with 409", "never", lambda: Unavailable("conflicting operation", status=409)),
    "503": Fault("is refused with 503", "never", lambda: Unavailable("slow down", status=503)),
    "403": Fault("is refused with 403", "never", lambda: Denied("access denied", status=403)),
    "500 before": Fault("is not applied, and answered with 500", "never", lambda: OutcomeUnknown("500", status=500)),
    "500 after": Fault("is applied, and answered with 500", "now", lambda: OutcomeUnknown("500", status=500)),
    "lost request": Fault("is lost on its way", "never", lambda: OutcomeUnknown("timed out")),
    "lost response": Fault("is applied, and its answer is lost", "now", lambda: OutcomeUnknown("timed out")),
    "412 for own success": Fault(
        "is applied, and repeated by somebody on its way, who hands on the 412",
        "now",
        lambda: PreconditionFailed("412", status=412),
    ),
    "late": Fault("is under way for so long that its sender gives up", "later", lambda: OutcomeUnknown("timed out")),
    "twice": Fault("arrives, its answer is lost, and it will arrive again", "twice", lambda: OutcomeUnknown("reset")),
    "truncated body": Fault("is applied, and the answer ends early", "now", lambda: OutcomeUnknown("truncated")),
}
"""By name. A get that meets one that tells of writes gets no answer."""

PARTITIONED: Final = (
    Fault("does not get through the partition", "never", lambda: Unavailable("connection refused")),
    Fault("is lost in the partition", "never", lambda: OutcomeUnknown("timed out")),
    Fault("is applied, and its answer is lost in the partition", "now", lambda: OutcomeUnknown("timed out")),
)
