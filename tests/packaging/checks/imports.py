"""What is imported, as the sources say and as an interpreter does it."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from packaging.utils import canonicalize_name

from tests.packaging.workspace import Built, Environment

_IMPORT_EACH = """
import importlib, json
failing = []
for module in {modules!r}:
    try:
        importlib.import_module(module)
    except Exception as error:
        failing.append(f"{{module}}: {{type(error).__name__}}: {{error}}")
print(json.dumps(failing))
"""

_MODULES_LOADED = """
import json, sys
before = set(sys.modules)
{statement}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(loaded)))
"""


def providers(environment: Environment) -> Mapping[str, Sequence[str]]:
    """The installed distributions that bring each top-level module, by their canonical names."""
    said = environment.run("import json, importlib.metadata as m; print(json.dumps(m.packages_distributions()))")
    found: dict[str, list[str]] = json.loads(said)
    return {module: [canonicalize_name(name) for name in names] for module, names in found.items()}


def undeclared_imports(built: Built, providers: Mapping[str, Sequence[str]]) -> list[str]:
    """What the sources import that is not their own, the standard library's, or a requirement's of their own.

    Args:
        built: the distribution.
        providers: those of an environment that has it with all its extras.
    """
    undeclared: list[str] = []
    for path, source in built.wheel_contents().items():
        if not path.endswith(".py"):
            continue
        declared = _requirements(built, built.extra_of(path))
        foreign = set(_imports(source)) - set(sys.stdlib_module_names) - {built.package}
        undeclared += [
            f"{path} imports {module}" for module in sorted(foreign) if declared.isdisjoint(providers.get(module, []))
        ]
    return undeclared


def failing_imports(built: Built, environment: Environment) -> list[str]:
    """Modules that cannot be imported there; those of an extra are left out."""
    paths = [path for path in built.wheel_files() if path.endswith(".py") and not built.extra_of(path)]
    modules = [path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths]
    failing: list[str] = json.loads(environment.run(_IMPORT_EACH.format(modules=modules)))
    return failing


def sdks(built: Built, core: Built) -> AbstractSet[str]:
    """What a plugin requires that the core does not, extras included: distributions, by their canonical names."""
    own = {canonicalize_name(requirement.name) for requirement in built.requirements()}
    return own - _requirements(core, "") - {canonicalize_name(core.name)}


def loaded(environment: Environment, statement: str, unwanted: Collection[str]) -> list[str]:
    """Which of the distributions (or modules of the standard library) in `unwanted` that statement imports."""
    modules: list[str] = json.loads(environment.run(_MODULES_LOADED.format(statement=statement)))
    known = providers(environment)
    return sorted({name for module in modules for name in known.get(module, [module])} & set(unwanted))


def _requirements(built: Built, extra: str) -> AbstractSet[str]:
    """What a distribution requires with `extra`, by canonical names."""
    return {
        canonicalize_name(requirement.name)
        for requirement in built.requirements()
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra})
    }


def _imports(source: bytes) -> Iterator[str]:
    """Top-level names of what a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
