"""Files of PyTorch's ``torch.save``, read without running anything that stands in them.

opcodes    a pickle as data: a stack machine that can make plain values, and calls nothing
           but the few functions it is given
names      these functions: the names a file may use, and what they stand for here
storage    the elements of tensors: types, bounds, views
zipped     the format since PyTorch 1.6
legacy     the one before (``_use_new_zipfile_serialization=False``)
tarred     the one of 2016
"""

from __future__ import annotations

import struct
import tarfile
import zipfile
from typing import Any, BinaryIO

from chainrule.errors import CheckpointError
from chainrule.pytorch_files import legacy, tarred, zipped
from chainrule.pytorch_files.opcodes import RefusedError
from chainrule.pytorch_files.storage import Input

_TAR = slice(257, 262)  # where its mark stands

BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, struct.error, ArithmeticError, AttributeError, EOFError,
    LookupError, NotImplementedError, OSError, RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What parsing damaged bytes may raise."""


START = 262  # bytes that tell


def is_pytorch_file(start: bytes) -> bool:
    """Whether torch.save may have written a file that starts so (its first `START` bytes).

    A safetensors file begins with the length of its header in eight bytes, least first, which may
    look like any mark; then comes the header, a JSON object, and lengths are far below 2**48.
    """
    if start[6:9] == b"\0\0{":
        return False
    return start[:2] == b"PK" or start[:1] == b"\x80" or start[_TAR] == b"ustar"


def read(file: BinaryIO, name: str) -> Any:
    """The tensors and plain values in ``file``, which can seek and is at its start.

    name: of the file, for messages. Raises CheckpointError.
    """
    source = Input(file)
    start = source.read(START)
    source.seek(0)
    form = tarred if start[_TAR] == b"ustar" else zipped if start[:2] == b"PK" else legacy
    try:
        return form.read(source)
    except RefusedError as error:
        raise CheckpointError(f"load: {name} {error}") from None
    except BROKEN as error:
        raise CheckpointError(f"load: {name} is damaged ({error})") from None
