"""The only door: every check, build and demonstration of this workspace is a session here.

A bare ``nox`` runs what CI runs. Arguments after ``--`` go to the tool a session runs:
``nox -s tests -- tests/unit -k codec``, ``nox -s soak -- --minutes 10``, ``nox -s demo -- --files 100``.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import nox

if sys.version_info < (3, 11):  # noqa: UP036 - nox may run on an older Python than the one the library needs
    sys.exit(f"metadatadb needs Python 3.11 or newer; nox runs on {sys.version.split()[0]}")

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
SOURCES = os.pathsep.join(str(path) for path in (ROOT, ROOT / "examples", ROOT / "examples/metadatadb_redis", *PLUGINS))
"""Where packages begin, for tools that read sources instead of importing them."""

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "types", "packaging", "simulate", "tests"]
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True


def install(session: nox.Session, *groups: str, workspace: bool = True) -> None:
    """Install the tools of `groups`, and every distribution of the workspace in place."""
    requirements = list(nox.project.dependency_groups(PYPROJECT, *groups))
    if workspace:
        requirements += ["-e", ".[cli,testing]"]
        for plugin in PLUGINS:
            requirements += ["-e", f"./{plugin.relative_to(ROOT).as_posix()}"]
    session.install(*requirements)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format, and the floors of the core."""
    install(session, "lint", workspace=False)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": SOURCES})


@nox.session
def types(session: nox.Session) -> None:
    """Both type checkers, strict, over all that ships and over what users would write."""
    install(session, "types", "test", "nox")
    session.run("mypy", env={"MYPYPATH": SOURCES})
    session.run("pyright", "--pythonpath", f"{session.bin}/python", env={"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"})


@nox.session
def packaging(session: nox.Session) -> None:
    """Build every distribution and use the wheels in clean environments outside the checkout."""
    install(session, "packaging", workspace=False)
    session.run(
        "pytest",
        # One test at a time to a worker: a few here take as long as all others together.
        *("-n", "2", "--maxschedchunk", "1"),
        # A test here runs the whole suite of a plugin, which takes longer than any other test may.
        *("-o", "faulthandler_timeout=1500"),
        # The environments are large; they are kept to be looked into only after a failure.
        *("-o", "tmp_path_retention_policy=failed"),
        "tests/packaging",
        *session.posargs,
    )


@nox.session
def tests(session: nox.Session) -> None:
    """The whole test suite, in random order, on all cores; arguments choose a part of it."""
    install(session, "test")
    workers = (os.cpu_count() or 1) + 1  # at any time some wait, for a server or for a process
    session.run("pytest", "-n", str(workers), "--dist", "worksteal", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site, in docs/_build; a dead link or a public name that is not documented ends it."""
    install(session, "docs")
    strict = ("--fail-on-warning", "--keep-going", "--nitpicky")
    session.run("sphinx-build", "--builder", "html", *strict, "docs", "docs/_build", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """The main job on real input: index the standard library, and check every total.

    ``-- s3`` and ``-- gcs`` run it over a server of the kind.
    """
    install(session, "demo", *(server for server in ("gcs", "s3") if server in session.posargs))
    session.run("python", "examples/stdlib_index.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """How fast, as ratios to a plain dict with a lock and to bare msgspec, beside their limits."""
    install(session, "s3")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Many processes under load with faults, and nothing may grow; ``-- --minutes 60 --target URL``."""
    install(session, "demo", "s3")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """Random histories of many replicas with every fault, one seed each; ``-- --seeds 100000`` tries more."""
    install(session)
    for arguments in [session.posargs] if session.posargs else [["--seeds", "30000"], ["--spool", "--seeds", "4000"]]:
        session.run("python", "-m", "tests.simulation", *arguments)


@nox.session
def crash(session: nox.Session) -> None:
    """Processes that are killed by the hundred, with and without a spool; ``-- --kills 1000`` for more."""
    install(session, "demo", "s3")
    session.run("python", "-m", "tests.crash", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """All that reads foreign bytes, led by coverage; ``-- --seconds 3600``, ``--target hcl``, ``--replay FILE``."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        session.skip("there is atheris for Linux on x86-64 only; the suite tries the same targets without it")
    install(session, "test", "fuzz")
    session.run("python", "-m", "tests.fuzz", *session.posargs)
