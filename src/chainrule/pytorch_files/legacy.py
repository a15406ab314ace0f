"""The format before PyTorch 1.6: pickles one after the other, then the storages.

a number that marks the format, its version, facts about the machine
the value; storages by key
the keys of the storages
each storage: the number of its elements (8 bytes), its elements
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from chainrule.pytorch_files.names import NAMES
from chainrule.pytorch_files.opcodes import RefusedError, unpickle
from chainrule.pytorch_files.storage import Input, Storage, StorageType, check_whole, empty, widen

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


def read(source: Input) -> Any:
    """The value in a file, and its storages filled."""
    storages = _Storages(source.size)
    unpickled = partial(unpickle, source, NAMES, size=source.size)
    if unpickled(_nothing) != MAGIC:
        raise RefusedError("is a pickle, but none of torch.save: it lacks the number that marks it")
    version = unpickled(_nothing)
    if version != VERSION:
        raise RefusedError(f"has another format of torch.save than {VERSION}, which is known")
    unpickled(_nothing)
    value = unpickled(storages.find)
    storages.fill(source, unpickled(_nothing))
    return value


def _nothing(saved_id: Any) -> Any:
    raise ValueError("a storage is used where none can be")


def read_elements(source: Input, kind: StorageType, into: Storage | None = None) -> Storage:
    """A storage: how many elements, then these, always with the lowest byte first."""
    count = int.from_bytes(source.read(8), "little", signed=True)
    size = kind.nbytes(count, source.size - source.tell())
    if into is None:
        into = empty(kind, count)
    elif len(into) != count:
        raise ValueError(f"a storage has {count} elements, not {len(into)}")
    if kind.widened:
        halves = np.empty(size, np.uint8)
        source.fill(halves)
        into[:] = widen(halves.view(kind.known()))
    else:
        source.fill(into.view(np.uint8))
    return into


class _Storages:
    """The storages of a file: made while the value is read, filled afterwards."""

    def __init__(self, size: int) -> None:
        self.left = size  # bytes that the file can still have
        self.by_key: dict[str | int, tuple[StorageType, Storage]] = {}

    def find(self, saved_id: Any) -> Storage:
        """Of the id ("storage", type, key, device, elements, None or (key, offset, elements))."""
        tag = saved_id[0]
        if tag == "module":
            raise RefusedError(
                "holds a whole module, which only its own code can build; in PyTorch, save its "
                "weights alone: torch.save(model.state_dict(), path)"
            )
        _, kind, key, _, count, part = saved_id
        if tag != "storage" or not isinstance(kind, StorageType) or not isinstance(key, str | int):
            raise ValueError("a storage has no type or no name")
        if key not in self.by_key:
            self.left -= kind.nbytes(count, self.left)
            self.by_key[key] = kind, empty(kind, count)
        known, storage = self.by_key[key]
        if known != kind or len(storage) != count:
            raise ValueError(f"storage {key} is described in two ways")
        return storage if part is None else self._part(storage, *part)

    def _part(self, storage: Storage, key: Any, offset: Any, count: Any) -> Storage:
        check_whole("a part of a storage", offset, count)
        if offset + count > len(storage):
            raise ValueError(f"a part reaches to element {offset + count} of {len(storage)}")
        part: Any = storage[offset : offset + count]
        return part

    def fill(self, source: Input, keys: Any) -> None:
        """Read the elements of all storages."""
        listed = isinstance(keys, list) and all(isinstance(key, str | int) for key in keys)
        if not listed or len(keys) != len(self.by_key) or set(keys) != set(self.by_key):
            raise ValueError("its storages are others than its tensors need")
        for key in keys:
            kind, storage = self.by_key[key]
            read_elements(source, kind, storage)
