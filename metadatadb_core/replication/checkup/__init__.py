"""Trying everything that a deployment depends on at a store, one check after the other.

`checks` lists them, each with those that must have passed before it can be run; `examine` runs them. What they need to
write they write under private keys, ``.metadata/.doctor-<id>-<n>``, and remove again.
"""

from metadatadb_core.replication.checkup.checks import CHECKS, Check
from metadatadb_core.replication.checkup.examination import examine, skip_all
from metadatadb_core.replication.checkup.finding import Finding, Verdict, worst
from metadatadb_core.replication.checkup.spool import check_spool

__all__ = ["CHECKS", "Check", "Finding", "Verdict", "check_spool", "examine", "skip_all", "worst"]
