"""The official files of CIFAR-10 and CIFAR-100, read without running anything in them.

Binary version: records of one label byte (CIFAR-100: coarse, then fine) and 3072 pixel bytes,
red plane, green plane, blue plane, each 32x32 in rows. The python version is a pickle, which
could run code; it is read by an unpickler that knows only dicts, lists, numbers, bytes and
the description of an array.
Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError

PIXELS = 32 * 32 * 3

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_cifar(
    path: Path, train: tuple[str, ...], test: tuple[str, ...], label_bytes: int
) -> tuple[Arrays, Arrays]:
    """Training and test arrays: images (N, 32, 32, 3) and labels (N,), in the files' order.

    path: the folder of the extracted archive, or the archive itself (.tar.gz or .tar), which is
        read in place. train, test: names of the files in it; those ending in .bin are of the
        binary version, others of the python one.
    label_bytes: how many labels a binary record has; the last of them is the (fine) label.
    Raises DataError naming a file that is missing, truncated or of another format.
    """
    contents = _read_members(path, train + test)

    def parse(name: str) -> Arrays:
        if name.endswith(".bin"):
            return _parse_binary(contents[name], label_bytes, f"{path}: {name}")
        return _parse_pickle(contents[name], f"{path}: {name}")

    return _joined([parse(name) for name in train]), _joined([parse(name) for name in test])


def _joined(batches: list[Arrays]) -> Arrays:
    planes = np.concatenate([pixels for pixels, _ in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([labels for _, labels in batches])
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def _read_members(path: Path, files: tuple[str, ...]) -> dict[str, bytes]:
    if path.is_dir():
        contents = {name: (path / name).read_bytes() for name in files if (path / name).is_file()}
    else:
        contents = {}
        try:
            with tarfile.open(path) as archive:
                for member in archive:  # read in memory: nothing is written, so no path can escape
                    name = member.name.rsplit("/", 1)[-1]
                    stream = archive.extractfile(member) if name in files else None
                    if stream is not None:
                        contents[name] = stream.read()
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise DataError(f"cifar: cannot read {path}: {error}; get the file again") from error
    missing = [name for name in files if name not in contents]
    if missing:
        raise DataError(f"cifar: {path} lacks {', '.join(missing)}; get the official archive again")
    return contents


def _parse_binary(content: bytes, label_bytes: int, name: str) -> Arrays:
    record = label_bytes + PIXELS
    if not content or len(content) % record:
        raise DataError(
            f"cifar: {name} has {len(content)} bytes, not a multiple of the record of {record}; "
            "get the file again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    return records[:, label_bytes:], records[:, label_bytes - 1].astype(np.int64)


def _parse_pickle(content: bytes, name: str) -> Arrays:
    try:
        batch = _DescriptionUnpickler(io.BytesIO(content), encoding="bytes").load()
        pixels = batch[b"data"].decode()
        labels = batch[b"labels"] if b"labels" in batch else batch[b"fine_labels"]
        return pixels.reshape(len(labels), PIXELS), np.array(labels, np.int64)
    except DataError as error:
        raise DataError(f"cifar: {name}: {error}") from error
    except Exception as error:  # a hostile or broken pickle may raise anything at all
        raise DataError(
            f"cifar: {name} is not a batch of the python version "
            f"({type(error).__name__}: {error}); get the official archive again"
        ) from error


class _ArrayDescription:
    """What a pickled array says of itself. NumPy never sees it before it has been checked."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def decode(self) -> NDArray[np.uint8]:
        _, shape, dtype, _, content = self.state
        if not isinstance(dtype, _DtypeDescription) or dtype.code not in ("u1", b"u1"):
            raise DataError("the pixels are not of type uint8; get the official archive again")
        return np.frombuffer(content, np.uint8).reshape(shape)


class _DtypeDescription:
    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Byte order and flags: nothing that matters for single bytes."""


def _describe_array(*_: Any) -> _ArrayDescription:
    return _ArrayDescription()


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _describe_array,
    ("numpy._core.multiarray", "_reconstruct"): _describe_array,
    ("numpy", "ndarray"): _ArrayDescription,
    ("numpy", "dtype"): _DtypeDescription,
}


class _DescriptionUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """A harmless stand-in for each global that a CIFAR batch names; all else is refused."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise DataError(f"refused to load {module}.{name} from a pickle") from None
