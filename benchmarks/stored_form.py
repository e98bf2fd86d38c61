"""The stored form of a namespace, against bare msgspec on an object that is in that form already."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from benchmarks.harness import Comparison, compare, whole
from metadatadb_core.ops import MapSet
from metadatadb_core.state import NamespaceState

KEYS = 100_000


def comparisons() -> Iterator[Comparison]:
    state = NamespaceState()
    for number in range(KEYS):
        state.apply(MapSet("etags", f"repositories/{number:06}", number))
    body = state.encode()
    stored = msgspec.json.decode(body)
    what = f"map of {KEYS:,} str keys"

    yield compare(
        f"NamespaceState.encode, {what}",
        whole(state.encode),
        floor="msgspec encode of the stored form",
        against=whole(lambda: msgspec.json.encode(stored)),
        limit=4.0,
    )
    yield compare(
        f"NamespaceState.decode, {what}",
        whole(lambda: NamespaceState.decode(body)),
        floor="msgspec decode of the same bytes",
        against=whole(lambda: msgspec.json.decode(body)),
        limit=1.5,
    )
