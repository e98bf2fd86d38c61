"""The site is built, and only if every link leads somewhere and every public name is documented."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin

from tests.docs.documents import ROOT

OUTSIDE = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]
"""Documents that are no pages of the site, or that lie elsewhere than their page."""

NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:1")


def build(docs: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build the site as ``nox -s docs`` does."""
    strict = ("--fail-on-warning", "--keep-going", "--nitpicky", "--quiet")
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *strict, *options, str(docs), str(output)],
        env={**os.environ, **NO_NETWORK, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """As it is: no dead link, no name that leads nowhere, no public name that is missing, and no request.

    Pages are read and resolved, and not written, which would take as long again.
    """
    built = build(ROOT / "docs", tmp_path, "--builder", "dummy")

    assert (0, "") == (built.returncode, built.stderr)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A site of one page, with the real configuration."""
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs/_extensions", docs / "_extensions", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs/_static", docs / "_static")
    shutil.copy(ROOT / "docs/conf.py", docs)
    (docs / "public.txt").write_text("metadatadb_core.MetadataDBError(Exception)\n")
    (docs / "index.md").write_text(PAGE)
    return docs


PAGE = """# A page

See [this very page](index.md#a-page), and [a file](public.txt).

```{eval-rst}
.. autoexception:: metadatadb_core.MetadataDBError

   See `MetadataDBError`, and `os.PathLike`.
```
"""

MISTAKES = {
    "index.md#a-page": ("index.md#a-pgae", "local id not found"),
    "public.txt": ("missing.md", "cross-reference target not found: 'missing.md'"),
    "`MetadataDBError`": ("`MetadataDBEror`", "reference target not found: MetadataDBEror"),
    "`os.PathLike`": ("`os.PathLik`", "reference target not found: os.PathLik"),
    "metadatadb_core.MetadataDBError": ("json.JSONDecodeError", "core.MetadataDBError is not documented"),
}
"""What is right on that page, what is wrong instead, and what the build then says."""


def build_small(docs: Path, output: Path) -> subprocess.CompletedProcess[str]:
    """Build it with a list of public names of its own."""
    return build(docs, output, "--builder", "dummy", "--define", f"public_names_file={docs / 'public.txt'}")


def test_what_is_right_is_built(small: Path, tmp_path: Path) -> None:
    """The page that the next test damages."""
    built = build_small(small, tmp_path / "site")

    assert (0, "") == (built.returncode, built.stderr)


def test_what_is_wrong_ends_the_build(small: Path, tmp_path: Path) -> None:
    """A dead link, a heading that is not there, a misspelt name, an undocumented public name: all are said."""
    page = PAGE
    for right, (wrong, _) in MISTAKES.items():
        page = page.replace(right, wrong)
    (small / "index.md").write_text(page)

    built = build_small(small, tmp_path / "site")

    assert 0 != built.returncode
    assert [] == [warning for _, warning in MISTAKES.values() if warning not in built.stderr]


def _parsed(document: Path) -> list[Token]:
    return (
        MarkdownIt("gfm-like", {"linkify": False}).use(anchors_plugin, max_level=4).parse(document.read_text("utf-8"))
    )


def _links(document: Path) -> Iterator[str]:
    for token in _parsed(document):
        for child in token.children or ():
            href = str(child.attrs.get("href", ""))
            if child.type == "link_open" and "://" not in href:
                yield href


@pytest.mark.parametrize("path", [str(document.relative_to(ROOT)) for document in OUTSIDE])
def test_links_of_what_is_read_elsewhere_lead_somewhere(path: str) -> None:
    """README.md and its like are read where they lie: their links lead to files there, and to headings in them."""
    dead = []
    for href in _links(ROOT / path):
        file, _, anchor = href.partition("#")
        target = (ROOT / path).parent / file if file else ROOT / path
        if not target.exists() or (anchor and anchor not in {str(token.attrs.get("id")) for token in _parsed(target)}):
            dead.append(href)

    assert [] == dead
