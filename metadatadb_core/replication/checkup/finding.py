"""What a check found."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Finding", "Verdict", "worst"]


class Verdict(enum.Enum):
    """How it stands; the later, the more it matters."""

    PASS = "pass"
    SKIP = "skip"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        check: its name.
        verdict: how it stands.
        detail: what was found.
        advice: what to do about it, or None.
        figures: what was measured, in seconds.
    """

    check: str
    verdict: Verdict
    detail: str
    advice: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


def worst(findings: Iterable[Finding]) -> Verdict:
    """The verdict that matters most."""
    order = list(Verdict)
    return max((finding.verdict for finding in findings), key=order.index, default=Verdict.PASS)
