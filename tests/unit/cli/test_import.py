"""``metadatadb import``: what was exported is there again, and nothing else was lost for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadatadb_core import connect
from metadatadb_core.replication.record import Entry
from tests.support.contents import contents, fill, keys, put_state, records
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_status import put_lock


@pytest.fixture
def file(tmp_path: Path, metadatadb: Command) -> Path:
    """The export of a store with four namespaces."""
    origin = f"sqlite://{(tmp_path / 'origin.db').as_posix()}"
    fill(origin)
    assert 0 == metadatadb("export", "-t", origin, "-o", str(tmp_path / "backup.jsonl")).status
    return tmp_path / "backup.jsonl"


@pytest.fixture
def origin(file: Path) -> dict[str, bytes]:
    """What was exported."""
    return contents(f"sqlite://{(file.parent / 'origin.db').as_posix()}")


def statuses(document: dict[str, object]) -> dict[str, str]:
    """What has become of each namespace."""
    rows = document["namespaces"]
    assert isinstance(rows, list)
    return {row["namespace"]: row["status"] for row in rows}


def test_what_was_exported_is_there_again(
    file: Path, origin: dict[str, bytes], target: str, metadatadb: Command
) -> None:
    """To the byte; no lock and no probe is left."""
    said = metadatadb("import", str(file), "-t", target, "--json")

    assert 0 == said.status
    assert origin == contents(target)
    assert dict.fromkeys(origin, "written") == statuses(said.document)
    assert {"source": str(file), "destination": target, "complete": True} == {
        key: said.document[key] for key in ("source", "destination", "complete")
    }
    assert sorted(f".metadata/{name}.json" for name in origin) == sorted(keys(target))


def test_a_replica_reads_what_was_imported(file: Path, target: str, metadatadb: Command) -> None:
    """And goes on from there."""
    metadatadb("import", str(file), "-t", target)
    with connect(target) as store:
        runs = store.namespace("").int("runs")
        runs.add(1)

        assert 2 == runs.get()
        assert 2**63 - 1 == store.namespace("nasty").int_map("ints", int).get(2**63 - 1)


def test_importing_twice_changes_nothing(file: Path, target: str, metadatadb: Command) -> None:
    """So a command that was interrupted is simply run again."""
    metadatadb("import", str(file), "-t", target)
    before = records(target)
    said = metadatadb("import", str(file), "-t", target, "--json")

    assert (0, {"unchanged"}) == (said.status, set(statuses(said.document).values()))
    assert before == records(target)


def test_nothing_is_written_if_anything_would_be_overwritten(file: Path, target: str, metadatadb: Command) -> None:
    """All conflicts are told at once, and each namespace that stands in none is left out as well."""
    put_state(target, "nasty", b'{"mine":1}')
    put_state(target, "by-hand", b'{"mine":2}')
    said = metadatadb("import", str(file), "-t", target)

    assert 1 == said.status
    assert f"error: nothing was written to {target}, because of by-hand, nasty: see above why" in said.err
    assert "--replace" in said.err
    assert 2 == said.out.count(f"{target} holds something else")
    assert {"nasty": b'{"mine":1}', "by-hand": b'{"mine":2}'} == contents(target)
    assert [".metadata/by-hand.json", ".metadata/nasty.json"] == keys(target)


def test_the_conflicts_are_a_document_too(file: Path, target: str, metadatadb: Command) -> None:
    """With the error beside it."""
    put_state(target, "nasty", b'{"mine":1}')
    said = metadatadb("import", str(file), "-t", target, "--json")

    assert {"": "not begun", "by-hand": "not begun", "emptied": "not begun", "nasty": "conflict"} == statuses(
        said.document
    )
    assert (False, "Refusal") == (said.document["complete"], said.error["kind"])


def test_with_replace_it_is_overwritten_and_its_record_kept(
    file: Path, origin: dict[str, bytes], target: str, metadatadb: Command
) -> None:
    """So that replicas whose writes are in flight there know what has become of them."""
    put_state(target, "nasty", b'{"mine":1,".metadatadb":{"format":1,"commits":6,"floor":2,"writers":{"w":[4,6]}}}')
    put_state(target, "mine", b"{}")
    said = metadatadb("import", str(file), "-t", target, "--replace", "--json")
    record = records(target)["nasty"]

    assert 0 == said.status
    assert {"": "written", "by-hand": "written", "emptied": "written", "nasty": "replaced"} == statuses(said.document)
    assert {**origin, "mine": b"{}"} == contents(target)
    assert (7, 2, {"w": Entry(4, 6)}) == (record.commits, record.floor, record.writers)


@pytest.mark.parametrize("body", [b"[]", b'{".metadatadb":{"format":99}}'])
def test_what_is_not_understood_is_not_replaced(body: bytes, file: Path, target: str, metadatadb: Command) -> None:
    """Not even with --replace; it says why, and how to go on without it."""
    put_state(target, "nasty", body)
    said = metadatadb("import", str(file), "-t", target, "--replace", "--json")

    assert (1, "conflict") == (said.status, statuses(said.document)["nasty"])
    assert "-n leaves others out" in said.error["message"]
    assert [".metadata/nasty.json"] == keys(target)


def test_only_the_namespaces_that_are_named_are_imported(file: Path, target: str, metadatadb: Command) -> None:
    """One that the file does not hold is a mistake."""
    assert 0 == metadatadb("import", str(file), "-t", target, "-n", "nasty").status
    assert ["nasty"] == sorted(contents(target))
    said = metadatadb("import", str(file), "-t", target, "-n", "", "-n", "missing")

    assert (1, f"error: {file} holds no 'missing' (there is (root), by-hand, emptied, nasty)\n") == (
        said.status,
        said.err,
    )
    assert ["nasty"] == sorted(contents(target))


@pytest.mark.parametrize("cut", ["header", "line", "end", "byte"])
def test_a_file_that_is_not_whole_is_refused(cut: str, file: Path, target: str, metadatadb: Command) -> None:
    """Before anything is written, wherever it ends."""
    text = file.read_bytes()
    lines = text.splitlines(keepends=True)
    ends = {"header": lines[0], "line": b"".join(lines[:3])[:-20], "end": b"".join(lines[:-1]), "byte": text[:-1]}
    file.write_bytes(ends[cut])
    said = metadatadb("import", str(file), "-t", target)

    assert (2, True) == (said.status, "the file was cut off" in said.err)
    assert {} == contents(target)


def test_a_file_that_was_changed_is_refused(file: Path, target: str, metadatadb: Command) -> None:
    """Before anything is written, also if the change stands in the last line."""
    text = file.read_bytes()
    file.write_bytes(text.replace(b'"runs":1', b'"runs":2'))
    namespace = metadatadb("import", str(file), "-t", target)
    file.write_bytes(text.replace(b"2026", b"2025", 1) if b"2026" in text else text.replace(b"sqlite", b"sqlitE", 1))
    header = metadatadb("import", str(file), "-t", target)

    assert f"error: {file}: line 2: the namespace '' was changed: its checksum does not fit\n" == namespace.err
    assert f"error: {file}: line 6: the file was changed: the checksum of the whole does not fit\n" == header.err
    assert (2, 2, {}) == (namespace.status, header.status, contents(target))


@pytest.mark.parametrize(
    ("text", "reason"), [("", "cut off"), ("clones: 3\n", "not a file that"), (None, "No such file")]
)
def test_a_file_of_something_else_is_refused(
    text: str | None, reason: str, tmp_path: Path, target: str, metadatadb: Command
) -> None:
    """In a word."""
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text)
    said = metadatadb("import", str(path), "-t", target)

    assert (2, True) == (said.status, reason in said.err)


def test_standard_input_is_read_where_the_file_is_a_dash(
    file: Path, origin: dict[str, bytes], target: str, metadatadb: Command
) -> None:
    """It is looked at twice, as a file is."""
    said = metadatadb("import", "-", "-t", target, input=file.read_text())
    refused = metadatadb("import", "-", "-t", target, input=file.read_text()[:-1])

    assert (0, origin) == (said.status, contents(target))
    assert (2, True) == (refused.status, "-: line 6: the file was cut off within this line" in refused.err)


def test_it_waits_for_a_lock_and_takes_over_one_whose_holder_is_gone(
    file: Path, target: str, metadatadb: Command
) -> None:
    """As a replica would, and says so."""
    put_lock(target, "nasty", b'{"nonce":"gone","ttl":0.2}')
    said = metadatadb("import", str(file), "-t", f"{target}?lock-ttl=200ms")

    assert (0, True) == (said.status, "waiting for the lock of nasty" in said.err)
    assert ".metadata/nasty.lock" not in keys(target)


def test_a_narrow_terminal_shows_all_of_it(file: Path, target: str, metadatadb: Command) -> None:
    """Below each other, within 40 columns."""
    put_state(target, "nasty", b'{"mine":1}')
    said = metadatadb("import", str(file), "-t", target, columns=40)

    assert "RESULT     conflict" in said.out
    assert 40 >= max(map(len, said.out.splitlines()))


def test_a_name_that_the_file_does_not_hold_is_refused_with_the_nearest(
    file: Path, target: str, metadatadb: Command
) -> None:
    """For each that was misspelt."""
    said = metadatadb("import", str(file), "-t", target, "-n", "nasti", "-n", "by-hnad")

    assert (1, f"error: {file} holds no 'by-hnad' (did you mean 'by-hand'?), 'nasti' (did you mean 'nasty'?)\n") == (
        said.status,
        said.err,
    )
