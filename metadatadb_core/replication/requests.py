"""What a sync round asks for: it is a generator that yields these and is sent what came of them.

Whoever drives it does what is asked, sends the result, and throws the failure where there was one
(`metadatadb_core.replication.outcomes`, or `OutOfTime`): a thread against a real store, or a simulator step by step.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from metadatadb_core.replication.object_store import Absent, Version

__all__ = ["Delete", "Get", "OutOfTime", "Put", "Request", "Steps", "Wait"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Get:
    """Read `key` unless it is at version `unless`; sent a `StoredObject` or None."""

    key: str
    unless: Version | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """Write `body` at `key` if what is there is `expect`; sent the new `Version`."""

    key: str
    body: bytes
    expect: Version | Absent
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `key` if it is at `expect`; sent None."""

    key: str
    expect: Version


@dataclass(frozen=True, slots=True)
class Wait:
    """Let `seconds` pass; sent None, or thrown `OutOfTime`."""

    seconds: float


class OutOfTime(Exception):
    """A round would have to wait for longer than it may: it cleans up after itself, and ends.

    Its cause is what the store last failed with, if that is why it would wait.
    """

    def __str__(self) -> str:
        return "out of time" if self.__cause__ is None else f"out of time; last failure: {self.__cause__}"


Request: TypeAlias = Get | Put | Delete | Wait
"""Anything a round asks for."""

Steps: TypeAlias = Generator[Request, Any, R]
"""A protocol that yields requests and ends with an `R`."""
