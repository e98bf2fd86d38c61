"""Whatever was promised to a process that is then killed, is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.__main__ import broken_promises
from tests.crash.trial import Trial, run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed as POSIX has it")

TRIALS = [
    Trial("sqlite", spooled=True, kills=60),
    Trial("sqlite", spooled=False, kills=40),
    Trial("sqlite", spooled=False, through=True, kills=40),
    Trial("s3", spooled=True, kills=40),
    Trial("s3", spooled=False, kills=30),
    Trial("s3", spooled=False, through=True, kills=15),
]


@pytest.mark.parametrize("trial", TRIALS, ids=str)
def test_every_promise_is_kept(trial: Trial, tmp_path: Path) -> None:
    """With a spool, or where a write waits for the store, nothing acknowledged is missing; without, nothing that
    was flushed; and nothing is there twice. Without either, something is missing indeed: the kills do bite."""
    findings = run(trial, tmp_path)

    assert [] == broken_promises(trial, findings)
    assert findings.acknowledged > 0
    assert trial.keeps_all or findings.missing > 0
