"""Every pair of plugins in one environment: neither minds the other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
from packaging.utils import canonicalize_name

from tests.packaging.checks.discovery import unfound_backends
from tests.packaging.checks.imports import loaded, providers, sdks
from tests.packaging.workspace import PLUGIN_NAMES, Built, Environment

NOBODY = "endpoint-url=http://127.0.0.1:1"
"""Port 1 of the loopback, where nobody listens: opening succeeds, and the namespace is not loaded."""

OPEN = {
    "metadatadb_gcs": f"m.connect('gs://bucket?{NOBODY}')",
    "metadatadb_memory": "m.connect('memory://')",
    "metadatadb_s3": f"m.connect('s3://bucket?region=us-east-1&{NOBODY}')",
    "metadatadb_sqlite": "m.connect('sqlite://./pair.db')",
}


@pytest.mark.parametrize(("one", "other"), list(combinations(PLUGIN_NAMES, 2)))
def test_two_plugins_install_and_work_side_by_side(
    built: dict[str, Built], with_plugins: Callable[..., Environment], one: str, other: str
) -> None:
    """Both are found, both open, and neither imports the other or what the other needs."""
    both = with_plugins(one, other)
    for opened, beside in [(one, other), (other, one)]:
        foreign = sdks(built[beside], built["metadatadb_core"]) | {canonicalize_name(beside)}
        own = {name for names in providers(with_plugins(opened)).values() for name in names}
        statement = (
            "import os, metadatadb_core as m\n"
            "os.environ.update(AWS_ACCESS_KEY_ID='key', AWS_SECRET_ACCESS_KEY='secret')\n"
            f"with {OPEN[opened]} as store: store.namespace('app').status()"
        )

        assert [] == unfound_backends(built[opened], both)
        assert [] == loaded(both, statement, foreign - own)
