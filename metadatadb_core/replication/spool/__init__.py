"""The spool: what a process has acknowledged and not yet flushed, in local files, so that its death loses nothing.

One file holds the ops of one batch. Ops are appended to the namespace's current file before they are applied. When
the queue is sealed, the batch's id is written to that file, and the file is synced to disk before the batch is first
sent; ops from then on go into the next file. Once the store is known to contain the batch, its file is removed.

So what a dead process leaves behind are files that are sealed, which are sent again under the same id, and at most
one that is not, which is sealed with a new id before anything else happens. From then on every file has an id by
which the engine's record tells whether it is in the store, and another death on the way does no harm.

A file is locked as long as its process lives (flock), which is how the others know that it is not theirs.
"""

from metadatadb_core.replication.spool.contract import NO_SPOOL, Recovered, Spool
from metadatadb_core.replication.spool.directory import DirectorySpool, Fsync
from metadatadb_core.replication.spool.file import LOCKS_WORK
from metadatadb_core.replication.spool.inspection import Leftover, leftovers
from metadatadb_core.replication.spool.records import Target

__all__ = ["LOCKS_WORK", "NO_SPOOL", "DirectorySpool", "Fsync", "Leftover", "Recovered", "Spool", "Target", "leftovers"]
