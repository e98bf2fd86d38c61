"""JSON as it is printed: whatever is stored, a terminal is not told what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from metadatadb_core.cli.documents import encoded


class Document(msgspec.Struct):
    """As commands print them."""

    text: Any
    when: datetime
    left_out: Any = msgspec.UNSET


@pytest.mark.parametrize(
    "character",
    [*map(chr, range(0xA0)), "\u061c", "\u200e", "\u200f", *map(chr, (*range(0x2028, 0x202F), *range(0x2066, 0x206A)))],
)
def test_what_a_terminal_might_obey_is_an_escape(character: str) -> None:
    """Control characters and marks of direction, in names and values alike; to programs it is the same."""
    document = {f"a{character}b": [character]}
    body = encoded(document)

    assert document == msgspec.json.decode(body)
    assert body.decode().isprintable()


@pytest.mark.parametrize("text", ["é", "\u00a0", "\u2027", "\u2030", "\u2065", "\u206a", "\U0001f600", "\U000e0085"])
def test_what_is_harmless_stands_as_it_is(text: str) -> None:
    """Also where its bytes are nearly those of another."""
    assert f'"{text}"'.encode() == encoded(text)


def test_what_is_no_utf8_stands_as_the_text_of_an_escape() -> None:
    """In names and values, however deep; all else stays as it was."""
    when = datetime(2026, 1, 2, tzinfo=UTC)
    document = Document({"\udcff": ("\udc80 é", [1.5, None])}, when)

    assert {"text": {"\\udcff": ["\\udc80 é", [1.5, None]]}, "when": "2026-01-02T00:00:00Z"} == msgspec.json.decode(
        encoded(document)
    )
