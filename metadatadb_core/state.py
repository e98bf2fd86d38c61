"""What a namespace holds: the state machine, pure, and the guard under which threads share one."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Final, NoReturn, TypeVar, final

import msgspec

from metadatadb_core.codec import Names, decode_names, encode_names
from metadatadb_core.errors import InvalidValueError
from metadatadb_core.members import Members
from metadatadb_core.ops import ADMISSIONS, Op, ReadOp, admit
from metadatadb_core.reads import READERS, Source
from metadatadb_core.writes import WRITES

__all__ = ["NamespaceState", "SharedState"]

R = TypeVar("R")

_STEPS: Final = {kind: (ADMISSIONS[kind], write) for kind, write in WRITES.items()}


def _reader(source: Source, kind: type[ReadOp[R]], key: str) -> Callable[..., R]:
    make = READERS.get(kind)
    if make is None:
        raise InvalidValueError(f"not a read op: {kind.__name__}", kind)
    return make(source, key)


def _query(source: Source, op: ReadOp[R]) -> R:
    kind: type[Any] = type(op)
    read = _reader(source, kind, getattr(op, "key", ""))
    answer: R = read(*msgspec.structs.astuple(op)[1:])
    return answer


@final
class NamespaceState:
    """Everything a namespace holds. Not synchronised.

    Attributes:
        names: structure name to what is stored under it, for the modules of this floor only.
    """

    __slots__ = ("names",)

    # What `Source` asks for, where there is nobody to guard against.
    @property
    def unsettled(self) -> bool:
        """Never."""
        return False

    @property
    def lock(self) -> nullcontext[None]:
        """No lock."""
        return nullcontext()

    def settle(self) -> None:
        """Nothing to wait for."""

    def __init__(self, names: Names | None = None) -> None:
        self.names: Names = {} if names is None else names

    def apply(self, op: Op) -> None:
        """Do what `op` says. Never raises for an op that `metadatadb_core.ops.admit` admits."""
        WRITES[type(op)](self.names, op)

    def query(self, op: ReadOp[R]) -> R:
        """Answer `op`. The answer is the caller's own: changing it changes nothing here.

        Raises:
            InvalidValueError: it is no read op, or asks with a key JSON cannot hold.
        """
        return _query(self, op)

    def encode(self) -> bytes:
        """The stored form: one JSON object, compact."""
        return encode_names(self.names)

    @classmethod
    def decode(cls, body: bytes) -> NamespaceState:
        """The state whose stored form is `body`.

        Raises:
            CorruptStateError: `body` is not a JSON object.
        """
        return cls(decode_names(body))

    def copy(self) -> NamespaceState:
        """A snapshot that later changes to either do not reach; it shares the values, which never change in place."""
        return NamespaceState(
            {
                name: stored.copy() if type(stored) is Members or type(stored) is list else stored
                for name, stored in self.names.items()
            }
        )


@final
class SharedState:
    """A namespace's state that many threads read and write; how readers go about it, `reads` says.

    Attributes:
        names: what is shared; may be replaced as a whole by a caller that holds `lock`.
        unsettled: whether readers have to wait: ops that belong together are being applied, or nothing was loaded.
        lock: held to change `names`, or to look at more than one value of it; also held across a fork.

    Args:
        load: where state is still to be loaded, what a reader calls before it looks; it waits, but not for ever.
    """

    __slots__ = ("__weakref__", "_load", "lock", "names", "unsettled")

    def __init__(self, load: Callable[[], object] | None = None) -> None:
        self.names: Names = {}
        self._load = load
        self.unsettled = load is not None
        self.lock = threading.Lock()
        with _forking:
            _shared_states.add(self)

    def apply(self, ops: Sequence[Op]) -> None:
        """Admit `ops`, and apply them so that nobody sees some of them without the others.

        Raises:
            InvalidValueError: one holds what cannot be stored; none was applied.
        """
        if len(ops) == 1:
            self.write(ops[0])
        else:
            admitted = list(map(admit, ops))
            with self.lock:
                self.apply_locked(admitted)

    def write(self, op: Op) -> None:
        """Admit and apply one op.

        Raises:
            InvalidValueError: it holds what cannot be stored.
        """
        try:
            admission, write = _STEPS[type(op)]
        except KeyError:
            admit(op)  # says what is wrong with it
            raise
        op = admission(op)
        with self.lock:
            write(self.names, op)

    def apply_locked(self, admitted: Sequence[Op]) -> None:
        """Apply ops that belong together, for a caller that holds `lock`."""
        self.unsettled = True
        try:
            for op in admitted:
                WRITES[type(op)](self.names, op)
        finally:
            self.unsettled = self._load is not None

    def close(self, error: Callable[[], Exception]) -> None:
        """Let go of the state; from now on every read and write raises `error()`, through prepared reads too."""
        with self.lock:
            self.names = _Closed(error)
            self.loaded()

    def unload(self, load: Callable[[], object]) -> None:
        """What is held is to be loaded anew: readers call `load` before they look. The caller holds `lock`."""
        self._load = load
        self.unsettled = True

    def settle(self) -> None:
        """Wait for what is being loaded, and for ops that are half applied."""
        if (load := self._load) is not None:
            load()
        with self.lock:
            pass

    def loaded(self) -> None:
        """There is something to read: readers need not wait any more. The caller holds `lock`."""
        self._load = None
        self.unsettled = False

    def query(self, op: ReadOp[R]) -> R:
        """Answer `op`; see `NamespaceState.query`."""
        return _query(self, op)

    def reader(self, kind: type[ReadOp[R]], key: str) -> Callable[..., R]:
        """The read op `kind` on the structure `key`, as a function of its other fields."""
        return _reader(self, kind, key)


class _Closed(dict[str, Any]):
    """What a closed state holds: whoever looks, or writes, is told that it is closed.

    It stands in for the names so that the reads, which do nothing but look, need not ask each time.
    """

    def __init__(self, error: Callable[[], Exception]) -> None:
        super().__init__()
        self._error = error

    def _refuse(self, *_: object) -> NoReturn:
        raise self._error()

    __getitem__ = __setitem__ = get = pop = _refuse


# A fork copies a lock as it is at that instant. Holding all of them across it means that no state is copied
# half changed, and that the child can release them.
_shared_states: weakref.WeakSet[SharedState] = weakref.WeakSet()
_held: list[SharedState] = []
# Two threads that fork at once must not take each other's locks, nor a new state join while they are counted.
_forking = threading.Lock()


def _hold_all() -> None:
    _forking.acquire()
    _held.extend(_shared_states)
    for shared in _held:
        shared.lock.acquire()


def _release_all() -> None:
    while _held:
        _held.pop().lock.release()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_release_all)
