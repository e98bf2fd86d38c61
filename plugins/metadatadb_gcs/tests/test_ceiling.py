"""The warning before a namespace is flushed more often than GCS takes updates of its lock."""

from __future__ import annotations

import logging

import msgspec
import pytest

from metadatadb_core import Duration, Store
from metadatadb_core.replication.record import BatchId, Record
from metadatadb_gcs import GCSBackend, GCSBackendConfig
from metadatadb_gcs.ceiling import CeilingWatch

KEY = "team/.metadata/app.json"


class Fleet:
    """Replicas that commit, of which one watches; and its clock."""

    def __init__(self, sync_interval: float = 30.0) -> None:
        self.now = 0.0
        self._record = Record()
        self._sequence = 0
        self.watch = CeilingWatch("gs://b", "team/", sync_interval, lambda: self.now)

    def commit(self, writer: str, key: str = KEY) -> None:
        self._sequence += 1
        self._record = self._record.after([BatchId(writer, self._sequence)])
        if writer == "ours":
            self.watch.note(key, msgspec.json.encode({"clones": {'"a"': 1}, ".metadatadb": self._record.to_json()}))

    def interval(self, others: int, seconds: float) -> None:
        """Everybody commits once, we last."""
        self.now += seconds
        for other in range(others):
            self.commit(f"other-{other}")
        self.commit("ours")


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "metadatadb" and record.levelno >= logging.WARNING
    ]


@pytest.mark.parametrize(
    ("replicas", "seconds", "warned"), [(11, 30, 0), (12, 30, 1), (60, 30, 1), (1, 3, 0), (2, 5, 1)]
)
def test_writing_replicas_divided_by_the_interval_are_warned_of(
    caplog: pytest.LogCaptureFixture, replicas: int, seconds: int, warned: int
) -> None:
    """From four flushes in ten seconds on: each updates the lock twice, and an object takes one update a second."""
    fleet = Fleet(seconds)
    for _ in range(10):
        fleet.interval(replicas - 1, seconds)

    assert warned == len(warnings_in(caplog))


def test_the_warning_says_who_and_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    """The namespace, how often, by how many, and the way out."""
    fleet = Fleet(5)
    fleet.interval(3, 5)
    fleet.interval(3, 5)
    (warning,) = warnings_in(caplog)

    for part in ("gs://b", "'app'", "0.80 times a second", "4 replicas", "5s", "Raise the sync-interval", "429"):
        assert part in warning


def test_flushes_on_demand_count_too(caplog: pytest.LogCaptureFixture) -> None:
    """One replica that flushes after every write reaches the ceiling by itself."""
    fleet = Fleet(30)
    for _ in range(40):
        fleet.interval(0, 1)

    assert 1 == len(warnings_in(caplog))


def test_a_quiet_past_does_not_hide_a_busy_present(caplog: pytest.LogCaptureFixture) -> None:
    """The rate is that of the last interval, not of a lifetime."""
    fleet = Fleet(30)
    for _ in range(100):
        fleet.interval(0, 30)
    before = warnings_in(caplog)
    for _ in range(2):
        fleet.interval(20, 30)

    assert [] == before
    assert 1 == len(warnings_in(caplog))


def test_a_burst_is_no_rate(caplog: pytest.LogCaptureFixture) -> None:
    """What is made up for by a pause is taken by the store: a span is at least an interval long."""
    fleet = Fleet(30)
    for _ in range(10):
        for _ in range(5):
            fleet.interval(0, 0.1)
        fleet.now += 60

    assert [] == warnings_in(caplog)


def test_replicas_that_write_now_and_then_are_not_counted_as_if_they_always_did(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However many they are."""
    fleet = Fleet(30)
    for _ in range(10):
        fleet.interval(199, 3600)

    assert [] == warnings_in(caplog)


def test_what_is_no_state_is_not_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    """A lock, a probe, or a record that is none."""
    watch = CeilingWatch("gs://b", "", 1.0, lambda: 0.0)
    for key in (".metadata/app.lock", ".metadata/.probe-1", ".metadata/app.json"):
        for body in (b"", b"1", b"[]", b'{".metadatadb":7}', b'{".metadatadb":{"format":99}}'):
            watch.note(key, body)

    assert [] == warnings_in(caplog)


def test_a_namespace_that_is_slow_says_nothing_of_another(caplog: pytest.LogCaptureFixture) -> None:
    """The ceiling is an object's, not the bucket's."""
    slow, fast = Fleet(10), Fleet(10)
    fast.watch = slow.watch
    for _ in range(5):
        slow.interval(0, 10)
        fast.commit("other")
        fast.commit("ours", "team/.metadata/fast.json")

    assert [] == warnings_in(caplog)
    for _ in range(5):
        slow.now += 10
        for _ in range(9):
            fast.commit("other")
        fast.commit("ours", "team/.metadata/fast.json")
    (warning,) = warnings_in(caplog)

    assert "'fast'" in warning


def test_a_backend_warns_once(bucket: str, strict_server: str, caplog: pytest.LogCaptureFixture) -> None:
    """Replicas that flush all the time over a real connection: one warning, and not one for each flush."""
    config = GCSBackendConfig(bucket=bucket, endpoint_url=strict_server, sync_interval=Duration("20ms"))
    with Store(GCSBackend(config)) as store:
        ns = store.namespace("app")
        for _ in range(20):
            ns.int("n").add(1)
            ns.flush()
        for _ in range(20):
            ns.int("n").add(1)
            ns.flush()
    found = [text for text in warnings_in(caplog) if "times a second" in text]

    assert 1 == len(found)
