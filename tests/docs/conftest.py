"""Where documents are tried."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# A failure in what the tests here share says what was compared.
pytest.register_assert_rewrite("tests.docs.documents", "tests.docs.shell")

from tests.docs.documents import Place  # noqa: E402 - after the rewriting
from tests.docs.shell import shell_environment  # noqa: E402


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    """An empty directory, from which modules are imported, as in the directory of a script."""
    directory = tmp_path / "empty"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.syspath_prepend(directory)
    known = set(sys.modules)
    yield Place(directory, shell_environment, lambda: capsys.readouterr().out, tmp_path / "printed")
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(directory)):
            del sys.modules[name]
