"""``metadatadb export``: all of a store in one file, or no file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from metadatadb_core.replication.archive import read_archive
from tests.support.contents import contents, fill, keys, put_state
from tests.unit.cli.conftest import Command


@pytest.fixture
def filled(target: str) -> str:
    """A store with four namespaces."""
    fill(target)
    return target


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where to export to, in a directory of its own."""
    directory = tmp_path / "exports"
    directory.mkdir()
    return directory / "backup.jsonl"


def archived(file: Path) -> dict[str, bytes]:
    """What is in a file."""
    with file.open("rb") as stream:
        return {each.namespace: each.content.body for each in read_archive(stream)}


def test_every_namespace_is_in_the_file_as_it_is_stored(filled: str, file: Path, metadatadb: Command) -> None:
    """To the byte, and the store is as it was."""
    before = keys(filled)
    said = metadatadb("export", "-t", filled, "-o", str(file))

    assert 0 == said.status
    assert contents(filled) == archived(file)
    assert ["", "by-hand", "emptied", "nasty"] == sorted(archived(file))
    assert before == keys(filled)


def test_it_tells_what_was_exported(filled: str, file: Path, metadatadb: Command) -> None:
    """Names and sizes, for people and for programs."""
    people = metadatadb("export", "-t", filled, "-o", str(file))
    programs = metadatadb("export", "-t", filled, "-o", str(file), "--replace", "--json").document

    assert f"{file}: 4 namespaces, " in people.out
    assert {"store": filled, "file": str(file)} == {key: programs[key] for key in ("store", "file")}
    assert {name: len(body) for name, body in archived(file).items()} == {
        row["namespace"]: row["bytes"] for row in programs["namespaces"]
    }


def test_without_a_file_it_is_written_to_standard_output(filled: str, file: Path, metadatadb: Command) -> None:
    """And nothing else is, so that it can be piped on."""
    said = metadatadb("export", "-t", filled)
    file.write_bytes(said.out.encode())

    assert contents(filled) == archived(file)
    assert said.err.startswith("exported 4 namespaces, ")
    assert "" == metadatadb("export", "-t", filled, "--json").err


def test_only_the_namespaces_that_are_named_are_exported(filled: str, file: Path, metadatadb: Command) -> None:
    """The root has the empty name."""
    metadatadb("export", "-t", filled, "-o", str(file), "-n", "nasty", "-n", "")

    assert ["", "nasty"] == sorted(archived(file))


def test_a_namespace_that_is_not_there_is_no_empty_file(filled: str, file: Path, metadatadb: Command) -> None:
    """It was probably misspelt."""
    said = metadatadb("export", "-t", filled, "-o", str(file), "-n", "nasti", "-n", "nasty")

    assert (1, f"error: {filled} holds no 'nasti' (did you mean 'nasty'?)\n") == (said.status, said.err)
    assert not file.exists()
    assert 2 == metadatadb("export", "-t", filled, "-n", "a/b").status


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_its_owner_may_read_the_file(filled: str, file: Path, metadatadb: Command) -> None:
    """It holds all that the store does."""
    metadatadb("export", "-t", filled, "-o", str(file))

    assert 0o600 == stat.S_IMODE(file.stat().st_mode)


def test_a_file_that_exists_is_not_overwritten(filled: str, file: Path, metadatadb: Command) -> None:
    """Unless with --replace."""
    file.write_text("precious")
    said = metadatadb("export", "-t", filled, "-o", str(file))

    assert (1, "precious") == (said.status, file.read_text())
    assert f"error: {file} exists; choose another name, or add --replace\n" == said.err
    assert 0 == metadatadb("export", "-t", filled, "-o", str(file), "--replace").status
    assert contents(filled) == archived(file)


@pytest.mark.parametrize("replaced", [False, True])
def test_an_export_that_fails_leaves_no_part_of_a_file(
    filled: str, file: Path, metadatadb: Command, replaced: bool
) -> None:
    """And what was there is there still: a state that cannot be read is no reason to export less."""
    put_state(filled, "corrupt", b"[]")
    if replaced:
        file.write_text("precious")
    said = metadatadb("export", "-t", filled, "-o", str(file), "--replace")

    assert 1 == said.status
    assert "warning: state object '.metadata/corrupt.json' is corrupt" in said.err
    assert said.err.endswith(
        "error: nothing was exported, because of corrupt: see above why; "
        "--skip-unreadable leaves out what cannot be read\n"
    )
    assert (["precious"] if replaced else []) == [left.read_text() for left in file.parent.iterdir()]


def test_an_export_to_standard_output_that_fails_has_no_end(filled: str, metadatadb: Command) -> None:
    """So that nobody takes it for whole."""
    put_state(filled, "corrupt", b"[]")
    said = metadatadb("export", "-t", filled)

    assert 1 == said.status
    assert "end" not in {msgspec.json.decode(line)["kind"] for line in said.out.split("\n")[:-1]}


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [("nowhere/backup.jsonl", 2, "No such file or directory"), (".", 2, "Is a directory")],
)
def test_a_file_that_cannot_be_written_is_told(
    name: str, status: int, reason: str, filled: str, file: Path, metadatadb: Command
) -> None:
    """In a word, without a traceback."""
    said = metadatadb("export", "-t", filled, "-o", str(file.parent / name))

    assert (status, True) == (said.status, reason in said.err)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_told(filled: str, metadatadb: Command) -> None:
    """A device is written to as it is, and stays one."""
    said = metadatadb("export", "-t", filled, "-o", "/dev/full")

    assert (1, "error: cannot write /dev/full: No space left on device\n") == (said.status, said.err)
    assert Path("/dev/full").is_char_device()


def test_a_link_stays_one(filled: str, file: Path, metadatadb: Command) -> None:
    """What it points to is written."""
    link = file.with_name("latest.jsonl")
    link.symlink_to(file)
    metadatadb("export", "-t", filled, "-o", str(link))

    assert link.is_symlink()
    assert contents(filled) == archived(file)


def test_a_backend_that_cannot_be_looked_into_says_so(metadatadb: Command) -> None:
    """There is nothing that all of its namespaces could be listed from."""
    said = metadatadb("export", "-t", "memory://")

    assert (1, True) == (said.status, "memory:// cannot be looked into" in said.err)


@pytest.mark.parametrize("words", [(), ("--json",), ("--replace",)])
def test_a_store_that_holds_nothing_is_no_backup(
    words: tuple[str, ...], filled: str, file: Path, metadatadb: Command
) -> None:
    """It was probably misspelt, and what was backed up before is not lost for it."""
    if "--replace" in words:
        file.write_text("precious")
    said = metadatadb("export", "-t", f"{filled}?prefix=wrong/", "-o", str(file), *words)

    assert (1, "") == (said.status, said.out)
    assert f"{filled}, prefix 'wrong/' holds no namespace: see that its name and its prefix are right" in said.err
    assert (["precious"] if "--replace" in words else []) == [left.read_text() for left in file.parent.iterdir()]


class TestSkipUnreadable:
    """The rest is exported, and it is no success."""

    @pytest.fixture
    def spoilt(self, filled: str) -> str:
        """A store of which two namespaces cannot be read."""
        put_state(filled, "corrupt", b"[]")
        put_state(filled, "newer", b'{".metadatadb":{"format":99}}')
        return filled

    def test_what_can_be_read_is_in_the_file(self, spoilt: str, file: Path, metadatadb: Command) -> None:
        """Whole, with its end."""
        said = metadatadb("export", "-t", spoilt, "-o", str(file), "--skip-unreadable")

        assert 1 == said.status
        assert ["", "by-hand", "emptied", "nasty"] == sorted(archived(file))
        assert f"{file}: 4 namespaces, " in said.out

    def test_what_cannot_is_named_on_a_line_each(self, spoilt: str, file: Path, metadatadb: Command) -> None:
        """With the reason."""
        corrupt, newer, error = metadatadb(
            "export", "-t", spoilt, "-o", str(file), "--skip-unreadable"
        ).err.splitlines()

        assert corrupt.startswith("warning: state object '.metadata/corrupt.json' is corrupt")
        assert newer.startswith("warning: namespace 'newer' was written by a newer version")
        assert "error: left out, since they cannot be read: corrupt, newer; see above why" == error

    def test_programs_are_told(self, spoilt: str, file: Path, metadatadb: Command) -> None:
        """In the document."""
        said = metadatadb("export", "-t", spoilt, "-o", str(file), "--skip-unreadable", "--json")

        assert ["corrupt", "newer"] == [row["namespace"] for row in said.document["unreadable"]]
        assert "is corrupt" in said.document["unreadable"][0]["problem"]
        assert (1, "Refusal") == (said.status, said.error["kind"])

    def test_nothing_at_all_is_no_file(self, spoilt: str, file: Path, metadatadb: Command) -> None:
        """There would be nothing in it."""
        said = metadatadb("export", "-t", spoilt, "-o", str(file), "--skip-unreadable", "-n", "corrupt")

        assert (1, False) == (said.status, file.exists())

    def test_where_all_can_be_read_it_is_a_success(self, filled: str, file: Path, metadatadb: Command) -> None:
        """And nothing is left out."""
        said = metadatadb("export", "-t", filled, "-o", str(file), "--skip-unreadable", "--json")

        assert (0, []) == (said.status, said.document["unreadable"])
