"""The author's guide, followed to the letter: its files make a distribution, and its commands build and use that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.packaging.workspace import ROOT, Built, run

GUIDE = ROOT / "docs/writing-a-backend.md"

_BLOCK = re.compile(
    r"(?:^<!-- (?P<caption>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_DRAWING = "metadatadb-files/\n"
"""How the one block begins that is neither a file, nor run, nor printed."""

_END = "-- end of a block --"


@dataclass
class Guide:
    """What it tells a reader to do.

    Attributes:
        files: their texts by path.
        commands: the shell blocks, in order.
        printed: what a command's output must end with, by the command's number.
        unused: blocks that no reader would know what to do with.
    """

    files: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    printed: dict[int, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)


def read_guide(text: str) -> Guide:
    """A block is a file where a comment above it says ``file: PATH``, and is run where it says ``run``.

    A ``text`` block right after one that is run is what that prints at its end.
    """
    guide = Guide()
    end_of_command = -1
    for block in _BLOCK.finditer(text):
        caption, language, content = block["caption"] or "", block["language"], block["text"]
        if caption.startswith("file: "):
            guide.files[caption.removeprefix("file: ")] = content
        elif (caption, language) == ("run", "sh"):
            guide.commands.append(content)
            end_of_command = block.end()
        elif language == "text" and end_of_command >= 0 and not text[end_of_command : block.start()].strip():
            guide.printed[len(guide.commands) - 1] = content
        elif not content.startswith(_DRAWING):
            guide.unused.append(content)
    return guide


def follow(guide: Guide, place: Path, environment: Mapping[str, str]) -> Sequence[str]:
    """Write the files, and run the commands in one shell; what each printed."""
    for path, content in guide.files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(content, encoding="utf-8")
    script = "set -eu\n" + "".join(f"{command}\necho '{_END}'\n" for command in guide.commands)
    finished = subprocess.run(
        ["sh", "-c", script],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert 0 == finished.returncode, finished.stdout
    return finished.stdout.split(f"{_END}\n")


@pytest.fixture
def guide() -> Guide:
    """As it is."""
    return read_guide(GUIDE.read_text(encoding="utf-8"))


@pytest.fixture
def author(built: dict[str, Built]) -> dict[str, str]:
    """The environment of somebody to whom the core comes from an index, of which this wheel stands in for a part."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    return {**kept, "PIP_FIND_LINKS": str(built["metadatadb_core"].wheel.parent), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def test_every_block_is_a_file_or_is_run(guide: Guide) -> None:
    """Nothing in it is only shown: what is not tried rots."""
    assert [] == guide.unused
    assert len(guide.files) > 5
    assert len(guide.commands) > 3


def test_the_folder_is_drawn_as_it_is(guide: Guide) -> None:
    """No file is missing in the drawing, and none is only drawn."""
    drawn = re.findall(
        r"[\w.-]+\.\w+|py\.typed", GUIDE.read_text(encoding="utf-8").partition(_DRAWING)[2].split("```")[0]
    )
    written = [Path(path).name for path in guide.files if path.startswith(_DRAWING.strip())]

    assert sorted(drawn) == sorted(written)


def test_following_the_guide_makes_a_backend_that_works(guide: Guide, author: dict[str, str], tmp_path: Path) -> None:
    """From an empty folder to a wheel in a clean environment; the suites pass on the way, and its types hold."""
    printed = follow(guide, tmp_path, author)

    assert {} != guide.printed
    for number, expected in guide.printed.items():
        assert printed[number].endswith(expected), printed[number]
    assert 2 == sum(bool(re.search(r"\d passed", output)) for output in printed)
    assert str(ROOT) not in "".join(printed)
    folder = tmp_path / "metadatadb-files"
    mypy = (sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "mypy-cache")
    run(*mypy, "--python-executable", folder / ".venv/bin/python", "metadatadb_files", "tests", cwd=folder)
