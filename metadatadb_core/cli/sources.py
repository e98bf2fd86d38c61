"""Where namespaces that are moved come from: a store, or a file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import IO, Protocol, final

from metadatadb_core.cli.failures import Misuse, Refusal
from metadatadb_core.cli.selection import check_found
from metadatadb_core.cli.targets import OpenTarget
from metadatadb_core.cli.wording import name_text
from metadatadb_core.replication.archive import Archived, ArchiveError, read_archive
from metadatadb_core.replication.content import Content
from metadatadb_core.replication.inspection import list_namespaces, read_state
from metadatadb_core.replication.object_store import Version
from metadatadb_core.replication.outcomes import NotModified

__all__ = ["FileSource", "GoneError", "Item", "Source", "StoreSource"]


class GoneError(Refusal):
    """A namespace is not there any more."""


@dataclass(frozen=True, slots=True)
class Item:
    """A namespace to be moved.

    Attributes:
        namespace: its name.
        read: what it holds now, or None if that is what the last call returned; raises what is wrong with it.
    """

    namespace: str
    read: Callable[[], Content | None]


class Source(Protocol):
    """Where namespaces come from; it can be gone through more than once."""

    @property
    def name(self) -> str:
        """What it is called in print."""
        ...

    @property
    def location(self) -> str:
        """Likewise for programs."""
        ...

    @property
    def prefix(self) -> str | None:
        """What keys begin with there; None of what is no store."""
        ...

    @property
    def count(self) -> int | None:
        """How many namespaces come from it; None where that is known at the end only."""
        ...

    def items(self) -> Iterator[Item]:
        """The namespaces, one at a time.

        Raises:
            Misuse: what is read is not what `metadatadb export` has written.
        """
        ...


@final
class StoreSource:
    """The namespaces of a store.

    Args:
        opened: the store.
        only: those to be moved; empty for all.
        warn: called with what somebody should know who moves them.

    Raises:
        Refusal: it holds nothing, one of `only` is not there, or the backend does not lie in an object store.
        StoreFailure: it cannot be listed.
    """

    def __init__(self, opened: OpenTarget, only: Collection[str], warn: Callable[[str], object]) -> None:
        backend = opened.replicated
        self.name, self.location, self.prefix = opened.name, opened.location, backend.config.prefix
        self._store = backend.object_store()
        found = [each for each in list_namespaces(self._store, self.prefix) if each.state or each.journal]
        if not found:
            raise Refusal(f"{self.name} holds no namespace: see that its name and its prefix are right")
        check_found(only, [each.name for each in found], self.name)
        self._found = [each for each in found if not only or each.name in only]
        self.count = len(self._found)
        for each in self._found:
            if each.lock is not None:
                warn(f"{name_text(each.name)} is locked at {self.name}: somebody may be writing it")

    def items(self) -> Iterator[Item]:
        """See `Source.items`."""
        for each in self._found:
            yield Item(each.name, _Reader(self, each.name))

    def read(self, namespace: str, unless: Version | None) -> tuple[Content, Version]:
        """What `namespace` holds, and at which version.

        Raises:
            NotModified: it is at `unless`.
            GoneError: it is gone.
            CorruptStateError, UnsupportedFormatError, StoreFailure: it cannot be read.
        """
        state = read_state(self._store, self.prefix, namespace, unless=unless)
        if state is None:
            raise GoneError(f"it is gone from {self.name}")
        return Content.of_state(state.body), state.version


@final
class _Reader:
    """Reads a namespace again and again, as long as it changes."""

    def __init__(self, source: StoreSource, namespace: str) -> None:
        self._source = source
        self._namespace = namespace
        self._version: Version | None = None

    def __call__(self) -> Content | None:
        try:
            content, self._version = self._source.read(self._namespace, self._version)
        except NotModified:
            return None
        return content


@final
class FileSource:
    """The namespaces of a file.

    Args:
        stream: the file, which can be read more than once.
        name: its name.
        only: those to be moved; empty for all.
    """

    prefix = None
    count = None

    def __init__(self, stream: IO[bytes], name: str, only: Collection[str]) -> None:
        self.name = self.location = name
        self._stream = stream
        self._only = only
        self._checksums: dict[str, str] = {}

    def items(self) -> Iterator[Item]:
        """See `Source.items`."""
        self._stream.seek(0)
        try:
            for archived in read_archive(self._stream):
                self._check_same(archived)
                if not self._only or archived.namespace in self._only:
                    yield _archived_item(archived)
        except ArchiveError as error:
            raise Misuse(f"{self.name}: {error}") from error
        check_found(self._only, self._checksums, self.name)

    def _check_same(self, archived: Archived) -> None:
        known = self._checksums.setdefault(archived.namespace, archived.sha256)
        if known != archived.sha256:
            raise Misuse(f"{self.name} was changed while it was read; run the command again")


def _archived_item(archived: Archived) -> Item:
    contents = iter([archived.content])
    return Item(archived.namespace, lambda: next(contents, None))
