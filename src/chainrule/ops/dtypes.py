"""Dtype rules, as PyTorch has them.

Arguments count in three ranks: arrays with axes, arrays without axes (0-d), Python numbers.
A lower rank changes the result's dtype only when it is of a higher kind (bool < integer <
float). Among arrays of one rank, integers meeting a float take the float's dtype, where
NumPy would widen: int64 with float32 is float32. A Python float meeting integers gives the
default float dtype.
Source: https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import DTypeError

_default_float = np.dtype(np.float32)


def get_default_dtype() -> np.dtype[Any]:
    """The float dtype of new tensors made from Python numbers (float32 unless set)."""
    return _default_float


def set_default_dtype(d: Any) -> None:
    """Make ``d``, a float dtype, the one that Python floats become."""
    global _default_float
    dtype = np.dtype(d)
    if dtype.kind != "f":
        raise DTypeError(f"set_default_dtype: expects a float dtype, got {dtype}")
    _default_float = dtype


class finfo:  # PyTorch's name, as iinfo
    """The limits of a float dtype, as Python floats."""

    def __init__(self, type: Any = None) -> None:
        dtype = _default_float if type is None else np.dtype(type)
        if dtype.kind != "f":
            raise DTypeError(f"finfo: expects a float dtype, got {dtype}; iinfo is for integers")
        limits = np.finfo(dtype)
        self.dtype = dtype.name
        self.bits = limits.bits
        self.resolution = 10.0**-limits.precision
        self.min, self.max, self.eps = float(limits.min), float(limits.max), float(limits.eps)
        self.smallest_normal = self.tiny = float(limits.smallest_normal)

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        values = ", ".join(f"{n}={getattr(self, n):g}" for n in names)
        return f"finfo({values}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype."""

    def __init__(self, type: Any) -> None:
        dtype = np.dtype(type)
        if dtype.kind not in "iu":
            raise DTypeError(f"iinfo: expects an integer dtype, got {dtype}; finfo is for floats")
        limits = np.iinfo(dtype)
        self.dtype = dtype.name
        self.bits, self.min, self.max = limits.bits, int(limits.min), int(limits.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


NUMBERS = frozenset((bool, int, float, type(None)))  # not np.float64, which is a float too
_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}


def _kind(dtype: np.dtype[Any]) -> int:
    try:
        return _KINDS[dtype.kind]
    except KeyError:
        raise DTypeError(
            f"dtype {dtype} is not supported; use a bool, integer or float array"
        ) from None


def can_store(a: np.dtype[Any], b: np.dtype[Any]) -> bool:
    """Whether results of dtype a may go into an array of dtype b in place: no lower kind."""
    return _kind(a) <= _kind(b)


def promote_types(type1: np.dtype[Any], type2: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which arrays of two dtypes meet."""
    if type1 == type2:
        return type1
    if _kind(type1) == _kind(type2):
        return np.promote_types(type1, type2)
    return type1 if _kind(type1) > _kind(type2) else type2


def result_type(args: Sequence[Any]) -> np.dtype[Any]:
    """The dtype in which arrays and Python numbers meet (see the module's docstring)."""
    ranks: list[np.dtype[Any] | None] = [None, None, None]
    for a in args:
        if isinstance(a, np.ndarray | np.generic):
            rank, dtype = (0 if a.ndim else 1), a.dtype
        elif isinstance(a, bool):
            rank, dtype = 2, np.dtype(bool)
        elif isinstance(a, int):
            rank, dtype = 2, np.dtype(np.int64)
        elif isinstance(a, float):
            rank, dtype = 2, _default_float
        else:
            raise DTypeError(f"expects arrays, tensors or numbers, got {type(a).__name__}")
        known = ranks[rank]
        ranks[rank] = dtype if known is None else promote_types(known, dtype)
    result: np.dtype[Any] | None = None
    for dtype in ranks:
        if dtype is not None and (result is None or _kind(dtype) > _kind(result)):
            result = dtype
    if result is None:
        raise DTypeError("expects at least one array, tensor or number")
    return result


def promote(args: Sequence[Any], operands: Sequence[int], to_float: bool) -> Sequence[Any]:
    """Cast the arguments at positions ``operands`` to their `result_type`; None stays None.

    ``to_float``: an integer result type becomes the default float dtype.
    """
    dtype = result_type([args[i] for i in operands if args[i] is not None])
    if to_float and dtype.kind != "f":
        dtype = _default_float
    cast = list(args)
    for i in operands:
        if args[i] is not None:
            cast[i] = np.asarray(args[i]).astype(dtype, copy=False)
    return cast
