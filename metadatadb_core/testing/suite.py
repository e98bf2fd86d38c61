"""What every conformance suite shares: failures explain themselves, and no test disappears without a reason."""

from __future__ import annotations

import enum
import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeVar

import pytest

__all__ = ["Capability", "Suite", "requires"]

Test = TypeVar("Test", bound=Callable[..., Any])


class Capability(enum.Enum):
    """What a backend may or may not be able to do; a suite tests what its class declares.

    The value says what the capability promises.
    """

    PERSISTENT = "what was flushed is there in a fresh backend over the same storage, after the first was closed"
    SHARED = "several backends are open over one storage at once, and see each other's writes after a flush"


def requires(*capabilities: Capability) -> Callable[[Test], Test]:
    """Mark a test that holds only for what declares all of `capabilities`."""

    def mark(test: Test) -> Test:
        test.__dict__["_metadatadb_requires"] = frozenset(capabilities)
        return test

    return mark


class Suite:
    """Base of the conformance suites. A subclass declares `capabilities`, and may not drop a test in silence.

    Attributes:
        capabilities: what the class under test can do; tests of the others are reported as skipped.
        departures: test name to the reason why it does not hold here; such tests are reported as skipped with
            that reason.
    """

    capabilities: ClassVar[frozenset[Capability]]
    departures: ClassVar[Mapping[str, str]] = {}

    _suite_tests: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    def __init_subclass__(cls, *, suite: bool = False, **kwargs: Any) -> None:
        """Check the declarations of a subclass; `suite=True` makes it a suite itself, whose tests are kept."""
        super().__init_subclass__(**kwargs)
        if suite:
            # As they are written, which is the order in which they run: what is simple comes first.
            names = dict.fromkeys(name for base in cls.__mro__ for name in vars(base) if name.startswith("test_"))
            cls._suite_tests = {name: getattr(cls, name) for name in names}
        else:
            _check_declarations(cls)
            for name, test in cls._suite_tests.items():
                setattr(cls, name, _test_or_skip(cls, name, test))


def _check_declarations(cls: type[Suite]) -> None:
    capabilities = getattr(cls, "capabilities", None)
    if not isinstance(capabilities, frozenset) or not all(isinstance(one, Capability) for one in capabilities):
        raise TypeError(
            f"{cls.__name__}.capabilities must declare what the backend can do as a frozenset of Capability "
            f"(frozenset() for none; known: {', '.join(one.name for one in Capability)}), not {capabilities!r}"
        )
    unknown = sorted(set(cls.departures) - set(cls._suite_tests))
    if unknown:
        raise TypeError(f"{cls.__name__}.departures names no test of the suite: {', '.join(unknown)}")
    silent = sorted(
        name for name, reason in cls.departures.items() if not isinstance(reason, str) or not reason.strip()
    )
    if silent:
        raise TypeError(f"{cls.__name__}.departures gives no reason for: {', '.join(silent)}")
    changed = [
        name
        for name, test in cls._suite_tests.items()
        if name not in cls.departures and not _is_of_suite(inspect.getattr_static(cls, name, None), test)
    ]
    if changed:
        raise TypeError(
            f"{cls.__name__} overrides or removes {', '.join(changed)}: a conformance test is either run as it is, or "
            f"listed with the reason in departures = {{{changed[0]!r}: 'why it does not hold here'}}; a test of "
            f"your own needs a name of its own"
        )


def _is_of_suite(found: object, test: Callable[..., Any]) -> bool:
    return found is test or getattr(found, _STANDS_FOR, None) is test


_STANDS_FOR: Final = "_metadatadb_stands_for"
"""On a function that was put in a test's place: the test."""


def _test_or_skip(cls: type[Suite], name: str, test: Callable[..., Any]) -> Callable[..., Any]:
    if name in cls.departures:
        return _skipped(test, f"departure: {cls.departures[name]}")
    needed: frozenset[Capability] = getattr(test, "_metadatadb_requires", frozenset())
    missing = needed - cls.capabilities
    if missing:
        what = ", ".join(sorted(f"{one.name} ({one.value})" for one in missing))
        return _skipped(test, f"{cls.__name__} does not declare {what}")
    return _explained(test)


def _explained(test: Callable[..., Any]) -> Callable[..., Any]:
    """The test, whose failures carry its docstring: pytest prints an error's notes, and no docstring."""

    @functools.wraps(test)
    def explain(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return test(*args, **kwargs)
        except (Exception, pytest.fail.Exception) as failure:
            failure.add_note(f"\n{test.__name__}:\n{textwrap.indent(inspect.getdoc(test) or '', '  ')}")
            raise

    explain.__dict__[_STANDS_FOR] = test
    return explain


def _skipped(test: Callable[..., Any], reason: str) -> Callable[..., Any]:
    # Neither parameters nor fixtures of the test are taken over: a skipped test opens nothing.
    def skip(self: object) -> None:
        pytest.skip(reason)

    functools.update_wrapper(skip, test, updated=())
    del skip.__dict__["__wrapped__"]  # pytest would follow it to the parameters
    skip.__dict__[_STANDS_FOR] = test
    return skip
