"""What a life does until it is killed: it writes, and flushes now and then."""

from __future__ import annotations

import random
import time
from typing import Final, NoReturn

from metadatadb_core import MetadataDBError, Namespace, connect
from tests.crash.account import Account

__all__ = ["NAMESPACE", "live"]

NAMESPACE: Final = "crash"

_LONGEST_PAUSE_SECONDS: Final = 0.004
_FLUSH_CHANCE: Final = 0.1


def live(url: str, life: int, account: Account, seed: int) -> NoReturn:
    """Write to the store at `url` for ever, and keep account."""
    chance = random.Random(seed)
    namespace = connect(url).namespace(NAMESPACE)
    acknowledged = 0
    for count in range(1, 2**63):
        account.note_begun(life, count)
        try:
            _write(namespace, life, count)
        except MetadataDBError:
            pass  # in a mode in which a write waits for the store, which may be down
        else:
            acknowledged += 1
            account.note_acknowledged(life, acknowledged)
        if chance.random() < _FLUSH_CHANCE and _flush(namespace):
            account.note_flushed(life, acknowledged)
        time.sleep(chance.uniform(0, _LONGEST_PAUSE_SECONDS))
    raise AssertionError("unreachable")


def _write(namespace: Namespace, life: int, count: int) -> None:
    with namespace.batch():
        namespace.int("total").add(1)
        namespace.int_map("by-life", int).add(life, 1)
        namespace.list("log").append([life, count])


def _flush(namespace: Namespace) -> bool:
    try:
        namespace.flush(timeout=1.0)
    except MetadataDBError:
        return False
    return True
