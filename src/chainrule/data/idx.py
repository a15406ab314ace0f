"""The idx file format of MNIST: an array of bytes with its shape in front.

Layout (big-endian): two zero bytes, a type code (8: uint8), the number of dimensions, one uint32
per dimension, then the elements in C order.
Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError

UINT8 = 8
"""Type code of unsigned bytes, the only one that image datasets use."""


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """Read a uint8 idx file, gzipped or plain, as an array of the shape that it declares.

    Raises DataError if the file is not idx, holds another element type, or is truncated.
    """
    path = Path(path)
    return parse_idx(read_maybe_gzipped(path), str(path))


def read_maybe_gzipped(path: Path) -> bytes:
    """The content of a file, decompressed if it begins as gzip does, whatever its name."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"idx: cannot read {path}: {error or 'truncated'}; get the file again"
        ) from error


def parse_idx(content: bytes, name: str) -> NDArray[np.uint8]:
    """The array in `content`; `name` is what an error calls it."""
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(f"idx: {name} is not an idx file; it must begin with two zero bytes")
    code, ndim = content[2], content[3]
    if code != UINT8:
        raise DataError(f"idx: {name} has elements of type {code:#04x}; only uint8 (0x08) is read")
    start = 4 + 4 * ndim
    if len(content) < start:
        raise DataError(f"idx: {name} is truncated inside its header; get the file again")
    shape = struct.unpack(f">{ndim}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"idx: {name} declares shape {shape}, {math.prod(shape)} bytes, "
            f"but holds {len(content) - start}; get the file again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
