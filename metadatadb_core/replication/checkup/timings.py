"""How far the store's clock is from ours, and how long requests take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from metadatadb_core.replication.checkup.finding import Finding, Verdict
from metadatadb_core.replication.checkup.trial import Trial
from metadatadb_core.replication.latency import Latency, latency_of

__all__ = ["check_clock", "check_latency"]

_OFFSET_SECONDS: Final = 5.0
_SAMPLES: Final = 20
_SAMPLING_SECONDS: Final = 10.0


def check_clock(name: str, trial: Trial) -> Iterator[Finding]:
    """The store's clock and ours agree, roughly."""
    key = trial.new_key()
    trial.put(key, b"clock")
    before = trial.environment.wall()
    found = trial.get(key)
    after = trial.environment.wall()
    if found is None or found.server_date is None:
        yield Finding(name, Verdict.SKIP, "the store does not tell its time")
        return
    # HTTP dates are cut to seconds: the store's time is on average half a second later than it says.
    cut = 0.5 if found.server_date.microsecond == 0 else 0.0
    ours = datetime.fromtimestamp((before + after) / 2, UTC)
    offset = (found.server_date - ours).total_seconds() + cut
    figures = {"offset": offset}
    if abs(offset) <= max(_OFFSET_SECONDS, after - before):
        yield Finding(name, Verdict.PASS, f"the store's is within {abs(offset) + cut:.1f} s of ours", None, figures)
    else:
        yield Finding(
            name,
            Verdict.WARN,
            f"the store's is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} ours",
            "set this machine's clock (NTP): nothing of ours compares the two, but signed requests are refused when "
            "they are far apart, and replicas of the original misjudge locks",
            figures,
        )


def check_latency(name: str, trial: Trial) -> Iterator[Finding]:
    """A flush is over long before its lock can be taken over."""
    samples = _sample(trial)
    figures: dict[str, float] = {}
    texts = []
    for kind, latency in samples.items():
        figures |= {f"{kind}_p50": latency.p50, f"{kind}_p90": latency.p90, f"{kind}_p99": latency.p99}
        texts.append(f"{kind} {_text(latency.p50)}, {_text(latency.p90)}, {_text(latency.p99)}")
    detail = f"half, 90% and 99% within: {'; '.join(texts)}"
    # What a flush does under its lock: put the lock, get the state, put it, delete the lock.
    flush = 2 * samples["put"].p99 + samples["get"].p99 + samples["delete"].p99
    ttl = trial.config.lock_ttl.seconds
    if flush > ttl / 2:
        advice = f"a slow flush takes {flush:.1f} s, more than half of lock-ttl ({ttl:g} s): set a longer lock-ttl"
        yield Finding(name, Verdict.WARN, detail, advice, figures)
    else:
        yield Finding(name, Verdict.PASS, detail, None, figures)


def _sample(trial: Trial) -> dict[str, Latency]:
    seconds: dict[str, list[float]] = {"put": [], "get": [], "delete": []}

    def timed(kind: str, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = call()
        seconds[kind].append(time.perf_counter() - began)
        return result

    end = time.perf_counter() + _SAMPLING_SECONDS
    while len(seconds["put"]) < _SAMPLES and (not seconds["put"] or time.perf_counter() < end):
        trial.go_on()
        key = trial.new_key()
        version = timed("put", partial(trial.put, key, b"latency"))
        timed("get", partial(trial.get, key))
        timed("delete", partial(trial.store.delete, key, expect=version))
    return {kind: latency_of(measured) for kind, measured in seconds.items()}


def _text(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
