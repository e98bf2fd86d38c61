"""Whether an installed plugin is found by the core."""

from __future__ import annotations

import json

from tests.packaging.workspace import Built, Environment

_ASK = """
import json
from metadatadb_core import MetadataDBError, Registry
registry = Registry()
names = registry.names()
schemes = {{}}
for scheme in {schemes!r}:
    try:
        schemes[scheme] = registry.name_for_scheme(scheme)
    except MetadataDBError as error:
        schemes[scheme] = str(error)
records = [(one.name, one.distribution, one.status, one.reason) for one in registry.plugins()]
print(json.dumps([names, schemes, records]))
"""


def unfound_backends(built: Built, environment: Environment) -> list[str]:
    """What is wrong with the entry points of a plugin, where it is installed."""
    declared = built.entry_points()
    backends, schemes = declared.get("metadatadb", {}), declared.get("metadatadb.schemes", {})
    if not backends:
        return [f"{built.name} declares no entry point in the group metadatadb"]
    names, found, records = json.loads(environment.run(_ASK.format(schemes=list(schemes))))
    complaints = [f"backend {name} is not found" for name in backends if name not in names]
    complaints += [
        f"scheme {scheme} is for {found[scheme]}, not {name}"
        for scheme, name in schemes.items()
        if found[scheme] != name or name not in backends
    ]
    complaints += [
        f"backend {name} of {distribution} is {status}: {reason}"
        for name, distribution, status, reason in records
        if name in backends and (status != "ok" or distribution != built.name)
    ]
    return complaints
