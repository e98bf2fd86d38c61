"""The `metadatadb` command: looking into stores, checking configuration, getting data in and out.

It is an extra, ``pip install 'metadatadb-core[cli]'``: nothing in the core imports this package, and this module
imports nothing that the extra brings, so that it can say what is missing.
"""

from __future__ import annotations

import sys

from metadatadb_core.cli.streams import guard_streams

__all__ = ["main"]

_NEEDED = ("click", "rich")


def main() -> None:
    """Run the command; never returns.

    Raises:
        SystemExit: always; docs/cli.md says what its status means.
    """
    guard_streams()
    try:
        from metadatadb_core.cli.app import application
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write("The metadatadb command needs an extra: pip install 'metadatadb-core[cli]'\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    application.main()
