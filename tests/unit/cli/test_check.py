"""`check`: every mistake of a configuration, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadatadb_core.duration import DURATION_FORM
from tests.unit.cli.conftest import Command


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the current directory."""
    monkeypatch.chdir(tmp_path)
    return Path("meta.hcl")


def test_a_right_configuration_is_valid(config: Path, metadatadb: Command) -> None:
    """Without a store being asked: there is none."""
    config.write_text('metadata s3 {\n  bucket = "builds"\n}\n')
    said = metadatadb("check", "meta.hcl", "--json")

    assert 0 == said.status
    assert {"config": "meta.hcl", "valid": True, "backend": "s3", "problems": []} == said.document


def test_every_mistake_is_shown_under_its_line(config: Path, metadatadb: Command) -> None:
    """With the place marked, in the order of the file."""
    config.write_text('metadata s3 {\n  bukcet   = "builds"\n  lock-ttl = "30 s"\n}\n')
    said = metadatadb("check", "meta.hcl")

    assert 1 == said.status
    assert [
        "meta.hcl:1:1: 'bucket' is missing; expected a string no shorter than 1",
        "  metadata s3 {",
        "  ^",
        "meta.hcl:2:3: unknown attribute 'bukcet'; did you mean 'bucket'?",
        '    bukcet   = "builds"',
        "    ^",
        f"meta.hcl:3:14: wrong value for 'lock-ttl': \"30 s\" ('30 s' is not a duration); expected {DURATION_FORM}",
        '    lock-ttl = "30 s"',
        "               ^",
        "3 mistakes",
    ] == said.out.splitlines()


def test_mistakes_are_json_with_their_places(config: Path, metadatadb: Command) -> None:
    """For an editor, or CI."""
    config.write_text('metadata s3 {\n  bukcet = "builds"\n}\n')
    said = metadatadb("check", "meta.hcl", "--json")

    assert 1 == said.status
    assert not said.document["valid"]
    assert [(1, 1, "bucket"), (2, 3, "bukcet")] == [
        (one["line"], one["column"], one["attribute"]) for one in said.document["problems"]
    ]


def test_the_mark_stands_under_what_it_means_after_tabs_and_wide_characters(config: Path, metadatadb: Command) -> None:
    """Columns of the text are not columns of the terminal."""
    config.write_text('metadata s3 {\n\t/* 日本 */ bukcet = "builds"\n bucket = "b"\n}\n')
    line, mark = metadatadb("check", "meta.hcl").out.splitlines()[1:3]

    assert "    /* 日本 */ bukcet" == line.partition(" = ")[0]
    assert len("    /* ____ */ ") == mark.index("^")


def test_a_long_line_is_cut_around_the_place(config: Path, metadatadb: Command) -> None:
    """So that the mark is seen on a narrow terminal."""
    config.write_text(f'metadata s3 {{ bucket = "{"b" * 100}" \n bukcet = 1 }}\n'.replace("\n bukcet", ", bukcet"))
    config.write_text('metadata s3 {\n  bucket = "b"\n' + " " * 60 + 'bukcet = "' + "x" * 60 + '"\n}\n')
    said = metadatadb("check", "meta.hcl", columns=40)
    line, mark = said.out.splitlines()[-3:-1]

    assert 40 >= len(line)
    assert line[mark.index("^") :].startswith("bukcet")


@pytest.mark.parametrize(
    "line",
    [
        'secret-key = "hunter2"',
        'password = 5 # "hunter2"',
        'tags = { api-token = "hunter2" }',
        'endpoint = "http://me:hunter2@host"',
        "api-key = <<EOT\nhunter2\nEOT",
        'password = <<EOT\nhunter2 "\nEOT\n  region = "eu',
    ],
)
def test_a_secret_is_not_shown_with_its_line(line: str, config: Path, metadatadb: Command) -> None:
    """What a file says of secrets stays in it."""
    config.write_text(f'metadata s3 {{\n  bucket = "b"\n  {line}\n}}\n')
    for form in ([], ["--json"]):
        said = metadatadb("check", "meta.hcl", *form)

        assert 1 == said.status
        assert "hunter2" not in said.out + said.err


def test_an_unknown_backend_is_a_mistake_with_its_place(config: Path, metadatadb: Command) -> None:
    """The configuration is what is wrong."""
    config.write_text("metadata redsi {\n}\n")
    said = metadatadb("check", "meta.hcl")

    assert 1 == said.status
    assert said.out.startswith("meta.hcl:1:1: no backend 'redsi' is installed")


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["missing", "directory"])
def test_a_file_that_cannot_be_read_is_used_wrongly(make: object, config: Path, metadatadb: Command) -> None:
    """There is nothing to check."""
    make(config)  # type: ignore[operator]
    said = metadatadb("check", "meta.hcl")

    assert (2, "") == (said.status, said.out)
    assert said.err.startswith("error: cannot read meta.hcl: ")


def test_a_url_is_checked_like_a_file(metadatadb: Command) -> None:
    """Without lines, and without what it holds of credentials."""
    said = metadatadb("check", "s3://builds?lock-tll=5s")

    assert 1 == said.status
    assert "s3://builds: unknown attribute 'lock-tll'; did you mean 'lock-ttl'?" in said.out


def test_variables_are_those_of_the_environment(
    config: Path, metadatadb: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment's."""
    config.write_text('metadata s3 {\n  bucket = "builds-${REGION_FOR_TEST}"\n}\n')
    without = metadatadb("check", "meta.hcl").status
    monkeypatch.setenv("REGION_FOR_TEST", "eu")

    assert (1, 0) == (without, metadatadb("check", "meta.hcl").status)


def test_an_unknown_backend_of_a_url_is_a_mistake(metadatadb: Command) -> None:
    """As it is in a file."""
    people = metadatadb("check", "redsi://host")
    programs = metadatadb("check", "redsi://host", "--json")

    assert (1, 1) == (people.status, programs.status)
    assert people.out.startswith("redsi://host: no backend 'redsi' is installed")
    assert {"config": "redsi://host", "valid": False, "backend": None} == {
        name: programs.document[name] for name in ("config", "valid", "backend")
    }
    assert ["redsi://host"] == [problem["file"] for problem in programs.document["problems"]]


@pytest.mark.parametrize(
    "url", ["s3://user:hunter2@bucket", "gs://user:hunter2@bucket", "sqlite://user:hunter2@host/x"]
)
def test_a_user_where_none_can_be_is_said_to_be_the_reason(url: str, metadatadb: Command) -> None:
    """Without a word of who."""
    said = metadatadb("check", url)

    assert 1 == said.status
    assert "its host or path cannot be used, perhaps because of the user and password in it" in said.out
    assert "hunter2" not in said.out + said.err
    assert "user:" not in said.out + said.err


@pytest.mark.parametrize("config", ["s3:/user:hunter2@host", "s3:user:hunter2@host", "s3:/b?secret-key=hunter2"])
def test_a_mistyped_url_does_not_tell_its_password(config: str, metadatadb: Command) -> None:
    """It is no file of that name either."""
    for words in ("check", "doctor"):
        said = metadatadb(words, config)

        assert said.status
        assert "s3:" in said.out + said.err
        assert "hunter2" not in said.out + said.err
