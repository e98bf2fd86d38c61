"""The file of an export: it is taken as a whole, as it was written, or not at all."""

from __future__ import annotations

import hashlib
import io
import pickle
from datetime import UTC, datetime

import msgspec
import pytest

from metadatadb_core.replication.archive import FORMAT, Archived, ArchiveError, ArchiveWriter, Header, read_archive
from metadatadb_core.replication.content import Content

HEADER = Header(FORMAT, "s3://builds", "team/", datetime(2026, 1, 31, 12, tzinfo=UTC))
CONTENTS = {"": Content(b"{}"), "git": Content('{"clones":{"\\"a\\u2028\\"":3},"u":"\u2028"}'.encode())}


def written(contents: dict[str, Content] = CONTENTS, header: Header = HEADER) -> bytes:
    """A file."""
    stream = io.BytesIO()
    archive = ArchiveWriter(stream, header)
    for namespace, content in contents.items():
        archive.add(namespace, content)
    archive.finish()
    return stream.getvalue()


def read(text: bytes) -> list[Archived]:
    """What is in a file."""
    return list(read_archive(io.BytesIO(text)))


def why_not(text: bytes) -> str:
    """Why a file is refused."""
    with pytest.raises(ArchiveError) as caught:
        read(text)
    return str(caught.value)


def test_what_is_written_is_read() -> None:
    """Every namespace, the root too, with its bytes."""
    assert CONTENTS == {archived.namespace: archived.content for archived in read(written())}


def test_a_store_without_namespaces_makes_a_whole_file() -> None:
    """It has a header and an end."""
    assert [] == read(written({}))


def test_the_file_is_what_the_documentation_says() -> None:
    """Others can check it with nothing but SHA-256."""
    lines = written({"git": Content(b'{"n":1}')}).splitlines(keepends=True)

    assert [
        b'{"kind":"header","format":1,"store":"s3://builds","prefix":"team/","exported":"2026-01-31T12:00:00Z"}\n',
        b'{"kind":"namespace","namespace":"git","sha256":"%s","state":{"n":1}}\n'
        % hashlib.sha256(b'git\n{"n":1}').hexdigest().encode(),
        b'{"kind":"end","namespaces":1,"sha256":"%s"}\n' % hashlib.sha256(lines[0] + lines[1]).hexdigest().encode(),
    ] == lines


def test_a_file_that_was_cut_off_anywhere_is_refused() -> None:
    """Also right behind a line, and right before the last newline."""
    whole = written()

    assert [] == [at for at in range(len(whole)) if "cut off" not in why_not(whole[:at])]


def test_a_file_in_which_one_bit_was_changed_is_refused() -> None:
    """Wherever it is."""
    whole = written()
    for at in range(len(whole)):
        why_not(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])


def test_lines_of_another_file_are_refused() -> None:
    """One that was left out, put in or moved has a checksum of its own that is right."""
    header, root, git, end = written().splitlines(keepends=True)

    assert "line 3: 2 namespaces were written to the file, and 1 are in it" == why_not(header + root + end)
    assert "line 4: the file was changed: the checksum of the whole does not fit" == why_not(header + git + root + end)
    assert "line 4: the namespace 'git' comes twice" == why_not(header + git + root + git + end)
    assert "line 5: something follows the end" == why_not(written() + header)
    assert why_not(root + git + end).startswith("line 1: not the beginning")
    assert why_not(header + header).startswith("line 2: not the beginning")


def test_a_file_of_something_else_is_refused() -> None:
    """Its first line tells."""
    assert why_not(b'{"clones": 3}\n').startswith("line 1: not a file that metadatadb export has written")


def test_a_file_of_a_newer_version_is_refused() -> None:
    """With the advice that helps."""
    assert why_not(written(header=msgspec.structs.replace(HEADER, format=2))) == (
        "line 1: the file has format 2, this version reads 1; upgrade metadatadb-core here"
    )


@pytest.mark.parametrize(
    ("namespace", "state", "reason"),
    [
        ("../x", b"{}", "invalid namespace"),
        ("a", b"[]", "instead of an object"),
        ("a", b'{".metadatadb":{}}', "the record of some store's engine"),
    ],
)
def test_what_cannot_be_stored_is_refused_although_the_checksums_fit(namespace: str, state: bytes, reason: str) -> None:
    """Whoever made the file by hand may have made a mistake."""
    assert reason in why_not(written({namespace: Content(state)}))


def test_the_error_says_which_line_and_crosses_processes() -> None:
    """Its data are attributes."""
    error = ArchiveError(3, "it was cut off")
    copy = pickle.loads(pickle.dumps(error))

    assert (3, "it was cut off", "line 3: it was cut off") == (copy.line, copy.reason, str(copy))
