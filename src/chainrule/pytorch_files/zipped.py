"""The format since PyTorch 1.6: a zip archive, whose members are not compressed.

NAME/data.pkl       the value; storages by number
NAME/data/0 ...     the elements of each storage
NAME/byteorder      little or big; little if absent
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from chainrule.pytorch_files.names import NAMES
from chainrule.pytorch_files.opcodes import RefusedError, unpickle
from chainrule.pytorch_files.storage import Input, Storage, StorageType, check_whole

_LOCAL = struct.Struct("<4s22xHH")  # signature ... lengths of name and extra field
_ENCRYPTED = 1


def read(source: Input) -> Any:
    """The value in a file, whose storages are read as the value asks for them."""
    archive = _Archive(source)
    storages = _Storages(archive)
    pickle = io.BytesIO(archive.content(f"{archive.root}/data.pkl").tobytes())
    return unpickle(pickle, NAMES, storages.find, source.size)


class _Archive:
    """The members of a zip archive, none compressed, none larger than the file."""

    def __init__(self, source: Input) -> None:
        self.source = source
        with zipfile.ZipFile(source) as archive:  # reads the directory
            listed = archive.infolist()
        self.members = {info.filename: info for info in listed}
        roots = [name[: -len("/data.pkl")] for name in self.members if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise RefusedError("is a zip archive, but none of torch.save (it has no data.pkl)")
        (self.root,) = roots
        if f"{self.root}/constants.pkl" in self.members:
            raise RefusedError(
                "is a program of TorchScript; in PyTorch, save its weights alone: "
                "torch.save(torch.jit.load(path).state_dict(), new_path)"
            )
        if len(self.members) != len(listed):
            raise ValueError("two members of the archive have one name")
        for info in listed:
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
                raise RefusedError(
                    f"is not read: {info.filename} in it is compressed or encrypted, "
                    "as torch.save never does"
                )
        if sum(info.file_size for info in listed) > source.size:
            raise ValueError("its members are larger than the file")

    def content(self, name: str) -> Any:
        """The bytes of a member, an array, checked against its checksum."""
        if name not in self.members:
            raise ValueError(f"{name} is missing in the archive")
        info = self.members[name]
        self.source.seek(info.header_offset)
        signature, *lengths = _LOCAL.unpack(self.source.read(_LOCAL.size))
        if signature != b"PK\3\4":
            raise ValueError(f"{name} is not where the archive says")
        raw: Any = np.empty(info.file_size, np.uint8)
        self.source.seek(sum(lengths), 1)
        self.source.fill(raw)
        # 0: torch.serialization.set_crc32_options(False) leaves it out
        if info.CRC not in (0, zlib.crc32(raw)):
            raise ValueError(f"{name} has another checksum than the archive says")
        return raw


class _Storages:
    """The storages of an archive, each read once."""

    def __init__(self, archive: _Archive) -> None:
        self.archive = archive
        self.raw: dict[str, np.ndarray[Any, Any]] = {}
        self.found: dict[tuple[str, StorageType], Storage] = {}
        order = f"{archive.root}/byteorder"
        self.is_big = order in archive.members and archive.content(order).tobytes() == b"big"

    def find(self, saved_id: Any) -> Storage:
        """Of the id that a pickle has for it: ("storage", type, key, device, elements)."""
        tag, kind, key, _, count = saved_id
        if tag != "storage" or not isinstance(kind, StorageType) or not isinstance(key, str):
            raise ValueError("a storage has no type or no name")
        check_whole("the number of elements", count)
        if (key, kind) not in self.found:
            self.found[key, kind] = self._read(kind, key)
        storage = self.found[key, kind]
        if count != len(storage):
            raise ValueError(f"storage {key} has {len(storage)} elements, not {count}")
        return storage

    def _read(self, kind: StorageType, key: str) -> Storage:
        step = kind.known().itemsize
        if key not in self.raw:
            self.raw[key] = self.archive.content(f"{self.archive.root}/data/{key}")
        raw = self.raw[key][: len(self.raw[key]) // step * step]
        if self.is_big:
            raw = raw.view(kind.known()).byteswap().view(np.uint8)
        return kind.elements(raw)
