"""Making tensors: from numbers, from arrays, from a rule, from chance. PyTorch's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import DTypeError
from chainrule.ops.dtypes import get_default_dtype
from chainrule.random import Generator, default_generator, uniform
from chainrule.tensor import Tensor, as_array, sizes_of
from chainrule.tensor import device as Device  # parameters are called device

Size = int | Sequence[int]


def _made(array: Any, requires_grad: bool, device: Any) -> Tensor:
    """A tensor over memory that was made for it."""
    if device is not None:
        Device(device)  # complains about any but the CPU
    made = Tensor(array, requires_grad=requires_grad)
    made.version.is_visible = False
    return made


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A new tensor holding a copy of ``data``: numbers, nested sequences, arrays, tensors.

    Python floats become the default dtype (float32), integers int64, arrays keep theirs.
    """
    return _made(np.array(as_array(data, dtype)), requires_grad, device)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor over ``data`` without a copy where that is possible; tensors pass through."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.type(dtype)
    if device is not None:
        Device(device)
    return Tensor(as_array(data, dtype))


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expects a NumPy array, got {type(array).__name__}")
    if not array.dtype.isnative:
        raise DTypeError(
            f"from_numpy: cannot share values in another byte order ({array.dtype.str}); "
            "chainrule.tensor copies them into this machine's"
        )
    return Tensor(array)


def from_dlpack(source: Any) -> Tensor:
    """A tensor over another library's memory (any object with ``__dlpack__``), no copy."""
    return Tensor(np.from_dlpack(source))


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros."""
    return _made(np.zeros(sizes_of(size), dtype or get_default_dtype()), requires_grad, device)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones."""
    return _made(np.ones(sizes_of(size), dtype or get_default_dtype()), requires_grad, device)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Memory as it was found; fill it before use."""
    return _made(np.empty(sizes_of(size), dtype or get_default_dtype()), requires_grad, device)


def full(
    size: Size, fill_value: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """``fill_value`` everywhere."""
    array = np.full(sizes_of((size,)), as_array(fill_value, dtype))
    return _made(array, requires_grad, device)


def zeros_like(
    x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Zeros of x's shape and dtype."""
    return _made(np.zeros_like(x.array, dtype), requires_grad, device)


def ones_like(
    x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Ones of x's shape and dtype."""
    return _made(np.ones_like(x.array, dtype), requires_grad, device)


def empty_like(
    x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Unset memory of x's shape and dtype."""
    return _made(np.empty_like(x.array, dtype), requires_grad, device)


def full_like(
    x: Tensor, fill_value: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """``fill_value`` everywhere, in x's shape and dtype."""
    return _made(np.full_like(x.array, fill_value, dtype), requires_grad, device)


def arange(
    start: float, end: float | None = None, step: float = 1, dtype: Any = None,
    requires_grad: bool = False, device: Any = None,
) -> Tensor:  # fmt: skip
    """start, start + step, ... below end; one argument is the end. Floats if any is a float."""
    if end is None:
        start, end = 0, start
    if dtype is None and any(isinstance(v, float) for v in (start, end, step)):
        dtype = get_default_dtype()
    return _made(np.arange(start, end, step, dtype=dtype), requires_grad, device)


def linspace(
    start: float, end: float, steps: int, dtype: Any = None,
    requires_grad: bool = False, device: Any = None,
) -> Tensor:  # fmt: skip
    """``steps`` numbers evenly spaced from start to end, both included."""
    array = np.linspace(start, end, steps, dtype=dtype or get_default_dtype())
    return _made(array, requires_grad, device)


def eye(
    n: int, m: int | None = None, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """The identity matrix (n, m)."""
    return _made(np.eye(n, m, dtype=dtype or get_default_dtype()), requires_grad, device)


# -- from chance -------------------------------------------------------------------------------


def _rng(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator).rng


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None,
    requires_grad: bool = False, device: Any = None,
) -> Tensor:  # fmt: skip
    """Numbers drawn evenly from [0, 1)."""
    values = uniform(_rng(generator), sizes_of(size), dtype or get_default_dtype())
    return _made(values, requires_grad, device)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None,
    requires_grad: bool = False, device: Any = None,
) -> Tensor:  # fmt: skip
    """Numbers drawn from the standard normal distribution."""
    values = _rng(generator).standard_normal(sizes_of(size)).astype(dtype or get_default_dtype())
    return _made(values, requires_grad, device)


def randint(
    low: int = 0, high: Any = None, size: Any = None, generator: Generator | None = None,
    dtype: Any = np.int64, device: Any = None,
) -> Tensor:  # fmt: skip
    """Integers from low ... high - 1; ``randint(high, size)`` starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    return _made(_rng(generator).integers(low, high, sizes_of((size,)), dtype), False, device)


def randperm(n: int, generator: Generator | None = None, device: Any = None) -> Tensor:
    """The numbers 0 ... n - 1 in random order."""
    return _made(_rng(generator).permutation(n), False, device)


def rand_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """As `rand`, in x's shape and dtype."""
    return rand(x.shape, generator=generator, dtype=x.dtype)


def randn_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """As `randn`, in x's shape and dtype."""
    return randn(x.shape, generator=generator, dtype=x.dtype)


def bernoulli(p: Tensor, generator: Generator | None = None) -> Tensor:
    """1 with the probability each element of ``p`` gives, else 0."""
    return Tensor((_rng(generator).random(p.array.shape) < p.array).astype(p.dtype))
