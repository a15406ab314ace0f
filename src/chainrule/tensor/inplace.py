"""Methods that change a tensor in place: ``x.add_(y)``, ``x.relu_()``, ``x[i] = y``.

Each is the op of that name, its result put where x was (`chainrule.autograd.change` says how the
graph and other views of the memory take it). A leaf that requires grad can only be changed
outside the graph, and read-only memory (an expanded tensor) not at all: both are refused.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from chainrule import ops
from chainrule.autograd.change import assign, change, put, view
from chainrule.autograd.graph import Variable
from chainrule.errors import DTypeError, ShapeError
from chainrule.random import Generator, default_generator, uniform


def _in_place(function: Callable[..., Any], name: str | None = None) -> Any:
    """The method that puts the result of an op where x was."""
    name = name or function.__name__

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return change(self, function, *args, **kwargs)

    method.__name__ = f"{name}_"
    method.__doc__ = f"x ← {name}(x, ...): see `chainrule.ops.{function.__name__}`."
    return method


def _constant(function: Callable[..., Any]) -> Callable[..., Any]:
    """An op without a gradient as one whose gradient is 0: nothing of x stays in its result."""

    @functools.wraps(function.forward)  # type: ignore[attr-defined]
    def filled(x: Any, *args: Any) -> Any:
        return ops.fill(x, function(x, *args))

    return filled


def _swapped_view(function: Callable[..., Any], name: str) -> Any:
    """The method that makes of x a view of itself."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return view(self, function, *args, **kwargs)

    method.__name__ = f"{name}_"
    method.__doc__ = f"x becomes {name}(x, ...), over the same memory."
    return method


class InPlace(Variable):
    """The part of `chainrule.Tensor` that changes it."""

    __slots__ = ()

    def __setitem__(self, index: Any, value: Any) -> None:
        index = spelled_out(as_index(index), self.array.ndim)
        if has_numbers_beside_arrays(index):
            ahead, index = numbers_first(index)
            put(ops.getitem(self, ahead), index, value)
        else:
            put(self, index, value)

    # -- arithmetic ------------------------------------------------------------------------

    add_ = _in_place(ops.add)
    sub_ = subtract_ = _in_place(ops.sub)
    mul_ = multiply_ = _in_place(ops.mul)
    div_ = divide_ = true_divide_ = _in_place(ops.div)
    floor_divide_ = _in_place(ops.floor_divide)
    remainder_ = _in_place(ops.remainder)
    fmod_ = _in_place(ops.fmod)
    pow_ = _in_place(ops.pow)
    neg_ = negative_ = _in_place(ops.neg)
    reciprocal_ = _in_place(ops.reciprocal)
    lerp_ = _in_place(ops.lerp)
    addcmul_ = _in_place(ops.addcmul)
    addcdiv_ = _in_place(ops.addcdiv)
    copysign_ = _in_place(ops.copysign)
    hypot_ = _in_place(ops.hypot)
    atan2_ = arctan2_ = _in_place(ops.atan2)
    xlogy_ = _in_place(ops.xlogy)
    gcd_ = _in_place(ops.gcd)
    lcm_ = _in_place(ops.lcm)
    ldexp_ = _in_place(ops.ldexp)
    nextafter_ = _in_place(ops.nextafter)
    heaviside_ = _in_place(ops.heaviside)
    float_power_ = _in_place(ops.float_power)
    renorm_ = _in_place(ops.renorm)
    cumprod_ = _in_place(ops.cumprod)
    addmm_ = _in_place(ops.addmm)
    addmv_ = _in_place(ops.addmv)
    addr_ = _in_place(ops.addr)
    addbmm_ = _in_place(ops.addbmm)
    baddbmm_ = _in_place(ops.baddbmm)

    __iadd__ = add_
    __isub__ = sub_
    __imul__ = mul_
    __itruediv__ = div_
    __ifloordiv__ = floor_divide_
    __imod__ = remainder_
    __ipow__ = pow_

    # -- of one number ---------------------------------------------------------------------

    abs_ = absolute_ = _in_place(ops.abs)
    sign_ = _in_place(ops.sign)
    sgn_ = _in_place(ops.sign, "sgn")
    exp_ = _in_place(ops.exp)
    exp2_ = _in_place(ops.exp2)
    expm1_ = _in_place(ops.expm1)
    log_ = _in_place(ops.log)
    log2_ = _in_place(ops.log2)
    log10_ = _in_place(ops.log10)
    log1p_ = _in_place(ops.log1p)
    sqrt_ = _in_place(ops.sqrt)
    rsqrt_ = _in_place(ops.rsqrt)
    square_ = _in_place(ops.square)
    sin_ = _in_place(ops.sin)
    cos_ = _in_place(ops.cos)
    tan_ = _in_place(ops.tan)
    asin_ = arcsin_ = _in_place(ops.asin)
    acos_ = arccos_ = _in_place(ops.acos)
    atan_ = arctan_ = _in_place(ops.atan)
    sinh_ = _in_place(ops.sinh)
    cosh_ = _in_place(ops.cosh)
    tanh_ = _in_place(ops.tanh)
    asinh_ = arcsinh_ = _in_place(ops.asinh)
    acosh_ = arccosh_ = _in_place(ops.acosh)
    atanh_ = arctanh_ = _in_place(ops.atanh)
    sinc_ = _in_place(ops.sinc)
    deg2rad_ = _in_place(ops.deg2rad)
    rad2deg_ = _in_place(ops.rad2deg)
    logit_ = _in_place(ops.logit)
    sigmoid_ = _in_place(ops.sigmoid)
    relu_ = _in_place(ops.relu)
    erf_ = _in_place(ops.erf)
    erfc_ = _in_place(ops.erfc)
    erfinv_ = _in_place(ops.erfinv)
    floor_ = _in_place(ops.floor)
    ceil_ = _in_place(ops.ceil)
    round_ = _in_place(ops.round)
    trunc_ = fix_ = _in_place(ops.trunc)
    frac_ = _in_place(ops.frac)
    nan_to_num_ = _in_place(ops.nan_to_num)

    def clamp_(self, min: Any = None, max: Any = None) -> Self:
        """x ← clamp(x, min, max): see `chainrule.ops.clamp`."""
        return change(self, ops.clamp, min, max)

    clip_ = clamp_

    def clamp_min_(self, min: Any) -> Self:
        """x ← max(x, min)."""
        return change(self, ops.clamp, min, None)

    def clamp_max_(self, max: Any) -> Self:
        """x ← min(x, max)."""
        return change(self, ops.clamp, None, max)

    # -- comparison and logic --------------------------------------------------------------

    eq_ = _in_place(_constant(ops.eq))
    ne_ = not_equal_ = _in_place(_constant(ops.ne))
    lt_ = less_ = _in_place(_constant(ops.lt))
    le_ = less_equal_ = _in_place(_constant(ops.le))
    gt_ = greater_ = _in_place(_constant(ops.gt))
    ge_ = greater_equal_ = _in_place(_constant(ops.ge))
    logical_and_ = _in_place(ops.logical_and)
    logical_or_ = _in_place(ops.logical_or)
    logical_xor_ = _in_place(ops.logical_xor)
    logical_not_ = _in_place(ops.logical_not)
    bitwise_and_ = __iand__ = _in_place(ops.bitwise_and)
    bitwise_or_ = __ior__ = _in_place(ops.bitwise_or)
    bitwise_xor_ = __ixor__ = _in_place(ops.bitwise_xor)
    bitwise_not_ = _in_place(ops.bitwise_not)
    bitwise_left_shift_ = __ilshift__ = _in_place(ops.bitwise_left_shift)
    bitwise_right_shift_ = __irshift__ = _in_place(ops.bitwise_right_shift)

    # -- by index and by mask --------------------------------------------------------------

    scatter_ = _in_place(ops.scatter)
    scatter_add_ = _in_place(ops.scatter_add)
    scatter_reduce_ = _in_place(ops.scatter_reduce)
    index_add_ = _in_place(ops.index_add)
    index_copy_ = _in_place(ops.index_copy)
    index_fill_ = _in_place(ops.index_fill)
    index_reduce_ = _in_place(ops.index_reduce)
    masked_fill_ = _in_place(ops.masked_fill)
    masked_scatter_ = _in_place(ops.masked_scatter)
    put_ = _in_place(ops.put)
    tril_ = _in_place(ops.tril)
    triu_ = _in_place(ops.triu)
    cumsum_ = _in_place(ops.cumsum)
    cumprod_ = _in_place(ops.cumprod)
    addmm_ = _in_place(ops.addmm)
    addmv_ = _in_place(ops.addmv)
    addr_ = _in_place(ops.addr)
    baddbmm_ = _in_place(ops.baddbmm)
    addbmm_ = _in_place(ops.addbmm)

    def index_put_(self, indices: Any, values: Any, accumulate: builtins.bool = False) -> Self:
        """x[indices] ← values, or x[indices] ← x[indices] + values, repeated ones as often."""
        index = tuple(as_index(i) for i in indices)
        if not accumulate:
            put(self, index, values)
            return self
        return change(self, _added_at, values, index)

    def fill_diagonal_(self, fill_value: float, wrap: builtins.bool = False) -> Self:
        """x[i, i, ...] ← fill_value; wrap: go on below the square part of a tall matrix."""
        shape = self.array.shape
        if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
            raise ShapeError(f"fill_diagonal_: needs a matrix, or axes of one length\n  x {shape}")
        mask = np.zeros(shape, np.bool_)
        np.fill_diagonal(mask, True, wrap)
        return change(self, ops.masked_fill, mask, fill_value)

    # -- other axes over the same memory -----------------------------------------------------

    squeeze_ = _swapped_view(ops.squeeze, "squeeze")
    unsqueeze_ = _swapped_view(ops.unsqueeze, "unsqueeze")
    transpose_ = swapaxes_ = swapdims_ = _swapped_view(ops.transpose, "transpose")

    def t_(self) -> Self:
        """x becomes its transpose, over the same memory."""
        return view(self, lambda x: x.t())

    # -- values ----------------------------------------------------------------------------

    def copy_(self, other: Any, non_blocking: builtins.bool = False) -> Self:
        """x ← other, broadcast and converted to x's dtype."""
        return assign(self, other)

    def fill_(self, value: Any) -> Self:
        """x ← value everywhere."""
        if np.ndim(value.array if isinstance(value, Variable) else value) > 0:
            raise ShapeError("fill_: value must be a number; use copy_ for more")
        return assign(self, value)

    def zero_(self) -> Self:
        """x ← 0."""
        return assign(self, 0)

    # -- from chance -------------------------------------------------------------------------

    def uniform_(
        self, a: float = 0, b: float = 1, generator: Generator | None = None, **named: float
    ) -> Self:
        """x ← numbers drawn evenly from [a, b). PyTorch's names of the two: from, to."""
        a, b = named.pop("from", a), named.pop("to", b)
        values = uniform(_rng(generator), self.array.shape, self.array.dtype)
        return assign(self, values * (b - a) + a)

    def normal_(self, mean: float = 0, std: float = 1, generator: Generator | None = None) -> Self:
        """x ← numbers drawn from the normal distribution N(mean, std²)."""
        return assign(self, _rng(generator).standard_normal(self.array.shape) * std + mean)

    def bernoulli_(self, p: Any = 0.5, generator: Generator | None = None) -> Self:
        """x ← 1 with probability p (a number, or one for each element), else 0."""
        p = p.array if isinstance(p, Variable) else p
        return assign(self, _rng(generator).random(self.array.shape) < p)

    def exponential_(self, lambd: float = 1, generator: Generator | None = None) -> Self:
        """x ← numbers drawn with the density λ·e^(-λx)."""
        return assign(self, _rng(generator).exponential(1 / lambd, self.array.shape))

    def cauchy_(
        self, median: float = 0, sigma: float = 1, generator: Generator | None = None
    ) -> Self:
        """x ← numbers drawn from the Cauchy distribution."""
        draws = _rng(generator).standard_cauchy(self.array.shape)
        return assign(self, draws * sigma + median)

    def log_normal_(
        self, mean: float = 1, std: float = 2, generator: Generator | None = None
    ) -> Self:
        """x ← e to the power of numbers drawn from N(mean, std²)."""
        return assign(self, _rng(generator).lognormal(mean, std, self.array.shape))

    def geometric_(self, p: float, generator: Generator | None = None) -> Self:
        """x ← how many trials it took to the first success, each having probability p."""
        return assign(self, _rng(generator).geometric(p, self.array.shape))

    def random_(self, *bounds: int, generator: Generator | None = None, **named: int) -> Self:
        """x ← whole numbers: random_(to) from 0..to-1, random_(from, to), or all x can hold."""
        low, high = ((0, *bounds) if len(bounds) < 2 else bounds) if bounds else (0, None)
        low, high = named.pop("from", low), named.pop("to", high)
        dtype = self.array.dtype
        if high is None:
            if dtype.kind == "f":
                high = 2 ** (np.finfo(dtype).nmant + 1) + 1
            else:
                high = 2 if dtype.kind == "b" else int(np.iinfo(dtype).max) + 1
        if high <= low:
            raise DTypeError(f"random_: there is no whole number from {low} to below {high}")
        wide = np.uint64 if high > 2**63 else np.int64
        return assign(self, _rng(generator).integers(low, high, self.array.shape, wide))


def _rng(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator).rng


def _added_at(x: Any, values: Any, index: Any) -> Any:
    """x with ``values`` added at x[index]."""
    chosen = x[index].shape
    if not isinstance(values, Variable):
        values = Variable.of(np.asarray(values, x.dtype))
    return x + ops.add_at(ops.expand(values, tuple(chosen)), index, tuple(x.shape))


# -- what stands in brackets -------------------------------------------------------------------


def as_index(index: Any) -> Any:
    """An index as NumPy takes it: tensors and sequences become arrays.

    As in PyTorch, uint8 tensors are masks, and a tensor that is one whole number is a number.
    """
    if isinstance(index, Variable):
        array = index.array
        if array.ndim == 0 and array.dtype.kind in "iu" and array.dtype != np.uint8:
            return int(array)
        if array.dtype == np.uint8:
            return array.astype(np.bool_)
        return array
    if type(index) is tuple:
        return tuple([as_index(i) for i in index])
    if isinstance(index, list | range):
        return np.asarray([as_index(i) for i in index]) if len(index) else np.zeros(0, np.int64)
    return index


def has_numbers_beside_arrays(index: Any) -> builtins.bool:
    """Whether single numbers stand beside arrays, where NumPy and PyTorch part."""
    return (
        type(index) is tuple
        and builtins.any(_is_array(i) for i in index)
        and builtins.any(_is_number(i) for i in index)
    )


def spelled_out(index: Any, ndim: int) -> Any:
    """``index`` with full slices for an Ellipsis among arrays.

    NumPy counts two arrays as apart if an Ellipsis is between them that stands for no axis.
    """
    if type(index) is not tuple or not builtins.any(i is Ellipsis for i in index):
        return index
    arrays = [i for i in index if _is_array(i)]
    if len(arrays) < 2:
        return index
    taken = builtins.sum(i.ndim if i.dtype == np.bool_ else 1 for i in arrays)
    taken += builtins.sum(_is_number(i) or isinstance(i, slice) for i in index)
    at = next(n for n, i in enumerate(index) if i is Ellipsis)
    return (*index[:at], *(slice(None),) * (ndim - taken), *index[at + 1 :])


def numbers_first(index: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Two indices to apply one after the other: numbers and slices, then arrays.

    x[0, :, [1, 2]] is x[0][:, [1, 2]] to PyTorch; NumPy takes 0 for an array, and puts the axis
    of two arrays that stand apart first.
    """
    ahead: list[Any] = []
    then: list[Any] = []
    for part in index:
        if _is_array(part):
            ahead += [slice(None)] * (part.ndim if part.dtype == np.bool_ else 1)
            then.append(part)
        else:
            ahead.append(part)
            if not _is_number(part):
                then.append(part if part is Ellipsis else slice(None))
    return tuple(ahead), tuple(then)


def _is_array(part: Any) -> builtins.bool:
    return isinstance(part, np.ndarray) and (part.ndim > 0 or part.dtype == np.bool_)


def _is_number(part: Any) -> builtins.bool:
    return isinstance(part, int | np.integer) and not isinstance(part, builtins.bool)
