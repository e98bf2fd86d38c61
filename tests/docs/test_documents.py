"""What the documentation shows is what happens: every Python block of every document is run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parents[2]
FILES_OF_A_DISTRIBUTION = ROOT / "docs/writing-a-backend.md"
"""Its blocks are made into files and run by tests/packaging/test_writing_a_backend.py."""

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("plugins/*/README.md")), *sorted(ROOT.glob("docs/**/*.md"))]
DOCUMENTS.remove(FILES_OF_A_DISTRIBUTION)


@pytest.mark.parametrize("path", [str(document.relative_to(ROOT)) for document in DOCUMENTS])
def test_every_python_block_of_a_document_runs(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The blocks of one document run in order and in one namespace, in an empty directory.

    A ``text`` block right after a Python block is what that block prints.
    """
    monkeypatch.chdir(tmp_path)
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(ROOT / path)
    for example in document.examples():
        example.evaluate()
        after = document.text[example.region.end :].lstrip("\n")
        printed = capsys.readouterr().out
        if after.startswith("```text\n"):
            expected = after.removeprefix("```text\n").partition("```")[0]

            assert expected == printed
        else:
            assert "" == printed


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
