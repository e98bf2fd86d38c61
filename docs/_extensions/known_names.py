"""Where a name leads that Sphinx does not find as it is written: to the one public name that ends so, or nowhere.

A name of Python itself or of a library is shown without a link, if there is such a thing; so no inventory has to be
fetched, and a misspelt one is still an error.
"""

from __future__ import annotations

import builtins
import pkgutil
from typing import Any, TypeVar

from docutils.nodes import Element, TextElement, document
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import find_pending_xref_condition

_OURS = "metadatadb_"

_SUBJECTS = {"BackendSuite": "Backend", "ObjectStoreSuite": "ObjectStore"}
"""In the docstrings of a kit, a method is one of what is tested."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("doctree-read", _leave_builtins)
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True}


def _leave_builtins(app: Sphinx, doctree: document) -> None:
    """The type `bytes` is not the attribute `Status.bytes`, which Sphinx would take it for."""
    for node in list(doctree.findall(pending_xref)):
        if (node.get("refdomain"), node.get("reftype")) == ("py", "class") and hasattr(builtins, node["reftarget"]):
            shown = find_pending_xref_condition(node, "resolved") or node
            node.replace_self(shown.children)


def _resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: TextElement) -> Element | None:
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    found = _by_ending(env, node.get("py:class"), target)
    if found is not None:
        node["reftarget"] = found
        domain = env.get_domain("py")
        assert app.builder is not None
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found, node, shown)
    return shown if _is_foreign(target, node.get("py:module")) else None


def _by_ending(env: BuildEnvironment, around: str | None, target: str) -> str | None:
    objects = env.domains.python_domain.objects
    owner = (around or "").rpartition(".")[2]
    last = target.rpartition(".")[2] if target.startswith(_OURS) else target
    for ending in (f".{owner}.{last}", f".{_SUBJECTS.get(owner)}.{last}", f".{last}"):
        found = [name for name, entry in objects.items() if name.endswith(ending) and not entry.aliased]
        if len(found) == 1:
            return found[0]
    return None


def _is_foreign(target: str, module: str | None) -> bool:
    last = target.rpartition(".")[2]
    for path in (f"{module}.{target}" if module else target, target, f"typing.{last}"):
        try:
            value = pkgutil.resolve_name(path)
        except (ImportError, AttributeError, ValueError):
            continue
        if isinstance(value, TypeVar) or not str(getattr(value, "__module__", "")).startswith(_OURS):
            return True
    return hasattr(builtins, target)
