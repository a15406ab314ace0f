"""What elementwise means: arguments meet in one shape and dtype, and their gradients part again.

Arguments of different shapes broadcast (NumPy's rules) and of different dtypes are promoted
(PyTorch's rules, `chainrule.ops.dtypes.promote`). Broadcasting copies a value to many places,
and the gradient of a copy is the sum of the gradients of the copies. So where a call did
broadcast or promote, its VJPs are followed by one step that undoes the way in: sum over the
broadcast axes, cast back. The formulas themselves, in `chainrule.ops.arithmetic` and other
families, are those of the textbook.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.kernels.summation import add_up
from chainrule.ops.dtypes import NUMBERS, promote
from chainrule.ops.op import VJP, Op, Pullback, op, values_of
from chainrule.ops.refusal import COMPLAINTS

__all__ = [
    "cast",
    "clone",
    "expand",
    "fill",
]

Array = Any  # a NumPy array, or in a VJP a Tensor


class ElementwiseOp(Op):
    """An op that promotes and broadcasts its array arguments, and undoes both in its VJPs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.to_float = False  # integers become the default float type, as for exp or division
        self.operands: tuple[int, ...] = ()  # positions of the arguments that meet in one dtype
        self.check: Callable[..., None] | None = None  # of arguments that are not all floats
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
            if self.check is not None:
                self.check(self.name, *args)
            try:
                args = promote(args, self.operands, self.to_float)
            except DTypeError as e:
                raise DTypeError(f"{self.name}: {e}") from None
        try:
            return self.forward(*args), None
        except COMPLAINTS as e:
            if isinstance(e, ValueError):
                self._check_shapes(args)
            error = self.refused(args, e)
            if error is e:
                raise
            raise error from e

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
        copies = np.broadcast_to(x, full)
        return copies if copies.size != x.size else x.reshape(full)  # the first is read-only
    except ValueError:
        raise ShapeError(
            f"expand: only axes of length one can be repeated\n  x {x.shape}; shape {tuple(shape)}"
        ) from None


expand.vjp(x=lambda g, x_shape: sum_to(g, x_shape))
sum_to.vjp(x=lambda g, x_shape: expand(g, x_shape))


# -- copies and constants ----------------------------------------------------------------------


@elementwise
def clone(x: Array) -> Array:
    """A copy that keeps the memory order. dx = g."""
    return x.copy(order="K")


clone.vjp(x=lambda g: g)


def apart(y: Array, x: Array) -> Array:
    """y, which was made of x by moving entries; copied where it still lies in x's memory.

    For functions that PyTorch lets copy always: what changes their results in place expects that
    x stays as it is.
    """
    return clone(y) if np.may_share_memory(values_of(y), values_of(x)) else y


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


@op
def constant(x: Array, values: Array) -> Array:
    """``values``, plain numbers, as an array or a tensor, as x is one."""
    return np.asarray(values)
