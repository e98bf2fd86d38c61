"""Whether mypy and pyright see the types of what is installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.packaging.workspace import Environment, attempt

# Pyright would otherwise guess the types of a package without py.typed from its sources.
_PYRIGHT = {"typeCheckingMode": "strict", "useLibraryCodeForTypes": False, "reportUnusedImport": False}


def unseen_types(environment: Environment, place: Path, right: Sequence[str], wrong: Sequence[str]) -> list[str]:
    """What a type checker refuses and should not, or accepts and should not.

    Args:
        environment: where the types are to be seen.
        place: an empty directory for the program.
        right: its first lines, imports and what must be accepted.
        wrong: its other lines, each of which must be refused.
    """
    program = place / "program.py"
    lines = [*right, *wrong]
    program.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (place / "pyrightconfig.json").write_text(json.dumps(_PYRIGHT), encoding="utf-8")
    complaints: list[str] = []
    for checker, found in [("mypy", _mypy(environment, program)), ("pyright", _pyright(environment, program))]:
        for number, line in enumerate(lines, 1):
            if number <= len(right) and number in found:
                complaints.append(f"{checker} refuses {line!r}: {found[number]}")
            elif number > len(right) and number not in found:
                complaints.append(f"{checker} accepts {line!r}")
    return complaints


def _mypy(environment: Environment, program: Path) -> Mapping[int, str]:
    """The lines that mypy --strict refuses, and why."""
    mypy = (sys.executable, "-m", "mypy", "--strict", "--output", "json", "--cache-dir", "mypy-cache")
    finished = attempt(*mypy, "--python-executable", environment.python, program, cwd=program.parent)
    assert finished.returncode in (0, 1), finished.stdout + finished.stderr
    findings = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    return {finding["line"]: finding["message"] for finding in findings if finding["severity"] == "error"}


def _pyright(environment: Environment, program: Path) -> Mapping[int, str]:
    """The lines that strict pyright refuses, and why."""
    pyright = (sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", environment.python)
    finished = attempt(*pyright, program, cwd=program.parent)
    assert finished.returncode in (0, 1), finished.stdout + finished.stderr
    findings = json.loads(finished.stdout)["generalDiagnostics"]
    return {
        finding["range"]["start"]["line"] + 1: finding["message"]
        for finding in findings
        if finding["severity"] == "error"
    }
