"""Elementwise operations: arithmetic, comparison, exp, log, powers, selection.

Arguments of different shapes broadcast (NumPy's rules) and of different dtypes are promoted
(PyTorch's rules, `chainrule.ops.dtypes.promote`). Broadcasting copies a value to many places,
and the gradient of a copy is the sum of the gradients of the copies. So where a call did
broadcast or promote, its VJPs are followed by one step that undoes the way in: sum over the
broadcast axes, cast back. The formulas themselves are those of the textbook.

Gates: add distributes the gradient, multiply swaps its inputs, max routes it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import DTypeError, ShapeError
from chainrule.kernels.summation import add_up
from chainrule.ops.dtypes import NUMBERS, promote
from chainrule.ops.op import VJP, Op, Pullback, op, spelled

__all__ = [
    "abs",
    "add",
    "addcdiv",
    "addcmul",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "cast",
    "ceil",
    "clamp",
    "clone",
    "cos",
    "div",
    "eq",
    "exp",
    "expand",
    "expm1",
    "fill",
    "floor",
    "floor_divide",
    "ge",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "lerp",
    "log",
    "log1p",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "neg",
    "pow",
    "reciprocal",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sqrt",
    "square",
    "sub",
    "where",
]

Array = Any  # a NumPy array, or in a VJP a Tensor


class ElementwiseOp(Op):
    """An op that promotes and broadcasts its array arguments, and undoes both in its VJPs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.to_float = False  # integers become the default float type, as for exp or division
        self.operands: tuple[int, ...] = ()  # positions of the arguments that meet in one dtype
        self._formulas: dict[str, VJP] = {}  # as written, without the undoing
        self._plain: dict[tuple[int, ...], Pullback] = {}

    def compute(self, args: Any) -> tuple[Any, Any]:
        dtype = None
        for i in self.operands:  # the usual case, kept fast: one float dtype, numbers beside it
            a = args[i]
            if type(a) is np.ndarray:
                if dtype is None:
                    dtype = a.dtype
                elif a.dtype is not dtype:
                    dtype = None
                    break
            elif type(a) not in NUMBERS:
                dtype = None
                break
        if dtype is None or dtype.kind != "f":
            args = promote(args, self.operands, self.to_float)
        try:
            return self.forward(*args), None
        except ValueError:
            self._check_shapes(args)
            raise

    def _check_shapes(self, args: Sequence[Any]) -> None:
        shapes = [np.shape(a) for a in args]
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            roles = zip(self.parameters, shapes, strict=True)
            raise ShapeError(
                f"{self.name}: shapes do not broadcast; align them from the last axis, where "
                "lengths must agree or be 1\n  " + "; ".join(f"{n} {s}" for n, s in roles if s)
            ) from None

    def pullback(self, wanted: tuple[int, ...], arrays: Sequence[Any], y: Any) -> Pullback:
        if not self._as_they_are(arrays, y):
            return super().pullback(wanted, arrays, y)
        plan = self._plain.get(wanted)
        if plan is None:
            plan = self._plain[wanted] = self._plan(wanted, self._formulas)
        return plan

    def _as_they_are(self, arrays: Sequence[Any], y: Any) -> bool:
        """Whether the call neither broadcast nor promoted: the usual case, kept fast."""
        shape, dtype = y.shape, y.dtype
        for i in self.operands:
            a = arrays[i]
            if type(a) not in NUMBERS and (a.dtype is not dtype or a.shape != shape):
                return False
        return True

    def _declare(
        self, inputs: tuple[str, ...], function: Callable[..., Any], needs: tuple[str, ...]
    ) -> None:
        (name,) = inputs

        def undo_broadcast(g: Array, shape: Any, dtype: Any, *values: Any) -> Array:
            d = function(g, *values)
            if d.shape != shape:
                d = sum_to(d, shape)
            return d if d.dtype == dtype else cast(d, dtype)

        super()._declare(inputs, undo_broadcast, (f"{name}_shape", f"{name}_dtype", *needs))
        self._formulas[name] = VJP(inputs, function, needs)
        self._plain.clear()


def elementwise(
    forward: Callable[..., Any] | None = None,
    *,
    to_float: bool = False,
    operands: tuple[str, ...] | None = None,
) -> Any:
    """Make a function an elementwise op.

    to_float: integer input becomes the default float dtype.
    operands: the arguments that broadcast and are promoted together (None: all).
    """
    if forward is None:
        return functools.partial(elementwise, to_float=to_float, operands=operands)
    made = op(forward, kind=ElementwiseOp)
    made.to_float = to_float
    made.operands = tuple(made.position[n] for n in operands or made.parameters)
    return made


@op
def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Sum ``x`` down to ``shape``: the transpose of broadcasting ``shape`` to ``x.shape``."""
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1
    )
    return add_up(x, axes, True, x.dtype).reshape(shape)


@op(view=True)
def cast(x: Array, dtype: Any) -> Array:
    """Convert to another dtype (a view where it has it already); the gradient converts back."""
    return x.astype(dtype, copy=False)


cast.vjp(x=lambda g, x_dtype: cast(g, x_dtype))


@op(view=True)
def expand(x: Array, shape: tuple[int, ...]) -> Array:
    """Repeat axes of length one (and new leading axes) without a copy; -1 keeps a length.

    x (..., 1, ...) -> (..., n, ...). A copy gate: dL/dx is the sum over the copies.
    """
    lead = len(shape) - x.ndim
    full = tuple(x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape))
    try:
        return np.broadcast_to(x, full)
    except ValueError:
        raise ShapeError(
            f"expand: only axes of length one can be repeated\n  x {x.shape}; shape {tuple(shape)}"
        ) from None


expand.vjp(x=lambda g, x_shape: sum_to(g, x_shape))
sum_to.vjp(x=lambda g, x_shape: expand(g, x_shape))


# -- arithmetic ------------------------------------------------------------------------------


@elementwise(operands=("a", "b"))
def add(a: Array, b: Array, alpha: float = 1) -> Array:
    """a + αb. The gate that distributes: da = g, db = αg."""
    if alpha != 1:
        return a + alpha * b
    if type(a) is type(b) is np.ndarray and a.ndim == 4 and a.shape == b.shape:
        return kernels.add(a, b)  # of images: a pass over memory worth its threads
    return a + b


add.vjp(a=lambda g: g, b=lambda g, alpha: g if alpha == 1 else g * alpha)


@elementwise(operands=("a", "b"))
def sub(a: Array, b: Array, alpha: float = 1) -> Array:
    """a - αb. da = g, db = -αg."""
    return np.subtract(a, b if alpha == 1 else alpha * b)


sub.vjp(a=lambda g: g, b=lambda g, alpha: -g if alpha == 1 else g * -alpha)


@elementwise
def mul(a: Array, b: Array) -> Array:
    """a · b. The gate that swaps: da = g·b, db = g·a."""
    return a * b


mul.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)


@elementwise(to_float=True)
def div(a: Array, b: Array) -> Array:
    """a / b. da = g/b, db = -g·a/b². Integers divide to floats."""
    return np.true_divide(a, b)


div.vjp(a=lambda g, b: g / b, b=lambda g, a, b: -g * a / (b * b))


@elementwise
def floor_divide(a: Array, b: Array) -> Array:
    """⌊a / b⌋. Piecewise constant: its gradient is zero."""
    return np.floor_divide(a, b)


floor_divide.vjp(a=lambda g: zeros_like(g), b=lambda g: zeros_like(g))


@elementwise
def remainder(a: Array, b: Array) -> Array:
    """a - b·⌊a/b⌋, with the sign of b. da = g, db = -g·⌊a/b⌋ (away from the jumps)."""
    return np.remainder(a, b)


remainder.vjp(a=lambda g: g, b=lambda g, a, b: -g * floor_divide(a, b))


@elementwise
def neg(x: Array) -> Array:
    """-x. dx = -g."""
    return -x


neg.vjp(x=lambda g: -g)


@elementwise
def pow(a: Array, b: Array) -> Array:
    """a^b. da = g·b·a^(b-1) (0 where b = 0), db = g·y·ln a (0 where a = 0 and b ≥ 0)."""
    y = a**b
    if y.dtype == np.int8 and np.result_type(a) == np.bool_:
        raise DTypeError("pow: booleans have no powers; convert with .int() or .float()")
    return y


def _pow_base(g: Array, a: Array, b: Array) -> Array:
    if isinstance(b, int | float):
        return g * (2 * a) if b == 2 else g * (b * a ** (b - 1)) if b != 0 else zeros_like(g)
    return where(b == 0, 0.0, g * b * a ** where(b == 0, 1, b - 1))


def _pow_exponent(g: Array, y: Array, a: Array, b: Array) -> Array:
    defined = (a != 0) | (b < 0)
    return where(defined, g * y * log(where(defined, a, 1.0)), 0.0)


pow.vjp(a=_pow_base, b=_pow_exponent)


@elementwise
def maximum(a: Array, b: Array) -> Array:
    """The larger of two. The gate that routes: g goes to the winner, half each at a tie."""
    return np.maximum(a, b)


@elementwise
def minimum(a: Array, b: Array) -> Array:
    """The smaller of two. g goes to the winner, half each at a tie."""
    return np.minimum(a, b)


def _winner(g: Array, wins: Array, ties: Array) -> Array:
    return where(wins, g, where(ties, g / 2, 0.0))


maximum.vjp(
    a=lambda g, a, b: _winner(g, a > b, a == b),
    b=lambda g, a, b: _winner(g, b > a, a == b),
)
minimum.vjp(
    a=lambda g, a, b: _winner(g, a < b, a == b),
    b=lambda g, a, b: _winner(g, b < a, a == b),
)


@elementwise
def clamp(x: Array, min: Array = None, max: Array = None) -> Array:
    """min(max(x, min), max); either bound may be None.

    dx = g where min ≤ x ≤ max; a bound receives g where it was taken.
    """
    y = x if min is None else np.maximum(x, min)
    return y if max is None else np.minimum(y, max)


def _clamp_inside(g: Array, x: Array, min: Array, max: Array) -> Array:
    if min is not None:
        g = where(x >= min, g, 0.0)
    return g if max is None else where(x <= max, g, 0.0)


clamp.vjp(
    x=_clamp_inside,
    min=lambda g, x, min, max: where(x < min if max is None else (x < min) & (min < max), g, 0.0),
    max=lambda g, x, min, max: where(x > max if min is None else (x > max) | (max < min), g, 0.0),
)


@elementwise(operands=("a", "b"))
def where(condition: Array, a: Array, b: Array) -> Array:
    """a where the condition holds, else b. da = g there, 0 elsewhere; db the opposite."""
    return np.where(condition, a, b)


where.vjp(
    a=lambda g, condition: where(condition, g, 0.0),
    b=lambda g, condition: where(condition, 0.0, g),
)


@spelled
def lerp(start: Array, end: Array, weight: Array) -> Array:
    """start + w·(end - start): a way from start to end, w = ``weight``."""
    return add(start, mul(weight, sub(end, start)))


@spelled
def addcmul(x: Array, a: Array, b: Array, value: float = 1) -> Array:
    """x + value·a·b."""
    return add(x, mul(a, b), value)


@spelled
def addcdiv(x: Array, a: Array, b: Array, value: float = 1) -> Array:
    """x + value·a/b."""
    return add(x, div(a, b), value)


# -- functions of one number -------------------------------------------------------------------


@elementwise
def abs(x: Array) -> Array:
    """|x|. dx = g·sign(x), 0 at 0."""
    return np.abs(x)


@elementwise
def sign(x: Array) -> Array:
    """-1, 0 or 1; 0 for NaN. Piecewise constant: its gradient is zero."""
    return x.copy() if x.dtype == np.bool_ else np.subtract(x > 0, x < 0, dtype=x.dtype)


abs.vjp(x=lambda g, x: g * sign(x))
sign.vjp(x=lambda g: zeros_like(g))


@elementwise(to_float=True)
def exp(x: Array) -> Array:
    """eˣ. dx = g·y."""
    return np.exp(x)


exp.vjp(x=lambda g, y: g * y)


@elementwise(to_float=True)
def expm1(x: Array) -> Array:
    """eˣ - 1, exact near 0. dx = g·(y + 1)."""
    return np.expm1(x)


expm1.vjp(x=lambda g, y: g * (y + 1))


@elementwise(to_float=True)
def log(x: Array) -> Array:
    """Natural logarithm. dx = g/x."""
    return np.log(x)


log.vjp(x=lambda g, x: g / x)


@elementwise(to_float=True)
def log1p(x: Array) -> Array:
    """ln(1 + x), exact near 0. dx = g/(1 + x)."""
    return np.log1p(x)


log1p.vjp(x=lambda g, x: g / (x + 1))


@elementwise(to_float=True)
def sqrt(x: Array) -> Array:
    """√x. dx = g/(2y)."""
    return np.sqrt(x)


sqrt.vjp(x=lambda g, y: g / (2 * y))


@elementwise(to_float=True)
def rsqrt(x: Array) -> Array:
    """1/√x. dx = -g·y³/2."""
    return 1 / np.sqrt(x)


rsqrt.vjp(x=lambda g, y: g * (y * y * y) * -0.5)


@elementwise(to_float=True)
def reciprocal(x: Array) -> Array:
    """1/x. dx = -g·y²."""
    return np.true_divide(1, x)


reciprocal.vjp(x=lambda g, y: -g * (y * y))


@elementwise
def square(x: Array) -> Array:
    """x². dx = 2·g·x. Booleans become int64."""
    return x * (x.astype(np.int64) if x.dtype == np.bool_ else x)


square.vjp(x=lambda g, x: g * (2 * x))


@elementwise(to_float=True)
def sin(x: Array) -> Array:
    """Sine, x in radians. dx = g·cos x."""
    return np.sin(x)


@elementwise(to_float=True)
def cos(x: Array) -> Array:
    """Cosine, x in radians. dx = -g·sin x."""
    return np.cos(x)


sin.vjp(x=lambda g, x: g * cos(x))
cos.vjp(x=lambda g, x: -g * sin(x))


@elementwise
def clone(x: Array) -> Array:
    """A copy that keeps the memory order. dx = g."""
    return x.copy(order="K")


clone.vjp(x=lambda g: g)


@elementwise
def zeros_like(x: Array) -> Array:
    """Zeros of the same shape, dtype and memory order. Constant: no gradient."""
    return np.zeros_like(x, subok=False)


@op
def fill(x: Array, value: Array) -> Array:
    """``value``, broadcast and converted, in the shape and dtype of x, of which nothing stays."""
    y = np.empty_like(x, subok=False)
    try:
        y[...] = value
    except ValueError:
        raise ShapeError(
            f"fill: value cannot be broadcast to x\n  x {x.shape}; value {np.shape(value)}"
        ) from None
    return y


fill.vjp(
    x=lambda g: zeros_like(g),
    value=lambda g, value_shape, value_dtype: cast(sum_to(g, value_shape), value_dtype),
)


# -- without gradient --------------------------------------------------------------------------


@elementwise
def eq(a: Array, b: Array) -> Array:
    """a = b, as booleans."""
    return np.equal(a, b)


@elementwise
def ne(a: Array, b: Array) -> Array:
    """a ≠ b, as booleans."""
    return np.not_equal(a, b)


@elementwise
def lt(a: Array, b: Array) -> Array:
    """a < b, as booleans."""
    return np.less(a, b)


@elementwise
def le(a: Array, b: Array) -> Array:
    """a ≤ b, as booleans."""
    return np.less_equal(a, b)


@elementwise
def gt(a: Array, b: Array) -> Array:
    """a > b, as booleans."""
    return np.greater(a, b)


@elementwise
def ge(a: Array, b: Array) -> Array:
    """a ≥ b, as booleans."""
    return np.greater_equal(a, b)


@elementwise(operands=("a", "b"))
def isclose(
    a: Array, b: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    """|a - b| ≤ atol + rtol·|b|, as booleans. NaN is close to nothing, or to NaN (equal_nan)."""
    return np.isclose(a, b, rtol, atol, equal_nan)


@elementwise
def logical_and(a: Array, b: Array) -> Array:
    """True where both are nonzero."""
    return np.logical_and(a, b)


@elementwise
def logical_or(a: Array, b: Array) -> Array:
    """True where either is nonzero."""
    return np.logical_or(a, b)


@elementwise
def logical_xor(a: Array, b: Array) -> Array:
    """True where one of both is nonzero."""
    return np.logical_xor(a, b)


@elementwise
def logical_not(x: Array) -> Array:
    """True where x is zero."""
    return np.logical_not(x)


@elementwise
def bitwise_and(a: Array, b: Array) -> Array:
    """a & b for booleans and integers."""
    return np.bitwise_and(a, b)


@elementwise
def bitwise_or(a: Array, b: Array) -> Array:
    """a | b for booleans and integers."""
    return np.bitwise_or(a, b)


@elementwise
def bitwise_xor(a: Array, b: Array) -> Array:
    """a ^ b for booleans and integers."""
    return np.bitwise_xor(a, b)


@elementwise
def bitwise_not(x: Array) -> Array:
    """~x for booleans and integers."""
    return np.invert(x)


@elementwise
def isnan(x: Array) -> Array:
    """True where x is not a number."""
    return np.isnan(x)


@elementwise
def isinf(x: Array) -> Array:
    """True where x is an infinity."""
    return np.isinf(x)


@elementwise
def isfinite(x: Array) -> Array:
    """True where x is neither an infinity nor not a number."""
    return np.isfinite(x)


@elementwise
def floor(x: Array) -> Array:
    """The largest whole number not above x. Piecewise constant: its gradient is zero."""
    return np.floor(x)


@elementwise
def ceil(x: Array) -> Array:
    """The smallest whole number not below x. Its gradient is zero."""
    return np.ceil(x)


@elementwise(operands=("x",))
def round(x: Array, decimals: int = 0) -> Array:
    """The nearest number with so many decimals, halves to even. Its gradient is zero."""
    return np.round(x, decimals)


for _step in (floor, ceil, round):
    _step.vjp(x=lambda g: zeros_like(g))
