"""`apply`: ops as words and as lines, all or nothing."""

from __future__ import annotations

import msgspec
import pytest

from metadatadb_core import Store, ops
from metadatadb_core.cli.words import FORMS, op_from_words, op_word
from metadatadb_core.ops import WRITE_OPS, Op, encode_ops
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_status import put_lock


class TestWords:
    """An op as somebody types it."""

    def test_every_op_can_be_typed(self) -> None:
        """By the name of its class, in the manner of a command line."""
        assert [op_word(kind) for kind in WRITE_OPS] == list(FORMS)
        assert "int-map-add NAME KEY DELTA" == FORMS["int-map-add"]

    @pytest.mark.parametrize(
        ("words", "op"),
        [
            ("int-map-add clones repo-a 3", ops.IntMapAdd("clones", "repo-a", 3)),
            ("int-add n -3", ops.IntAdd("n", -3)),
            ("int-set n +3", ops.IntSet("n", 3)),
            ("set-add done 1", ops.SetAdd("done", "1")),
            ("map-set flags dark true", ops.MapSet("flags", "dark", True)),
            ("map-set flags 1 1.5", ops.MapSet("flags", "1", 1.5)),
            ("scalar-set greeting hello", ops.ScalarSet("greeting", "hello")),
            ('scalar-set version "1.10"', ops.ScalarSet("version", "1.10")),
            ("list-append log {broken", ops.ListAppend("log", "{broken")),
            ("scalar-delete greeting", ops.ScalarDelete("greeting")),
            ("scalar-set n NaN", ops.ScalarSet("n", "NaN")),
            ("int-set n 0000000000000000000000000000000001", ops.IntSet("n", 1)),
        ],
    )
    def test_keys_are_text_and_values_are_json_or_text(self, words: str, op: Op) -> None:
        """What is no JSON is the text itself."""
        assert op == op_from_words(words.split())

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ("int-ad n 1", "unknown op 'int-ad'; did you mean int-add?"),
            ("int-add n", "int-add takes 2 words, not 1: int-add NAME DELTA"),
            ("int-add n 1 2", "int-add takes 2 words, not 3: int-add NAME DELTA"),
            ("int-add n 1_0", "int-add: DELTA must be a whole number, not '1_0'"),
            ("int-add n 99999999999999999999", "a number must fit in int64"),
            ("scalar-set .metadatadb 1", "the name '.metadatadb' is reserved"),
            (
                "int-set n 99999999999999999999999999999999",
                "VALUE is 99999999999999999999999999999999, but a number must",
            ),
            (f"int-set n {'9' * 5000}", "a number must fit in int64"),
            ("scalar-set n 99999999999999999999", "int64"),
            ("scalar-set n 1e400", "VALUE is JSON that cannot be stored: a number too large"),
            ('map-set m k [1,{"n":-1e400}]', "VALUE is JSON that cannot be stored: a number too large"),
            (f"scalar-set n {'9' * 5000}", "VALUE is JSON that cannot be stored: a number too large"),
            (f"list-append l {'[' * 5000}{']' * 5000}", "too many levels"),
            ("scalar-set n \udcff", "scalar-set: VALUE must be UTF-8, which '\\udcff' is not"),
            ("scalar-set \udcff 1", "scalar-set: NAME must be UTF-8, which '\\udcff' is not"),
            ("map-set m \udcff 1", "map-set: KEY must be UTF-8, which '\\udcff' is not"),
        ],
    )
    def test_what_is_no_op_is_refused(self, words: str, said: str, target: str, metadatadb: Command) -> None:
        """Before any store is opened."""
        result = metadatadb("apply", "jobs", *words.split(), "-t", target)

        assert 2 == result.status
        assert said in result.err


def lines(*batch: Op) -> str:
    """Ops as JSON lines."""
    return "".join(f"{msgspec.json.encode(row).decode()}\n" for row in msgspec.json.decode(encode_ops(batch)))


def test_what_was_and_what_is_are_shown(target: str, store: Store, metadatadb: Command) -> None:
    """Of the places that change, and no others."""
    git = store.namespace("git")
    git.int_map("clones").add("repo-a", 2)
    git.int_map("clones").add("repo-b", 1)
    git.flush()
    said = metadatadb("apply", "git", "int-map-add", "clones", "repo-a", "3", "-t", target)

    assert 0 == said.status
    assert [["NAME", "BEFORE", "AFTER"], ["clones[repo-a]", "2", "5"]] == [
        line.split() for line in said.out.splitlines()
    ]
    assert "1 op applied" in said.err
    git.flush()
    assert {"repo-a": 5, "repo-b": 1} == git.int_map("clones").entries()


def test_a_long_value_is_shortened_for_people(target: str, metadatadb: Command) -> None:
    """Before and after it is the same, say, and nobody reads all of it twice; programs get it."""
    long = "long" * 1000
    metadatadb("apply", "jobs", "scalar-set", "text", long, "-t", target)
    people = metadatadb("apply", "jobs", "scalar-set", "text", long, "-t", target)
    programs = metadatadb("apply", "jobs", "scalar-set", "text", long, "-t", target, "--json")
    cut = f'"{long[:399]}...'

    assert ["text", cut, cut] == people.out.splitlines()[1].split()
    assert [{"name": "text", "what": "value", "before": long, "after": long}] == programs.document["changes"]


def test_a_byte_order_mark_may_stand_before_the_lines(target: str, metadatadb: Command) -> None:
    """As editors of some systems write it; anywhere else it is a mistake."""
    line = lines(ops.IntAdd("n", 1))

    assert 0 == metadatadb("apply", "jobs", "-t", target, input=f"\ufeff{line}{line}").status
    assert 2 == metadatadb("apply", "jobs", "-t", target, input=f"{line}\ufeff{line}").status


def test_lines_are_applied_together(target: str, store: Store, metadatadb: Command) -> None:
    """Every kind of place, before and after; where nothing is stored there is no value."""
    batch = [
        ops.IntAdd("runs", 2),
        ops.SetAdd("done", "api"),
        ops.ListAppend("log", "x"),
        ops.MapSet("builds", 3, None),
        ops.IntAdd("runs", 3),
    ]
    said = metadatadb("apply", "jobs", "-t", target, "--json", input=f"\n{lines(*batch)}\n")

    assert 0 == said.status
    assert (
        5,
        [
            {"name": "runs", "what": "value", "after": 5},
            {"name": "done", "what": "member", "key": "api", "before": False, "after": True},
            {"name": "log", "what": "length", "before": 0, "after": 1},
            {"name": "builds", "what": "entry", "key": 3, "after": None},
        ],
    ) == (said.document["ops"], said.document["changes"])
    jobs = store.namespace("jobs")
    jobs.flush()
    assert (5, ["api"], ["x"]) == (jobs.int("runs").get(), jobs.set("done").members(), jobs.list("log").entries())


def test_one_commit_holds_all_of_them(target: str, metadatadb: Command) -> None:
    """Nobody sees some without the others."""
    metadatadb("apply", "jobs", "-t", target, input=lines(*(ops.IntAdd(f"n{number}", 1) for number in range(50))))
    (jobs,) = metadatadb("status", "jobs", "-t", target, "--json").document["namespaces"]

    assert (50, 1) == (jobs["structures"], jobs["commits"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('{"op":"IntAdd","Key":"n"}', "IntAdd has no field 'Delta'"),
        ('{"op":"IntAd","Key":"n","Delta":1}', "unknown op 'IntAd'"),
        ('{"op":"IntAdd","Key":"n","Delta":1', "not a JSON list of ops"),
        ("[]", "an op must be a JSON object"),
    ],
)
def test_one_wrong_line_and_nothing_is_applied(
    wrong: str, said: str, target: str, store: Store, metadatadb: Command
) -> None:
    """The line is named."""
    result = metadatadb("apply", "jobs", "-t", target, input=f"{lines(ops.IntAdd('n', 1))}{wrong}\n")

    assert 2 == result.status
    assert "error: line 2 of the input: " in result.err
    assert said in result.err
    assert "holds no namespace" in metadatadb("namespaces", "-t", target).out


def test_no_ops_at_all_are_a_mistake(target: str, metadatadb: Command) -> None:
    """An empty pipe is somebody's error."""
    assert 2 == metadatadb("apply", "jobs", "-t", target, input="\n").status


def test_a_structure_of_another_kind_is_not_destroyed(target: str, store: Store, metadatadb: Command) -> None:
    """As a handle of a program would not: nothing of the batch is applied."""
    jobs = store.namespace("jobs")
    jobs.map("builds").set("api", 1)
    jobs.flush()
    said = metadatadb("apply", "jobs", "-t", target, input=lines(ops.IntAdd("n", 1), ops.IntAdd("builds", 1)))

    assert 1 == said.status
    assert "'builds' in namespace 'jobs' is used as Int but is stored as an object" in said.err
    jobs.flush()
    assert (0, {"api": 1}) == (jobs.int("n").get(), jobs.map("builds").entries())


def test_who_means_it_deletes_first(target: str, store: Store, metadatadb: Command) -> None:
    """In the same batch: nobody sees the gap."""
    jobs = store.namespace("jobs")
    jobs.map("builds").set("api", 1)
    jobs.flush()
    said = metadatadb("apply", "jobs", "-t", target, input=lines(ops.ScalarDelete("builds"), ops.IntAdd("builds", 1)))

    assert 0 == said.status
    assert '{"\\"api\\"": 1}' in said.out


def test_a_lock_that_is_held_is_told_in_time(target: str, metadatadb: Command) -> None:
    """And nothing is left behind to be applied later."""
    put_lock(target, "jobs", b'{"nonce":"somebody","ttl":3600}')
    said = metadatadb("apply", "jobs", "int-add", "n", "1", "--timeout", "0.3", "-t", target)

    assert 1 == said.status
    assert "nothing was applied" in said.err
    assert "nothing is stored" in metadatadb("status", "jobs", "-t", target).out


def test_any_backend_takes_ops(metadatadb: Command) -> None:
    """Through the same contract as programs use."""
    said = metadatadb("apply", "jobs", "int-add", "n", "1", "-t", "memory://", "--json")

    assert [{"name": "n", "what": "value", "after": 1}] == said.document["changes"]
