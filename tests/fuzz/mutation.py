"""Changing an input where its structure is: between tokens rather than between bytes."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

__all__ = ["EDITS", "WORDS", "Edit", "Kind", "mutate", "random_edits"]

Kind: TypeAlias = Literal["remove", "repeat", "replace", "insert", "nest", "cut"]

EDITS: Final[tuple[Kind, ...]] = get_args(Kind)

WORDS: Final = (
    *(b"0", b"-0", b"-1", b"1e999999999", b"1e-999999999", b"9" * 30, b"9" * 5000, b"9223372036854775808", b"NaN"),
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"(", b")", b"\n", b"\r\n", b" ", b"\t"),
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8", b"\\ud800", b"\\u0000"),
)
"""What readers of any kind trip over."""

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[A-Za-z0-9_.+-]+|\s+|.', re.DOTALL)

_REPEATS: Final = 300
"""More than any depth that is accepted."""

_LONGEST: Final = 2**16
"""Bytes that several edits may grow an input to."""


@dataclass(frozen=True)
class Edit:
    """One change.

    Attributes:
        kind: what is done to a run of tokens.
        at: where the run begins, from 0 to 1.
        length: how many tokens it has.
        word: which word comes in, by its number.
    """

    kind: Kind
    at: float
    length: int
    word: int


def mutate(data: bytes, edits: Sequence[Edit], words: Sequence[bytes]) -> bytes:
    """`data` after `edits`, in which the words of `words` and of `WORDS` come in."""
    known = [*words, *WORDS]
    for edit in edits:
        tokens = _TOKEN.findall(data)
        start = int(edit.at * len(tokens))
        end = start + edit.length
        run, word = b"".join(tokens[start:end]), known[edit.word % len(known)]
        match edit.kind:
            case "remove":
                run = b""
            case "repeat":
                run *= 2 if edit.word % 4 else _REPEATS
            case "replace":
                run = word
            case "insert":
                run += word
            case "nest":
                depth = 1 if edit.word % 4 else _REPEATS
                run = b"[" * depth + run + b"]" * depth
            case "cut":
                run, tokens = b"", tokens[:end]
        data = b"".join([*tokens[:start], run, *tokens[end:]])[:_LONGEST]
    return data


def random_edits(chance: random.Random) -> list[Edit]:
    """A few edits, mostly one."""
    count = chance.choice([1, 1, 1, 2, 3, 5])
    return [
        Edit(chance.choice(EDITS), chance.random(), chance.choice([1, 1, 2, 5]), chance.getrandbits(16))
        for _ in range(count)
    ]
