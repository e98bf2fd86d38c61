"""The suite itself: an honest backend passes it, each kind of lie fails the test that is there for it."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from metadatadb_core.testing import BackendSuite, Capability, ObjectStoreSuite, requires
from metadatadb_core.testing.suite import Suite

pytest_plugins = ["pytester"]

BROKEN_BACKENDS = Path(__file__).with_name("broken_backends.py")

LIES: dict[str, list[str]] = {
    "TestWithoutAdmission": [
        "test_bad_ops_are_refused",
        "test_changing_a_value_after_it_was_applied_changes_nothing",
        "test_changing_a_key_after_it_was_applied_changes_nothing",
        "test_handles_refuse_what_cannot_be_stored",
    ],
    "TestAdmitsOneByOne": ["test_a_bad_op_takes_the_others_of_its_call_with_it"],
    "TestMatchesWithDollar": ["test_bad_namespaces_are_refused"],
    "TestAnswersBadQueries": ["test_bad_queries_are_refused"],
    "TestFloorDivides": ["test_ops_do_what_they_say", "test_int"],
    "TestPassesNumbersThroughFloats": [
        "test_ops_do_what_they_say",
        "test_structures_behave_like_their_models[IntMachine]",
    ],
    "TestConfusesKeys": ["test_ops_do_what_they_say"],
    "TestReorders": ["test_ops_of_one_call_are_applied_in_order"],
    "TestRefusesNoOps": ["test_applying_no_op_is_allowed"],
    "TestFlushLosesTypes": ["test_a_flush_changes_no_answer"],
    "TestPreparesOnce": ["test_prepared_reads_and_writes_are_reads_and_writes", "test_scalar", "test_map", "test_set"],
    "TestSharesAnswers": ["test_changing_an_answer_changes_nothing"],
    "TestMixesNamespaces": ["test_namespaces_share_nothing"],
    "TestShowsHalfOfACall": [
        "test_entries_never_show_half_a_call",
        "test_successive_reads_never_go_back",
        "test_what_a_call_passes_through_is_never_seen",
    ],
    "TestReadsWhatIsFlushed": ["test_own_writes_are_seen_at_once"],
    "TestLosesAnOp": ["test_sums_of_many_threads_are_exact"],
    "TestOpensNamespacesTwice": ["test_namespaces_can_be_opened_by_many_threads"],
    "TestClosesOnlyOnce": ["test_closing_twice_does_nothing"],
    "TestWorksOnAfterClose": ["test_use_after_close_is_refused", "test_a_store_closes_its_backend"],
    "TestDiscardsInSilence": ["test_what_is_discarded_is_what_was_pending"],
    "TestFlushesNothing": [
        "test_nothing_is_pending_after_a_flush",
        "test_a_flush_here_and_a_flush_there_carry_writes_over",
    ],
    "TestKeepsNothing": ["test_flushed_writes_survive_a_fresh_backend", "test_writes_of_both_sides_are_merged"],
    "TestClosesWithoutFlush": ["test_closing_flushes_what_is_pending"],
    "TestLastFlushOverwrites": ["test_writes_of_both_sides_are_merged", "test_sums_over_many_replicas_are_exact"],
    "TestFetchesOnlyWhenItSends": ["test_a_flush_here_and_a_flush_there_carry_writes_over"],
    "TestSplitsACall": ["test_a_flush_never_splits_a_call"],
    "TestSendsTwice": ["test_sums_of_many_threads_are_exact"],
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """Class to test to outcomes, of the honest backend's whole suite and of the tests that each lie must fail."""
    folder = tmp_path_factory.mktemp("suite")
    chosen = [f"{BROKEN_BACKENDS}::{name}::{test}" for name, tests in LIES.items() for test in tests]
    configuration = folder / "pytest.ini"
    configuration.write_text("[pytest]\n")
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=no"),
            *(f"--rootdir={folder}", "-c", str(configuration), "--junit-xml=outcomes.xml"),
            *(f"{BROKEN_BACKENDS}::TestHonest", *chosen),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    report = folder / "outcomes.xml"
    assert report.exists(), finished.stdout + finished.stderr
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for case in ElementTree.parse(report).iter("testcase"):
        name, test = case.attrib["classname"].rpartition(".")[2], case.attrib["name"].partition("[")[0]
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        found[name][test].add(outcome)
    return found


def test_an_honest_backend_passes_the_whole_suite(outcomes: dict[str, dict[str, set[str]]]) -> None:
    """No test asks for more than the contract: a replica that replays one log passes all, and none is skipped."""
    tests = {name for name in dir(BackendSuite) if name.startswith("test_")}

    assert {test: {"passed"} for test in tests} == outcomes["TestHonest"]


@pytest.mark.parametrize(("name", "test"), [(name, test) for name, tests in LIES.items() for test in tests])
def test_a_lie_fails_the_test_that_is_there_for_it(
    outcomes: dict[str, dict[str, set[str]]], name: str, test: str
) -> None:
    """A backend that breaks one rule is found out by the test of that rule."""
    assert "failure" in outcomes[name][test.partition("[")[0]]


# -- declarations ------------------------------------------------------------------------------------------


class Example(Suite, suite=True):
    """A suite of two tests."""

    def test_always(self) -> str:
        """Holds for everybody."""
        return "always"

    @requires(Capability.SHARED)
    def test_if_shared(self) -> str:
        """Holds where storage is shared."""
        return "if shared"


def subclass(*bases: type, **members: Any) -> Any:
    return type("TestExample", bases or (Example,), {"capabilities": frozenset(), **members})


def replacement(self: object) -> None:
    """Something easier."""


def test_capabilities_must_be_declared() -> None:
    """Left out, tests would be skipped, or run, by accident."""
    with pytest.raises(TypeError, match=r"capabilities must declare .* \(frozenset\(\) for none; known: PERSISTENT"):
        type("TestExample", (Example,), {})


@pytest.mark.parametrize("wrong", [None, {"SHARED"}, frozenset({"SHARED"}), [Capability.SHARED]], ids=repr)
def test_capabilities_are_of_their_own_type(wrong: Any) -> None:
    """A misspelt word would declare nothing."""
    with pytest.raises(TypeError, match="capabilities must declare"):
        subclass(capabilities=wrong)


@pytest.mark.parametrize("change", [replacement, None, "text"], ids=["overridden", "deleted", "replaced"])
def test_changing_a_test_in_silence_is_an_error(change: Any) -> None:
    """Overriding or removing a test without a reason must not make a suite pass."""
    with pytest.raises(TypeError, match=r"overrides or removes test_always.*departures = \{'test_always'"):
        subclass(test_always=change)


def test_changing_a_test_by_another_base_is_an_error_too() -> None:
    """A mixin is no way around it."""
    mixin = type("Mixin", (), {"test_always": replacement})

    with pytest.raises(TypeError, match="overrides or removes test_always"):
        subclass(mixin, Example)


@pytest.mark.parametrize(
    "change", [{}, {"test_always": None}, {"test_always": replacement}], ids=["kept", "deleted", "own"]
)
def test_a_departure_is_reported_with_its_reason(change: dict[str, Any]) -> None:
    """What does not hold is skipped, and the report says why."""
    made = subclass(departures={"test_always": "there is no storage"}, **change)()

    with pytest.raises(pytest.skip.Exception, match="departure: there is no storage"):
        made.test_always()


@pytest.mark.parametrize("reason", ["", "  ", None], ids=repr)
def test_a_departure_needs_a_reason(reason: Any) -> None:
    """An empty one is none."""
    with pytest.raises(TypeError, match="gives no reason for: test_always"):
        subclass(departures={"test_always": reason})


def test_a_departure_names_a_test() -> None:
    """One that was renamed or misspelt would stay in the list for ever."""
    with pytest.raises(TypeError, match="names no test of the suite: test_alway"):
        subclass(departures={"test_alway": "misspelt"})


def test_an_undeclared_capability_is_reported() -> None:
    """Skipped, with what the capability means."""
    made = subclass()()

    assert "always" == made.test_always()
    with pytest.raises(pytest.skip.Exception, match=r"does not declare SHARED \(several backends"):
        made.test_if_shared()


def test_a_declared_capability_is_tested() -> None:
    """Also in a subclass of a class that did not declare it."""
    made = subclass(subclass(), capabilities=frozenset({Capability.SHARED}))()

    assert "if shared" == made.test_if_shared()


def test_a_skipped_test_keeps_its_name_and_documentation() -> None:
    """So that the report reads the same."""
    made = subclass()

    assert ("test_if_shared", "Holds where storage is shared.") == (
        made.test_if_shared.__name__,
        made.test_if_shared.__doc__,
    )


def test_a_subclass_may_add_tests() -> None:
    """Of its own, under names of their own."""
    assert replacement is subclass(test_mine=replacement).test_mine


def documented(test: Callable[..., Any]) -> bool:
    text = test.__doc__ or ""
    return "A failure means" in text and "sually" in text and len(text.split()) > 20


@pytest.mark.parametrize("suite", [BackendSuite, ObjectStoreSuite], ids=lambda suite: suite.__name__)
def test_every_test_says_what_a_failure_means(suite: type[Suite]) -> None:
    """Who meets a failure is an author of a backend, and knows nothing of the suite: also what is usually wrong."""
    tests = {name: getattr(suite, name) for name in dir(suite) if name.startswith("test_")}

    assert [] == [name for name, test in tests.items() if not documented(test)]


FAILING_SUITE = """
import pytest

from metadatadb_core.testing.suite import Suite


class Example(Suite, suite=True):
    @pytest.mark.parametrize("expected", [1, 2])
    def test_compared(self, expected):
        \"\"\"Numbers are equal.

        A failure means that they differ. Usually somebody miscounted.
        \"\"\"
        assert expected == 1

    def test_raised(self):
        \"\"\"It is refused.

        A failure means that it was accepted.
        \"\"\"
        with pytest.raises(ValueError):
            pass

    def test_broken(self, tmp_path):
        \"\"\"It works. A failure means that it does not.\"\"\"
        {}["key"]


class TestExample(Example):
    capabilities = frozenset()


class TestAnother(TestExample):
    departures = {"test_raised": "no need", "test_broken": "nor here"}
"""


def test_a_failure_prints_what_it_means(pytester: pytest.Pytester) -> None:
    """Once, below the failed comparison, for each way of failing, and with no word of how it got there."""
    pytester.makepyfile(FAILING_SUITE)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly")

    result.assert_outcomes(passed=2, failed=4, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "*assert 2 == 1*",
            "E*test_compared:",
            "E*Numbers are equal.",
            "E*A failure means that they differ. Usually somebody miscounted.",
            "*DID NOT RAISE*",
            "E*A failure means that it was accepted.",
            "*KeyError*",
            "E*It works. A failure means that it does not.",
        ]
    )
    printed = result.stdout.str()
    assert 2 == printed.count("E         Numbers are equal.")
    assert 0 == printed.count("explain")


def test_the_one_fixture_must_be_written() -> None:
    """A subclass without it is told so."""
    fixture = BackendSuite.make_backends

    with pytest.raises(NotImplementedError, match="needs a fixture make_backends"):
        fixture.__wrapped__(object())  # type: ignore[attr-defined]
