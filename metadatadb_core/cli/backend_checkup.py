"""What can be tried of a backend that does not lie in an object store: through its own methods, and no more."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Final

from metadatadb_core.backend import Backend
from metadatadb_core.errors import MetadataDBError
from metadatadb_core.ops import ScalarDelete, ScalarGet, ScalarSet
from metadatadb_core.replication.checkup import Finding, Verdict

__all__ = ["examine_backend"]

_FLUSH_SECONDS: Final = 10.0
_KEY: Final = "doctor"


def examine_backend(backend: Backend) -> Iterator[Finding]:
    """Write, read, flush and remove in a namespace of our own."""
    namespace = f"metadatadb-doctor-{secrets.token_hex(8)}"
    try:
        yield from _use(backend, namespace)
    finally:
        left = _remove(backend, namespace)
    yield left


def _use(backend: Backend, namespace: str) -> Iterator[Finding]:
    try:
        backend.apply(namespace, ScalarSet(_KEY, namespace))
        if backend.query(namespace, ScalarGet(_KEY)) == namespace:
            yield Finding("write and read", Verdict.PASS, "what was written is read at once")
        else:
            yield Finding("write and read", Verdict.FAIL, "what was written is not what is read", _REPORT)
    except MetadataDBError as error:
        yield Finding("write and read", Verdict.FAIL, str(error))
    began = time.perf_counter()
    try:
        backend.flush(namespace, timeout=_FLUSH_SECONDS)
    except MetadataDBError as error:
        yield Finding("flush", Verdict.FAIL, str(error))
    else:
        seconds = time.perf_counter() - began
        yield Finding("flush", Verdict.PASS, f"took {seconds * 1000:.3g} ms", None, {"seconds": seconds})
    kind = type(backend).__name__
    yield Finding(
        "store",
        Verdict.SKIP,
        f"{kind} keeps its state in a way of its own: permissions, conditional writes, locks and stored states "
        f"cannot be tried from here",
    )


_REPORT: Final = "report it to whoever wrote the backend"


def _remove(backend: Backend, namespace: str) -> Finding:
    try:
        backend.apply(namespace, ScalarDelete(_KEY))
        backend.flush(namespace, timeout=_FLUSH_SECONDS)
    except MetadataDBError as error:
        backend.discard_pending(namespace)
        return Finding("cleanup", Verdict.WARN, f"the namespace {namespace!r} may not be empty: {error}")
    return Finding("cleanup", Verdict.PASS, f"the namespace {namespace!r} is empty again")
