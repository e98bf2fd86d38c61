"""Store and Namespace: where handles come from, and the way a write takes down to the backend."""

from __future__ import annotations

import builtins
import logging
import os
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, final, overload

from metadatadb_core.backend import Backend, Status, check_namespace
from metadatadb_core.errors import StructureMismatchError
from metadatadb_core.ops import Op, ReadOp, admit

if TYPE_CHECKING:
    from metadatadb_core.structures import Int, IntMap, List, Map, Scalar, Set

__all__ = ["Batch", "Namespace", "Store"]

_log = logging.getLogger("metadatadb")

R = TypeVar("R")
K = TypeVar("K")
V = TypeVar("V")


def _refuse_pickle(self: object) -> NoReturn:
    raise TypeError(
        f"a {type(self).__name__} cannot be pickled or copied, nor passed to another process: "
        f"pass the URL or configuration, and open the store in the child"
    )


@final
class Store:
    """A backend's namespaces; a context manager, sync and async, that closes it.

    Args:
        backend: where state lives; the store closes it.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._namespaces: dict[str, Namespace] = {}

    def namespace(self, name: str) -> Namespace:
        """The namespace of that name, always the same object; ``""`` is the root namespace.

        Raises:
            InvalidNamespaceError: `name` does not match ``[A-Za-z0-9][A-Za-z0-9_-]*``.
        """
        check_namespace(name)
        found = self._namespaces.get(name)
        # No lock, which a fork could copy while it is held: setdefault is atomic, whoever comes first makes the one.
        return self._namespaces.setdefault(name, Namespace(self._backend, name)) if found is None else found

    def close(self, *, timeout: float | None = None) -> None:
        """Flush what is pending and close the backend; closing twice does nothing.

        Args:
            timeout: seconds to wait at most; None waits as long as the backend deems right.

        Raises:
            UnflushedOpsError: some ops could not be flushed; close can be called again.
        """
        self._backend.close(timeout=timeout)

    async def aclose(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - close's own deadline
        """Like `close`, in a thread."""
        import asyncio

        await asyncio.to_thread(self.close, timeout=timeout)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    __reduce__ = _refuse_pickle


_open_batches: ContextVar[tuple[Batch, ...]] = ContextVar("metadatadb_open_batches", default=())


@final
class Namespace:
    """A named group of structures that is read, written and synced as one; made by `Store.namespace`.

    Attributes:
        name: its name; ``""`` is the root namespace.
        batches: the batches that are open, in whatever thread or task; while there is none, a handle need not look
            whether it is inside one, and may call `writer` itself.
        writer: applies one op, past all batches.
    """

    def __init__(self, backend: Backend, name: str) -> None:
        self.name = name
        self._backend = backend
        self.writer = backend.writer(name)
        self._kinds: dict[str, str] = {}
        self.batches: set[Batch] = set()

    # -- handles -------------------------------------------------------------------------------------------

    @overload
    def scalar(self, name: str) -> Scalar[Any]: ...
    @overload
    def scalar(self, name: str, value_type: type[V]) -> Scalar[V]: ...
    @overload
    def scalar(self, name: str, value_type: Any) -> Scalar[Any]: ...
    def scalar(self, name: str, value_type: Any = Any) -> Scalar[Any]:
        """A handle to one value of `value_type`; see `Scalar`."""
        from metadatadb_core.structures import Scalar

        return Scalar(self, name, value_type)

    def int(self, name: str) -> Int:
        """A handle to one int64; see `Int`."""
        from metadatadb_core.structures import Int

        return Int(self, name)

    @overload
    def set(self, name: str) -> Set[str]: ...
    @overload
    def set(self, name: str, member_type: type[V]) -> Set[V]: ...
    @overload
    def set(self, name: str, member_type: Any) -> Set[Any]: ...
    def set(self, name: str, member_type: Any = str) -> Set[Any]:
        """A handle to a set of `member_type`; see `Set`."""
        from metadatadb_core.structures import Set

        return Set(self, name, member_type)

    @overload
    def int_map(self, name: str) -> IntMap[str]: ...
    @overload
    def int_map(self, name: str, key_type: type[K]) -> IntMap[K]: ...
    @overload
    def int_map(self, name: str, key_type: Any) -> IntMap[Any]: ...
    def int_map(self, name: str, key_type: Any = str) -> IntMap[Any]:
        """A handle to int64s by key; see `IntMap`."""
        from metadatadb_core.structures import IntMap

        return IntMap(self, name, key_type)

    @overload
    def map(self, name: str) -> Map[str, Any]: ...
    @overload
    def map(self, name: str, key_type: type[K]) -> Map[K, Any]: ...
    @overload
    def map(self, name: str, key_type: type[K], value_type: type[V]) -> Map[K, V]: ...
    @overload
    def map(self, name: str, key_type: type[K], value_type: Any) -> Map[K, Any]: ...
    @overload
    def map(self, name: str, key_type: Any, value_type: type[V]) -> Map[Any, V]: ...
    @overload
    def map(self, name: str, key_type: Any, value_type: Any = ...) -> Map[Any, Any]: ...
    def map(self, name: str, key_type: Any = str, value_type: Any = Any) -> Map[Any, Any]:
        """A handle to values by key; see `Map`."""
        from metadatadb_core.structures import Map

        return Map(self, name, key_type, value_type)

    @overload
    def list(self, name: str) -> List[Any]: ...
    @overload
    def list(self, name: str, value_type: type[V]) -> List[V]: ...
    @overload
    def list(self, name: str, value_type: Any) -> List[Any]: ...
    def list(self, name: str, value_type: Any = Any) -> List[Any]:
        """A handle to a list that grows; see `List`."""
        from metadatadb_core.structures import List

        return List(self, name, value_type)

    # -- sync ----------------------------------------------------------------------------------------------

    def flush(self, *, timeout: float | None = None) -> None:
        """A barrier: on return all applied before is durable, and all that was durable before is visible.

        Args:
            timeout: seconds to wait at most; None waits as long as the backend deems right.

        Raises:
            FlushTimeoutError: it took longer; what is pending stays queued and visible.
            BackendUnavailableError: the store cannot be reached or denies; likewise.
            RuntimeError: it was called inside a `batch` that has collected writes, which it could not store; or by
                an observer of the sync that it would wait for.
        """
        self._refuse_inside_batch()
        self._backend.flush(self.name, timeout=timeout)

    async def aflush(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - flush's own deadline
        """Like `flush`, in a thread."""
        import asyncio

        self._refuse_inside_batch()  # here, since the thread is not inside it
        await asyncio.to_thread(self.flush, timeout=timeout)

    def _refuse_inside_batch(self) -> None:
        if self.batches and (batch := self._batch_here()) is not None and batch.ops:
            raise RuntimeError(
                f"a flush inside a batch cannot store the {len(batch.ops)} writes that the batch has collected: flush "
                f"after the block (a generator that yields inside the block leaves it open for its caller)"
            )

    def status(self) -> Status:
        """How the namespace stands: pending ops, last success and error, what was loaded; see `Status`."""
        return self._backend.status(self.name)

    def discard_pending(self) -> builtins.list[Op]:
        """Drop the ops that are not flushed and return them: the only way to lose an op on purpose."""
        return self._backend.discard_pending(self.name)

    def batch(self) -> Batch:
        """Collect writes and apply them as one: ``with namespace.batch(): ...``.

        Every write through a handle of this namespace inside the block, in the same thread or task, is
        collected; they are applied together when the block ends, and not at all when it raises. Reads
        inside the block do not see them yet. A batch inside another joins it. A thread, task or process started
        inside the block writes for itself.

        Do not ``yield`` inside the block of a generator that others iterate over: until it is resumed, what its caller
        writes is collected too.
        """
        return Batch(self)

    # -- the way down --------------------------------------------------------------------------------------

    def apply(self, *ops: Op) -> None:
        """Apply ops as one, or collect them where a `batch` is open.

        Raises:
            InvalidValueError: an op holds what cannot be stored; none was applied.
        """
        if self.batches and (batch := self._batch_here()) is not None:
            batch.ops.extend(map(admit, ops))
        else:
            self._backend.apply(self.name, *ops)

    def write(self, op: Op) -> None:
        """Apply one op, or collect it where a `batch` is open; the handles do this."""
        if self.batches and (batch := self._batch_here()) is not None:
            batch.ops.append(admit(op))
        else:
            self.writer(op)

    def reader(self, kind: type[ReadOp[R]], key: str) -> Callable[..., R]:
        """The read op `kind` on the structure `key`, as a function of its other fields; the handles read so."""
        return self._backend.reader(self.name, kind, key)

    def _batch_here(self) -> Batch | None:
        """The innermost batch of this namespace that is open in this thread or task."""
        batches = reversed(_open_batches.get())
        return next((batch for batch in batches if batch.namespace is self and batch.is_ours()), None)

    def claim(self, name: str, kind: str) -> None:
        """Note that a handle uses `name` as `kind`.

        Raises:
            StructureMismatchError: another handle of this store uses it as another kind.
        """
        found = self._kinds.setdefault(name, kind)
        if found != kind:
            raise StructureMismatchError(name, wanted=kind, found=found, namespace=self.name)

    def __repr__(self) -> str:
        return f"<Namespace {self.name!r}>"

    __reduce__ = _refuse_pickle


@final
class Batch:
    """Writes that will be applied together; made by `Namespace.batch`.

    Attributes:
        namespace: the namespace whose writes are collected.
        ops: what has been collected so far.
    """

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.ops: list[Op] = []
        self._token: Token[tuple[Batch, ...]] | None = None
        self._process = 0

    def is_ours(self) -> bool:
        """Whether it is open in this very context, and not in one that this one is a copy of.

        A task, thread or process that was started inside the block has inherited the batch, and may outlive it: what
        it writes must not be collected for a block that has ended, or that raises.
        """
        token = self._token
        if token is None or self._process != os.getpid():
            return False
        batches = _open_batches.get()
        try:
            _open_batches.reset(token)  # refused everywhere but in the context that the token was made in
        except (ValueError, RuntimeError):
            return False
        self._token = _open_batches.set(batches)
        return True

    def __enter__(self) -> Batch:
        if self._token is not None:
            raise RuntimeError("this batch is open already; make another one with Namespace.batch()")
        self.ops = []
        self._process = os.getpid()
        self._token = _open_batches.set((*_open_batches.get(), self))
        self.namespace.batches.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        assert token is not None
        self.namespace.batches.discard(self)
        try:
            _open_batches.reset(token)
        except ValueError:
            if kind is None:
                raise RuntimeError(
                    f"a batch is left in another context (thread, task) than it was entered in; the {len(self.ops)} "
                    f"writes it has collected are not applied: enter and leave it in one"
                ) from None
        if kind is GeneratorExit and self.ops:
            _log.warning(
                "a generator was given up inside a batch of namespace %r; the %d writes that were collected meanwhile "
                "are not applied, whoever made them",
                self.namespace.name,
                len(self.ops),
            )
        # What a fork copied is the parent's to apply.
        if kind is None and self.ops and self._process == os.getpid():
            self.namespace.apply(*self.ops)
