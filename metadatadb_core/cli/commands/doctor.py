"""``metadatadb doctor``: will a deployment on this store work?"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Final

import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from metadatadb_core.cli.backend_checkup import examine_backend
from metadatadb_core.cli.connection import connected, not_connected, read_configuration
from metadatadb_core.cli.failures import CommandError, Interrupted
from metadatadb_core.cli.options import command, json_option, target_argument
from metadatadb_core.cli.session import Session, pass_session
from metadatadb_core.cli.targets import check_readable, masked
from metadatadb_core.cli.wording import printable
from metadatadb_core.errors import MetadataDBError
from metadatadb_core.replication import ReplicatedBackend, ReplicationConfig
from metadatadb_core.replication.checkup import Finding, Verdict, check_spool, examine, skip_all, worst
from metadatadb_core.replication.environment import Environment

__all__ = ["doctor"]

_STYLES: Final = {Verdict.PASS: "green", Verdict.SKIP: "dim", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


class _Row(msgspec.Struct):
    check: str
    verdict: Verdict
    detail: str
    advice: str | None
    figures: Mapping[str, float]


class _Report(msgspec.Struct):
    target: str
    healthy: bool
    findings: list[_Row]


@command("doctor", "metadatadb doctor s3://builds", "metadatadb doctor meta.hcl --json")
@target_argument()
@json_option
@pass_session
def doctor(session: Session, target: str) -> int:
    """Try everything that a deployment on TARGET depends on, and say what to do where it fails.

    TARGET is METADATADB_TARGET if it is left out. What is written there is written under private keys, and removed
    again. Nothing of anybody else's is changed. The exit status is 1 if anything failed; a warning is no failure.
    """
    output = session.output
    if "://" not in target:
        check_readable(target)

    def run(stop: threading.Event) -> list[Finding]:
        found = []
        with closing(_examine(session, target, stop)) as findings:  # which removes what was written, whatever ends it
            for finding in findings:
                found.append(finding)
                if not output.as_json:
                    output.show(_line(finding))
                    output.flush()
        if stop.is_set():
            raise Interrupted("interrupted; what was tried until then stands above")
        return found

    findings = session.uninterrupted(run)
    failed = worst(findings) is Verdict.FAIL
    report = _Report(masked(target), not failed, list(map(_row, findings)))
    output.result(report, lambda: [_summary(findings)])
    return 1 if failed else 0


def _examine(session: Session, target: str, stop: threading.Event) -> Generator[Finding, None, None]:
    try:
        backend_name, config = read_configuration(target)
    except MetadataDBError as error:
        yield Finding("configuration", Verdict.FAIL, str(error), "see metadatadb check, metadatadb plugins")
        yield from skip_all("cannot be tried, since configuration failed")
        return
    yield Finding("configuration", Verdict.PASS, f"a valid one, for the backend {backend_name!r}")
    yield from _examine_store(session, target, stop)
    if isinstance(config, ReplicationConfig):
        yield from check_spool("spool", config.spool)


def _examine_store(session: Session, target: str, stop: threading.Event) -> Iterator[Finding]:
    began = time.perf_counter()
    with ExitStack() as stack:
        try:
            backend = stack.enter_context(session.open(target)).backend
        except (MetadataDBError, CommandError) as error:
            yield from not_connected(error)
            yield from skip_all("cannot be tried, since the store could not be opened")
            return
        if isinstance(backend, ReplicatedBackend):
            yield from connected(time.perf_counter() - began)
            yield from examine(backend.object_store(), backend.config, Environment(), stop)
        else:
            yield from examine_backend(backend)


def _row(finding: Finding) -> _Row:
    return _Row(finding.check, finding.verdict, finding.detail, finding.advice, finding.figures)


def _line(finding: Finding) -> RenderableType:
    line = Table.grid(padding=(0, 1), pad_edge=False)
    line.add_column(no_wrap=True)
    line.add_column(overflow="fold")
    text = Text.assemble((finding.check, "bold"), ": ", printable(finding.detail))
    line.add_row(Text(finding.verdict.value, style=_STYLES[finding.verdict]), text)
    if finding.advice is not None:
        line.add_row("", Text(f"> {printable(finding.advice)}", style="italic"))
    return line


def _summary(findings: list[Finding]) -> Text:
    counts = Counter(finding.verdict for finding in findings)
    words = {Verdict.PASS: "passed", Verdict.WARN: "to be looked at", Verdict.FAIL: "failed", Verdict.SKIP: "skipped"}
    return Text(", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items() if counts[verdict]))
