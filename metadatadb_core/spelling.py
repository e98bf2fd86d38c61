"""The name somebody probably meant."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The one of `names` most like `word`, or None if none is like it."""
    from difflib import get_close_matches  # only a mistake needs it, `import metadatadb_core` does not

    matches = get_close_matches(word.lower(), list(names), n=1)
    return matches[0] if matches else None
