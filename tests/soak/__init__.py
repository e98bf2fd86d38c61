"""A store under load for a long time: many processes, all structures, faults; and nothing may grow or go back.

The workers and what must hold of their writes are those of the kit (`metadatadb_core.testing.soak_load`); here each
replica is a process, whose memory and descriptors are watched too.
"""
