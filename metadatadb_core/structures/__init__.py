"""The six typed structures: handles that turn method calls into ops and answers into typed values.

A handle holds no state of its own. What goes in is copied and what comes out is a copy. Handles are cheap,
may be used from any thread, and are made by a `Namespace` (``ns.map("services", str, Service)``) or directly
(``Map(ns, "services", str, Service)``).
"""

from metadatadb_core.structures.lists import List
from metadatadb_core.structures.maps import IntMap, Map
from metadatadb_core.structures.scalar import Int, Scalar
from metadatadb_core.structures.sets import Set

__all__ = ["Int", "IntMap", "List", "Map", "Scalar", "Set"]
