"""What all handles have in common."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from metadatadb_core import ops
from metadatadb_core.errors import InvalidValueError, StructureMismatchError
from metadatadb_core.keys import check_text
from metadatadb_core.ops import RECORD_NAME, Op, Shape
from metadatadb_core.store import Namespace


class Structure:
    """A handle to one name of a namespace."""

    __slots__ = ("_apply", "_namespace", "_shape", "name")

    # The JSON shapes that what is stored under the name may have.
    _shapes: ClassVar[frozenset[Shape]]

    def __init__(self, namespace: Namespace, name: str) -> None:
        check_text(name, "a structure name")
        if name == RECORD_NAME:
            raise InvalidValueError(f"the name {RECORD_NAME!r} is reserved for the store's own record", name)
        namespace.claim(name, type(self).__name__)
        self._namespace = namespace
        self._apply = namespace.writer
        self._shape = namespace.reader(ops.ShapeGet, name)
        self.name = name

    def _check_shape(self) -> None:
        """Refuse to go on where another kind of value is stored: a write would destroy it, a read misread it."""
        shape = self._shape()
        if shape not in self._shapes:
            raise StructureMismatchError(
                self.name,
                wanted=type(self).__name__,
                found=f"stored as {_SHAPE_WORDS[shape]}",
                namespace=self._namespace.name,
            )

    def _write(self, op: Op) -> None:
        if self._shape() not in self._shapes:
            self._check_shape()
        try:
            if self._namespace.batches:
                self._namespace.write(op)
            else:
                self._apply(op)
        except InvalidValueError as error:
            raise self._refused(error) from error

    def _refused(self, error: InvalidValueError) -> InvalidValueError:
        """The same, with the name of this structure."""
        return InvalidValueError(error.reason, error.value, structure=self.name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {self._namespace!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} handles cannot be pickled or copied, nor passed to another process: "
            f"pass the URL or configuration, and open the store in the child"
        )


_SHAPE_WORDS: dict[Shape, str] = {
    "absent": "nothing",
    "number": "a number",
    "object": "an object (a Map, IntMap, Set or Scalar)",
    "array": "an array (a List or Scalar)",
    "other": "a string, bool or null (a Scalar)",
}
