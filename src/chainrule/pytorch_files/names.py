"""The names that a file of PyTorch's may use, and what they stand for here.

Everything that is not in the table is refused. Nothing in it can do more than make a tensor, an
array, or a plain value; arguments are checked, since they are the file's.
"""

from __future__ import annotations

import math
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.pytorch_files.opcodes import Constructor, RefusedError, Shell, checked_key
from chainrule.pytorch_files.storage import (
    MOST_AXES,
    STORAGE_TYPES,
    Storage,
    StorageType,
    check_whole,
    view,
)
from chainrule.tensor import Size, Tensor
from chainrule.tensor import device as Device

# -- tensors ---------------------------------------------------------------------------------


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, *rest: Any
) -> Tensor:
    """_rebuild_tensor, and _v2, whose rest are hooks and metadata."""
    found = view(storage, offset, size, stride)
    found.requires_grad = requires_grad is True
    return found


def _tensor_of_dtype(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any,
    dtype: Any, metadata: Any = None,
) -> Tensor:  # fmt: skip
    """_rebuild_tensor_v3: of a type that has no storage of its own."""
    if isinstance(dtype, StorageType):
        dtype = dtype.known()  # complains of it
    if not isinstance(dtype, np.dtype) or not isinstance(storage, Storage):
        raise TypeError("a tensor has no element type")
    whole = len(storage) // dtype.itemsize * dtype.itemsize
    return _tensor(storage[:whole].view(dtype), offset, size, stride, requires_grad)


def _parameter(data: Any, requires_grad: Any, *rest: Any) -> Tensor:
    """A tensor here: a module's load_state_dict makes parameters of them."""
    if not isinstance(data, Tensor):
        raise TypeError("a parameter has no tensor")
    data.requires_grad = requires_grad is True
    return data


def _tensor_with_attributes(function: Any, kind: Any, arguments: Any, state: Any) -> Tensor:
    """Attributes that somebody gave a tensor are left out."""
    if function not in (*_REBUILD.values(),) or not isinstance(arguments, tuple):
        raise RefusedError("is not read: it holds a tensor of a class of its own")
    return function.build(*arguments)


_REBUILD = {
    "_rebuild_tensor": Constructor(_tensor),
    "_rebuild_tensor_v2": Constructor(_tensor),
    "_rebuild_tensor_v3": Constructor(_tensor_of_dtype),
    "_rebuild_parameter": Constructor(_parameter),
    "_rebuild_parameter_with_state": Constructor(_parameter),
}

# -- plain values ----------------------------------------------------------------------------


def _ordered(pairs: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict((checked_key(key), value) for key, value in _listed(pairs))


def _counter(counts: Any = None) -> Counter[Any]:
    counted: Counter[Any] = Counter()
    if not isinstance(counts, dict | None):
        raise TypeError("counts are no dict")
    for key, value in (counts or {}).items():
        counted[checked_key(key)] = value
    return counted


def _set(values: Any = ()) -> set[Any]:
    return {checked_key(value) for value in _listed(values)}


def _frozenset(values: Any = ()) -> frozenset[Any]:
    return frozenset(_set(values))


def _listed(values: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise TypeError(f"a collection is made of a {type(values).__name__}")
    return values


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """bytes, in protocols that have none."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise TypeError("bytes are written in an unusual way")
    return text.encode("latin-1")


def _bytes(*nothing: Any) -> bytes:
    if nothing:
        raise TypeError("bytes are written in an unusual way")
    return b""


def _bytearray(content: Any = b"", encoding: Any = "latin-1") -> bytearray:
    """Not of a number: that would be as many bytes as it says."""
    if isinstance(content, str):
        return bytearray(_encode(content, encoding))
    if not isinstance(content, bytes):
        raise TypeError("bytes are written in an unusual way")
    return bytearray(content)


def _complex(real: Any, imag: Any) -> complex:
    return complex(float(real), float(imag))


def _size(sides: Any) -> Size:
    if not isinstance(sides, tuple) or not all(type(side) is int for side in sides):
        raise TypeError("a size is no tuple of whole numbers")
    return Size(sides)


def _device(*where: Any) -> Device:
    """The CPU, wherever it was."""
    return Device("cpu")


# -- NumPy's arrays, scalars and types -------------------------------------------------------


def _dtype(code: Any, *flags: Any) -> Shell:
    """An element type; its byte order comes later."""
    if not isinstance(code, str) or not re.fullmatch(r"[biufcSU][1-9]\d{0,8}", code):
        shown = repr(code[:20]) if isinstance(code, str) else "that has no name"
        raise RefusedError(f"is not read: it holds an array of the type {shown}")

    def complete(state: Any) -> np.dtype[Any]:
        order = state[1]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise TypeError("the type of an array makes no sense")
        return np.dtype(code).newbyteorder(order)

    return Shell(complete)


def _scalar(dtype: Any, raw: Any) -> Any:
    return _numbers(dtype, raw, ())[()]


def _array(kind: Any, shape: Any, code: Any) -> Shell:
    """An array; its content comes later."""
    if kind is not np.ndarray:
        raise TypeError("an array is of a class of its own")

    def complete(state: Any) -> np.ndarray[Any, Any]:
        _, shape, dtype, is_fortran, raw = state
        return _numbers(dtype, raw, shape, "F" if is_fortran is True else "C")

    return Shell(complete)


def _frombuffer(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    return _numbers(dtype, raw, shape, "F" if order == "F" else "C")


def _numbers(dtype: Any, raw: Any, shape: Any, order: Any = "C") -> np.ndarray[Any, Any]:
    if not isinstance(dtype, np.dtype) or not isinstance(raw, bytes | bytearray):
        raise TypeError("an array has no numbers")
    if not isinstance(shape, tuple) or len(shape) > MOST_AXES:
        raise TypeError("an array has no shape")
    check_whole("the shape of an array", *shape)
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"an array of shape {shape} has {len(raw)} bytes")
    if not raw:
        return np.empty(shape, dtype)
    return np.frombuffer(raw, dtype).reshape(shape, order=order).copy(order=order)


# -- the table -------------------------------------------------------------------------------

_BUILTINS: dict[str, Callable[..., Any]] = {
    "set": _set, "frozenset": _frozenset, "bytes": _bytes, "bytearray": _bytearray,
    "complex": _complex,
}  # fmt: skip
_DTYPES = {
    "float64": "f8", "double": "f8", "float32": "f4", "float": "f4", "float16": "f2", "half": "f2",
    "int64": "i8", "long": "i8", "int32": "i4", "int": "i4", "int16": "i2", "short": "i2",
    "int8": "i1", "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8", "bool": "?",
}  # fmt: skip
_NO_DTYPES = (
    "complex32", "complex64", "complex128", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2",
    "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2",
)  # fmt: skip


def _table() -> Iterator[tuple[tuple[str, str], Any]]:
    yield ("collections", "OrderedDict"), Constructor(_ordered)
    yield ("collections", "Counter"), Constructor(_counter)
    yield ("_codecs", "encode"), Constructor(_encode)
    for name, build in _BUILTINS.items():
        yield ("builtins", name), Constructor(build)
        yield ("__builtin__", name), Constructor(build)
    for name, rebuild in _REBUILD.items():
        yield ("torch._utils", name), rebuild
    yield ("torch._tensor", "_rebuild_from_type_v2"), Constructor(_tensor_with_attributes)
    yield ("torch", "Tensor"), Tensor
    yield ("torch.nn.parameter", "Parameter"), Tensor
    yield ("torch", "Size"), Constructor(_size)
    yield ("torch", "device"), Constructor(_device)
    for name, kind in STORAGE_TYPES.items():
        for module in ("torch", "torch.cuda", "torch.storage"):
            yield (module, name), kind
    for name in ("Double", "Float", "Half", "Long", "Int", "Short", "Char", "Byte"):
        for module in ("torch", "torch.cuda"):
            yield (module, f"{name}Tensor"), Tensor
    for name, code in _DTYPES.items():
        yield ("torch", name), np.dtype(code)
    yield ("torch", "bfloat16"), np.dtype(np.float32)
    for name in _NO_DTYPES:
        yield ("torch", name), StorageType(f"tensor of {name}", None)
    yield ("numpy", "ndarray"), np.ndarray
    yield ("numpy", "dtype"), Constructor(_dtype)
    for core in ("numpy.core", "numpy._core"):
        yield (f"{core}.multiarray", "scalar"), Constructor(_scalar)
        yield (f"{core}.multiarray", "_reconstruct"), Constructor(_array)
        yield (f"{core}.numeric", "_frombuffer"), Constructor(_frombuffer)


NAMES = dict(_table())
