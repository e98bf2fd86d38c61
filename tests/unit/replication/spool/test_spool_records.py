"""The form of a spool file: what was written is read back, and whatever the disk did to it raises nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadatadb_core import ops
from metadatadb_core.errors import InvalidValueError, UnsupportedFormatError
from metadatadb_core.ops import Op
from metadatadb_core.replication.record import BatchId
from metadatadb_core.replication.spool import Target, records
from metadatadb_core.state import NamespaceState
from metadatadb_core.testing.strategies import write_ops

TARGET = Target("s3://bucket", "team/", "jobs")
OPENING = records.opening(TARGET, 4711, "2026-01-02T03:04:05+00:00")
SEALED = BatchId("writer-1", 7)


def written(*lines: bytes) -> bytes:
    """A file of those records."""
    return b"".join([OPENING, *lines])


def read(file: bytes) -> records.Contents:
    """What is read of a file that is one."""
    contents = records.read(io.BytesIO(file))
    assert contents is not None
    return contents


def added(*deltas: int) -> list[Op]:
    """Additions to one counter."""
    return [ops.IntAdd("n", delta) for delta in deltas]


def test_what_was_written_is_read() -> None:
    """Every record, in order; of several attempts the last counts."""
    first, second = records.operations(added(1, 2)), records.operations(added(3))
    contents = read(written(first, second, records.seal(SEALED), records.attempt(4), records.attempt(9)))

    assert TARGET == contents.header.target
    assert (4711, "2026-01-02T03:04:05+00:00") == (contents.header.process, contents.header.created)
    assert (added(1, 2, 3), SEALED, 9, 0) == (contents.ops, contents.batch, contents.base, contents.lost)


@given(st.lists(write_ops(), max_size=20))
def test_ops_mean_the_same_after_they_were_read(written_ops: Sequence[Op]) -> None:
    """Whatever a backend admits."""
    before, after = NamespaceState(), NamespaceState()
    for op in written_ops:
        before.apply(op)
    for op in read(written(records.operations(written_ops))).ops:
        after.apply(op)

    assert before.encode() == after.encode()


@given(st.data())
def test_a_file_that_was_cut_short_is_read_up_to_there(data: st.DataObject) -> None:
    """A death in the middle of a write leaves part of the last record, and takes nothing else with it."""
    lines = [records.operations(added(number)) for number in range(5)]
    whole = written(*lines)
    cut = data.draw(st.integers(len(OPENING), len(whole)))
    complete = sum(len(b"".join([OPENING, *lines[:count]])) <= cut for count in range(1, 6))
    contents = read(whole[:cut])

    assert (added(*range(complete)), 0) == (contents.ops, contents.lost)


def test_a_torn_tail_is_no_loss() -> None:
    """Also one that the file system filled with zeros, and one of several lines."""
    line = records.operations(added(1))
    torn = [line[:-1], line[: len(line) // 2] + b"\n", bytes(4096), b"\xff" * 100 + b"\n" + b"\n\n"]

    assert [(added(5), 0)] * 4 == [
        (contents.ops, contents.lost)
        for contents in (read(written(records.operations(added(5)), tail)) for tail in torn)
    ]


def test_a_record_that_is_unreadable_amid_others_is_counted() -> None:
    """That is no torn write but a disk that lost something, and somebody should know."""
    lines = [bytearray(records.operations(added(number))) for number in range(3)]
    lines[1][20] ^= 1
    contents = read(written(*map(bytes, lines)))

    assert (added(0, 2), 1) == (contents.ops, contents.lost)


@given(st.data())
def test_no_flipped_bit_goes_unnoticed(data: st.DataObject) -> None:
    """What is read are records that were written, never others."""
    lines = [records.operations(added(number)) for number in range(3)]
    file = bytearray(written(*lines))
    bit = data.draw(st.integers(8 * len(OPENING), 8 * len(file) - 1))
    file[bit // 8] ^= 1 << bit % 8
    contents = read(bytes(file))

    assert len(contents.ops) < 3
    assert set(map(str, contents.ops)) < set(map(str, added(0, 1, 2)))


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(noise: bytes) -> None:
    """As a whole file, which then is none, or after the first record."""
    assert records.read(io.BytesIO(noise)) is None
    assert [] == read(OPENING + noise).ops


@given(st.sampled_from([b"ops", b"seal", b"attempt", b"spool", b"new"]), st.binary(max_size=100))
def test_any_payload_with_the_right_checksum_can_be_read(kind: bytes, payload: bytes) -> None:
    """A record of somebody who knows the form and means ill."""
    line = records._line(kind, payload.replace(b"\n", b""))
    contents = read(OPENING + line)

    assert TARGET == contents.header.target


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (b"seal", b'{"writer":"w","sequence":-1}'),
        (b"seal", b'{"writer":"w","sequence":9007199254740993}'),
        (b"seal", b'{"writer":"w","sequence":1%s}' % (b"0" * 30)),
        (b"attempt", b"-1"),
        (b"attempt", b"1%s" % (b"0" * 30)),
    ],
)
def test_a_number_that_the_record_cannot_hold_is_unreadable(kind: bytes, payload: bytes) -> None:
    """Written into the state, it would make the namespace unreadable for everyone."""
    contents = read(written(records._line(kind, payload), records.operations(added(1))))

    assert (None, None, 1) == (contents.batch, contents.base, contents.lost)


def test_what_is_whole_is_told_from_what_was_cut_short() -> None:
    """Whoever goes on with the file writes over the latter, and not over a record that he does not understand."""
    whole = written(records.operations(added(1)), records._line(b"new", b"?"))
    contents = read(whole + records.operations(added(2))[:-5])

    assert len(whole) == contents.size


def test_a_payload_nested_without_end_is_unreadable() -> None:
    """It does not exhaust the stack."""
    line = records._line(b"ops", b"[" * 200_000)
    contents = read(written(line, records.operations(added(1))))

    assert (added(1), 1) == (contents.ops, contents.lost)


@pytest.mark.parametrize("payload", [b'{"format":2}', OPENING[9 + len(b"spool ") : -1].replace(b":1,", b":99,", 1)])
def test_a_newer_form_is_refused(payload: bytes) -> None:
    """Rather than read in part, and then removed."""
    with pytest.raises(UnsupportedFormatError, match="newer version"):
        records.read(io.BytesIO(records._line(b"spool", payload)))


def test_a_record_has_a_longest_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before it is written, since it would not be read again."""
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 1000)

    assert added(1) == read(written(records.operations(added(1)))).ops
    with pytest.raises(InvalidValueError, match="apply fewer at a time"):
        records.operations([ops.ListAppend("l", "x" * 1000)])


def test_a_line_without_end_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held in memory at once is bounded, whatever the file is."""
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 1000)
    contents = read(written(b"x" * 5500, b"\n", records.operations(added(1))))

    assert (added(1), 6) == (contents.ops, contents.lost)
