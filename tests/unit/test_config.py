"""Typed configurations: what their values become, and every mistake at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from metadatadb_core.config import BackendConfig, Duration
from metadatadb_core.errors import ConfigError
from metadatadb_core.settings import Settings


class Example(BackendConfig):
    bucket: str
    prefix: str = "state"
    lock_ttl: Duration = Duration("30s")
    load_timeout: Duration | None = None
    retries: Annotated[int, Meta(ge=1, le=9)] = 3
    mode: Literal["queued", "through"] = "queued"
    name: Annotated[str, Meta(pattern="^[a-z]+$")] = "x"
    labels: dict[str, str] = {}
    sizes: list[int] = []
    secret_key: int | None = None
    password: int | None = None
    auth_token: int | None = None
    credentials: int | None = None


class Ordered(BackendConfig):
    optional: int = 1
    required: int


class Checked(BackendConfig):
    low: int = 1
    high: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise ValueError("'low' is above 'high'")


class Expanding(BackendConfig):
    path: str = "${BASE}/state"


def configure(values: dict[str, Any], variables: dict[str, str] | None = None) -> Example:
    return Settings.from_mapping({"bucket": "b", **values}).configure(Example, variables or {})


def test_attributes_go_by_their_kebab_case_names() -> None:
    """As HCL has them; in Python they are what Python calls them."""
    assert Example(bucket="b", lock_ttl=Duration("5s")) == configure({"lock-ttl": "5s"})


def test_a_required_attribute_may_follow_an_optional_one() -> None:
    """Attributes are given by name, so authors order them as they read best."""
    assert 2 == Ordered(required=2).required


@pytest.mark.parametrize("zero", ["0s", "0", "0ms"])
def test_a_duration_of_zero_is_the_default(zero: Any) -> None:
    """However the configuration is made."""
    assert Duration("30s") == configure({"lock-ttl": zero}).lock_ttl
    assert Duration("30s") == Example(bucket="b", lock_ttl=zero).lock_ttl


def test_a_duration_of_zero_is_none_where_that_is_the_default() -> None:
    """A default need not be a duration."""
    assert configure({"load-timeout": "0s"}).load_timeout is None


def test_a_configuration_made_in_python_reads_durations_from_text() -> None:
    """The type says Duration, and text is taken all the same."""
    config = Example(bucket="b", lock_ttl="1m30s")  # type: ignore[arg-type]

    assert Duration("1m30s") == config.lock_ttl
    assert isinstance(config.lock_ttl, Duration)


def test_a_configuration_made_in_python_is_checked_whole() -> None:
    """All mistakes at once, by the names of HCL."""
    with pytest.raises(ConfigError) as caught:
        Example(bucket=5, lock_ttl="soon", retries=0, mode="queud")  # type: ignore[arg-type]

    assert ["bucket", "lock-ttl", "retries", "mode"] == [problem.attribute for problem in caught.value.problems]
    assert "queued" == caught.value.problems[3].nearest


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("bucket", 5, "a string"),
        ("bucket", None, "a string"),
        ("lock-ttl", "5 s", "a duration"),
        ("lock-ttl", 30, "a duration"),
        ("lock-ttl", "-5s", "a duration"),
        ("retries", "5", "a whole number of at least 1 and of at most 9"),
        ("retries", 10, "a whole number of at least 1 and of at most 9"),
        ("retries", 1.5, "a whole number"),
        ("retries", True, "a whole number"),
        ("mode", "queud", 'one of "queued", "through"'),
        ("name", "X", "a string that matches ^[a-z]+$"),
        ("labels", {"a": 1}, "an object, each value a string"),
        ("sizes", [1, "2"], "a list, each item a whole number"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(name: str, value: object, expected: str) -> None:
    """By the attribute's declared type and constraints."""
    with pytest.raises(ConfigError) as caught:
        configure({name: value})

    assert (name, 1) == (caught.value.attribute, len(caught.value.problems))
    assert expected in str(caught.value.expected)
    assert f"wrong value for {name!r}" in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    """Unknown, missing, wrong, undefined."""
    with pytest.raises(ConfigError) as caught:
        Settings.from_mapping({"lock_ttl": "5s", "retries": 0, "prefix": "$NO and ${NEITHER}"}).configure(Example, {})

    assert [("lock_ttl", "lock-ttl"), ("retries", None), ("prefix", None), ("prefix", None), ("bucket", None)] == [
        (problem.attribute, problem.nearest) for problem in caught.value.problems
    ]


def test_an_unknown_attribute_unlike_any_is_told_the_names_there_are() -> None:
    """Where there is no nearest name, all of them."""
    with pytest.raises(ConfigError, match="expected one of auth-token, bucket, credentials"):
        configure({"zzz": 1})


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${A}-$B", "1-2"),
        ("${ A }", "1"),
        ("${with-dash}", "3"),
        ("$A.$B", "1.2"),
        ("$$A", "$A"),
        ("$${A}", "${A}"),
        ("$$$A", "$1"),
        ("cost: $5, 10$", "cost: $5, 10$"),
        ("$C", "$A"),
    ],
)
def test_variables_are_expanded_in_strings(text: str, expanded: str) -> None:
    """`$$` is a dollar, a lonely one is itself, and what a variable holds is not expanded again."""
    variables = {"A": "1", "B": "2", "with-dash": "3", "C": "$A"}

    assert expanded == configure({"prefix": text}, variables).prefix
    assert {"x": expanded} == configure({"labels": {"x": text}}, variables).labels


def test_a_variable_can_stand_for_a_value_of_any_type() -> None:
    """Variables are text; the attribute's type says what the text means."""
    config = configure({"retries": "${N}", "sizes": "$L", "lock-ttl": "$T"}, {"N": "5", "L": "[1,2]", "T": "1m"})

    assert (5, [1, 2], Duration("1m")) == (config.retries, config.sizes, config.lock_ttl)


@pytest.mark.parametrize("text", ["${}", "${A", "${A.b}", "${A + 1}", '${f("x")}'])
def test_what_is_no_name_in_a_reference_is_refused(text: str) -> None:
    """Nothing is computed."""
    with pytest.raises(ConfigError, match=r"begins no variable's name; expected \$\{NAME\} or \$NAME"):
        configure({"prefix": text}, {"A": "1"})


def test_an_unknown_variable_is_told_the_nearest_one() -> None:
    """Without regard to case, in the case it has."""
    with pytest.raises(ConfigError, match="unknown variable 'bukcet'; did you mean 'BUCKET'"):
        configure({"prefix": "$bukcet"}, {"BUCKET": "b"})


def test_variables_are_expanded_in_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variables given; with the environment where the class is called."""
    monkeypatch.setenv("BASE", "environment")

    assert "given/state" == Settings().configure(Expanding, {"BASE": "given"}).path
    assert "environment/state" == Expanding().path


def test_an_unknown_variable_in_a_default_is_a_mistake() -> None:
    """Told as that of the default, which the user did not write."""
    with pytest.raises(ConfigError, match="the default of 'path': unknown variable 'BASE'"):
        Settings().configure(Expanding, {})


def test_a_check_of_the_classes_own_is_a_mistake_in_the_configuration() -> None:
    """Authors raise ValueError."""
    with pytest.raises(ConfigError, match="'low' is above 'high'"):
        Settings.from_mapping({"low": 3}).configure(Checked, {})


@pytest.mark.parametrize("name", ["secret-key", "password", "auth-token", "credentials", "unknown-secret"])
def test_a_secret_is_never_repeated(name: str) -> None:
    """In no error, whether the attribute is known or not."""
    with pytest.raises(ConfigError) as caught:
        configure({name: "hunter2"})

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.problems)


def test_a_secret_is_hidden_in_the_representation() -> None:
    """Configurations end up in logs."""
    assert "secret_key=(hidden)" in repr(Example(bucket="b", secret_key=12345))


def test_a_long_value_is_cut_short_in_an_error() -> None:
    """An error is read by people."""
    with pytest.raises(ConfigError) as caught:
        configure({"retries": "x" * 1000})

    assert len(str(caught.value)) < 250


def test_a_configuration_cannot_be_changed() -> None:
    """It is shared with the backend made from it."""
    with pytest.raises(AttributeError):
        Example(bucket="b").bucket = "c"  # type: ignore[misc]
