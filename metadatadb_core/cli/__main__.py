"""``python -m metadatadb_core.cli``."""

from metadatadb_core.cli import main

main()
