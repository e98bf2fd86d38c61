"""One replica of a cluster: it writes until it is told to stop, and says now and then what it sees.

    python -m tests.cluster.replica URL NAME

Prints a JSON line a few times a second. Told once, it writes no more, flushes, and says so; told again, when all have
flushed, it flushes once more, prints its last line, and ends.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from metadatadb_core import MetadataDBError, Namespace, connect

__all__ = ["NAMESPACE", "View"]

NAMESPACE: Final = "cluster"
_WRITE_EVERY_SECONDS: Final = 0.005
_SAY_EVERY_WRITES: Final = 20
_FLUSH_SECONDS: Final = 60.0


class View(msgspec.Struct):
    """What a replica has done, and what it sees.

    Attributes:
        written: its own writes.
        seen: all writes that it sees, by replica.
        log: those in order; only in the last view.
        failures: how many syncs in a row have failed.
        flushed: whether it writes no more, and all that it wrote is in the store.
    """

    written: int
    seen: dict[str, int]
    log: list[str] = []
    failures: int = 0
    flushed: bool = False


def _say(view: View) -> None:
    sys.stdout.write(msgspec.json.encode(view).decode() + "\n")
    sys.stdout.flush()


def _write(namespace: Namespace, name: str, number: int) -> None:
    with namespace.batch():
        namespace.int_map("writes").add(name, 1)
        namespace.list("log").append(f"{name}-{number}")


def _flush(namespace: Namespace) -> None:
    deadline = time.monotonic() + _FLUSH_SECONDS
    while True:
        try:
            return namespace.flush(timeout=max(0.0, deadline - time.monotonic()))
        except MetadataDBError:
            if time.monotonic() >= deadline:
                raise


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    url, name = arguments
    told = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        told.set()

    threading.Thread(target=listen).start()
    with connect(url) as store:
        namespace = store.namespace(NAMESPACE)
        written = 0
        while not told.wait(_WRITE_EVERY_SECONDS):
            written += 1
            _write(namespace, name, written)
            if written % _SAY_EVERY_WRITES == 0:
                seen = namespace.int_map("writes").entries()
                _say(View(written, seen, failures=namespace.status().consecutive_failures))
        _flush(namespace)
        _say(View(written, namespace.int_map("writes").entries(), flushed=True))
        sys.stdin.readline()
        _flush(namespace)
        log = namespace.list("log", str).entries()
        _say(View(written, namespace.int_map("writes").entries(), log, flushed=True))


if __name__ == "__main__":
    main(sys.argv[1:])
