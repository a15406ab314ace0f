"""Making tensors: from numbers, from arrays, from a rule, from chance. PyTorch's names.

``settings`` are those that PyTorch has here: requires_grad, device (the CPU); layout, pin_memory
and memory_format change nothing. Sizes may be written apart, as a sequence, or as ``size=``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.dtypes import can_store, get_default_dtype
from chainrule.ops.dtypes import result_type as _result_type
from chainrule.ops.op import spelled
from chainrule.ops.out import written
from chainrule.random import Generator, default_generator, uniform
from chainrule.tensor.description import Size as Shape
from chainrule.tensor.description import device as Device  # parameters are called device
from chainrule.tensor.forms import sizes_of
from chainrule.tensor.tensor import Tensor, as_array, check_settings

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "bernoulli",
    "broadcast_shapes",
    "can_cast",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "full",
    "full_like",
    "get_rng_state",
    "linspace",
    "logspace",
    "multinomial",
    "normal",
    "ones",
    "ones_like",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "result_type",
    "scalar_tensor",
    "set_rng_state",
    "tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]

Size = int | Sequence[int]


def _made(name: str, array: Any, settings: dict[str, Any]) -> Tensor:
    """A tensor over memory that was made for it."""
    if settings.get("out") is not None:
        return written(name, Tensor(array), settings["out"])
    made = Tensor(array, requires_grad=check_settings(name, settings))
    made.version.is_visible = False
    return made


def _shape(size: tuple[Any, ...], settings: dict[str, Any]) -> tuple[int, ...]:
    if "size" in settings:
        size = (settings.pop("size"),)
    shape = sizes_of(size)
    if any(n < 0 for n in shape):
        raise ShapeError(f"sizes must not be negative, got {shape}")
    return shape


def _dtype(dtype: Any) -> np.dtype[Any]:
    return get_default_dtype() if dtype is None else np.dtype(dtype)


# -- from data -----------------------------------------------------------------------------------


def tensor(data: Any, *, dtype: Any = None, **settings: Any) -> Tensor:
    """A new tensor holding a copy of ``data``: numbers, nested sequences, arrays, tensors.

    Python floats become the default dtype (float32), integers int64, arrays keep theirs.
    """
    return _made("tensor", np.array(as_array(data, dtype)), settings)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor over ``data`` without a copy where that is possible; tensors pass through."""
    check_settings("as_tensor", {"device": device})
    if isinstance(data, Tensor):
        return data if dtype is None else data.type(dtype)
    return Tensor(as_array(data, dtype))


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:  # fmt: skip
    """As `as_tensor`; copy: True for new memory in any case, False for an error if it is needed.

    requires_grad: None keeps a tensor's place in its graph, False leaves the graph.
    """
    made = as_tensor(obj, dtype, device)
    if copy:
        made = made.detach().clone()
    elif copy is False:
        source = obj.array if isinstance(obj, Tensor) else obj
        if not isinstance(source, np.ndarray) or not np.may_share_memory(source, made.array):
            raise ConfigError("asarray: this cannot be done without a copy; leave out copy=False")
    if requires_grad:
        return made.requires_grad_()
    return made if requires_grad is None else made.detach()


def from_numpy(ndarray: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the array's memory."""
    array = ndarray
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expects a NumPy array, got {type(array).__name__}")
    if not array.dtype.isnative:
        raise DTypeError(
            f"from_numpy: cannot share values in another byte order ({array.dtype.str}); "
            "chainrule.tensor copies them into this machine's"
        )
    return Tensor(array)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over another library's memory (any object with ``__dlpack__``), or a copy."""
    if device is not None:
        Device(device)  # complains about any but the CPU
    return Tensor(np.from_dlpack(ext_tensor, copy=copy))


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A tensor over the bytes of an object with the buffer protocol, no copy."""
    return Tensor(np.frombuffer(buffer, dtype, count, offset), requires_grad=requires_grad)


def scalar_tensor(value: Any, *, dtype: Any = None, **settings: Any) -> Tensor:
    """One number, without axes, in the default dtype."""
    return _made("scalar_tensor", np.asarray(value, _dtype(dtype)), settings)


# -- by a rule -----------------------------------------------------------------------------------


def zeros(*size: Any, dtype: Any = None, **settings: Any) -> Tensor:
    """Zeros."""
    return _made("zeros", np.zeros(_shape(size, settings), _dtype(dtype)), settings)


def ones(*size: Any, dtype: Any = None, **settings: Any) -> Tensor:
    """Ones."""
    return _made("ones", np.ones(_shape(size, settings), _dtype(dtype)), settings)


def empty(*size: Any, dtype: Any = None, **settings: Any) -> Tensor:
    """Memory as it was found; fill it before use."""
    return _made("empty", np.empty(_shape(size, settings), _dtype(dtype)), settings)


def full(size: Size, fill_value: Any, *, dtype: Any = None, **settings: Any) -> Tensor:
    """``fill_value`` everywhere."""
    array = np.full(_shape((size,), {}), as_array(fill_value, dtype))
    return _made("full", array, settings)


def zeros_like(input: Tensor, *, dtype: Any = None, **settings: Any) -> Tensor:
    """Zeros of the input's shape and dtype."""
    return _made("zeros_like", np.zeros_like(input.array, dtype), settings)


def ones_like(input: Tensor, *, dtype: Any = None, **settings: Any) -> Tensor:
    """Ones of the input's shape and dtype."""
    return _made("ones_like", np.ones_like(input.array, dtype), settings)


def empty_like(input: Tensor, *, dtype: Any = None, **settings: Any) -> Tensor:
    """Unset memory of the input's shape and dtype."""
    return _made("empty_like", np.empty_like(input.array, dtype), settings)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, **settings: Any) -> Tensor:
    """``fill_value`` everywhere, in the input's shape and dtype."""
    fill_value = fill_value.array if isinstance(fill_value, Tensor) else fill_value
    return _made("full_like", np.full_like(input.array, fill_value, dtype), settings)


def _number(x: Any) -> Any:
    return x.item() if isinstance(x, Tensor) else x


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, **settings: Any
) -> Tensor:
    """start, start + step, ... below end; one argument is the end. Floats if any is a float."""
    if end is None:
        start, end = 0, start
    start, end, step = _number(start), _number(end), _number(step)
    if dtype is None and any(isinstance(v, float) for v in (start, end, step)):
        dtype = get_default_dtype()
    if step == 0 or (end - start) / step < 0:
        raise ConfigError(f"arange: {step} does not lead from {start} to {end}")
    n = math.ceil((end - start) / step)
    numbers = np.arange(n, dtype=np.float64 if dtype is not None else None) * step + start
    return _made("arange", numbers.astype(np.int64 if dtype is None else dtype), settings)


def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, **settings: Any) -> Tensor:
    """``steps`` numbers evenly spaced from start to end, both included."""
    array = np.linspace(_number(start), _number(end), steps, dtype=_dtype(dtype))
    return _made("linspace", array, settings)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, **settings: Any
) -> Tensor:
    """base to the powers that `linspace` gives."""
    array = np.logspace(_number(start), _number(end), steps, base=base).astype(_dtype(dtype))
    return _made("logspace", array, settings)


def eye(n: int, m: int | None = None, *, dtype: Any = None, **settings: Any) -> Tensor:
    """The identity matrix (n, m)."""
    return _made("eye", np.eye(n, m, dtype=_dtype(dtype)), settings)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, **settings: Any
) -> Tensor:
    """Where the lower triangle of a (row, col) matrix lies: (2, how many), row by row."""
    array = np.stack(np.tril_indices(row, offset, col)).astype(dtype)
    return _made("tril_indices", array, settings)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, **settings: Any
) -> Tensor:
    """Where the upper triangle of a (row, col) matrix lies: (2, how many), row by row."""
    array = np.stack(np.triu_indices(row, offset, col)).astype(dtype)
    return _made("triu_indices", array, settings)


# -- shapes and dtypes ---------------------------------------------------------------------------


def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape that tensors of these shapes meet in."""
    try:
        return Shape(np.broadcast_shapes(*(sizes_of((s,)) for s in shapes)))
    except ValueError:
        raise ShapeError(f"broadcast_shapes: {shapes} do not broadcast") from None


def result_type(tensor1: Any, tensor2: Any) -> np.dtype[Any]:
    """The dtype in which two tensors, or a tensor and a number, meet."""
    return _result_type([x.array if isinstance(x, Tensor) else x for x in (tensor1, tensor2)])


def can_cast(from_: Any, to: Any) -> bool:
    """Whether results of one dtype may go into a tensor of another: no lower kind."""
    return can_store(np.dtype(from_), np.dtype(to))


# -- from chance -------------------------------------------------------------------------------


def _rng(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator).rng


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, **settings: Any
) -> Tensor:
    """Numbers drawn evenly from [0, 1)."""
    values = uniform(_rng(generator), _shape(size, settings), _dtype(dtype))
    return _made("rand", values, settings)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, **settings: Any
) -> Tensor:
    """Numbers drawn from the standard normal distribution."""
    shape, dtype = _shape(size, settings), _dtype(dtype)
    if dtype.kind != "f":
        raise DTypeError(f"randn: needs a float dtype, got {dtype}")
    return _made("randn", _rng(generator).standard_normal(shape).astype(dtype), settings)


def randint(
    low: int = 0, high: Any = None, size: Any = None, *, generator: Generator | None = None,
    dtype: Any = np.int64, **settings: Any,
) -> Tensor:  # fmt: skip
    """Integers from low ... high - 1; ``randint(high, size)`` starts at 0."""
    if not isinstance(high, int | np.integer):  # randint(high, size), randint(high, size=size)
        low, high, size = 0, low, high if size is None else size
    if high <= low:
        raise ConfigError(f"randint: there is no whole number from {low} to below {high}")
    values = _rng(generator).integers(low, high, sizes_of((size,)))
    return _made("randint", values.astype(np.dtype(dtype or np.int64)), settings)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = np.int64, **settings: Any
) -> Tensor:
    """The numbers 0 ... n - 1 in random order."""
    return _made("randperm", _rng(generator).permutation(n).astype(dtype), settings)


def rand_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, **settings: Any
) -> Tensor:
    """As `rand`, in the input's shape and dtype."""
    return rand(input.shape, generator=generator, dtype=dtype or input.dtype, **settings)


def randn_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, **settings: Any
) -> Tensor:
    """As `randn`, in the input's shape and dtype."""
    return randn(input.shape, generator=generator, dtype=dtype or input.dtype, **settings)


def randint_like(
    input: Tensor, low: int = 0, high: Any = None, *, generator: Generator | None = None,
    dtype: Any = None, **settings: Any,
) -> Tensor:  # fmt: skip
    """As `randint`, in the input's shape and dtype; ``randint_like(x, high)`` starts at 0."""
    low, high = (0, low) if high is None else (low, high)
    dtype = dtype or input.dtype
    return randint(low, high, input.shape, generator=generator, dtype=dtype, **settings)


@spelled
def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with the probability each element of the input gives (or p), else 0. No gradient."""
    draws = _rng(generator).random(input.array.shape)
    return _made("bernoulli", (draws < (input.array if p is None else p)).astype(input.dtype), {})


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None,
    dtype: Any = None, **settings: Any,
) -> Tensor:  # fmt: skip
    """Numbers drawn from N(mean, std²): of ``size``, or one for each of a tensor's elements."""
    given = [x.array for x in (mean, std) if isinstance(x, Tensor)]
    shape = np.broadcast_shapes(*(a.shape for a in given)) if size is None else sizes_of((size,))
    if not given and size is None:
        raise ConfigError("normal: give size, or tensors for mean or std")
    dtype = np.dtype(dtype or (given[0].dtype if given else get_default_dtype()))
    centre, spread = (x.array if isinstance(x, Tensor) else x for x in (mean, std))
    values = _rng(generator).standard_normal(shape) * spread + centre
    return _made("normal", np.asarray(values).astype(dtype), settings)


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Whole numbers drawn from Poisson distributions with these means."""
    return _made("poisson", _rng(generator).poisson(input.array).astype(input.dtype), {})


@spelled
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Indices drawn by weight from each row of (N,) or (M, N): (num_samples,) or (M, num_samples).

    Without replacement the rows race: the index with the smallest e/w, e drawn exponentially,
    comes first. Source: Efraimidis & Spirakis 2006, doi:10.1016/j.ipl.2005.11.003.
    """
    weights = np.atleast_2d(input.array).astype(np.float64)
    if input.ndim not in (1, 2) or (weights < 0).any() or not np.isfinite(weights).all():
        raise ShapeError("multinomial: needs one or two axes of finite weights, none negative")
    available = (weights > 0).sum(1).min(initial=weights.shape[1])
    if available == 0 or (not replacement and num_samples > available):
        raise ConfigError(
            f"multinomial: {num_samples} draws without replacement of {available} with a weight"
        )
    rng = _rng(generator)
    if replacement:
        upto = np.cumsum(weights, 1)
        places = rng.random((len(weights), num_samples)) * upto[:, -1:]
        drawn = np.stack(
            [np.searchsorted(u, p, "right") for u, p in zip(upto, places, strict=True)]
        )
    else:
        with np.errstate(divide="ignore"):
            race = rng.exponential(size=weights.shape) / weights
        drawn = np.argsort(race, 1, kind="stable")[:, :num_samples]
    return _made("multinomial", drawn[0] if input.ndim == 1 else drawn, {})


# -- where the random numbers stand --------------------------------------------------------------


def get_rng_state() -> Tensor:
    """Where the default generator stands, as bytes; for `set_rng_state`."""
    return Tensor(np.frombuffer(json.dumps(default_generator.get_state()).encode(), np.uint8))


def set_rng_state(new_state: Tensor) -> None:
    """Let the default generator continue from a state of `get_rng_state`."""
    default_generator.set_state(json.loads(new_state.array.tobytes()))
