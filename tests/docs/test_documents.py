"""What the documentation shows is what happens: every block of every document is tried."""

from __future__ import annotations

import ast
import re
import shutil

import pytest

from tests.docs.documents import CHECKED, DOCUMENTS, FILES_OF_A_DISTRIBUTION, ROOT, Place, try_document

PROGRAMS = {"docs/how-to/gunicorn.md": "curl"}
"""What a document needs of the system."""

SHOWN_ONLY = {
    "docs/how-to/kubernetes.md",
    "docs/proof.md",
    "plugins/metadatadb_gcs/README.md",
    "plugins/metadatadb_s3/README.md",
}
"""Where a ``console`` block stands: runs of minutes, and clusters and buckets that nobody has."""


@pytest.mark.parametrize("path", [str(document.relative_to(ROOT)) for document in DOCUMENTS])
def test_every_block_of_a_document_does_what_it_says(path: str, place: Place) -> None:
    """The blocks of one document are tried in order; `try_document` says how."""
    if (program := PROGRAMS.get(path)) and shutil.which(program) is None:
        pytest.skip(f"its shell blocks need {program}, which is not installed")
    try_document(ROOT / path, place)


def test_every_block_is_of_a_language_that_is_tried() -> None:
    """Nothing is only shown: a block without a language is a drawing, or commands that another test knows."""
    unknown = []
    for document in DOCUMENTS:
        path = str(document.relative_to(ROOT))
        for language in re.findall(r"^ *```+ *(\S+)$", document.read_text(encoding="utf-8"), re.MULTILINE):
            tried = language in {"python", "shell", "text", *CHECKED} or language.startswith("{")
            if not tried and not (language == "console" and path in SHOWN_ONLY):
                unknown.append((path, language))

    assert [] == unknown


def test_every_session_that_a_document_names_is_one() -> None:
    """A command ``nox -s NAME`` in a document names a session of noxfile.py."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
    texts = [document.read_text(encoding="utf-8") for document in [*DOCUMENTS, FILES_OF_A_DISTRIBUTION]]
    named = {name for text in texts for name in re.findall(r"nox -s ([\w-]+)", text)}

    assert set() == named - sessions


def test_the_contributor_is_told_of_every_session() -> None:
    """CONTRIBUTING.md lists all that nox can do."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
    listed = set(re.findall(r"nox -s ([\w-]+)", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))

    assert set() == sessions - listed


def test_the_readme_shows_the_examples_as_they_are() -> None:
    """A function shown under a comment that names its file is that file's, to the letter."""
    shown = re.findall(r"<!-- (\S+): (\w+) -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    actual: list[tuple[str, str, str]] = []
    for path, name, _ in shown:
        source = (ROOT / path).read_text()
        functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
        actual.append((path, name, f"{ast.get_source_segment(source, functions[name])}\n"))

    assert [] != shown
    assert actual == shown
