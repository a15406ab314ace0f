"""The elements of PyTorch's tensors in a file: their types, and tensors as views of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from chainrule.pytorch_files.opcodes import RefusedError
from chainrule.tensor import Tensor

MOST_AXES = 64  # as NumPy


class Input:
    """An open file of known size, of which nobody can ask for more than there is."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, 2)
        self.tell, self.readline = file.tell, file.readline
        file.seek(0)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def seekable(self) -> bool:
        return True

    def read(self, count: int | None = -1) -> bytes:
        left = max(self.size - self.tell(), 0)
        return self.file.read(left if count is None or count < 0 else min(count, left))

    def fill(self, array: np.ndarray[Any, Any]) -> None:
        """Read the bytes of a contiguous array."""
        into: Any = array.reshape(-1).view(np.uint8)
        if self.file.readinto(into) != array.nbytes:  # type: ignore[attr-defined]
            raise EOFError("it ends too early")


@dataclass(frozen=True)
class StorageType:
    """What the elements of a storage are in the file, and what they become here."""

    name: str
    stored: np.dtype[Any] | None  # None: NumPy has nothing like it
    widened: bool = False  # bfloat16: the upper half of a float32

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the tensors."""
        return np.dtype(np.float32) if self.widened else self.known()

    def known(self) -> np.dtype[Any]:
        """The type in the file, or a complaint."""
        if self.stored is None:
            instead = ".real and .imag" if "omplex" in self.name else ".float() of it"
            raise RefusedError(
                f"holds a {self.name}, whose numbers chainrule does not have; "
                f"in PyTorch, save {instead}"
            )
        return self.stored

    def nbytes(self, count: Any, most: int) -> int:
        """Of ``count`` elements, of which the file can have no more than ``most`` bytes."""
        check_whole("the number of elements", count)
        size = count * self.known().itemsize
        if not 0 <= size <= most:
            raise ValueError(f"a storage of {count} elements is larger than the file")
        return size

    def elements(self, raw: np.ndarray[Any, Any]) -> Storage:
        """The elements from their bytes."""
        stored = raw.view(self.known())
        return (widen(stored) if self.widened else stored).view(Storage)


class Storage(np.ndarray[Any, Any]):
    """The elements of one or several tensors: an array of one axis."""


def empty(kind: StorageType, count: int) -> Storage:
    """Memory for that many elements."""
    return np.empty(count, kind.dtype).view(Storage)


def widen(halves: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """bfloat16, given as uint16, as float32: exactly the same numbers."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def _known(name: str, code: str, widened: bool = False) -> StorageType:
    return StorageType(name, np.dtype("<" + code), widened)


STORAGE_TYPES = {
    name: _known(name, code)
    for name, code in {
        "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "LongStorage": "i8",
        "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
        "BoolStorage": "?", "UntypedStorage": "u1",
    }.items()
} | {"BFloat16Storage": _known("BFloat16Storage", "u2", True)} | {
    f"{kind}Storage": StorageType(f"{kind}Storage", None)
    for kind in ("ComplexFloat", "ComplexDouble", "QInt8", "QUInt8", "QInt32", "QUInt4x2",
                 "QUInt2x4")
}  # fmt: skip


def view(storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    """The tensor that lies in ``storage`` as PyTorch says; its memory is the storage's.

    offset: of its first element; stride: steps between neighbours along each axis, in elements.
    """
    if not isinstance(storage, Storage):
        raise TypeError("a tensor has no storage")
    check_whole("an offset", offset)
    for name, values in (("a size", size), ("a stride", stride)):
        if not isinstance(values, tuple) or len(values) > MOST_AXES:
            raise ValueError(f"{name} makes no sense")
        for value in values:
            check_whole(name, value)
    if len(size) != len(stride):
        raise ValueError("a tensor has as many strides as axes")
    if 0 in size:
        return Tensor(np.empty(size, storage.dtype))
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= len(storage):
        raise ValueError(
            f"a tensor reaches to element {last} of a storage of {len(storage)} elements"
        )
    strides = tuple(step * storage.itemsize for step in stride)
    start = storage[offset:].view(np.ndarray)
    return Tensor(np.lib.stride_tricks.as_strided(start, size, strides))


def check_whole(name: str, *values: Any) -> None:
    """Raise ValueError unless all are whole numbers that could count bytes."""
    for value in values:
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise ValueError(f"{name} makes no sense")
