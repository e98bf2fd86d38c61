"""Several workers index the source files of this Python's standard library through one store.

    python examples/stdlib_index.py [sqlite | s3 | gcs | memory | URL] [--workers N] [--files N]

``sqlite`` (the default), ``s3`` and ``gcs`` run the workers as processes, of which one is killed on the way: over
a database file in a temporary folder, or over a server that is started for the purpose. ``memory`` runs them as
threads. In the end every total is compared with a plain sequential count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet import NAMESPACE, Worker, index_with_processes, index_with_threads
from library import LIBRARY, PlainCount, Source, library_files
from rich.console import Console
from rich.table import Table

from metadatadb_core import Namespace, connect


@dataclass(frozen=True)
class Run:
    """How the index was made."""

    library: str
    python: str
    files: int
    workers: int


@contextmanager
def store_url(target: str) -> Iterator[str]:
    """The URL of the store to use; what had to be started for it ends with the block."""
    if target == "memory":
        yield "memory://"
    elif target == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite://{Path(folder, 'index.db').as_posix()}"
    elif target == "s3":
        import boto3

        from metadatadb_s3.testing import moto_credentials, moto_server

        with moto_credentials(), moto_server() as endpoint:
            boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=NAMESPACE)
            yield f"s3://{NAMESPACE}?endpoint-url={endpoint}&sync-interval=1s&lock-ttl=4s"
    elif target == "gcs":
        from metadatadb_gcs.testing import create_bucket, gcs_server

        with gcs_server() as endpoint:
            create_bucket(endpoint, NAMESPACE)
            yield f"gs://{NAMESPACE}?endpoint-url={endpoint}&sync-interval=1s&lock-ttl=4s"
    else:
        yield target


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


def show_traffic(workers: Sequence[Worker], console: Console) -> None:
    table = Table(
        "replica", "flushes", "requests", "bytes sent", "bytes received", "lock waits", title="What each sent"
    )
    for worker in workers:
        sent = worker.traffic
        numbers = (sent.flushes, sent.requests, sent.sent, sent.received, sent.lock_waits)
        name = f"{worker.name} (killed; as last reported)" if worker.fate == "killed" else worker.name
        table.add_row(name, *(f"{number:,}" for number in numbers))
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Index the standard library through one store, and check the totals.")
    parser.add_argument("target", nargs="?", default="sqlite", help="sqlite, s3, gcs, memory, or a URL")
    parser.add_argument("--workers", type=int, default=4, help="how many at once (default: %(default)s)")
    parser.add_argument("--files", type=int, help="only so many files (default: all)")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # the library's own tests are full of dubious literals
    console = Console()
    files = library_files(options.files)

    with store_url(options.target) as url, connect(url) as store:
        namespace = store.namespace(NAMESPACE)
        namespace.scalar("run", Run).set(Run(str(LIBRARY), sys.version.split()[0], len(files), options.workers))
        namespace.flush()
        workers: list[Worker] = []
        if url.startswith("memory:"):
            index_with_threads(namespace, files, options.workers, console)
        else:
            workers = index_with_processes(url, files, options.workers, console)
        namespace.flush()
        show_top(namespace, console)
        if workers:
            show_traffic(workers, console)
        totals = compare(namespace, PlainCount.of(files, console))
        show_totals(totals, console)
    return 0 if all(equal for _, _, equal in totals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
