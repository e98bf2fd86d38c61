"""The commands, each in a module of its own."""

from metadatadb_core.cli.commands.apply import apply
from metadatadb_core.cli.commands.bench import bench
from metadatadb_core.cli.commands.check import check
from metadatadb_core.cli.commands.completion import completion
from metadatadb_core.cli.commands.copy import copy
from metadatadb_core.cli.commands.doctor import doctor
from metadatadb_core.cli.commands.export import export
from metadatadb_core.cli.commands.import_ import import_
from metadatadb_core.cli.commands.namespaces import namespaces
from metadatadb_core.cli.commands.plugins import plugins
from metadatadb_core.cli.commands.schema import schema
from metadatadb_core.cli.commands.show import show
from metadatadb_core.cli.commands.spool import spool
from metadatadb_core.cli.commands.status import status
from metadatadb_core.cli.commands.unlock import unlock

__all__ = ["COMMANDS"]

COMMANDS = [
    apply,
    bench,
    check,
    completion,
    copy,
    doctor,
    export,
    import_,
    namespaces,
    plugins,
    schema,
    show,
    spool,
    status,
    unlock,
]
