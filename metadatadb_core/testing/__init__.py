"""What authors of backends test them with, and what everybody tests their own code with.

`BackendSuite` is the conformance suite of a `Backend`, `ObjectStoreSuite` that of an `ObjectStore`;
`MemoryObjectStore` is an object store whose requests fail as they are told to;
`metadatadb_core.testing.soak` keeps a store under load; `metadatadb_core.testing.fixtures` has pytest fixtures.
Needs ``pip install 'metadatadb-core[testing]'``.
"""

from __future__ import annotations

try:
    import hypothesis as _hypothesis  # noqa: F401 - only to say what is missing, before anything else fails
    import pytest
except ImportError as error:
    raise ImportError(
        f"metadatadb_core.testing needs {error.name}: pip install 'metadatadb-core[testing]'", name=error.name
    ) from error

# Without it, a failing assert of the suite would not say what it compared.
pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("backend_concurrency", "backend_lifecycle", "backend_ops")),
    *(f"{__name__}.{module}" for module in ("backend_structures", "backend_suite", "models")),
    *(f"{__name__}.object_store_{module}" for module in ("conditions", "objects", "suite")),
)

from metadatadb_core.testing.backend_suite import BackendSuite, MakeBackends  # noqa: E402 - after the rewriting
from metadatadb_core.testing.bucket import Bucket  # noqa: E402
from metadatadb_core.testing.models import (  # noqa: E402
    MACHINES,
    IntMachine,
    IntMapMachine,
    ListMachine,
    MapMachine,
    ScalarMachine,
    SetMachine,
)
from metadatadb_core.testing.object_store import FAILURES, Delay, Fault, Hold, MemoryObjectStore  # noqa: E402
from metadatadb_core.testing.object_store_suite import MakeStores, ObjectStoreSuite  # noqa: E402
from metadatadb_core.testing.suite import Capability, requires  # noqa: E402

__all__ = [
    "FAILURES",
    "MACHINES",
    "BackendSuite",
    "Bucket",
    "Capability",
    "Delay",
    "Fault",
    "Hold",
    "IntMachine",
    "IntMapMachine",
    "ListMachine",
    "MakeBackends",
    "MakeStores",
    "MapMachine",
    "MemoryObjectStore",
    "ObjectStoreSuite",
    "ScalarMachine",
    "SetMachine",
    "requires",
]
