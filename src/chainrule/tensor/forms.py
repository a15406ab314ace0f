"""Functions that PyTorch's callers write in several forms: ``max(x)``, ``max(x, 1)``, ...

No mathematics lives here: they arrange their arguments and call ops. They are functions of the
package (`chainrule.tensor.functions`) and methods of tensors (`chainrule.tensor.vocabulary`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule import ops
from chainrule.autograd.graph import Variable
from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.op import spelled
from chainrule.ops.reduction import take_extremum

__all__ = [
    "bmm",
    "cholesky",
    "detach",
    "div",
    "dot",
    "index_put",
    "log_softmax",
    "max",
    "min",
    "mm",
    "mv",
    "pinverse",
    "qr",
    "rsub",
    "softmax",
    "split_with_sizes",
    "svd",
    "t",
    "where",
]


def sizes_of(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes written apart, or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list | np.ndarray):
        sizes = tuple(sizes[0])
    try:
        return tuple(operator.index(n) for n in sizes)
    except TypeError:
        raise DTypeError(f"sizes must be whole numbers, got {sizes}") from None


def _extremum(
    x: Any, dim: Any, keepdim: bool, whole: Callable[..., Any], arg: Callable[..., Any],
    both: Callable[..., Any],
) -> Any:  # fmt: skip
    if dim is None:
        return whole(x)
    if isinstance(dim, Variable):
        return both(x, dim)
    return take_extremum(x, arg(x, dim), dim, keepdim)


@spelled
def max(x: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The maximum of all; (values, indices) along ``dim``; or of two tensors, elementwise.

    Along an axis the gradient goes to the first winner; over everything, equal maxima
    share it.
    """
    dim = other if dim is None else dim
    return _extremum(x, dim, keepdim, ops.amax, ops.argmax, ops.maximum)


@spelled
def min(x: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The minimum of all; (values, indices) along ``dim``; or of two tensors, elementwise."""
    dim = other if dim is None else dim
    return _extremum(x, dim, keepdim, ops.amin, ops.argmin, ops.minimum)


@spelled
def div(x: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """x / other; rounding_mode "trunc" rounds towards 0, "floor" down (and keeps integers)."""
    if rounding_mode is None:
        return ops.div(x, other)
    if rounding_mode == "floor":
        return ops.floor_divide(x, other)
    if rounding_mode != "trunc":
        raise ConfigError(f'div: rounding_mode must be "trunc" or "floor", got {rounding_mode!r}')
    dtype = ops.mul(x, other).dtype
    return ops.trunc(ops.div(x, other)).type(dtype)


@spelled
def where(condition: Any, a: Any = None, b: Any = None) -> Any:
    """a where the condition holds, else b. Given alone: the indices where it holds, by axis."""
    if a is None and b is None:
        return ops.nonzero(condition, as_tuple=True)
    return ops.where(condition, a, b)


@spelled
def softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    """y_i = e^{x_i} / Σ_j e^{x_j} along ``dim``; x is cast to ``dtype`` first."""
    return ops.softmax(x if dtype is None else ops.cast(x, np.dtype(dtype)), dim)


@spelled
def log_softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    """y_i = x_i - ln Σ_j e^{x_j} along ``dim``; x is cast to ``dtype`` first."""
    return ops.log_softmax(x if dtype is None else ops.cast(x, np.dtype(dtype)), dim)


def detach(x: Any) -> Any:
    """The same memory, outside the graph."""
    return x.detach()


def index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy of x in which x[indices] is replaced by values, or has them added."""
    return x.index_put(indices, values, accumulate)


def split_with_sizes(x: Any, split_sizes: Any, dim: int = 0) -> Any:
    """As `split` with a list of lengths."""
    return ops.split(x, list(split_sizes), dim)


@spelled
def rsub(x: Any, other: Any, alpha: float = 1) -> Any:
    """other - α·x."""
    return ops.sub(other, x, alpha)


@spelled
def t(x: Any) -> Any:
    """The transpose of a matrix."""
    if x.ndim > 2:
        raise ShapeError(f"t: expects at most two axes\n  x {tuple(x.shape)}; use .mT")
    return x if x.ndim < 2 else ops.transpose(x, 0, 1)


@spelled
def dot(x: Any, tensor: Any) -> Any:
    """Σ x·y of two vectors."""
    return _product("dot", x, tensor, 1, 1)


@spelled
def mv(x: Any, vec: Any) -> Any:
    """A matrix times a vector."""
    return _product("mv", x, vec, 2, 1)


@spelled
def mm(x: Any, mat2: Any) -> Any:
    """A matrix times a matrix."""
    return _product("mm", x, mat2, 2, 2)


@spelled
def bmm(x: Any, mat2: Any) -> Any:
    """Matrices times matrices, one by one: (B, N, K) and (B, K, M) -> (B, N, M)."""
    if len(x) != len(mat2):
        raise ShapeError(
            f"bmm: the batches differ in length\n  a {tuple(x.shape)}; b {tuple(mat2.shape)}"
        )
    return _product("bmm", x, mat2, 3, 3)


def _product(name: str, a: Any, b: Any, axes_a: int, axes_b: int) -> Any:
    if a.ndim != axes_a or b.ndim != axes_b:
        raise ShapeError(
            f"{name}: expects {axes_a} and {axes_b} axes; matmul takes all\n"
            f"  a {tuple(a.shape)}; b {tuple(b.shape)}"
        )
    return ops.matmul(a, b)


# -- matrices, in their older forms ---------------------------------------------------------------


class SVD(NamedTuple):
    """X = U diag(S) Vᵀ."""

    U: Any
    S: Any
    V: Any


@spelled
def svd(x: Any, some: bool = True, compute_uv: bool = True) -> SVD:
    """X (..., N, M) = U diag(S) Vᵀ with V, not its transpose: see `chainrule.linalg.svd`.

    some: False gives U (N, N) and V (M, M); compute_uv: False gives zeros for these.
    """
    if not compute_uv:
        *batch, n, m = x.shape
        zeros = [x.new_zeros(*batch, k, k) for k in (n, m)]
        return SVD(zeros[0], ops.svdvals(x), zeros[1])
    u, s, vh = ops.svd(x, not some)
    return SVD(u, s, vh.mT)


@spelled
def qr(x: Any, some: bool = True) -> Any:
    """X (..., N, M) = Q R: see `chainrule.linalg.qr`."""
    return ops.qr(x, "reduced" if some else "complete")


@spelled
def pinverse(x: Any, rcond: float = 1e-15) -> Any:
    """The Moore-Penrose inverse; singular values below rcond·(the largest) count as zero."""
    return ops.pinv(x, rtol=rcond)


@spelled
def cholesky(x: Any, upper: bool = False) -> Any:
    """The triangular L of X = L Lᵀ (upper: U of X = Uᵀ U): see `chainrule.linalg.cholesky`."""
    return ops.cholesky(x, upper=upper)
