"""Every error of metadatadb.

::

    MetadataDBError
    ├── BackendNotFoundError(LookupError)      no installed plugin provides that backend
    ├── PluginError                            a plugin is there and cannot be used
    │   ├── PluginConflictError                two distributions claim one name
    │   └── PluginVersionError                 made for another BACKEND_API_VERSION
    ├── ConfigError(ValueError)                every mistake of a configuration at once
    ├── InvalidNamespaceError(ValueError)      a namespace that breaks the naming rule
    ├── InvalidValueError(ValueError)          a value, key or op that cannot be stored
    ├── StructureMismatchError(TypeError)      one name used as two kinds of structure
    ├── BackendClosedError                     used after close
    ├── BackendUnavailableError                the store cannot be reached, or denies
    ├── CommitUnknownError                     nobody can tell whether a batch is in
    ├── CorruptStateError                      the stored state is not a JSON object
    ├── UnsupportedFormatError                 stored by a newer version, or another design
    ├── UnsafeStoreError                       the store ignores conditional writes
    ├── PendingLimitError                      the queue of unflushed ops is full
    ├── SpoolError                             the local spool cannot be written
    ├── FlushTimeoutError(TimeoutError)        the flush took too long; ops stay queued
    └── UnflushedOpsError                      close could not flush everything

Each carries what it says as attributes, and survives pickling, so that it can
cross a process boundary (a ``ProcessPoolExecutor``, say) whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import msgspec

__all__ = [
    "BackendClosedError",
    "BackendNotFoundError",
    "BackendUnavailableError",
    "CommitUnknownError",
    "ConfigError",
    "ConfigProblem",
    "CorruptStateError",
    "FlushTimeoutError",
    "InvalidNamespaceError",
    "InvalidValueError",
    "MetadataDBError",
    "PendingLimitError",
    "PluginConflictError",
    "PluginError",
    "PluginVersionError",
    "SpoolError",
    "StructureMismatchError",
    "UnflushedOpsError",
    "UnsafeStoreError",
    "UnsupportedFormatError",
]


def _rebuild(cls: type[MetadataDBError], args: tuple[Any, ...], state: dict[str, Any]) -> MetadataDBError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _pickles(value: object) -> bool:
    import pickle  # whoever gets here has it; nobody else needs it

    try:
        pickle.dumps(value)
    except Exception:
        return False
    return True


class MetadataDBError(Exception):
    """Base of every error this library raises on purpose."""

    def __copy__(self) -> MetadataDBError:
        return _rebuild(type(self), self.args, self.__dict__)

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls ``cls(*args)`` with the message alone, which fails for
        # the subclasses below: their constructors take data, not a message.
        # An attribute that cannot cross (a cause that holds a socket, say) goes as its text.
        state = {name: value if _pickles(value) else repr(value) for name, value in self.__dict__.items()}
        return _rebuild, (type(self), self.args, state)


class BackendNotFoundError(MetadataDBError, LookupError):
    """No installed plugin provides the backend asked for: install it, or correct the name.

    Attributes:
        name: the backend or URL scheme that was asked for.
        installed: names of the backends that are installed.
        nearest: the installed or well-known name most like it, or None.
        install: the distribution to ``pip install``, or None if unknown.
    """

    def __init__(
        self, name: str, *, installed: Iterable[str] = (), nearest: str | None = None, install: str | None = None
    ) -> None:
        self.name = name
        self.installed = tuple(sorted(installed))
        self.nearest = nearest
        self.install = install
        text = f"no backend {name!r} is installed"
        text += f"; installed: {', '.join(self.installed)}" if self.installed else "; no backend is installed at all"
        if nearest is not None:
            text += f"; did you mean {nearest!r}?"
        if install is not None:
            text += f"; to get it: pip install {install}"
        super().__init__(text)


class PluginError(MetadataDBError):
    """A plugin is installed but cannot be used: see `cause`, and upgrade or remove its distribution.

    Attributes:
        plugin: the backend's name.
        distribution: the distribution that provides it.
        version: that distribution's version.
        cause: what went wrong, an exception or None.
    """

    def __init__(
        self,
        plugin: str,
        reason: str,
        *,
        distribution: str | None = None,
        version: str | None = None,
        cause: BaseException | None = None,
    ) -> None:
        self.plugin = plugin
        self.reason = reason
        self.distribution = distribution
        self.version = version
        self.cause = cause
        origin = f" of {distribution} {version or '(unknown version)'}" if distribution else ""
        super().__init__(f"plugin {plugin!r}{origin}: {reason}")


class PluginConflictError(PluginError):
    """Two or more distributions provide one backend name: uninstall all but one.

    Attributes:
        distributions: the distributions that claim the name.
    """

    def __init__(self, plugin: str, distributions: Iterable[str]) -> None:
        self.distributions = tuple(sorted(distributions))
        super().__init__(
            plugin,
            f"provided by {len(self.distributions)} distributions, {' and '.join(self.distributions)}; "
            f"uninstall all but one, or name the backend to leave out in METADATADB_DISABLE_PLUGINS",
        )


class PluginVersionError(PluginError):
    """A plugin was written for another plugin API: install releases of core and plugin that fit.

    Attributes:
        wanted: the API version this core speaks.
        found: the API version the plugin was written for.
    """

    def __init__(
        self, plugin: str, *, wanted: int, found: object, distribution: str | None = None, version: str | None = None
    ) -> None:
        self.wanted = wanted
        self.found = found
        who = distribution or "the plugin"
        newer = isinstance(found, int) and found > wanted
        advice = "upgrade metadatadb-core" if newer else f"upgrade {who}"
        super().__init__(
            plugin,
            f"written for BACKEND_API_VERSION {found!r}, but this metadatadb-core speaks {wanted}; {advice}",
            distribution=distribution,
            version=version,
        )


@final
class ConfigProblem(msgspec.Struct, frozen=True):
    """One mistake in a configuration.

    Attributes:
        message: what is wrong, in the reader's words.
        file: the file or URL it stands in, or None.
        line: line, from 1, or None where there are no lines (a URL, a mapping).
        column: column, from 1, or None.
        attribute: the attribute concerned, or None.
        expected: what would have been right, or None.
        nearest: the valid name most like the one found, or None.
    """

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    attribute: str | None = None
    expected: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        where = self.file or ""
        if self.line is not None:
            where = f"{where or '<config>'}:{self.line}:{self.column}"
        text = f"{where}: {self.message}" if where else self.message
        if self.expected is not None:
            text += f"; expected {self.expected}"
        if self.nearest is not None:
            text += f"; did you mean {self.nearest!r}?"
        return text


class ConfigError(MetadataDBError, ValueError):
    """A configuration has mistakes: all of them are listed, correct them and try again.

    Attributes:
        problems: every mistake, in the order of the file.
        file, line, column, attribute, expected, nearest: those of the first one.
    """

    def __init__(self, problems: Sequence[ConfigProblem] | str) -> None:
        if isinstance(problems, str):
            problems = [ConfigProblem(problems)]
        self.problems = tuple(problems)
        first = self.problems[0]
        self.file = first.file
        self.line = first.line
        self.column = first.column
        self.attribute = first.attribute
        self.expected = first.expected
        self.nearest = first.nearest
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InvalidNamespaceError(MetadataDBError, ValueError):
    """A namespace breaks the rule: letters, digits, ``_`` and ``-``, a letter or digit first; or empty.

    Attributes:
        namespace: the name that was refused.
    """

    def __init__(self, namespace: object) -> None:
        self.namespace = namespace
        super().__init__(
            f"invalid namespace {namespace!r}: use letters, digits, '_' and '-', beginning with a letter or digit "
            f"([A-Za-z0-9][A-Za-z0-9_-]*), or '' for the root namespace"
        )


class InvalidValueError(MetadataDBError, ValueError):
    """A value, key, member or op cannot be stored; nothing was changed.

    Attributes:
        value: what was refused.
        reason: why.
        structure: the name of the structure it was for, or None.
    """

    def __init__(self, reason: str, value: object = None, *, structure: str | None = None) -> None:
        self.reason = reason
        self.value = value
        self.structure = structure
        super().__init__(reason if structure is None else f"{structure!r}: {reason}")


class StructureMismatchError(MetadataDBError, TypeError):
    """A name is used as one kind of structure and is another: use another name, or the right handle.

    Attributes:
        name: the structure's name.
        wanted: the kind of the handle it was used through ("Map", say).
        found: the kind it is.
    """

    def __init__(self, name: str, *, wanted: str, found: str, namespace: str | None = None) -> None:
        self.name = name
        self.wanted = wanted
        self.found = found
        self.namespace = namespace
        where = f" in namespace {namespace!r}" if namespace is not None else ""
        super().__init__(f"{name!r}{where} is used as {wanted} but is {found}; use another name, or the right handle")


class BackendClosedError(MetadataDBError):
    """The backend or store was closed: open a new one."""

    def __init__(self, what: str = "the backend") -> None:
        self.what = what
        super().__init__(f"{what} is closed; open a new one")


class BackendUnavailableError(MetadataDBError):
    """The object store cannot be reached, or denies access; pending ops stay queued.

    Attributes:
        namespace: the namespace concerned, or None.
        cause: the last failure, or None.
        denied: whether the store refused (act on permissions) rather than did not answer (wait).
    """

    def __init__(
        self, reason: str, *, namespace: str | None = None, cause: BaseException | None = None, denied: bool = False
    ) -> None:
        self.reason = reason
        self.namespace = namespace
        self.cause = cause
        self.denied = denied
        super().__init__(reason)


class CommitUnknownError(MetadataDBError):
    """A batch was sent, its outcome was never learnt, and the record that would tell has been pruned.

    Look whether its effect is in; then call `Namespace.discard_pending`, which returns the ops, and apply again
    those that are missing.

    Attributes:
        namespace: the namespace concerned.
        ops: how many ops are in doubt.
        writer: the writer id of the batch.
        sequence: the sequence of the batch.
    """

    def __init__(self, namespace: str, *, ops: int, writer: str, sequence: int) -> None:
        self.namespace = namespace
        self.ops = ops
        self.writer = writer
        self.sequence = sequence
        super().__init__(
            f"namespace {namespace!r}: batch {sequence} of writer {writer} ({ops} ops) was sent and its outcome is "
            f"unknown, and too many other writers have committed since to find out; check whether its effect is in, "
            f"then call discard_pending(), and apply what is missing again"
        )


class CorruptStateError(MetadataDBError):
    """A stored state is complete but is not a JSON object; it is never overwritten, and nothing pending is lost.

    Attributes:
        key: the object's key in the store, or None.
        reason: what is wrong with it.
    """

    def __init__(self, reason: str, *, key: str | None = None) -> None:
        self.reason = reason
        self.key = key
        where = f"state object {key!r}" if key is not None else "state"
        super().__init__(f"{where} is corrupt: {reason}; restore it from a backup, or delete it to start empty")


class UnsupportedFormatError(MetadataDBError):
    """The stored state was written by a newer version, or in a design this version does not speak: upgrade.

    Attributes:
        namespace: the namespace concerned.
        found: the format found.
        supported: the newest format this version writes.
    """

    def __init__(self, reason: str, *, namespace: str | None = None, found: object = None, supported: object = None):
        self.reason = reason
        self.namespace = namespace
        self.found = found
        self.supported = supported
        super().__init__(reason)


class UnsafeStoreError(MetadataDBError):
    """The store accepts writes whose condition does not hold; updates would be lost, so it is refused.

    Attributes:
        store: the store, as it names itself.
        condition: the condition it ignored.
    """

    def __init__(self, store: str, condition: str) -> None:
        self.store = store
        self.condition = condition
        super().__init__(
            f"{store} does not enforce {condition}, so concurrent writers would lose updates; "
            f"use a store (or a version of it) that enforces conditional writes"
        )


class PendingLimitError(MetadataDBError):
    """Too many ops wait to be flushed; these were not accepted: wait, or apply them again later.

    Attributes:
        namespace: the namespace concerned.
        limit: the configured max-pending-ops.
    """

    def __init__(self, namespace: str, *, limit: int) -> None:
        self.namespace = namespace
        self.limit = limit
        super().__init__(
            f"namespace {namespace!r}: {limit} ops wait to be flushed already (max-pending-ops); the ops of this call "
            f"were not accepted; apply them again when the store can be reached"
        )


class SpoolError(MetadataDBError):
    """The local spool cannot be written (a full or read-only disk, say); reads go on.

    Attributes:
        path: the file or directory.
        cause: what the operating system said, or None.
        recorded: whether the ops concerned are in the spool, queued and visible, so that they must not be applied
            again; otherwise nothing was applied.
        reason: what is wrong, if the operating system did not say.
    """

    def __init__(
        self, path: str, *, cause: OSError | None = None, recorded: bool = False, reason: str | None = None
    ) -> None:
        self.path = path
        self.cause = cause
        self.recorded = recorded
        self.reason = reason or (str(cause.strerror or cause) if cause is not None else "it cannot be used")
        then = (
            "what was applied remains queued and visible, do not apply it again"
            if recorded
            else "ops that were to be recorded there were not applied; apply them again when it can be written"
        )
        super().__init__(f"spool {path}: {self.reason}; {then}")


class FlushTimeoutError(MetadataDBError, TimeoutError):
    """A flush did not finish in time; its ops stay queued and visible: do not apply them again.

    Attributes:
        namespace: the namespace concerned.
        timeout: the limit in seconds.
        pending: ops still pending.
        cause: the last failure met while trying, or None.
    """

    def __init__(self, namespace: str, *, timeout: float, pending: int = 0, cause: BaseException | None = None) -> None:
        self.namespace = namespace
        self.timeout = timeout
        self.pending = pending
        self.cause = cause
        text = (
            f"namespace {namespace!r}: not flushed within {timeout:g}s; {pending} ops remain queued and visible, "
            f"do not apply them again"
        )
        if cause is not None:
            text += f"; last failure: {cause}"
        super().__init__(text)


class UnflushedOpsError(MetadataDBError):
    """Close could not flush everything: call close again when the store can be reached, or accept the loss.

    Attributes:
        pending: ops left, by namespace.
        causes: what went wrong, by namespace.
    """

    def __init__(self, pending: Mapping[str, int], causes: Mapping[str, BaseException] | None = None) -> None:
        self.pending = dict(pending)
        self.causes = dict(causes or {})
        rows = [f"{count} in {name!r}" for name, count in sorted(self.pending.items())]
        text = f"ops not flushed: {', '.join(rows)}; call close() again when the store can be reached"
        if self.causes:
            text += "; " + "; ".join(f"{name!r}: {cause}" for name, cause in sorted(self.causes.items()))
        super().__init__(text)
