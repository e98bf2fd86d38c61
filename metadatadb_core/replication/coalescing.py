"""A queue of ops that stays short: an op that makes an earlier one superfluous takes its place.

The ops that are left give the same state as all of them, from every state. Why that holds:

- Ops on different names do not touch each other, so an op may move past them.
- An op on one member of a name may move past ops on other members of it, as long as the name holds an object
  at both places. So members are only tracked while nothing is done to the name as a whole; such an op is a
  barrier for its members, and they for it. An op that makes the name an object (a set, an add) may stand in
  for a later one; one that does not (a delete) may only be replaced by a set if the name surely was an object
  already, and may only replace a set if it surely stays one.
- Additions wrap to int64, so the sum of two deltas, wrapped, adds up to the same. Nothing moves past a
  multiplication or division.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias, final

from metadatadb_core.keys import MemberKey, member_key
from metadatadb_core.ops import (
    IntAdd,
    IntDiv,
    IntMapAdd,
    IntMapDelete,
    IntMapDiv,
    IntMapMul,
    IntMapSet,
    IntMul,
    IntSet,
    ListAppend,
    MapDelete,
    MapSet,
    Op,
    ScalarDelete,
    ScalarSet,
    SetAdd,
    SetRemove,
)
from metadatadb_core.writes import wrap

__all__ = ["CoalescingQueue"]

_OnMember: TypeAlias = (
    SetAdd | SetRemove | IntMapSet | IntMapAdd | IntMapMul | IntMapDiv | IntMapDelete | MapSet | MapDelete
)
_ON_WHOLE: Final = (ScalarSet, ScalarDelete, IntSet, IntAdd, IntMul, IntDiv)
_OVERWRITES: Final = (ScalarSet, ScalarDelete, IntSet)
_MEMBER_SETS: Final = (MapSet, IntMapSet, SetAdd)
_MEMBER_DELETES: Final = (MapDelete, IntMapDelete, SetRemove)


@dataclass(slots=True)
class _Place:
    """Where the last op on something stands in the queue.

    Attributes:
        index: its place.
        was_object: whether the name surely held an object before it.
    """

    index: int
    was_object: bool = False


@dataclass(slots=True)
class _Trace:
    """What has been queued for one name since the last barrier.

    Attributes:
        whole: the last op on the name as a whole, if no member op came after it.
        members: the last op on each member, if no op on the whole came after it.
        is_object: whether the name surely holds an object now.
    """

    whole: _Place | None = None
    members: dict[MemberKey, _Place] = field(default_factory=dict)
    is_object: bool = False


@final
class CoalescingQueue:
    """Ops in order, as few as will do.

    Attributes:
        ops: what is queued.
    """

    __slots__ = ("_traces", "ops")

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._traces: dict[str, _Trace] = {}

    def __len__(self) -> int:
        return len(self.ops)

    def absorbs(self, op: Op) -> bool:
        """Whether `op` would take the place of another, so that the queue did not grow."""
        return self._merge(op) is not None

    def add(self, op: Op) -> None:
        """Queue `op`, or let it take the place of an earlier one."""
        merge = self._merge(op)
        if merge is None:
            self._note(op)
            self.ops.append(op)
        else:
            place, merged = merge
            self.ops[place.index] = merged
            if _makes_object(merged):
                self._traces[op.key].is_object = True

    def _merge(self, op: Op) -> tuple[_Place, Op] | None:
        """The place of an earlier op, and the op that can stand there for it and `op`."""
        trace = self._traces.get(op.key)
        if trace is None:
            return None
        if isinstance(op, _ON_WHOLE):
            place = trace.whole
            merged = _merge_whole(self.ops[place.index], op) if place is not None else None
        elif isinstance(op, ListAppend):
            return None
        else:
            place = trace.members.get(_member(op))
            merged = _merge_member(self.ops[place.index], op, place.was_object) if place is not None else None
        return (place, merged) if place is not None and merged is not None else None

    def _note(self, op: Op) -> None:
        """Trace `op`, which is about to be appended."""
        if isinstance(op, ListAppend):
            self._traces[op.key] = _Trace()
        elif isinstance(op, _ON_WHOLE):
            self._traces[op.key] = _Trace(whole=_Place(len(self.ops)))
        else:
            trace = self._traces.setdefault(op.key, _Trace())
            trace.whole = None
            trace.members[_member(op)] = _Place(len(self.ops), trace.is_object)
            trace.is_object = trace.is_object or _makes_object(op)


def _member(op: _OnMember) -> MemberKey:
    key = op.member if isinstance(op, (SetAdd, SetRemove)) else op.map_key
    return key if type(key) is str else member_key(key)


def _makes_object(op: Op) -> bool:
    return isinstance(op, (MapSet, IntMapSet, SetAdd, IntMapAdd, IntMapMul))


def _merge_whole(earlier: Op, later: Op) -> Op | None:
    """One op for both, or None if it takes two."""
    if isinstance(later, _OVERWRITES):
        return later
    if isinstance(later, IntAdd) and isinstance(earlier, IntAdd):
        return IntAdd(later.key, wrap(earlier.delta + later.delta))
    if isinstance(later, IntAdd) and isinstance(earlier, IntSet):
        return IntSet(later.key, wrap(earlier.value + later.delta))
    return None


def _merge_member(earlier: Op, later: Op, was_object: bool) -> Op | None:
    """One op for both, in the place of the earlier one, or None if it takes two.

    Args:
        earlier: the last op on that member.
        later: the next one on it.
        was_object: whether the name surely held an object before `earlier`.
    """
    if isinstance(later, _MEMBER_SETS):
        return later if was_object or _makes_object(earlier) else None
    if isinstance(later, _MEMBER_DELETES):
        return later if was_object or isinstance(earlier, _MEMBER_DELETES) else None
    if isinstance(later, IntMapAdd) and isinstance(earlier, IntMapAdd):
        return IntMapAdd(later.key, later.map_key, wrap(earlier.delta + later.delta))
    if isinstance(later, IntMapAdd) and isinstance(earlier, IntMapSet):
        return IntMapSet(later.key, later.map_key, wrap(earlier.value + later.delta))
    return None
