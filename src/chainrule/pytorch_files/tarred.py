"""The format of 2016 (PyTorch 0.1): a tar archive.

storages   their number; each: a pickle (key, device, type), the number of elements, elements;
           a pickle of parts: (key, key of the whole, offset, elements)
tensors    their number; each: a pickle (key, key of the storage, type), the number of axes
           (8 bytes), sizes, strides, offset (8 bytes each)
pickle     the value; tensors and storages by key
"""

from __future__ import annotations

import io
import struct
import tarfile
from functools import partial
from typing import Any

from chainrule.pytorch_files.legacy import read_elements
from chainrule.pytorch_files.names import NAMES
from chainrule.pytorch_files.opcodes import RefusedError, unpickle
from chainrule.pytorch_files.storage import (
    MOST_AXES,
    Input,
    Storage,
    StorageType,
    check_whole,
    view,
)
from chainrule.tensor import Tensor


def read(source: Input) -> Any:
    """The value in a file."""
    objects: dict[int, Storage | Tensor] = {}
    with tarfile.open(fileobj=source, mode="r:") as archive:  # type: ignore[call-overload]
        storages, tensors, pickle = (
            _member(archive, name, source.size) for name in ("storages", "tensors", "pickle")
        )
    _read_storages(storages, objects)
    _read_tensors(tensors, objects)

    def find(saved_id: Any) -> Any:
        if isinstance(saved_id, tuple):
            raise RefusedError("holds a whole module; in PyTorch, save its state_dict()")
        return objects[int(saved_id)]

    return unpickle(pickle, NAMES, find, source.size)


def _member(archive: tarfile.TarFile, name: str, most: int) -> Input:
    info = archive.getmember(name)
    if not info.isreg() or info.issparse() or info.size > most:
        raise ValueError(f"{name} in the archive is no plain file")
    opened = archive.extractfile(info)
    assert opened is not None
    return Input(io.BytesIO(opened.read()))


def _unpickled(source: Input) -> Any:
    return unpickle(source, NAMES, _nothing, source.size)


def _nothing(saved_id: Any) -> Any:
    raise ValueError("a tensor is used where none can be")


def _read_storages(source: Input, objects: dict[int, Any]) -> None:
    for _ in range(_unpickled(source)):
        key, _device, kind = _unpickled(source)
        if not isinstance(kind, StorageType):
            raise ValueError("a storage has no type")
        objects[int(key)] = read_elements(source, kind)
    for key, of, offset, count in _unpickled(source):
        whole = objects[int(of)]
        check_whole("a part of a storage", offset, count)
        if offset + count > len(whole):
            raise ValueError(f"a part reaches to element {offset + count} of {len(whole)}")
        objects[int(key)] = whole[offset : offset + count]


def _read_tensors(source: Input, objects: dict[int, Any]) -> None:
    numbers = partial(_numbers, source)
    for _ in range(_unpickled(source)):
        key, storage, _type = _unpickled(source)
        (axes,) = struct.unpack("<i4x", source.read(8))
        if not 0 <= axes <= MOST_AXES:
            raise ValueError(f"a tensor has {axes} axes")
        size, stride, (offset,) = numbers(axes), numbers(axes), numbers(1)
        objects[int(key)] = view(objects[int(storage)], offset, size, stride)


def _numbers(source: Input, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}q", source.read(8 * count))
