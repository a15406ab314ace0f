"""PyTorch's old constructors, one per dtype: ``FloatTensor(2, 3)``, ``LongTensor([1, 2])``.

They make ordinary tensors, and ``isinstance(x, FloatTensor)`` asks for the dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.tensor.description import Size
from chainrule.tensor.tensor import Tensor

__all__ = [
    "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor",
    "IntTensor", "LongTensor", "ShortTensor",
]  # fmt: skip


class _OfDtype(type):
    """The kind of a constructor: calling it makes a tensor, of the class Tensor."""

    dtype: np.dtype[Any]

    def __call__(cls, data: Any = (), *sizes: int) -> Tensor:
        """Sizes of memory to be filled, or data to be copied, as this dtype."""
        if isinstance(data, int | Size):
            return Tensor(np.empty(data if isinstance(data, Size) else (data, *sizes), cls.dtype))
        return Tensor(data, *sizes, dtype=cls.dtype)

    def __instancecheck__(cls, thing: object) -> bool:
        return isinstance(thing, Tensor) and thing.dtype == cls.dtype


def _of(dtype: Any, name: str) -> Any:
    about = f"Tensors of {np.dtype(dtype)}; in new code ``chainrule.tensor(data, dtype=...)``."
    return _OfDtype(name, (), {"dtype": np.dtype(dtype), "__doc__": about})


FloatTensor = _of(np.float32, "FloatTensor")
DoubleTensor = _of(np.float64, "DoubleTensor")
HalfTensor = _of(np.float16, "HalfTensor")
ByteTensor = _of(np.uint8, "ByteTensor")
CharTensor = _of(np.int8, "CharTensor")
ShortTensor = _of(np.int16, "ShortTensor")
IntTensor = _of(np.int32, "IntTensor")
LongTensor = _of(np.int64, "LongTensor")
BoolTensor = _of(np.bool_, "BoolTensor")
