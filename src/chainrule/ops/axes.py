"""Naming axes: numbers of axes as callers write them, and what is said where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.errors import AxisError

Dims = int | Sequence[int]


def no_such_axis(name: str, dim: Any, ndim: Any) -> AxisError:
    """The error for an axis that the argument of op ``name`` does not have."""
    return AxisError(
        f"{name}: there is no dim {dim}; with {ndim} axes, dims go from {-ndim} to {ndim - 1}"
    )


def axis_of(name: str, dim: int, ndim: int) -> int:
    """``dim`` counted from the front. Raises AxisError in the name of op ``name``."""
    if not -ndim <= dim < ndim:
        raise no_such_axis(name, dim, ndim)
    return int(dim % ndim)


def as_tuple(dims: Dims) -> tuple[int, ...]:
    """One axis or several, as a tuple."""
    return (dims,) if isinstance(dims, int) else tuple(dims)
