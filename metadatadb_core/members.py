"""The members of one stored object: what a Map, IntMap or Set holds, and a scalar that is an object."""

from __future__ import annotations

from typing import final

from metadatadb_core.keys import ATOMS, Json, MemberKey, from_member_key, member_text

__all__ = ["Members"]


@final
class Members:
    """Members by key, as a namespace's state holds them.

    Attributes:
        items: value by key. Values are never changed in place, so a shallow copy is a snapshot.
        foreign: value by stored text, for texts that are nobody's canonical key. No op can address them; they are
            carried along untouched (the fields of a scalar that is an object are such).
        atomic: whether no value in `items` can change, so that none needs a copy when it is handed out.
        strings: whether all keys in `items` are strings, so that they can be handed out as they are.

    The last two are looked for where they are not given; who adds a member keeps them true.
    """

    __slots__ = ("atomic", "foreign", "items", "strings")

    def __init__(
        self,
        items: dict[MemberKey, Json],
        foreign: dict[str, Json] | None = None,
        *,
        atomic: bool | None = None,
        strings: bool | None = None,
    ) -> None:
        self.items = items
        self.foreign = foreign or {}
        self.atomic = ATOMS.issuperset(map(type, items.values())) if atomic is None else atomic
        self.strings = {str}.issuperset(map(type, items)) if strings is None else strings

    @classmethod
    def from_object(cls, stored: dict[str, Json]) -> Members:
        """The members of a JSON object whose names are stored texts."""
        items: dict[MemberKey, Json] = {}
        foreign: dict[str, Json] = {}
        for text, value in stored.items():
            key = from_member_key(text)
            if key is None:
                foreign[text] = value
            else:
                items[key] = value
        return cls(items, foreign)

    def to_object(self) -> dict[str, Json]:
        """The JSON object whose names are stored texts; it shares the values."""
        return {member_text(key): value for key, value in self.items.items()} | self.foreign

    def copy(self) -> Members:
        """A snapshot: it shares the values, which nobody changes in place."""
        return Members(self.items.copy(), self.foreign.copy(), atomic=self.atomic, strings=self.strings)
