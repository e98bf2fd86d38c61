"""Observers see every sync, and their failures change nothing."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator

import pytest

from metadatadb_core import events, observers
from metadatadb_core.events import SyncFinished, emit, subscribe
from metadatadb_core.registry import Registry

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def no_observer_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Observers are loaded once in a process: each test is a process of its own."""
    monkeypatch.setattr(observers, "_known", set())
    monkeypatch.setattr(events, "_listeners", {})
    monkeypatch.setattr(events, "_failing", set())
    return iter([None])


def finished(namespace: str = "n") -> SyncFinished:
    return SyncFinished(backend="test", namespace=namespace, kind="write", outcome="ok", started=0.0, duration=0.1)


def test_an_observer_is_loaded_with_the_first_backend_and_sees_every_sync(installed: Install) -> None:
    """Once, however many backends and registries there are."""
    installed("good", "observer")
    registry = Registry()
    registry.names()

    assert "fixture_observer" not in sys.modules
    registry.create("good")
    registry.create("good")
    Registry().create("good")
    emit(finished("one"))
    emit(finished("two"))

    assert [finished("one"), finished("two")] == sys.modules["fixture_observer"].seen


def test_a_failing_observer_is_logged_and_changes_nothing(installed: Install, caplog: pytest.LogCaptureFixture) -> None:
    """The others see everything; the log is told once in a warning."""
    installed("good", "observer_raises", "observer")
    Registry().create("good")
    with caplog.at_level(logging.INFO, "metadatadb"):
        emit(finished())
        emit(finished())

    assert [finished(), finished()] == sys.modules["fixture_observer"].seen
    (record,) = caplog.records
    assert ("metadatadb", logging.WARNING) == (record.name, record.levelno)
    assert "raises (fixture-observer-raises)" in record.getMessage()
    assert record.exc_info is not None


def test_an_observer_that_cannot_be_imported_is_logged_and_changes_nothing(
    installed: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """The backend is made all the same, the other observer listens, and the log is told once."""
    installed("good", "observer_import_error", "observer")
    Registry().create("good")
    Registry().create("good")
    emit(finished())

    assert [finished()] == sys.modules["fixture_observer"].seen
    (record,) = caplog.records
    assert "observer not loaded: plugin 'broken' of fixture-observer-import-error 1.0" in record.getMessage()


@pytest.mark.parametrize("value", ["watch", "*"])
def test_a_disabled_observer_is_not_imported(installed: Install, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """By its entry point's name."""
    installed("observer")
    monkeypatch.setenv("METADATADB_DISABLE_PLUGINS", value)
    observers.load_observers(Registry()._discovered().observers)

    assert "fixture_observer" not in sys.modules


def test_a_listener_can_leave() -> None:
    """And is called no more."""
    seen: list[SyncFinished] = []
    leave = subscribe("test", seen.append)
    emit(finished())
    leave()
    leave()
    emit(finished())

    assert [finished()] == seen
