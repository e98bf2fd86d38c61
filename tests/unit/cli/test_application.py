"""What holds for every command: help, exit statuses, errors, secrets."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path

import click
import msgspec
import pytest

from metadatadb_core import Registry, Store
from metadatadb_core.cli.app import application
from metadatadb_core.cli.commands import COMMANDS
from metadatadb_core.cli.targets import masked
from tests.unit.cli.conftest import Command

UNREACHABLE = "s3://bucket?endpoint-url=http://127.0.0.1:9"


@pytest.mark.parametrize("name", sorted(command.name or "" for command in COMMANDS))
def test_the_help_of_a_command_shows_how_it_is_typed(name: str, metadatadb: Command) -> None:
    """With an example at least, below what it does and takes."""
    said = metadatadb(name, "--help")

    assert 0 == said.status
    assert f"metadatadb {name}" in said.out.partition("Example")[2]


def test_every_command_takes_json_or_prints_a_script(metadatadb: Command) -> None:
    """Programs can read whatever a command finds."""
    without = {
        command.name for command in COMMANDS if not any("--json" in parameter.opts for parameter in command.params)
    }

    assert {"completion"} == without


def test_no_command_is_told_what_there_is(metadatadb: Command) -> None:
    """Help, and the status of one who used it wrongly."""
    said = metadatadb()

    assert 2 == said.status
    assert "Commands:" in said.err


def test_the_version_is_the_distributions(metadatadb: Command) -> None:
    """What is installed."""
    assert metadatadb("--version").out.startswith("metadatadb 0.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["namespaces"], "Missing option '-t'"),
        (["namespaces", "-t", "nowhere"], "neither a URL nor a file that exists"),
        (["namespaces", "-t", "missing.hcl"], "cannot read the file"),
        (["namespaces", "-t", "redsi://host"], "no backend 'redsi' is installed"),
        (["namespaces", "-t", "sqlite:///x?colour=red"], "unknown attribute 'colour'"),
        (["show", "a/b", "-t", "memory://"], "invalid namespace 'a/b'"),
        (["--connect-timeout", "0", "plugins"], "--connect-timeout"),
        (["--connect-timeout", "nan", "plugins"], "nan is no number of seconds that can be waited for"),
        (["--connect-timeout", "inf", "plugins"], "inf is no number of seconds"),
        (["--connect-timeout", "1e300", "plugins"], "1e300 is no number of seconds"),
        (["apply", "jobs", "--timeout", "inf", "-t", "memory://", "int-add", "n", "1"], "inf is no number of seconds"),
        (["show", "jobs", "--watch", "--interval", "nan", "-t", "memory://"], "nan is no number of seconds"),
        (["bench", "--seconds", "nan", "memory://"], "nan is no number of seconds"),
        (["unlock", "jobs", "--timeout", "nan", "-t", "memory://"], "nan is no number of seconds"),
        (["spool", ".", "--timeout", "nan"], "nan is no number of seconds"),
        (["--json", "show"], "--json here; it comes after the command: metadatadb COMMAND --json"),
        (["-t", "memory://", "show"], "-t here; it comes after the command: metadatadb COMMAND -t"),
        (["--verison"], "--version"),
        (["doctor"], "Missing argument 'TARGET'"),
        (["copy", "memory://"], "Missing argument 'DESTINATION'"),
    ],
)
def test_wrong_words_are_status_2(words: list[str], said: str, metadatadb: Command) -> None:
    """The same words would fail again, whatever a store holds."""
    result = metadatadb(*words)

    assert (2, "") == (result.status, result.out)
    assert said in result.err
    assert "Traceback" not in result.err


def test_no_for_an_answer_is_status_1(target: str, store: Store, metadatadb: Command) -> None:
    """The words are right."""
    store.namespace("jobs").int("runs").add(1)
    store.namespace("jobs").flush()
    said = metadatadb("show", "jbos", "-t", target)

    assert 1 == said.status
    assert "nothing is stored of namespace 'jbos'" in said.err
    assert "did you mean 'jobs'?" in said.err


def test_errors_are_json_where_the_output_is(metadatadb: Command) -> None:
    """One document on stderr, with the kind of the error and what it says."""
    said = metadatadb("show", "jobs", "--json", "-t", "redsi://host")

    assert "" == said.out
    assert "BackendNotFoundError" == said.error["kind"]
    assert "no backend 'redsi' is installed" in said.error["message"]


def test_usage_errors_are_json_too(metadatadb: Command) -> None:
    """Although the command line could not be read."""
    assert "NoSuchOption" == metadatadb("plugins", "--json", "--nothing").error["kind"]


def test_mistakes_of_a_configuration_are_json_with_their_places(tmp_path: Path, metadatadb: Command) -> None:
    """Each of them."""
    file = tmp_path / "meta.hcl"
    file.write_text('metadata sqlite {\n  path = 5\n  pth = ""\n}\n')
    said = metadatadb("namespaces", "--json", "-t", str(file))

    assert [(2, "path"), (3, "pth")] == [(one["line"], one["attribute"]) for one in said.error["problems"]]


def test_a_variable_names_the_store(target: str, store: Store, metadatadb: Command) -> None:
    """For whoever looks at one store all day."""
    store.namespace("jobs").int("runs").add(1)
    store.namespace("jobs").flush()

    assert 0 == metadatadb("show", "jobs", env={"METADATADB_TARGET": target}).status


@pytest.mark.parametrize("words", [("doctor",), ("bench", "--seconds", "0.05")])
def test_a_variable_names_the_store_that_is_tried(words: tuple[str, ...], metadatadb: Command) -> None:
    """Unless another is named."""
    env = {"METADATADB_TARGET": "memory://"}

    assert 0 == metadatadb(*words, env=env).status
    assert "redsi" in "".join(metadatadb(*words, "redsi://host", env=env).__dict__[name] for name in ("out", "err"))


def test_a_variable_names_no_store_to_copy_from_or_to(metadatadb: Command) -> None:
    """It could be either."""
    assert 2 == metadatadb("copy", "memory://", env={"METADATADB_TARGET": "memory://"}).status


@pytest.mark.parametrize("columns", ["0", "1", "40", "200", "²", "many"])
@pytest.mark.parametrize("words", ["--help", "plugins", "plugins --nothing"])
def test_in_a_pipe_the_columns_of_a_terminal_do_not_matter(columns: str, words: str, metadatadb: Command) -> None:
    """A shell that exports COLUMNS has one; who reads the pipe does not."""
    assert metadatadb(*words.split()) == metadatadb(*words.split(), env={"COLUMNS": columns, "LINES": columns})


@pytest.mark.parametrize("words", [["check", "\udcff.hcl"], ["namespaces", "-t", "\udcff.hcl"]])
def test_a_name_that_is_no_utf8_is_told_with_escapes(words: list[str], metadatadb: Command) -> None:
    """For people and for programs, which could not read it otherwise."""
    people, programs = metadatadb(*words), metadatadb(*words, "--json")

    assert (2, 2) == (people.status, programs.status)
    assert "\\udcff.hcl" in people.err
    assert "\\udcff.hcl" in programs.error["message"]


def test_warnings_of_the_library_are_told(metadatadb: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A degraded store is an operator's business."""

    def warn(registry: Registry) -> list[object]:
        logging.getLogger("metadatadb").warning("the store is %s", "odd")
        return []

    monkeypatch.setattr(Registry, "plugins", warn)

    assert "warning: the store is odd\n" == metadatadb("plugins").err
    assert {"warning": "the store is odd"} == msgspec.json.decode(metadatadb("plugins", "--json").err)


def test_an_error_nobody_foresaw_keeps_its_traceback(metadatadb: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is to be found."""

    def fail(registry: Registry) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Registry, "plugins", fail)
    with pytest.raises(ZeroDivisionError):
        metadatadb("plugins")


def test_an_interrupt_is_one_document_too(metadatadb: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else stands on stderr, such as the line that click prints after it."""

    def interrupt(registry: Registry) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Registry, "plugins", interrupt)
    said = metadatadb("plugins", "--json")

    assert (130, '{"error":{"kind":"Interrupted","message":"interrupted"}}\n') == (said.status, said.err)


class TestUnreachable:
    """A store that does not answer: a clear word, soon."""

    @pytest.fixture(autouse=True)
    def credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some, so that it is the store that is missed and not they."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    @pytest.mark.parametrize(
        "words", [["namespaces"], ["show", "jobs"], ["status"], ["apply", "jobs", "int-add", "n", "1"]]
    )
    def test_a_refused_connection_is_told(self, words: list[str], metadatadb: Command) -> None:
        """By every command that needs the store."""
        began = time.monotonic()
        said = metadatadb(*words, "-t", UNREACHABLE)

        assert 1 == said.status
        assert "s3://bucket at http://127.0.0.1:9 cannot be reached" in said.err
        assert time.monotonic() - began < 5

    def test_a_store_that_never_answers_is_not_waited_for(self, metadatadb: Command) -> None:
        """It accepts connections, and that is all; the limit is what the option says."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"s3://bucket?endpoint-url=http://127.0.0.1:{silent.getsockname()[1]}&lock-ttl=4s"
            began = time.monotonic()
            said = metadatadb("--connect-timeout", "0.5", "namespaces", "-t", url)
            took = time.monotonic() - began

        assert 1 == said.status
        assert "gave no answer within 0.5 s" in said.err
        assert took < 3


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("s3://bucket?region=eu", "s3://bucket?region=eu"),
        ("redis://user:pass@host/0", "redis://***"),
        ("redis://user:p@ss/w@host/0?x=1", "redis://***"),
        ("redis://host?password=hunter2&x=1", "redis://host?password=***&x=1"),
        ("redis://host?pass%77ord=hunter2", "redis://host?pass%77ord=***"),
        ("s3://b?endpoint-url=http://u:p@host", "s3://b?endpoint-url=***"),
        ("meta.hcl", "meta.hcl"),
        ("a@b.hcl", "a@b.hcl"),
        ("s3:/user:pass@host", "s3:***"),
        ("s3:/b?secret-key=hunter2&x=1", "s3:/b?secret-key=***&x=1"),
    ],
)
def test_credentials_in_a_target_are_not_shown(target: str, shown: str) -> None:
    """Wherever a URL may hold them."""
    assert shown == masked(target)


def test_a_password_in_a_url_is_never_repeated(metadatadb: Command) -> None:
    """Neither for people nor for programs."""
    for words in (["namespaces", "-t"], ["check"]):
        for url in ("redis://u:hunter2@127.0.0.1:9/0?colour=red", "redis://127.0.0.1:9/0?password=hunter2&colour=red"):
            for form in ([], ["--json"]):
                said = metadatadb(*words, url, *form)

                assert said.status != 0
                assert "hunter2" not in said.out + said.err


def test_the_application_is_a_click_group() -> None:
    """So that its completion, and tests of it, are click's."""
    assert isinstance(application, click.Group)


class TestPrefix:
    """A store below a prefix is told from the one beside it: a mistyped prefix is seen."""

    def test_people_see_it(self, target: str, store: Store, metadatadb: Command) -> None:
        """Wherever the store is named."""
        shown = f"{target}, prefix 'wrong/'"

        assert f"{shown} holds no namespace\n" == metadatadb("namespaces", "-t", f"{target}?prefix=wrong/").out
        assert f"{shown} holds no namespace\n" == metadatadb("status", "-t", f"{target}?prefix=wrong/").out
        assert (
            f"error: nothing is stored of namespace 'jobs' in {shown}\n"
            == metadatadb("show", "jobs", "-t", f"{target}?prefix=wrong/").err
        )

    def test_programs_see_it(self, target: str, metadatadb: Command) -> None:
        """Beside the store, whose name is the same whatever the prefix."""
        url = f"{target}?prefix=team/"
        said = [
            metadatadb(*words, "-t", url, "--json").document
            for words in (
                ["apply", "jobs", "int-add", "runs", "1"],
                ["namespaces"],
                ["status"],
                ["show", "jobs"],
                ["show", "jobs", "runs"],
                ["unlock", "jobs"],
            )
        ]
        said.append(metadatadb("bench", url, "--seconds", "0.01", "--json").document)

        assert [(target, "team/")] * len(said) == [(one["store"], one["prefix"]) for one in said]

    def test_a_store_without_any_has_an_empty_one(self, target: str, store: Store, metadatadb: Command) -> None:
        """And one that knows nothing of prefixes has none."""
        applied = metadatadb("apply", "jobs", "int-add", "runs", "1", "-t", "memory://", "--json").document

        assert "" == metadatadb("namespaces", "-t", target, "--json").document["prefix"]
        assert ("memory://", None) == (applied["store"], applied["prefix"])


@pytest.mark.parametrize(
    "words",
    [
        ["namespaces", "-t", "TARGET"],
        ["show", "jobs", "-t", "TARGET"],
        ["status", "-t", "TARGET"],
        ["unlock", "jobs", "-t", "TARGET"],
        ["export", "-o", "backup.jsonl", "-t", "TARGET"],
        ["copy", "TARGET", "sqlite://./copy.db"],
    ],
    ids=" ".join,
)
def test_whoever_looks_into_a_file_that_is_not_there_does_not_make_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadatadb: Command
) -> None:
    """It was probably misspelt."""
    monkeypatch.chdir(tmp_path)
    said = metadatadb(*("sqlite://./typo.db" if word == "TARGET" else word for word in words))

    assert (1, "") == (said.status, said.out)
    assert (
        f"error: {tmp_path / 'typo.db'} is not there, so nothing is stored in it: see that its name is right\n"
        == said.err
    )
    assert [] == list(tmp_path.iterdir())
