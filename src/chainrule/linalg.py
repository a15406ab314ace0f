"""PyTorch's `torch.linalg` by name, as far as images ask for it; the formulas are in `ops`.

Numbers are real: what may give complex ones (eig, eigvals) is left out.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from chainrule import ops
from chainrule.errors import ConfigError, ShapeError, absent_name
from chainrule.ops import (
    cholesky,
    det,
    eigh,
    eigvalsh,
    inv,
    lstsq,
    matmul,
    matrix_exp,
    matrix_power,
    multi_dot,
    pinv,
    qr,
    slogdet,
    solve,
    solve_triangular,
    svd,
    svdvals,
    vander,
)
from chainrule.ops.decomposition import smallest_values
from chainrule.ops.op import spelled
from chainrule.tensor import Tensor

__all__ = [
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

matmul = spelled(matmul)  # the operator @ has no need of names


@spelled
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vector product of 3-vectors along ``dim``."""
    return ops.cross(input, other, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The entries (i, i + offset) of two axes, as a new last axis."""
    return ops.diagonal(A, offset, dim1, dim2)


@spelled
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Σ x·y along ``dim``."""
    return ops.sum(ops.mul(x, y), dim)


@spelled
def vector_norm(
    x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """(Σ |x|^ord)^(1/ord) over ``dim``, or over all elements."""
    return ops.norm(x, ord, dim, keepdim, dtype)


@spelled
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of the matrices that two axes span.

    ord: "fro" (√Σ a²), "nuc" (Σ singular values), 2 / -2 (the largest / smallest of them),
    1 / -1 (the largest / smallest column sum of |a|), ±infinity (row sum).
    """
    if len(dim) != 2:
        raise ShapeError(f"matrix_norm: dim must name two axes, got {dim}")
    if dtype is not None:
        A = A.type(dtype)
    if ord == "fro":
        return ops.norm(A, 2, tuple(dim), keepdim)
    rows, columns = (d % A.ndim for d in dim)
    if ord in ("nuc", 2, -2):
        values = svdvals(A.movedim((rows, columns), (-2, -1)))
        y = {"nuc": ops.sum, 2: ops.amax, -2: ops.amin}[ord](values, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        over, then = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = ops.sum(ops.abs(A), over, True)
        y = (ops.amax if ord > 0 else ops.amin)(sums, then, True)
        y = ops.reshape(y, tuple(n for i, n in enumerate(A.shape) if i not in (rows, columns)))
    else:
        raise ConfigError(f'matrix_norm: ord must be "fro", "nuc", ±1, ±2 or ±inf, got {ord!r}')
    if not keepdim:
        return y
    return y.reshape([1 if i in (rows, columns) else n for i, n in enumerate(A.shape)])


@spelled
def norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A vector's norm for one axis (or none named), a matrix' for two. See the two of them."""
    is_matrix = dim is not None and not isinstance(dim, int) and len(dim) == 2
    if ord is None or (dim is None and not isinstance(ord, str) and A.ndim == 1):
        return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
    if is_matrix or (dim is None and A.ndim == 2):
        return matrix_norm(A, ord, dim if is_matrix else (-2, -1), keepdim, dtype=dtype)
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)


@spelled
def cond(A: Tensor, p: Any = None) -> Tensor:
    """How much A may enlarge a relative error: ‖A‖·‖A⁻¹‖; for 2 the ratio of singular values."""
    if p in (None, 2, -2):
        values = svdvals(A)
        first, last = values[..., 0], values[..., -1]
        return last / first if p == -2 else first / last
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


@spelled
def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """How many singular values are not negligible: above atol and rtol·(the largest). No gradient.

    Without both, rtol is max(N, M)·ε; they may be tensors, one number for each matrix. tol: an
    older name of atol. hermitian: A is symmetric, and its lower triangle is read.
    """
    values = ops.abs(eigvalsh(A.detach())) if hermitian else svdvals(A.detach())
    atol, rtol = smallest_values(A, tol if atol is None else atol, rtol)
    largest = values.amax(-1, keepdim=True)
    least, part = (t.unsqueeze(-1) if isinstance(t, Tensor) else t for t in (atol, rtol))
    return ((values > least) & (values > largest * part)).sum(-1)


@spelled
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The B with tensordot(B, tensordot(A, X, X.ndim), ind) = X: the inverse of a reshaped matrix.

    A's first ``ind`` axes and its others must have as many elements; B has the others first.
    """
    first, last = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if ind < 1 or math.prod(first) != math.prod(last):
        raise ShapeError(
            f"tensorinv: the first ind = {ind} axes and the others need as many elements\n"
            f"  A {tuple(A.shape)}"
        )
    return inv(A.reshape(math.prod(first), -1)).reshape(last + first)


@spelled
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """The X with tensordot(A, X, X.ndim) = B; ``dims`` are first moved to the end of A."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = tuple(A.shape[B.ndim :])
    if math.prod(shape) != B.numel():
        raise ShapeError(
            f"tensorsolve: A's last axes must hold as many elements as B\n"
            f"  A {tuple(A.shape)}; B {tuple(B.shape)}"
        )
    return solve(A.reshape(B.numel(), -1), B.flatten()).reshape(shape)


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
