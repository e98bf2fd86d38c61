"""The source files of this Python's standard library: what is in each, and the same totals counted one by one."""

from __future__ import annotations

import ast
import hashlib
import sysconfig
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

LIBRARY = Path(sysconfig.get_path("stdlib"))

ONE_PARSER = threading.Lock()
"""CPython 3.11 counts the depth of all syntax trees under construction together, and raises when threads mix it up."""


@dataclass(frozen=True)
class Source:
    """What the index keeps of a file: its size in bytes, and the SHA-256 of what it holds."""

    size: int
    digest: str


def library_files(limit: int | None) -> list[str]:
    """Paths below `LIBRARY`, without what was installed into it."""
    paths = sorted(LIBRARY.rglob("*.py"))
    return [path.relative_to(LIBRARY).as_posix() for path in paths if "site-packages" not in path.parts][:limit]


def imported_modules(source: bytes) -> Iterator[str]:
    """The modules that absolute imports name, once for each import; none for a file that is no valid Python."""
    try:
        with ONE_PARSER:
            nodes: deque[ast.AST] = deque([ast.parse(source)])
    except (SyntaxError, ValueError):  # its parser's own test data
        return
    while nodes:
        match nodes.pop():
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.expr():
                pass  # imports are statements
            case node:
                nodes.extend(ast.iter_child_nodes(node))


@dataclass(frozen=True)
class Holding:
    """All that the index wants to know of a file."""

    modules: Counter[str]
    source: Source

    @property
    def log_line(self) -> str:
        return f"{self.modules.total()} imports"

    @classmethod
    def of(cls, path: str) -> Holding:
        content = (LIBRARY / path).read_bytes()
        return cls(Counter(imported_modules(content)), Source(len(content), hashlib.sha256(content).hexdigest()))


@dataclass
class PlainCount:
    """The totals, counted one file after the other into plain Python values."""

    imports: Counter[str]
    sources: dict[str, Source]
    log: list[str]
    bytes_read: int

    @classmethod
    def of(cls, files: Sequence[str], console: Console) -> PlainCount:
        plain = cls(Counter(), {}, [], 0)
        with Progress(console=console) as progress:
            for path in progress.track(files, description="one by one"):
                holding = Holding.of(path)
                plain.imports += holding.modules
                plain.sources[path] = holding.source
                plain.log.append(f"{path}: {holding.log_line}")
                plain.bytes_read += holding.source.size
        return plain
