"""`namespaces` and `show`: what a store holds."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from metadatadb_core import Store
from metadatadb_core.cli.output import Output
from metadatadb_core.cli.session import Session
from metadatadb_core.cli.views import look_at
from tests.unit.cli.conftest import Command


@pytest.fixture
def filled(target: str, store: Store) -> str:
    """A store with something of every kind."""
    jobs = store.namespace("jobs")
    jobs.map("builds").set("api", {"commit": "4f1c2ab", "seconds": 12.5})
    jobs.int_map("attempts").add("web", 2)
    jobs.int_map("attempts").add("api", 1)
    jobs.set("done").add("api")
    jobs.set("done").add("1")
    jobs.map("ids", int, str).set(3, "x")
    jobs.list("log").append("started")
    jobs.int("runs").add(7)
    jobs.scalar("flags").set({"on": True})
    jobs.flush()
    store.namespace("").int("root").add(1)
    store.namespace("").flush()
    return target


def kinds(said: Any) -> dict[str, tuple[list[str], int | None]]:
    """What each structure can be, and its entries."""
    return {one["name"]: (one["kinds"], one["entries"]) for one in said.document["structures"]}


class TestNamespaces:
    """Which there are."""

    def test_every_namespace_is_listed(self, filled: str, metadatadb: Command) -> None:
        """Also the root, whose name is empty."""
        said = metadatadb("namespaces", "-t", filled, "--json")

        assert 0 == said.status
        assert filled == said.document["store"]
        assert ["", "jobs"] == [one["namespace"] for one in said.document["namespaces"]]
        assert all(one["bytes"] > 0 and one["modified"] for one in said.document["namespaces"])

    def test_people_see_a_table(self, filled: str, metadatadb: Command) -> None:
        """A row for each."""
        said = metadatadb("namespaces", "-t", filled)

        assert ["NAMESPACE", "(root)", "jobs"] == [line.split()[0] for line in said.out.splitlines()]

    def test_an_empty_store_is_no_error(self, target: str, store: Store, metadatadb: Command) -> None:
        """It was asked, and holds nothing."""
        said = metadatadb("namespaces", "-t", target)

        assert (0, f"{target} holds no namespace\n") == (said.status, said.out)

    def test_a_backend_without_an_object_store_says_so(self, metadatadb: Command) -> None:
        """Nobody but its author knows how it keeps its state."""
        said = metadatadb("namespaces", "-t", "memory://")

        assert 1 == said.status
        assert "memory:// cannot be looked into" in said.err


class TestNamespace:
    """What one holds."""

    def test_kinds_are_told_as_far_as_shapes_tell(self, filled: str, metadatadb: Command) -> None:
        """An object of true may be a Set, and may be a Map."""
        assert {
            "attempts": (["IntMap", "Map"], 2),
            "builds": (["Map"], 1),
            "done": (["Set", "Map"], 2),
            "flags": (["Scalar"], None),
            "ids": (["Map", "Scalar"], 1),
            "log": (["List", "Scalar"], 1),
            "runs": (["Int", "Scalar"], None),
        } == kinds(metadatadb("show", "jobs", "-t", filled, "--json"))

    def test_people_see_a_table(self, filled: str, metadatadb: Command) -> None:
        """Sorted, scalars with their values; what it is about stands on stderr."""
        said = metadatadb("show", "jobs", "-t", filled)
        rows = [line.split() for line in said.out.splitlines()]

        assert ["NAME", "attempts", "builds", "done", "flags", "ids", "log", "runs"] == [row[0] for row in rows]
        assert ["runs", "Int/Scalar", "1", "B", "7"] == rows[-1]
        assert said.err.startswith("jobs: 7 structures, ")

    @pytest.mark.parametrize("columns", [40, 200])
    def test_a_structure_without_a_name_is_seen(self, columns: int, target: str, metadatadb: Command) -> None:
        """On a narrow terminal too, and where a name is suggested; it is not the root."""
        applied = metadatadb("apply", "jobs", "int-add", "", "1", "-t", target, columns=columns)
        said = metadatadb("show", "jobs", "-t", target, columns=columns)
        missing = metadatadb("show", "jobs", "missing", "-t", target)

        assert '""' in said.out.split()
        assert '""' in applied.out.split()
        assert missing.err.endswith("""holds nothing named 'missing'; there is ""\n""")
        assert metadatadb("show", "jobs", "", "-t", target).err.startswith('jobs "": Int or Scalar')

    def test_a_corrupt_state_is_told(self, filled: str, metadatadb: Command) -> None:
        """And is no traceback."""
        spoil(filled, "jobs")
        said = metadatadb("show", "jobs", "-t", filled)

        assert 1 == said.status
        assert "state object '.metadata/jobs.json' is corrupt" in said.err


def spoil(target: str, namespace: str) -> None:
    """Write what is no state."""
    database = sqlite3.connect(Path(target.removeprefix("sqlite://")))
    with database:
        changed = database.execute("UPDATE objects SET body = ? WHERE key = ?", (b"[]", f".metadata/{namespace}.json"))
        assert 1 == changed.rowcount
    database.close()


class TestName:
    """What is stored under one."""

    @pytest.mark.parametrize(
        ("name", "lines"),
        [
            ("attempts", ["api: 1", "web: 2"]),
            ("builds", ['api: {"commit": "4f1c2ab", "seconds": 12.5}']),
            ("done", ['"1"', "api"]),
            ("flags", ['{"on": true}']),
            ("ids", ['3: "x"']),
            ("log", ['"started"']),
            ("runs", ["7"]),
        ],
    )
    def test_people_see_a_line_for_each_entry(
        self, name: str, lines: list[str], filled: str, metadatadb: Command
    ) -> None:
        """And nothing else on stdout, so that other programs can count and sort."""
        said = metadatadb("show", "jobs", name, "-t", filled)

        assert (0, lines) == (said.status, said.out.splitlines())
        assert said.err.startswith(f"jobs {name}: ")

    def test_a_value_that_is_too_wide_is_laid_out(self, filled: str, metadatadb: Command) -> None:
        """Over as many lines as it takes."""
        said = metadatadb("show", "jobs", "builds", "-t", filled, columns=40)

        assert ["api: {", '  "commit": "4f1c2ab",', '  "seconds": 12.5', "}"] == said.out.splitlines()

    def test_programs_get_the_stored_form_and_the_keys(self, filled: str, metadatadb: Command) -> None:
        """Which are canonical texts in the one, and values in the other."""
        ids = metadatadb("show", "jobs", "ids", "-t", filled, "--json").document
        flags = metadatadb("show", "jobs", "flags", "-t", filled, "--json").document

        assert ({"3": "x"}, [[3, "x"]]) == (ids["stored"], ids["items"])
        assert ({"on": True}, None) == (flags["stored"], flags["items"])

    def test_an_unknown_name_is_refused_with_the_nearest(self, filled: str, metadatadb: Command) -> None:
        """It may be a slip."""
        said = metadatadb("show", "jobs", "buidls", "-t", filled)

        assert 1 == said.status
        assert "holds nothing named 'buidls'; did you mean 'builds'?" in said.err

    def test_control_characters_do_not_reach_the_terminal(self, target: str, store: Store, metadatadb: Command) -> None:
        """What a store holds is anybody's text; a terminal would obey it."""
        evil = "\x1b[31m\u202e\x9b2J"
        jobs = store.namespace("jobs")
        jobs.map(evil).set(evil, evil)
        jobs.scalar("value").set(evil)
        jobs.set("members").add(evil)
        jobs.flush()
        said = [metadatadb("show", "jobs", *name, "-t", target) for name in ([], [evil], ["value"], ["members"])]
        said.append(metadatadb("show", "jobs", evil + "x", "-t", target))
        text = "".join(one.out + one.err for one in said)

        assert "\\u001b[31m\\u202e\\u009b2J" in text
        assert [] == [char for char in text if not (char.isprintable() or char == "\n")]

    def test_any_backend_can_be_asked_for_a_name(self, metadatadb: Command) -> None:
        """Although it cannot be looked into; it is empty here, as each process has its own."""
        said = metadatadb("show", "jobs", "builds", "-t", "memory://")

        assert 1 == said.status
        assert "nothing is stored of namespace 'jobs' in memory://" in said.err

    def test_an_unchanged_namespace_is_the_very_same_view(self, filled: str) -> None:
        """So that watching draws nothing anew, and asks for no body."""
        with Session(Output(as_json=False)).open(filled) as opened:
            look = look_at(opened, "jobs", None)
            first, second = look(), look()

        assert first is not None
        assert first is second

    def test_a_look_takes_nothing_from_a_spool(self, filled: str, tmp_path: Path, metadatadb: Command) -> None:
        """Whoever merely looks does not write what others have left."""
        spool = tmp_path / "spool"
        assert 0 == metadatadb("show", "jobs", "-t", f"{filled}?spool={spool.as_posix()}").status
        assert not spool.exists()
