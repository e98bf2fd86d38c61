"""Does this store keep its conditions? Asked once, before the first write.

All exactly-once rests on put-if-absent and put-if-match. Some stores accept the headers and ignore them; on such
a store updates would be lost without a word, so it is refused. One that ignores conditions on deletes is
tolerated: only the release of a lock needs them.
"""

from __future__ import annotations

import logging
from typing import Final

from metadatadb_core.errors import UnsafeStoreError
from metadatadb_core.replication.environment import Environment
from metadatadb_core.replication.object_store import ABSENT, StoredObject, Version
from metadatadb_core.replication.outcomes import PreconditionFailed, Rejected, StoreFailure
from metadatadb_core.replication.patience import patiently
from metadatadb_core.replication.requests import Delete, Get, OutOfTime, Put, Steps

__all__ = ["probe"]

_log = logging.getLogger("metadatadb")

_PUT_IF_ABSENT: Final = "put-if-absent (a put on condition that there is no object)"
_PUT_IF_MATCH: Final = "put-if-match (a put on condition of a version)"


_NOT_IMPLEMENTED: Final = 501


def probe(prefix: str, store: str, environment: Environment) -> Steps[bool]:
    """Try the store's conditions on a key of our own, which is removed afterwards.

    Args:
        prefix: what the key begins with.
        store: the store's name, for errors.
        environment: where the key's id comes from.

    Returns:
        Whether conditions on deletes are enforced too.

    Raises:
        UnsafeStoreError: put-if-absent or put-if-match is not enforced.
        StoreFailure: the store failed, so that nothing can be said.
    """
    key = f"{prefix}.metadata/.probe-{environment.new_id()}"
    try:
        enforced = yield from _try_conditions(key, store, environment)
    except Exception:
        yield from _remove(key, environment)
        raise
    yield from _remove(key, environment)
    if not enforced:
        _log.warning("%s does not enforce conditions on deletes: its locks may be left to expire", store)
    return enforced


def _try_conditions(key: str, store: str, environment: Environment) -> Steps[bool]:
    first = yield from _put(Put(key, b"1", ABSENT), store, _PUT_IF_ABSENT, environment)
    if not (yield from _refuses(Put(key, b"2", ABSENT), environment)):
        raise UnsafeStoreError(store, _PUT_IF_ABSENT)
    yield from _put(Put(key, b"3", first), store, _PUT_IF_MATCH, environment)
    if not (yield from _refuses(Put(key, b"4", first), environment)):
        raise UnsafeStoreError(store, _PUT_IF_MATCH)
    try:
        yield Delete(key, first)
    except PreconditionFailed:
        # Somebody on the way may have repeated a delete that was carried out, and hand on what came of the second.
        return isinstance((yield from patiently(environment, Get(key))), StoredObject)
    return False


def _put(put: Put, store: str, condition: str, environment: Environment) -> Steps[Version]:
    try:
        return Version(str((yield from patiently(environment, put))))
    except Rejected as failure:
        if failure.status == _NOT_IMPLEMENTED:
            raise UnsafeStoreError(store, condition) from failure
        raise


def _refuses(put: Put, environment: Environment) -> Steps[bool]:
    try:
        yield from patiently(environment, put)
    except PreconditionFailed:
        return True
    return False


def _remove(key: str, environment: Environment) -> Steps[None]:
    """Leave nothing behind, as far as that is possible."""
    try:
        left = yield from patiently(environment, Get(key))
        if isinstance(left, StoredObject):
            yield Delete(key, left.version)
    except (StoreFailure, OutOfTime) as failure:
        _log.info("could not remove %s: %s", key, failure)
