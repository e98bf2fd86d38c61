"""An object store in memory, whose requests fail, get lost or arrive late as they are told to.

::

    bucket = Bucket()
    store = MemoryObjectStore(bucket)                     # one client; make as many as there are replicas
    store.faults.append(Fault(on="put", key="*.json", when="after", outcome=FAILURES["time-out"]))

The next put of a key that ends in ``.json`` is applied, and its answer is lost.
"""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias, TypeVar, final

from metadatadb_core.replication.object_store import Absent, ObjectInfo, StoredObject, Version
from metadatadb_core.replication.outcomes import (
    Denied,
    OutcomeUnknown,
    PreconditionFailed,
    Rejected,
    StoreFailure,
    Unavailable,
)
from metadatadb_core.testing.bucket import Bucket, etag, random_version

__all__ = ["FAILURES", "Bucket", "Delay", "Fault", "Hold", "MemoryObjectStore", "Request", "etag", "random_version"]

T = TypeVar("T")

Method: TypeAlias = Literal["get", "put", "delete", "list"]

HOLD_TIMEOUT = 60.0
"""Seconds after which a request that is held, and never let go, fails its test."""

FAILURES: Final[Mapping[str, StoreFailure]] = {
    "never sent": Unavailable("connection refused"),
    "409": Unavailable("a conflicting conditional operation is in progress", status=409),
    "429": Unavailable("too many requests", status=429),
    "503": Unavailable("the store asks to slow down", status=503),
    "time-out": OutcomeUnknown("no answer in time"),
    "reset": OutcomeUnknown("connection reset by peer"),
    "truncated body": OutcomeUnknown("the body ended early"),
    "500": OutcomeUnknown("internal error", status=500),
    "503 of a proxy": OutcomeUnknown("service unavailable, from who knows where", status=503),
    "412": PreconditionFailed("the object is not at the expected version", status=412),
    "403": Denied("access denied", status=403),
    "413": Rejected("entity too large", status=413),
    "501": Rejected("not implemented", status=501),
}
"""The failures that object stores are known for, each as the outcome it has to be sorted into."""


_NEVER_AFTER = (Unavailable, Denied, Rejected)


@dataclass
class Fault:
    """The next requests that match fail.

    Attributes:
        on: the kind of request.
        outcome: what is raised, a new copy each time.
        when: whether the request fails before the store applied it, or after: then only its answer is lost.
        key: the key, or a pattern with ``*``; for a list, its prefix.
        times: how many requests fail; None is all of them.
    """

    on: Method
    outcome: StoreFailure
    when: Literal["before", "after"] = "before"
    key: str = "*"
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.when == "after" and self.on in ("put", "delete") and isinstance(self.outcome, _NEVER_AFTER):
            raise ValueError(
                f"{type(self.outcome).__name__} says that nothing was applied: no store raises it after the {self.on}"
            )


@dataclass
class Delay:
    """The next writes that match are under way for a long time.

    Their sender sees `outcome`; they arrive when `MemoryObjectStore.land` is called, and their condition is
    evaluated then.
    """

    on: Literal["put", "delete"] = "put"
    outcome: StoreFailure = FAILURES["time-out"]
    key: str = "*"
    times: int | None = 1


@dataclass
class Hold:
    """The next requests that match wait, before or after they are applied, until `resume` is set.

    Attributes:
        reached: set once a request waits.
    """

    on: Method
    when: Literal["before", "after"] = "before"
    key: str = "*"
    times: int | None = 1
    reached: threading.Event = field(default_factory=threading.Event)
    resume: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Wait for ``resume``, here on behalf of a request."""
        self.reached.set()
        if not self.resume.wait(HOLD_TIMEOUT):
            raise AssertionError(f"a held {self.on} was not let go within {HOLD_TIMEOUT:g}s")


@dataclass(frozen=True)
class Request:
    """A request that was made.

    Attributes:
        method, key: what it was; for a list the prefix.
        sent, received: bytes of the body.
        failure: what kind of failure the client saw, or None.
    """

    method: Method
    key: str
    sent: int = 0
    received: int = 0
    failure: type[StoreFailure] | None = None


@final
class MemoryObjectStore:
    """One client of a `Bucket`, with faults of its own and a record of what it asked for.

    Args:
        bucket: the storage; None is a new one.

    Attributes:
        bucket: the storage.
        faults: what is to go wrong; the first that matches a request applies to it, and leaves the list when it
            has applied as often as it should.
        log: the requests that were answered or failed, in that order.
    """

    def __init__(self, bucket: Bucket | None = None) -> None:
        self.bucket = Bucket() if bucket is None else bucket
        self.faults: list[Fault | Delay | Hold] = []
        self.log: list[Request] = []
        self._delayed: list[Callable[[], object]] = []
        self._closed = False
        self._lock = threading.Lock()

    @property
    def counts(self) -> Counter[Method]:
        """How many requests of each kind were made."""
        return Counter(request.method for request in list(self.log))

    @property
    def bytes_sent(self) -> int:
        """Bytes of all bodies that were put."""
        return sum(request.sent for request in list(self.log))

    @property
    def bytes_received(self) -> int:
        """Bytes of all bodies that were got."""
        return sum(request.received for request in list(self.log))

    def land(self) -> list[StoreFailure | None]:
        """Let delayed writes arrive, in the order they were sent; the failure of each, or None if it was applied."""
        with self._lock:
            arriving, self._delayed = self._delayed, []
        failures: list[StoreFailure | None] = []
        for write in arriving:
            try:
                write()
            except StoreFailure as failure:
                failures.append(failure)
            else:
                failures.append(None)
        return failures

    def get(self, key: str, *, unless: Version | None = None) -> StoredObject | None:
        """See `ObjectStore.get`."""
        return self._request(
            "get", key, lambda: self.bucket.get(key, unless=unless), lambda found: len(found.body) if found else 0
        )

    def put(
        self,
        key: str,
        body: bytes,
        *,
        expect: Version | Absent,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> Version:
        """See `ObjectStore.put`."""

        def write() -> Version:
            return self.bucket.put(key, body, expect=expect, content_type=content_type, metadata=metadata)

        return self._request("put", key, write, sent=len(body))

    def delete(self, key: str, *, expect: Version) -> None:
        """See `ObjectStore.delete`."""
        self._request("delete", key, lambda: self.bucket.delete(key, expect=expect))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`."""
        return iter(self._request("list", prefix, lambda: [*self.bucket.list(prefix)]))

    def close(self) -> None:
        """Refuse requests from now on; delayed ones still arrive."""
        self._closed = True

    def _request(
        self, method: Method, key: str, act: Callable[[], T], size: Callable[[T], int] = lambda result: 0, sent: int = 0
    ) -> T:
        try:
            result = self._carry_out(method, key, act)
        except StoreFailure as failure:
            self.log.append(Request(method, key, sent, failure=type(failure)))
            raise
        self.log.append(Request(method, key, sent, size(result)))
        return result

    def _carry_out(self, method: Method, key: str, act: Callable[[], T]) -> T:
        if self._closed:
            raise Unavailable("this client was closed; the request was not sent")
        fault = self._next_fault(method, key)
        if fault is None:
            return act()
        if isinstance(fault, Hold):
            return self._hold(fault, act)
        if isinstance(fault, Delay):
            with self._lock:
                self._delayed.append(act)
        elif fault.when == "after":
            with suppress(StoreFailure):  # the store's own refusal is lost on the way as well
                act()
        raise copy.copy(fault.outcome)

    def _hold(self, hold: Hold, act: Callable[[], T]) -> T:
        if hold.when == "before":
            hold.wait()
            return act()
        result = act()
        hold.wait()
        return result

    def _next_fault(self, method: Method, key: str) -> Fault | Delay | Hold | None:
        with self._lock:
            for fault in self.faults:
                if fault.on == method and fnmatchcase(key, fault.key):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self.faults.remove(fault)
                    return fault
        return None
