"""The replication engine: any `ObjectStore` becomes a `Backend`.

One write travels: `ReplicatedBackend.apply` → `Replica.apply`, which changes local state and queues. One sync: the
`Scheduler` or a flush lets the `Syncer` run a round → a `Layout` decides what to read and write, and yields
`requests` → a `Driver` sends them to the `ObjectStore` → the layout tells the `Replica` what it learnt.

A layout and the lock know objects and no ops; a replica knows ops and no objects; neither knows threads, clocks
or chance, which come in an `Environment`. So a simulator can drive the very same code step by step.
"""

from metadatadb_core.replication.backend import ReplicatedBackend
from metadatadb_core.replication.config import ReplicationConfig
from metadatadb_core.replication.object_store import ABSENT, Absent, ObjectInfo, ObjectStore, StoredObject, Version
from metadatadb_core.replication.outcomes import (
    Denied,
    NotModified,
    OutcomeUnknown,
    PreconditionFailed,
    Rejected,
    StoreFailure,
    Unavailable,
)

__all__ = [
    "ABSENT",
    "Absent",
    "Denied",
    "NotModified",
    "ObjectInfo",
    "ObjectStore",
    "OutcomeUnknown",
    "PreconditionFailed",
    "Rejected",
    "ReplicatedBackend",
    "ReplicationConfig",
    "StoreFailure",
    "StoredObject",
    "Unavailable",
    "Version",
]
