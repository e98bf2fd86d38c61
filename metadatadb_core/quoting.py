r"""Translating the keys of an encoded object between memory and storage, in bulk.

In memory a string key is ``repo-a`` and encodes to ``"repo-a"``; its canonical text is ``"repo-a"`` and, being
a name in a JSON object itself, encodes to ``"\"repo-a\""``. Where no character needs an escape, the two forms of
an object differ by these quotes alone, and replacing bytes does in milliseconds what building a second dict of
100,000 keys does in tens. Each function proves by counting that it touched the keys and nothing else, and
says None where it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["GO_ESCAPES", "quote_keys", "unquote_keys"]

GO_ESCAPES: tuple[tuple[bytes, bytes], ...] = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
"""What Go escapes in a string besides what JSON itself requires."""

_PIECE = 1 << 15
"""Bytes worked on at a time: buffers this small are reused, not mapped afresh from the system."""


def _needs_escape(encoded: bytes) -> bool:
    return b"\\" in encoded or any(char in encoded for char, _ in GO_ESCAPES[: 3 if encoded.isascii() else None])


def _pieces(encoded: bytes) -> Iterator[bytes]:
    """`encoded` in pieces, cut only before a ``,"``."""
    start = 0
    while start < len(encoded):
        cut = encoded.find(b',"', start + _PIECE)
        piece = encoded[start:] if cut < 0 else encoded[start:cut]
        start += len(piece)
        yield piece


def quote_keys(encoded: bytes, count: int) -> bytes | None:
    r"""An encoded object of `count` members with each key wrapped in escaped quotes.

    Returns:
        None where a key or value needs an escape, or a value looks too much like a key.
    """
    if count == 0 or _needs_escape(encoded):
        return None
    quoted = _quote_only_keys(encoded, count)
    return quoted if quoted is not None else _quote_around_values(encoded, count)


def _quote_only_keys(encoded: bytes, count: int) -> bytes | None:
    r"""For values that hold no string: all quotes are those of the keys, two each.

    Doubling each as ``"\"`` is right before a key; after it, ``"\":`` has to become ``\"":``, which no key
    resembles but one that begins with a colon.
    """
    if encoded.count(b":") != count and (encoded.startswith(b'{":') or b',":' in encoded):
        return None
    pieces: list[bytes] = []
    grown = 0
    for piece in _pieces(encoded):
        if not pieces and b':"' in piece:
            return None
        doubled = piece.replace(b'"', b'"\\"')
        grown += len(doubled) - len(piece)
        pieces.append(doubled.replace(b'"\\":', b'\\"":'))
    return b"".join(pieces) if grown == 2 * 2 * count else None


def _quote_around_values(encoded: bytes, count: int) -> bytes | None:
    """For any values: each member has a ``":`` after its key, and each but the first a ``,"`` before it.

    Where there are no more of either than that, none stands elsewhere.
    """
    pieces: list[bytes] = []
    closed_by = opened_by = 0
    for piece in _pieces(encoded):
        closed = piece.replace(b'":', b'\\"":')
        opened = closed.replace(b',"', b',"\\"')
        closed_by += len(closed) - len(piece)
        opened_by += len(opened) - len(closed)
        if closed_by - opened_by > 2:
            return None
        pieces.append(opened)
    if closed_by != 2 * count or opened_by != 2 * (count - 1):
        return None
    pieces[0] = b'{"\\"' + pieces[0][len(b'{"') :]
    return b"".join(pieces)


def unquote_keys(raw: bytes) -> tuple[bytes, int, bool] | None:
    r"""An encoded flat object with the escaped quotes around each key removed, and how many keys had them.

    In a flat object a string right after ``{`` or ``,`` is a key, and so is one right before ``:``. If as many
    keys begin with an escaped quote as end with one, no backslash is left, and there are just that many members, with
    no spaces between, then every key is the canonical text of a string without escapes.

    Returns:
        The bytes, how many keys had quotes, and whether that is proved to be all members, as it is when there
        are no more colons than that; otherwise the caller has to encode what he decodes, and compare. None where
        keys cannot be told by their quotes.
    """
    if not raw.startswith(b'{"\\"') or b"[" in raw or raw.count(b"{") > 1:
        return None
    pieces: list[bytes] = []
    closed_by = opened_by = 0
    for piece in _pieces(raw):
        closed = piece.replace(b'\\"":', b'":')
        opened = closed.replace(b',"\\"', b',"')
        closed_by += len(piece) - len(closed)
        opened_by += len(closed) - len(opened)
        if not pieces:
            opened = b'{"' + opened[len(b'{"\\"') :]
        if closed_by - opened_by != 2 or _needs_escape(opened):
            return None
        pieces.append(opened)
    count = closed_by // 2
    plain = b"".join(pieces)
    return plain, count, plain.count(b":") == count
