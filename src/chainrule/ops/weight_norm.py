"""Lengths taken off vectors, and put on again: normalize and weight normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.kernels.reference.precision import half_in_single
from chainrule.ops.arithmetic import clamp, square
from chainrule.ops.axes import no_such_axis
from chainrule.ops.op import op
from chainrule.ops.reduction import check_float, norm, sum
from chainrule.ops.shape import reshape

__all__ = ["norm_except_dim", "normalize", "weight_norm"]

Array = Any


def normalize(x: Array, p: float = 2.0, dim: int | Sequence[int] = 1, eps: float = 1e-12) -> Array:
    """Divide vectors by their p-norm: y = x / max(‖x‖_p, eps), norms over ``dim``."""
    check_float("normalize", x)
    return x / clamp(norm(x, p, dim, True), eps)


def _all_but(dim: int, ndim: int) -> tuple[int, ...]:
    """The axes that one norm of `weight_norm` is over; ``dim`` -1 stands for none."""
    if dim == -1:
        return tuple(range(ndim))
    if not -ndim <= dim < ndim:
        raise no_such_axis("weight_norm", dim, ndim)
    return tuple(axis for axis in range(ndim) if axis != dim % ndim)


def norm_except_dim(v: Array, pow: float = 2, dim: int = 0) -> Array:
    """The p-norm of each slice of ``v`` along ``dim``, that axis kept and the others of size 1.

    dim -1: one norm of all, without axes.   v (O, I, K) -> (O, 1, 1) for dim 0.
    """
    axes = _all_but(dim, v.ndim)
    if not axes:  # a vector along its only axis: each element by itself
        return norm(reshape(v, (*v.shape, 1)), pow, -1)
    return norm(v, pow, axes, keepdim=dim != -1)


def weight_norm(v: Array, g: Array, dim: int = 0) -> Array:
    """w = g·v/‖v‖: direction and length of each slice of a weight along ``dim`` apart.

    v of any shape; g as `norm_except_dim` gives it (dim -1: one length for all). With
    n = ‖v‖, u = dL/dw and sums over a slice:
    dg = Σ u·v / n  (the part of u along v),   dv = g/n·(u - v·Σ u·v / n²)  (the part across it).
    Source: Salimans & Kingma 2016, arXiv:1602.07868, eq. 2 and 3.
    """
    check_float("weight_norm", v)
    axes = _all_but(dim, v.ndim)
    lengths = tuple(1 if axis in axes else n for axis, n in enumerate(v.shape))
    if tuple(g.shape) != (() if dim == -1 else lengths):
        raise ShapeError(
            f"weight_norm: g {tuple(g.shape)} must hold a length for each slice along dim {dim}, "
            f"{() if dim == -1 else lengths}\n  v {v.shape}"
        )
    return _weight_norm(v, g, axes)


@op(name="weight_norm")
def _weight_norm(v: Array, g: Array, axes: tuple[int, ...]) -> Array:
    return _scaled_to(v, g, axes)


@half_in_single
def _scaled_to(v: Array, g: Array, axes: tuple[int, ...]) -> Array:
    length = np.sqrt(np.square(v).sum(axis=axes, keepdims=True))
    return v * (g.reshape(length.shape) / length)


@_weight_norm.joint_vjp("v", "g")
def _weight_norm_vjp(u: Array, v: Array, g: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    along = sum(u * v, axes, keepdim=True) if axes else u * v
    squared = sum(square(v), axes, keepdim=True) if axes else square(v)
    length = squared**0.5
    dv = reshape(g, length.shape) / length * (u - v * (along / squared))
    return dv, reshape(along / length, g.shape)
