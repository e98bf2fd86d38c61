"""Every public name is documented: the build warns of one that is not, and so, being strict, fails.

What is public is written down in tests/unit/public_api.txt, which a test compares with the code.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[\w.]+")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_config_value("public_names_file", None, "env", {str})
    app.connect("env-check-consistency", _check)
    return {"parallel_read_safe": True}


def _check(app: Sphinx, env: BuildEnvironment) -> None:
    documented = set(env.domains.python_domain.objects)
    for name in _public_names(Path(app.config.public_names_file)):
        if documented.isdisjoint(_spellings(name)) and not _is_documented_elsewhere(name, documented):
            _log.warning("public name %s is not documented", name)


def _public_names(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        found = _NAME.match(line)
        if found and not found[0].endswith(".__init__"):  # a constructor is documented with its class
            yield found[0]


def _spellings(name: str) -> Iterator[str]:
    """The name itself, and what it is called where it is defined: either may be what is documented."""
    yield name
    owner, _, last = name.rpartition(".")
    within = pkgutil.resolve_name(owner)
    if isinstance(within, type):  # a member, perhaps an inherited one
        yield from (f"{base.__module__}.{base.__qualname__}.{last}" for base in within.__mro__)
        if last in getattr(within, "__struct_fields__", ()):  # shown by the signature of its class
            yield f"{within.__module__}.{within.__qualname__}"
    elif inspect.isroutine(value := getattr(within, last)) or isinstance(value, type):
        yield f"{value.__module__}.{value.__qualname__}"


def _is_documented_elsewhere(name: str, documented: set[str]) -> bool:
    """Whether the same constant, exported by several modules, is documented as another one's."""
    owner, _, last = name.rpartition(".")
    within = pkgutil.resolve_name(owner)
    others = (other for other in documented if other.endswith(f".{last}") and not isinstance(within, type))
    return any(pkgutil.resolve_name(other) is getattr(within, last) for other in others)
