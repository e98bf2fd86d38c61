"""Several workers index the source files of this Python's standard library through one store.

What a file holds and its mark of being done go in as one batch, so the totals are right at every moment,
whoever reads them. In the end every total is compared with a plain sequential count.

    python examples/stdlib_index.py [URL] [--workers N] [--files N]
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import sys
import sysconfig
import threading
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from metadatadb_core import Namespace, connect

LIBRARY = Path(sysconfig.get_path("stdlib"))
NAMESPACE = "stdlib-index"

ONE_PARSER = threading.Lock()
"""CPython 3.11 counts the depth of all syntax trees under construction together, and raises when threads mix it up."""


@dataclass(frozen=True)
class Source:
    """What the index keeps of a file: its size in bytes, and the SHA-256 of what it holds."""

    size: int
    digest: str


@dataclass(frozen=True)
class Run:
    """How the index was made."""

    library: str
    python: str
    files: int
    workers: int


# -- what a file holds, whoever counts -----------------------------------------------------------------------


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


# -- through the store ---------------------------------------------------------------------------------------


def index_file(namespace: Namespace, path: str) -> None:
    """Index one file; anyone who sees it marked as done sees all of what it holds."""
    content = (LIBRARY / path).read_bytes()
    modules = Counter(imported_modules(content))
    imports = namespace.int_map("imports")
    with namespace.batch():
        for module, times in modules.items():
            imports.add(module, times)
        namespace.map("sources", str, Source).set(path, Source(len(content), hashlib.sha256(content).hexdigest()))
        namespace.int("bytes-read").add(len(content))
        namespace.list("log").append(f"{path}: {modules.total()} imports")
        namespace.set("done").add(path)


def index(namespace: Namespace, files: Sequence[str], workers: int, console: Console) -> None:
    """Index `files`, by `workers` threads at once."""
    namespace.scalar("run", Run).set(Run(str(LIBRARY), sys.version.split()[0], len(files), workers))
    with Progress(console=console) as progress, ThreadPoolExecutor(workers) as pool:
        task = progress.add_task(f"{workers} workers", total=len(files))
        for done in as_completed([pool.submit(index_file, namespace, path) for path in files]):
            done.result()
            progress.advance(task)
    namespace.flush()


# -- and without it ------------------------------------------------------------------------------------------


@dataclass
class PlainCount:
    """The same totals, counted one file after the other into plain Python values."""

    imports: Counter[str]
    sources: dict[str, Source]
    log: list[str]
    bytes_read: int

    @classmethod
    def of(cls, files: Sequence[str], console: Console) -> PlainCount:
        plain = cls(Counter(), {}, [], 0)
        with Progress(console=console) as progress:
            for path in progress.track(files, description="one by one"):
                content = (LIBRARY / path).read_bytes()
                modules = Counter(imported_modules(content))
                plain.imports += modules
                plain.sources[path] = Source(len(content), hashlib.sha256(content).hexdigest())
                plain.log.append(f"{path}: {modules.total()} imports")
                plain.bytes_read += len(content)
        return plain


def compare(namespace: Namespace, plain: PlainCount) -> dict[str, tuple[int, int, bool]]:
    """For each total: what the store has, what was counted, and whether all behind it is equal."""
    imports = namespace.int_map("imports").entries()
    sources = namespace.map("sources", str, Source).entries()
    done = namespace.set("done").members()
    log = namespace.list("log", str).entries()
    bytes_read = namespace.int("bytes-read").get()
    return {
        "modules imported": (len(imports), len(plain.imports), imports.keys() == plain.imports.keys()),
        "imports": (sum(imports.values()), plain.imports.total(), imports == plain.imports),
        "files done": (len(done), len(plain.sources), done == sorted(plain.sources)),
        "sizes and digests": (len(sources), len(plain.sources), sources == plain.sources),
        "bytes read": (bytes_read, plain.bytes_read, bytes_read == plain.bytes_read),
        "lines of the log": (len(log), len(plain.log), sorted(log) == sorted(plain.log)),
    }


# -- what a person sees --------------------------------------------------------------------------------------


def show_top(namespace: Namespace, console: Console) -> None:
    run = namespace.scalar("run", Run).get()
    if run is not None:
        console.print(f"\n{run.files:,} files of Python {run.python}, indexed by {run.workers} workers\n")

    imported = Table("module", "imports", title="Imported most")
    for module, times in Counter(namespace.int_map("imports").entries()).most_common(10):
        imported.add_row(module, f"{times:,}")
    sources = namespace.map("sources", str, Source).entries()
    largest = Table("file", "bytes", "SHA-256", title="Largest files")
    for path in sorted(sources, key=lambda path: sources[path].size, reverse=True)[:10]:
        largest.add_row(path, f"{sources[path].size:,}", f"{sources[path].digest[:12]}…")
    console.print(imported, largest)


def show_totals(totals: dict[str, tuple[int, int, bool]], console: Console) -> None:
    table = Table("total", "in the store", "counted one by one", "equal", title="Every total, checked")
    for name, (stored, counted, equal) in totals.items():
        table.add_row(name, f"{stored:,}", f"{counted:,}", "yes" if equal else "NO")
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Index the standard library through one store, and check the totals.")
    parser.add_argument("url", nargs="?", default="memory://", help="the store to use (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="how many at once (default: %(default)s)")
    parser.add_argument("--files", type=int, help="only so many files (default: all)")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # the library's own tests are full of dubious literals
    console = Console()
    files = library_files(options.files)

    with connect(options.url) as store:
        namespace = store.namespace(NAMESPACE)
        index(namespace, files, options.workers, console)
        show_top(namespace, console)
        totals = compare(namespace, PlainCount.of(files, console))
        show_totals(totals, console)
    return 0 if all(equal for _, _, equal in totals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
