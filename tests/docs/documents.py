"""Documents and their blocks: in which order, and how, each is tried."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import yaml
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

from metadatadb_core import Registry
from metadatadb_core.hcl import parse, the_block
from tests.docs.shell import run_shell

__all__ = ["CHECKED", "DOCUMENTS", "FILES_OF_A_DISTRIBUTION", "ROOT", "Place", "try_document"]

ROOT: Final = Path(__file__).parents[2]

FILES_OF_A_DISTRIBUTION: Final = ROOT / "docs/writing-a-backend.md"
"""Its blocks are made into files and run by tests/packaging/test_writing_a_backend.py."""

DOCUMENTS: Final = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
    *sorted(
        path for path in ROOT.glob("docs/**/*.md") if path != FILES_OF_A_DISTRIBUTION and "_build" not in path.parts
    ),
]

_CAPTION: Final = re.compile(r"<!-- file: (\S+) -->\n\Z")
_VARIABLE: Final = re.compile(r"\$\{?(\w+)")


@dataclass(frozen=True)
class Place:
    """Where a document is tried.

    Attributes:
        directory: an empty directory, which is also the current one.
        environment: makes the variables of a shell block; those that earlier blocks have set are among them.
        printed: what was printed since the last call.
        scratch: a file for the output of shell blocks.
    """

    directory: Path
    environment: Callable[[], Mapping[str, str]]
    printed: Callable[[], str]
    scratch: Path


def try_document(path: Path, place: Place) -> None:
    """Try all blocks of a document in order.

    A block under a comment ``file: NAME`` is written to that file. Other Python blocks run in one namespace; a ``text``
    block right after one is what it prints. Shell blocks are run. What is a configuration is read as one.
    """
    run_python = PythonEvaluator()

    def python(example: Example) -> None:
        if not _write(example, place.directory):
            run_python(example)

            assert _announced(example) == place.printed()

    def shell(example: Example) -> None:
        if not _write(example, place.directory):
            run_shell(example.parsed, place.directory, place.environment(), place.scratch)

    def checked(check: Callable[[str], object]) -> Callable[[Example], None]:
        def evaluate(example: Example) -> None:
            _write(example, place.directory)
            check(str(example.parsed))

        return evaluate

    parsers = [CodeBlockParser("python", python), CodeBlockParser("shell", shell)]
    parsers += [CodeBlockParser(language, checked(check)) for language, check in CHECKED.items()]
    for example in Sybil(parsers=parsers).parse(path).examples():
        example.evaluate()


def _write(example: Example, directory: Path) -> bool:
    """Whether the block is a file, which is written then."""
    caption = _CAPTION.search(example.document.text[: example.region.start])
    if caption is None:
        return False
    file = directory / caption[1]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(example.parsed, encoding="utf-8")
    return True


def _announced(example: Example) -> str:
    """What the document says that a block prints."""
    after = example.document.text[example.region.end :].lstrip("\n")
    return after.removeprefix("```text\n").partition("```")[0] if after.startswith("```text\n") else ""


def _configure(text: str) -> None:
    """Its backend takes the block, whatever the variables in it are."""
    block = the_block(parse(text))
    variables = dict.fromkeys(_VARIABLE.findall(text), "eu")
    block.settings.configure(Registry().registration(block.labels[0]).config_class, variables)


CHECKED: Final[Mapping[str, Callable[[str], object]]] = {
    "hcl": _configure,
    "json": msgspec.json.decode,
    "toml": tomllib.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
}
"""Languages of blocks that are read rather than run."""
