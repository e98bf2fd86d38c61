"""What must hold: the account of what was applied, kept beside the engine and without its help.

The ledger knows each acknowledged apply, and each value the state object ever had. It derives what a value has to
be from the one before it and from what the writer had applied, op by op in order, without coalescing, batches or
the record. So a lost, doubled, torn or reordered op shows at the very put that stores it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, final

from metadatadb_core.codec import Names, decode_names
from metadatadb_core.members import Members
from metadatadb_core.ops import RECORD_NAME, ListAppend, Op
from metadatadb_core.replication.record import Record
from metadatadb_core.state import NamespaceState
from metadatadb_core.writes import WRITES

__all__ = ["BANK", "LOG", "Claim", "Entry", "Group", "Ledger", "Violation", "Writer", "apply_groups", "difference"]

Group: TypeAlias = tuple[Op, ...]
"""The ops of one apply: visible together, never split."""

BANK: Final = "bank"
"""An IntMap whose values always add up to 0: every transfer takes from one what it gives to another."""

LOG: Final = "log"
"""A List in which each writer appends ``[writer, count]``, counting up."""


class Violation(AssertionError):
    """An invariant does not hold."""


@final
@dataclass(slots=True, eq=False)
class Writer:
    """What one replica did between its start, or its last discard, and its end.

    Attributes:
        name: how histories call it.
        family: the process that its process was forked from, or itself: what one left behind the others know.
        groups: what it applied, each acknowledged.
        resolved: how many of them it may know to be durable, by what it has read and been answered.
        promised: how many of them a flush said to be durable.
        epoch: the epoch of the value the last promise was about.
        lives: whether what it applied is still to be flushed, by itself or by whoever inherits its spool.
        locking: the nonce of the lock that its round uses, from the lock's first put to the end of the round.
    """

    name: str
    family: str
    groups: list[Group] = field(default_factory=list)
    resolved: int = 0
    promised: int = 0
    epoch: int = 0
    lives: bool = True
    locking: str | None = None


@final
@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """What a put of the state object has to mean.

    Attributes:
        writer: who puts it.
        parts: whose applies it adds to what was read, in order: from which one on, and up to which.
        seen: the highest commit counter that its writer has seen.
    """

    writer: Writer
    parts: tuple[tuple[Writer, int, int], ...]
    seen: int

    @property
    def in_doubt(self) -> bool:
        """Whether any of that may or may not have taken effect, for all that is known."""
        return any(end > writer.resolved for writer, _, end in self.parts)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One value the state object had.

    Attributes:
        index: its place among all values.
        version: the store's name for it; None where there was no object.
        names: what it held, without the record.
        durable: how many applies of each writer were in it.
        record: the engine's record in it.
        epoch: how often the state had been reset.
    """

    index: int
    version: str | None
    names: Names
    durable: dict[Writer, int]
    record: Record
    epoch: int


def apply_groups(names: Names, groups: list[Group]) -> None:
    """Do what `groups` say, one op after the other."""
    for group in groups:
        for op in group:
            WRITES[type(op)](names, op)


def copy_names(names: Names) -> Names:
    """A copy that ops may change."""
    return NamespaceState(names).copy().names


def _same(left: Any, right: Any) -> bool:
    if type(left) is Members:
        return type(right) is Members and left.items == right.items and left.foreign == right.foreign
    return type(left) is type(right) and bool(left == right)


def difference(expected: Names, actual: Names) -> str | None:
    """Where two states differ, in words; None if they do not."""
    for name, value in expected.items():
        if not _same(value, actual.get(name)):
            return f"{name!r} should be {_plain(value)!r}, and is {_plain(actual.get(name))!r}"
    if len(expected) != len(actual):
        return f"{sorted(actual.keys() - expected.keys())} should not be there"
    return None


def _plain(value: Any) -> Any:
    return value.to_object() if type(value) is Members else value


@final
class Ledger:
    """Every value of the state object.

    Attributes:
        head: the value it has now.
        by_version: the last value of each version.
    """

    def __init__(self) -> None:
        self.head = Entry(0, None, {}, {}, Record(), 0)
        self.by_version: dict[str | None, Entry] = {None: self.head}

    def _advance(self, entry: Entry) -> Entry:
        self.head = entry
        self.by_version[entry.version] = entry
        return entry

    def landed(self, claim: Claim, version: str, body: bytes) -> Entry:
        """A replica's put of the state object took effect."""
        before = self.head
        names, record = read_state(body)
        expected = copy_names(before.names)
        for writer, start, end in claim.parts:
            done = before.durable.get(writer)
            if done is None:
                done = 0 if before.epoch == 0 else start
            # After a reset a writer goes on from what it knew to be durable once, wherever that is now.
            if done != start and (before.epoch == 0 or start < done):
                raise Violation(
                    f"{claim.writer.name} stores applies of {writer.name} from {start} on, and {done} are in already"
                )
            apply_groups(expected, writer.groups[start:end])
        if (wrong := difference(expected, names)) is not None:
            parts = " and ".join(f"{start} to {end} of {writer.name}" for writer, start, end in claim.parts)
            raise Violation(
                f"{claim.writer.name} stored {version}, which is not {before.version} with the applies {parts}: {wrong}"
            )
        check_total(names, f"the stored state {version}")
        self._check_record(before, record, claim)
        durable = {**before.durable, **{writer: end for writer, _, end in claim.parts}}
        return self._advance(Entry(before.index + 1, version, names, durable, record, before.epoch))

    def _check_record(self, before: Entry, record: Record, claim: Claim) -> None:
        name, known = claim.writer.name, before.record
        if record.commits <= max(known.commits, claim.seen):
            raise Violation(
                f"{name} sets the commit counter to {record.commits}, after {max(known.commits, claim.seen)}"
            )
        if record.floor < known.floor:
            raise Violation(f"{name} lowers the floor from {known.floor} to {record.floor}")
        writers = record.writers
        for writer, entry in known.writers.items():
            after = writers.get(writer)
            if after is not None and (after.sequence < entry.sequence or after.commit < entry.commit):
                raise Violation(f"{name} takes the sequence of {writer} back from {entry} to {after}")

    def rewritten(self, version: str, body: bytes) -> None:
        """A Go replica's put of the state object took effect; what it wrote is right by definition."""
        before = self.head
        names, record = read_state(body)
        self._advance(Entry(before.index + 1, version, names, before.durable, record, before.epoch))

    def vanished(self) -> None:
        """Somebody deleted the state object."""
        before = self.head
        self._advance(Entry(before.index + 1, None, {}, {}, Record(), before.epoch + 1))

    def check_end(self, writers: list[Writer]) -> None:
        """All that is stored at the end, by what can be seen in it alone."""
        head = self.head
        counts: dict[str, int] = {}
        log: Any = head.names.get(LOG) or []
        for name, count in log:
            if count <= counts.get(name, -1):
                raise Violation(f"the log has entry {count} of {name} after {counts[name]}")
            counts[name] = count
        for writer in writers:
            durable = head.durable.get(writer, 0)
            if head.epoch == 0:
                if writer.lives and durable != len(writer.groups):
                    raise Violation(f"{writer.name} applied {len(writer.groups)}, and {durable} are stored at the end")
                if durable < writer.promised:
                    raise Violation(f"a flush of {writer.name} promised {writer.promised}, and {durable} are stored")
                self._check_log(writer, durable, counts)

    def _check_log(self, writer: Writer, durable: int, counts: dict[str, int]) -> None:
        ops = [op for group in writer.groups[:durable] for op in group]
        appended = [op.value[1] for op in ops if isinstance(op, ListAppend) and op.key == LOG]
        if appended and counts.get(writer.name) != appended[-1]:
            raise Violation(f"the last log entry of {writer.name} is {counts.get(writer.name)}, not {appended[-1]}")


def read_state(body: bytes) -> tuple[Names, Record]:
    """What a stored state object holds. Raises whatever the engine's own reading raises: it has to be readable."""
    names = decode_names(body)
    record = names.pop(RECORD_NAME, None)
    return names, Record.from_json(_plain(record), "")


def check_total(names: Names, where: str) -> None:
    """Nothing was made or lost by transfers."""
    bank = names.get(BANK)
    if type(bank) is Members and (total := sum(bank.items.values())) != 0:
        raise Violation(f"the transfers in {where} add up to {total}, not to 0")
