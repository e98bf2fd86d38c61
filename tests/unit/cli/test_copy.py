"""``metadatadb copy``: what one store holds, another does, whatever comes in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metadatadb_core import connect
from metadatadb_core.cli.destination import Destination
from metadatadb_core.replication.content import Content
from metadatadb_core.replication.outcomes import OutcomeUnknown, Rejected, Unavailable
from metadatadb_core.replication.placement import Outcome, Placement
from tests.support.contents import contents, fill, keys, put_state, records
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_status import put_lock

Placing = Callable[[Destination, str, Content, Any], Placement]


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A store with four namespaces."""
    url = f"sqlite://{(tmp_path / 'source.db').as_posix()}"
    fill(url)
    return url


@pytest.fixture
def before_placing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], object]], None]:
    """Has something happen right before each namespace is written."""

    def install(happen: Callable[[str], object]) -> None:
        place: Placing = Destination.place

        def placing(self: Destination, namespace: str, content: Content, may_replace: Any) -> Placement:
            happen(namespace)
            return place(self, namespace, content, may_replace)

        monkeypatch.setattr(Destination, "place", placing)

    return install


def statuses(document: dict[str, Any]) -> dict[str, str]:
    """What has become of each namespace."""
    return {row["namespace"]: row["status"] for row in document["namespaces"]}


def test_a_copy_holds_what_the_source_does(source: str, target: str, metadatadb: Command) -> None:
    """To the byte; the source is as it was, and neither has a lock left."""
    before = keys(source), contents(source), records(source)
    said = metadatadb("copy", source, target)

    assert 0 == said.status
    assert before == (keys(source), contents(source), records(source))
    assert contents(source) == contents(target)
    assert sorted(keys(source)) == sorted(keys(target))
    assert {1} == {record.commits for record in records(target).values()}
    assert "nasty" in said.out


def test_a_copy_goes_below_another_prefix(source: str, target: str, metadatadb: Command) -> None:
    """Also within one store."""
    said = metadatadb("copy", source, f"{source}?prefix=team/", "--json")

    assert 0 == said.status
    assert contents(source) == contents(f"{source}?prefix=team/")
    assert {"source": source, "source_prefix": "", "destination": source, "destination_prefix": "team/"} == {
        name: text for name, text in said.document.items() if name not in ("complete", "namespaces")
    }


def test_what_is_said_of_a_store_below_a_prefix_names_it(source: str, target: str, metadatadb: Command) -> None:
    """Or the source would not be told from the destination."""
    put_state(f"{target}?prefix=team/", "nasty", b'{"mine":1}')
    said = metadatadb("copy", source, f"{target}?prefix=team/")

    assert f"{target}, prefix 'team/' holds something else" in said.out
    assert f"error: nothing was written to {target}, prefix 'team/', because of nasty" in said.err


def test_a_store_is_not_copied_onto_itself(source: str, metadatadb: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """However its path is written."""
    path = Path(source.removeprefix("sqlite://"))
    monkeypatch.chdir(path.parent)
    said = metadatadb("copy", source, f"sqlite://./{path.name}")

    assert (2, f"error: {source} cannot be copied onto itself; give another store, or another prefix\n") == (
        said.status,
        said.err,
    )


def test_nothing_is_overwritten_without_replace(source: str, target: str, metadatadb: Command) -> None:
    """Nor is anything else written."""
    put_state(target, "nasty", b'{"mine":1}')
    refused = metadatadb("copy", source, target, "--json")
    after_refusal = contents(target)
    replaced = metadatadb("copy", source, target, "--json", "--replace")

    assert (1, {"nasty": b'{"mine":1}'}) == (refused.status, after_refusal)
    assert "conflict" == statuses(refused.document)["nasty"]
    assert (0, "replaced") == (replaced.status, statuses(replaced.document)["nasty"])
    assert contents(source) == contents(target)


def test_only_the_namespaces_that_are_named_are_copied(source: str, target: str, metadatadb: Command) -> None:
    """One that the source does not hold is a mistake."""
    assert 0 == metadatadb("copy", source, target, "-n", "nasty", "-n", "").status
    assert {"", "nasty"} == set(contents(target))
    assert 1 == metadatadb("copy", source, target, "-n", "missing").status


def test_a_source_that_holds_nothing_is_not_copied(source: str, target: str, metadatadb: Command) -> None:
    """It was probably misspelt; the destination is not even made."""
    said = metadatadb("copy", f"{source}?prefix=wrong/", target)

    assert (1, "") == (said.status, said.out)
    assert (
        f"error: {source}, prefix 'wrong/' holds no namespace: see that its name and its prefix are right\n" == said.err
    )
    assert not Path(target.removeprefix("sqlite://")).exists()


@pytest.mark.parametrize("body", [b"[]", b'{".metadatadb":{"format":99}}'])
def test_a_source_that_cannot_be_read_is_told_before_anything_is_written(
    body: bytes, source: str, target: str, metadatadb: Command
) -> None:
    """It is no conflict, and nothing could be replaced to end it."""
    put_state(source, "nasty", body)
    said = metadatadb("copy", source, target, "--json")

    assert (1, {}) == (said.status, contents(target))
    assert "unreadable" == statuses(said.document)["nasty"]
    assert (
        f"nothing was written to {target}, because of nasty: see above why; --skip-unreadable leaves out what cannot "
        "be read at the source, and -n leaves others out"
    ) == said.error["message"]


def test_what_cannot_be_read_is_left_out_if_that_is_asked_for(source: str, target: str, metadatadb: Command) -> None:
    """The rest is copied, and it is no success, nor the next time."""
    put_state(source, "nasty", b"[]")
    first = metadatadb("copy", source, target, "--skip-unreadable", "--json")
    second = metadatadb("copy", source, target, "--skip-unreadable", "--json")

    assert {"": "written", "by-hand": "written", "emptied": "written", "nasty": "unreadable"} == statuses(
        first.document
    )
    assert (1, 1, False) == (first.status, second.status, first.document["complete"])
    assert {"", "by-hand", "emptied"} == set(contents(target))
    assert f"3 of 4 namespaces are at {target}; left out, since they cannot be read: nasty" == first.error["message"]
    assert first.error == second.error


def test_a_conflict_is_one_also_where_the_unreadable_is_left_out(source: str, target: str, metadatadb: Command) -> None:
    """Nothing is overwritten for it."""
    put_state(source, "nasty", b"[]")
    put_state(target, "by-hand", b'{"mine":1}')
    said = metadatadb("copy", source, target, "--skip-unreadable", "--json")

    assert (1, {"by-hand": b'{"mine":1}'}) == (said.status, contents(target))
    assert (
        f"nothing was written to {target}, because of by-hand: see above why; --replace overwrites what is there, "
        "and -n leaves others out"
    ) == said.error["message"]


def test_a_source_that_is_locked_is_a_warning(source: str, target: str, metadatadb: Command) -> None:
    """Somebody may be writing it."""
    put_lock(source, "nasty", b'{"nonce":"a","ttl":30}')
    said = metadatadb("copy", source, target)

    assert (0, contents(source)) == (said.status, contents(target))
    assert f"warning: nasty is locked at {source}: somebody may be writing it\n" in said.err
    assert ".metadata/nasty.lock" in keys(source)


# -- while others write ----------------------------------------------------------------------------------------


def test_what_changes_while_it_is_copied_is_copied_again(
    source: str, target: str, metadatadb: Command, before_placing: Callable[[Callable[[str], object]], None]
) -> None:
    """The copy is what the source holds when it is done with."""
    changes = iter([b'{"n":1}', b'{"n":2}'])

    def write(namespace: str) -> None:
        if namespace == "nasty" and (body := next(changes, None)):
            put_state(source, namespace, body)

    before_placing(write)
    said = metadatadb("copy", source, target, "--json")

    assert (0, "written") == (said.status, statuses(said.document)["nasty"])
    assert b'{"n":2}' == contents(target)["nasty"]
    assert "" == said.err


def test_what_never_stops_changing_is_told(
    source: str, target: str, metadatadb: Command, before_placing: Callable[[Callable[[str], object]], None]
) -> None:
    """The copy is older than the source."""
    numbers = iter(range(100))

    def write(namespace: str) -> None:
        if namespace == "nasty":
            put_state(source, namespace, b'{"n":%d}' % next(numbers))

    before_placing(write)
    said = metadatadb("copy", source, target)

    assert 0 == said.status
    assert f"warning: nasty goes on changing at {source}: stop who writes there" in said.err


def test_what_vanishes_at_the_source_is_told(
    source: str, target: str, metadatadb: Command, before_placing: Callable[[Callable[[str], object]], None]
) -> None:
    """Its copy is there, and the others are copied."""

    def remove(namespace: str) -> None:
        if namespace == "by-hand":
            with connect(source) as store:
                objects = store._backend.object_store()  # type: ignore[attr-defined]
                found = objects.get(".metadata/by-hand.json")
                objects.delete(".metadata/by-hand.json", expect=found.version)

    before_placing(remove)
    said = metadatadb("copy", source, target, "--json")

    assert (1, "failed") == (said.status, statuses(said.document)["by-hand"])
    assert {"by-hand", *contents(source)} == set(contents(target))


def test_who_writes_at_the_destination_meanwhile_is_not_overwritten(
    source: str, target: str, metadatadb: Command, before_placing: Callable[[Callable[[str], object]], None]
) -> None:
    """What was looked at first is looked at again under the lock; the others are copied."""

    def write(namespace: str) -> None:
        if namespace == "nasty":
            put_state(target, namespace, b'{"mine":1}')

    before_placing(write)
    said = metadatadb("copy", source, target, "--json")

    assert (1, "conflict") == (said.status, statuses(said.document)["nasty"])
    assert {**contents(source), "nasty": b'{"mine":1}'} == contents(target)
    assert said.error["message"] == (f"3 of 4 namespaces are at {target}; the same command again goes on with the rest")


# -- what goes wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "status", "after"),
    [
        (Unavailable("connection refused"), "failed", "not begun"),
        (OutcomeUnknown("no answer in time"), "unknown", "not begun"),
        (Rejected("too large", status=413), "failed", "written"),
    ],
)
def test_a_failure_is_told_for_its_namespace_and_the_same_command_goes_on(
    failure: Exception,
    status: str,
    after: str,
    source: str,
    target: str,
    metadatadb: Command,
    before_placing: Callable[[Callable[[str], object]], None],
) -> None:
    """A store that is gone is not asked again; one that refuses an object may take the next."""
    failing = [failure]

    def fail(namespace: str) -> None:
        if namespace == "by-hand" and failing:
            raise failing.pop()

    before_placing(fail)
    said = metadatadb("copy", source, target, "--json")
    again = metadatadb("copy", source, target, "--json")

    assert {"": "written", "by-hand": status, "emptied": after, "nasty": after} == statuses(said.document)
    assert (1, False) == (said.status, said.document["complete"])
    assert (0, "unchanged") == (again.status, statuses(again.document)[""])
    assert contents(source) == contents(target)


@pytest.mark.parametrize(
    ("outcome", "status"), [(Outcome.OVERTAKEN, "unknown"), (Outcome.DAMAGED, "failed"), (Outcome.OCCUPIED, "conflict")]
)
def test_whatever_is_not_there_for_sure_is_no_success(
    outcome: Outcome, status: str, source: str, target: str, metadatadb: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in its own words."""
    monkeypatch.setattr(Destination, "place", lambda *_: Placement(outcome))
    said = metadatadb("copy", source, target, "-n", "nasty", "--json")
    (row,) = said.document["namespaces"]

    assert (1, status) == (said.status, row["status"])
    assert row["detail"]


def test_a_lock_that_is_held_is_waited_for_and_then_told(
    source: str, target: str, metadatadb: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds it may be alive."""
    monkeypatch.setattr("metadatadb_core.cli.destination._BEYOND_LOCKS_SECONDS", -2 * 30 + 0.2)
    put_lock(target, "nasty", b'{"nonce":"a","ttl":3600}')
    said = metadatadb("copy", source, target, "--json")

    assert (1, "failed") == (said.status, statuses(said.document)["nasty"])
    assert 3 == list(statuses(said.document).values()).count("written")
    assert ".metadata/nasty.lock" in keys(target)


@pytest.mark.parametrize("order", [1, -1])
def test_a_backend_that_cannot_be_looked_into_says_so(order: int, source: str, metadatadb: Command) -> None:
    """On either side."""
    said = metadatadb("copy", *["memory://", source][::order])

    assert (1, True) == (said.status, "memory:// cannot be looked into" in said.err)


def test_a_narrow_terminal_shows_all_of_it(source: str, target: str, metadatadb: Command) -> None:
    """Below each other, within 40 columns."""
    put_state(target, "nasty", b'{"mine":1}')
    said = metadatadb("copy", source, target, columns=40)

    assert "RESULT     conflict" in said.out
    assert 40 >= max(map(len, said.out.splitlines()))


def test_what_is_interrupted_while_it_compares_says_that_nothing_was_written(
    source: str, target: str, metadatadb: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to look."""

    def interrupt(destination: Destination, namespace: str, content: Content) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Destination, "standing", interrupt)
    said = metadatadb("copy", source, target)

    assert (130, f"error: interrupted; nothing was written to {target}\n") == (said.status, said.err)
    assert {} == contents(target)
