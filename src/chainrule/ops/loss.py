"""What losses share: how they are reduced, and how input and target are brought together."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from chainrule.errors import ConfigError, DTypeError, LabelError, ShapeError
from chainrule.ops.dtypes import result_type
from chainrule.ops.elementwise import cast, elementwise, expand
from chainrule.ops.op import Op, values_of
from chainrule.ops.reduction import mean, sum

Array = Any
Reduction = Literal["mean", "sum", "none"]


def reduce(loss: Array, reduction: Reduction) -> Array:
    """The mean or the sum of the losses, or the losses themselves."""
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum(loss)
    check_reduction(reduction)
    return loss


def check_reduction(reduction: Any) -> None:
    """Raise ConfigError unless ``reduction`` is one of the three."""
    if reduction not in ("mean", "sum", "none"):
        raise ConfigError(f'reduction must be "mean", "sum" or "none", got {reduction!r}')


def factor_of(reduction: Reduction, terms: int) -> float | None:
    """What a reduction multiplies the sum of its terms with; None if it adds nothing up."""
    if reduction == "mean":
        return 1 / terms if terms else math.nan
    check_reduction(reduction)
    return 1.0 if reduction == "sum" else None


def added(losses: Array, factor: float | None) -> Array:
    """factor · Σ losses; with None the losses as they are. For arrays, in an op's forward."""
    return losses if factor is None else losses.sum(dtype=losses.dtype) * factor


def scaled(g: Array, factor: float | None, by: float = 1.0) -> Array:
    """The gradient of each term of `added`, times a number; for a VJP."""
    factor = by if factor is None else by * factor
    return g if factor == 1 else g * factor


def through_float32(loss: Callable[..., Array]) -> Callable[..., Array]:
    """Compute a loss of float16 tensors in float32, and round once, at its end.

    A sum of float16 overflows at 65504, and a mean's factor 1/n loses its digits below 6e-5.
    """

    @functools.wraps(loss)
    def rounded_once(input: Array, *args: Any, **kwargs: Any) -> Array:
        if input.dtype != np.float16:
            return loss(input, *args, **kwargs)
        others = [a.dtype for a in (*args, *kwargs.values()) if hasattr(a, "dtype")]
        if any(d.kind == "f" and d != np.float16 for d in others):
            return loss(input, *args, **kwargs)
        wide = {k: _widened(a) for k, a in kwargs.items()}
        return cast(loss(_widened(input), *map(_widened, args), **wide), np.dtype(np.float16))

    return rounded_once


def _widened(a: Any) -> Any:
    return cast(a, np.dtype(np.float32)) if getattr(a, "dtype", None) == np.float16 else a


def paired(
    name: str, input: Array, target: Array, roles: str = "input and target"
) -> tuple[Array, Array]:
    """Input and target in one float dtype and one shape, to which both broadcast."""
    if input.dtype != target.dtype or input.dtype.kind != "f":
        dtype = result_type([values_of(input), values_of(target)])
        if dtype.kind != "f":
            raise DTypeError(f"{name}: expects floats, got {dtype}; convert with .float()")
        input, target = cast(input, dtype), cast(target, dtype)
    if input.shape == target.shape:
        return input, target
    try:
        shape = np.broadcast_shapes(tuple(input.shape), tuple(target.shape))
    except ValueError:
        raise ShapeError(
            f"{name}: {roles} need one shape, or shapes that broadcast\n"
            f"  {tuple(input.shape)}; {tuple(target.shape)}"
        ) from None
    return expand(input, shape), expand(target, shape)


def of_pairs(loss: Op, input: Array, target: Array, reduction: Reduction, *settings: Any) -> Array:
    """The op ``loss(input, target, factor, *settings)``, reduced in the same step."""
    input, target = paired(loss.name, input, target)
    return loss(input, target, factor_of(reduction, math.prod(input.shape)), *settings)


def check_same_shape(name: str, **arrays: Array) -> None:
    """Raise ShapeError unless all are of one shape: a loss of labels broadcasts nothing."""
    shapes = {role: tuple(a.shape) for role, a in arrays.items()}
    if len(set(shapes.values())) > 1:
        listed = "; ".join(f"{role} {shape}" for role, shape in shapes.items())
        raise ShapeError(f"{name}: {' and '.join(shapes)} need one shape\n  {listed}")


def check_target(name: str, target: Any) -> None:
    """Raise DTypeError unless the target is an array or a tensor."""
    if not hasattr(target, "dtype"):
        raise DTypeError(
            f"{name}: target must be a tensor or an array, got {type(target).__name__}"
        )


def class_numbers(name: str, scores: Array, target: Any, ignore_index: int | None = None) -> Any:
    """The labels as an integer array, each of them a class of ``scores`` (N, C, *)."""
    check_target(name, target)
    if scores.dtype.kind != "f":
        raise DTypeError(f"{name}: scores must be floats, got {scores.dtype}")
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{name}: target must hold class numbers (integers), got {target.dtype}")
    expected = (scores.shape[0], *scores.shape[2:]) if scores.ndim > 1 else ()
    labels = np.asarray(values_of(target))
    if scores.ndim == 1 and labels.shape == (1,):
        labels = labels.reshape(())
    if labels.shape != expected:
        raise ShapeError(
            f"{name}: target must be {expected}\n"
            f"  scores {tuple(scores.shape)} = (N, C, *); target {labels.shape}"
        )
    classes = class_count(scores)
    wrong = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        wrong &= labels != ignore_index
    if wrong.any():
        raise LabelError(
            f"{name}: target {labels[wrong].flat[0]} is no class: {classes} classes are "
            f"numbered 0 to {classes - 1}"
        )
    return labels


def class_count(scores: Array) -> int:
    """C of scores (N, C, *) or (C,)."""
    return int(scores.shape[1 if scores.ndim > 1 else 0])


def check_class_weights(name: str, scores: Array, weight: Array) -> None:
    """Raise ShapeError unless there is one weight a class (or none at all)."""
    if weight is not None and tuple(weight.shape) != (class_count(scores),):
        raise ShapeError(
            f"{name}: weight must hold one factor for each of the {class_count(scores)} classes\n"
            f"  scores {tuple(scores.shape)}; weight {tuple(weight.shape)}"
        )


@elementwise
def at_least(x: Array, least: float) -> Array:
    """max(x, least), for divisors and variances. dx = g, also where x was raised.

    Stopping the gradient there would leave what is too small as small as it is.
    """
    return np.maximum(x, least)


at_least.vjp(x=lambda g: g)
