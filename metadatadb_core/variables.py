"""Variables in strings: ``${NAME}`` and ``$NAME``; ``$$`` is a dollar."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from metadatadb_core.errors import ConfigProblem
from metadatadb_core.spelling import nearest

__all__ = ["VARIABLE_FORM", "expand"]

VARIABLE_FORM = "${NAME} or $NAME (letters, digits and _), or $$ for a dollar"
"""What was expected, in an error about a reference."""

_REFERENCE = r"""\$(?: (?P<dollar>\$)
            | \{\s*(?P<braced>[A-Za-z_][A-Za-z0-9_-]*)\s*\}
            | (?P<bare>[A-Za-z_][A-Za-z0-9_]*)
            | (?P<other>\{)
        )"""


def expand(value: Any, variables: Mapping[str, str], problems: list[ConfigProblem]) -> Any:
    """`value` with the variables in its strings replaced, however deep in lists and objects they stand.

    What a variable holds is put in as it is, and not expanded again. A ``$`` before anything else stands for
    itself.

    Args:
        value: a string, list or dict, or anything else, which is returned as it is.
        variables: their values.
        problems: takes a problem without a position for each mistake.
    """
    if isinstance(value, str):
        return _expand(value, variables, problems) if "$" in value else value
    if isinstance(value, list):
        return [expand(item, variables, problems) for item in value]
    if isinstance(value, dict):
        return {key: expand(item, variables, problems) for key, item in value.items()}
    return value


def _expand(text: str, variables: Mapping[str, str], problems: list[ConfigProblem]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if match["other"]:
            problems.append(ConfigProblem("'${' begins no variable's name", expected=VARIABLE_FORM))
            return ""
        name = match["braced"] or match["bare"]
        try:
            return str(variables[name])
        except KeyError:
            problems.append(ConfigProblem(f"unknown variable {name!r}", nearest=_nearest(name, variables)))
            return ""

    return re.sub(_REFERENCE, replace, text, flags=re.VERBOSE)


def _nearest(name: str, variables: Mapping[str, str]) -> str | None:
    # Names of variables are upper-case as a rule: compare without case, answer in theirs.
    spelled = {known.lower(): known for known in variables}
    found = nearest(name, spelled)
    return spelled[found] if found is not None else None
