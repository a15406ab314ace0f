"""Products: einsum, tensordot, outer, Kronecker, sums of products, distances.

All are composed of `matmul` and elementwise ops: gradients of any order follow from theirs.
"""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.arithmetic import mul, sub, times_number
from chainrule.ops.arrange import diagonal, roll
from chainrule.ops.axes import axis_of
from chainrule.ops.decomposition import inv
from chainrule.ops.elementwise import cast, expand
from chainrule.ops.linalg import matmul
from chainrule.ops.op import spelled
from chainrule.ops.reduction import norm, sum
from chainrule.ops.shape import permute, reshape, squeeze, unsqueeze

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "cdist",
    "chain_matmul",
    "cross",
    "dist",
    "einsum",
    "inner",
    "kron",
    "matrix_power",
    "multi_dot",
    "outer",
    "tensordot",
    "trace",
    "vdot",
]

Array = Any
Labels = tuple[Any, ...]
"""The name of each axis of an operand: a letter or a number; those of "..." are negative."""

# -- einsum ------------------------------------------------------------------------------------


def einsum(equation: Any, *operands: Any) -> Array:
    """Σ of products over labelled axes: ``einsum("bij,bjk->bik", a, b)`` is a batched product.

    A label that is not in the result is summed over; one that an operand has twice takes its
    diagonal; "..." stands for any axes, which broadcast. Without "->" the result has the labels
    that occur once, in alphabetical order. Also as ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.
    Operands are joined two by two with matmul, the cheapest pair first.
    """
    inputs, result, tensors = _read(equation, operands)
    if len(inputs) != len(tensors):
        raise ShapeError(f"einsum: {len(inputs)} operands are written, {len(tensors)} given")
    written = [_without_ellipsis(labels, t) for labels, t in zip(inputs, tensors, strict=True)]
    output = _output(written, result)
    terms = [_diagonals(t, labels) for t, labels in zip(tensors, written, strict=True)]
    _check_lengths(terms)
    while len(terms) > 1:
        i, j = _cheapest_pair(terms, output)
        b, a = terms.pop(j), terms.pop(i)
        rest = {label for _, labels in terms for label in labels} | set(output)
        terms.insert(i, _contract(*a, *b, rest))
    return _arrange(*terms[0], output)


def _read(equation: Any, operands: Any) -> tuple[list[list[Any]], list[Any] | None, list[Array]]:
    """The labels of the operands and of the result (None: not said), and the operands."""
    if not isinstance(equation, str):
        return _sublists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = operands[0]
    return *_parse(equation), list(operands)


@functools.cache
def _parse(equation: str) -> tuple[list[list[Any]], list[Any] | None]:
    left, arrow, right = equation.replace(" ", "").partition("->")

    def labels(text: str) -> list[Any]:
        parts: list[Any] = []
        while text:
            if text.startswith("..."):
                parts.append(Ellipsis)
                text = text[3:]
            elif text[0].isascii() and text[0].isalpha():
                parts.append(text[0])
                text = text[1:]
            else:
                raise ConfigError(
                    f'einsum: labels are the letters a-z and A-Z, got {text[0]!r} in "{equation}"'
                )
        return parts

    return [labels(part) for part in left.split(",")], labels(right) if arrow else None


def _sublists(arguments: tuple[Any, ...]) -> tuple[list[list[Any]], list[Any] | None, list[Array]]:
    """einsum(a, [0, 1], b, [1, 2], [0, 2]): operands and numbers in turn, then the result's."""
    pairs = len(arguments) // 2
    output = list(arguments[-1]) if len(arguments) % 2 else None
    return (
        [list(arguments[2 * i + 1]) for i in range(pairs)],
        output,
        [arguments[2 * i] for i in range(pairs)],
    )


def _without_ellipsis(labels: list[Any], x: Array) -> Labels:
    """One label for each axis; those of "..." count -1, -2, ... from the right."""
    if labels.count(Ellipsis) > 1:
        raise ConfigError('einsum: an operand may hold "..." once')
    spare = x.ndim - len([label for label in labels if label is not Ellipsis])
    if spare < 0 or (spare and Ellipsis not in labels):
        raise ShapeError(
            f"einsum: {len(labels)} labels for an operand of {x.ndim} axes\n  x {tuple(x.shape)}"
        )
    if Ellipsis not in labels:
        return tuple(labels)
    at = labels.index(Ellipsis)
    return (*labels[:at], *range(-spare, 0), *labels[at + 1 :])


def _output(inputs: Sequence[Labels], output: list[Any] | None) -> Labels:
    every = [label for labels in inputs for label in labels]
    rest = sorted({label for label in every if _is_rest(label)})
    if output is None:
        once = sorted(
            label for label in set(every) if not _is_rest(label) and every.count(label) == 1
        )
        return (*rest, *once)
    found: list[Any] = []
    for label in output:
        found += rest if label is Ellipsis else [label]
    for label in found:
        if label not in every or found.count(label) > 1:
            why = "twice" if label in every else "but in no operand"
            raise ConfigError(f"einsum: label {label!r} is in the result {why}")
    return tuple(found)


def _is_rest(label: Any) -> bool:
    return isinstance(label, int) and label < 0


def _diagonals(x: Array, labels: Labels) -> tuple[Array, Labels]:
    """Take the diagonal of axes with one label."""
    while len(set(labels)) < len(labels):
        label = next(v for v in labels if labels.count(v) > 1)
        i = labels.index(label)
        j = labels.index(label, i + 1)
        if x.shape[i] != x.shape[j]:
            raise ShapeError(
                f"einsum: label {label!r} names axes of lengths {x.shape[i]} and {x.shape[j]}"
            )
        x = diagonal(x, 0, i, j)
        labels = (*(v for k, v in enumerate(labels) if k not in (i, j)), label)
    return x, labels


def _check_lengths(terms: Sequence[tuple[Array, Labels]]) -> None:
    lengths: dict[Any, int] = {}
    for x, labels in terms:
        for label, n in zip(labels, x.shape, strict=True):
            known = lengths.get(label, 1)
            if 1 not in (n, known) and n != known:
                raise ShapeError(f"einsum: label {label!r} names axes of lengths {known} and {n}")
            lengths[label] = n if known == 1 else known


def _cheapest_pair(terms: Sequence[tuple[Array, Labels]], output: Labels) -> tuple[int, int]:
    """Of more than two, the pair whose result is smallest against what it replaces."""
    if len(terms) == 2:
        return 0, 1
    sizes = {label: n for x, labels in terms for label, n in zip(labels, x.shape, strict=True)}

    def growth(pair: tuple[int, int]) -> tuple[int, int]:
        both = set(terms[pair[0]][1]) | set(terms[pair[1]][1])
        rest = {v for k, (_, labels) in enumerate(terms) if k not in pair for v in labels}
        kept = both & (rest | set(output))
        size = math.prod(sizes[v] for v in kept)
        before = builtins.sum(math.prod(terms[k][0].shape) for k in pair)
        return size - before, math.prod(sizes[v] for v in both)

    pairs = [(i, j) for j in range(len(terms)) for i in range(j)]
    return min(pairs, key=growth)


def _contract(
    a: Array, a_labels: Labels, b: Array, b_labels: Labels, wanted: set[Any]
) -> tuple[Array, Labels]:
    """The product of two operands, summed over the labels that nobody wants after."""
    a, a_labels = _sum_out(a, a_labels, wanted | set(b_labels))
    b, b_labels = _sum_out(b, b_labels, wanted | set(a_labels))
    shared = [v for v in a_labels if v in b_labels]
    lengths = dict(zip(a_labels, a.shape, strict=True))
    for label, n in zip(b_labels, b.shape, strict=True):
        lengths[label] = builtins.max(n, lengths.get(label, 1)) if n else 0
    summed = [v for v in shared if v not in wanted]
    batch = [v for v in shared if v in wanted]
    a_only = [v for v in a_labels if v not in shared]
    b_only = [v for v in b_labels if v not in shared]

    def matrix(x: Array, labels: Labels, groups: Sequence[list[Any]], wide: list[Any]) -> Array:
        order = [labels.index(v) for group in groups for v in group]
        x = permute(x, tuple(order)) if order != list(range(x.ndim)) else x
        names = [v for group in groups for v in group]
        full = tuple(lengths[v] if v in wide else n for v, n in zip(names, x.shape, strict=True))
        x = expand(x, full) if full != tuple(x.shape) else x
        return reshape(x, tuple(math.prod(lengths[v] for v in group) for group in groups))

    left = matrix(a, a_labels, (batch, a_only, summed), shared)
    right = matrix(b, b_labels, (batch, summed, b_only), shared)
    y = matmul(left, right) if summed else mul(left, right)
    names = (*batch, *a_only, *b_only)
    return reshape(y, tuple(lengths[v] for v in names)), names


def _sum_out(x: Array, labels: Labels, wanted: set[Any]) -> tuple[Array, Labels]:
    over = tuple(i for i, v in enumerate(labels) if v not in wanted)
    if not over:
        return x, labels
    return sum(x, over), tuple(v for v in labels if v in wanted)


def _arrange(x: Array, labels: Labels, output: Labels) -> Array:
    x, labels = _sum_out(x, labels, set(output))
    order = tuple(labels.index(v) for v in output)
    return permute(x, order) if order != tuple(range(x.ndim)) else x


# -- products of two ---------------------------------------------------------------------------


@spelled
def tensordot(a: Array, b: Array, dims: Any = 2) -> Array:
    """Σ a·b over pairs of axes: the last ``dims`` of a with the first of b, or two lists of axes.

    The result has the other axes of a, then those of b.
    """
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot: dims {dims} of a {tuple(a.shape)}; b {tuple(b.shape)}")
        over_a, over_b = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        first, second = (getattr(d, "tolist", lambda d=d: d)() for d in dims)
        first = [first] if isinstance(first, int) else list(first)
        second = [second] if isinstance(second, int) else list(second)
        over_a = [axis_of("tensordot", d, a.ndim) for d in first]
        over_b = [axis_of("tensordot", d, b.ndim) for d in second]
    if len(over_a) != len(over_b) or any(
        a.shape[i] != b.shape[j] for i, j in zip(over_a, over_b, strict=False)
    ):
        raise ShapeError(
            f"tensordot: the axes to sum over differ in length\n  a {tuple(a.shape)}, axes "
            f"{over_a}; b {tuple(b.shape)}, axes {over_b}"
        )
    left = [i for i in range(a.ndim) if i not in over_a]
    right = [j for j in range(b.ndim) if j not in over_b]
    terms = math.prod(a.shape[i] for i in over_a)
    rows = reshape(permute(a, (*left, *over_a)), (math.prod(a.shape[i] for i in left), terms))
    columns = reshape(permute(b, (*over_b, *right)), (terms, math.prod(b.shape[j] for j in right)))
    return reshape(
        matmul(rows, columns), (*(a.shape[i] for i in left), *(b.shape[j] for j in right))
    )


@spelled
def outer(a: Array, b: Array) -> Array:
    """Every element of a vector (N,) times every one of another (M,): (N, M)."""
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"outer: expects two vectors\n  a {tuple(a.shape)}; b {tuple(b.shape)}")
    return mul(unsqueeze(a, 1), unsqueeze(b, 0))


@spelled
def inner(a: Array, b: Array) -> Array:
    """Σ a·b over the last axis of both; with a number, the product."""
    if a.ndim == 0 or b.ndim == 0:
        return mul(a, b)
    return tensordot(a, b, ([a.ndim - 1], [b.ndim - 1]))


@spelled
def vdot(a: Array, b: Array) -> Array:
    """Σ a·b of two vectors."""
    return _vectors("vdot", a, b)


def _vectors(name: str, a: Array, b: Array) -> Array:
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"{name}: expects two vectors\n  a {tuple(a.shape)}; b {tuple(b.shape)}")
    return matmul(a, b)


@spelled
def kron(a: Array, b: Array) -> Array:
    """The Kronecker product: every element of a, times all of b, as blocks."""
    ndim = builtins.max(a.ndim, b.ndim)
    outer_shape = (*(1,) * (ndim - a.ndim), *a.shape)
    inner_shape = (*(1,) * (ndim - b.ndim), *b.shape)
    wide_a = reshape(a, tuple(n for length in outer_shape for n in (length, 1)))
    wide_b = reshape(b, tuple(n for length in inner_shape for n in (1, length)))
    shape = tuple(n * m for n, m in zip(outer_shape, inner_shape, strict=True))
    return reshape(mul(wide_a, wide_b), shape)


@spelled
def cross(a: Array, b: Array, dim: int | None = None) -> Array:
    """The vector product of 3-vectors along ``dim`` (None: the first axis of length 3)."""
    ndim = builtins.max(a.ndim, b.ndim)
    a = reshape(a, (*(1,) * (ndim - a.ndim), *a.shape))
    b = reshape(b, (*(1,) * (ndim - b.ndim), *b.shape))
    if dim is None:
        dim = next((i for i, n in enumerate(a.shape) if n == 3), ndim)
    axis = axis_of("cross", dim, ndim)
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ShapeError(
            f"cross: needs three entries along dim {dim}\n  a {tuple(a.shape)}; b {tuple(b.shape)}"
        )

    def turned(x: Array, by: int) -> Array:
        return roll(x, by, axis)

    return sub(mul(turned(a, -1), turned(b, -2)), mul(turned(a, -2), turned(b, -1)))


@spelled
def trace(x: Array) -> Array:
    """The sum of a matrix's diagonal."""
    if x.ndim != 2:
        raise ShapeError(f"trace: expects a matrix\n  x {tuple(x.shape)}")
    return sum(diagonal(x))


# -- α·product + β·x ---------------------------------------------------------------------------


def _plus(name: str, x: Array, product: Array, beta: float, alpha: float) -> Array:
    """β·x + α·product; β = 0 leaves x out, NaN or not."""
    if x.dtype != product.dtype:
        raise DTypeError(f"{name}: x is {x.dtype}, the product {product.dtype}; convert one")
    shape = tuple(product.shape)
    product = product if alpha == 1 else times_number(product, alpha)
    if beta == 0:
        return product
    return expand(x if beta == 1 else times_number(x, beta), shape) + product


def _axes_of(name: str, ndims: Sequence[int], **roles: Array) -> None:
    for (role, x), ndim in zip(roles.items(), ndims, strict=True):
        if x.ndim != ndim:
            raise ShapeError(f"{name}: {role} needs {ndim} axes\n  {role} {tuple(x.shape)}")


@spelled
def addmm(x: Array, mat1: Array, mat2: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    """β·x + α·(mat1 @ mat2)."""
    _axes_of("addmm", (2, 2), mat1=mat1, mat2=mat2)
    return _plus("addmm", x, matmul(mat1, mat2), beta, alpha)


@spelled
def addmv(x: Array, mat: Array, vec: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    """β·x + α·(mat @ vec)."""
    _axes_of("addmv", (2, 1), mat=mat, vec=vec)
    return _plus("addmv", x, matmul(mat, vec), beta, alpha)


@spelled
def addr(x: Array, vec1: Array, vec2: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    """β·x + α·(vec1 vec2ᵀ)."""
    return _plus("addr", x, outer(vec1, vec2), beta, alpha)


@spelled
def baddbmm(x: Array, batch1: Array, batch2: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    """β·x + α·(batch1 @ batch2), for batches of matrices."""
    _axes_of("baddbmm", (3, 3), batch1=batch1, batch2=batch2)
    return _plus("baddbmm", x, matmul(batch1, batch2), beta, alpha)


@spelled
def addbmm(x: Array, batch1: Array, batch2: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    """β·x + α·Σ (batch1 @ batch2), summed over the batch."""
    _axes_of("addbmm", (3, 3), batch1=batch1, batch2=batch2)
    return _plus("addbmm", x, sum(matmul(batch1, batch2), 0), beta, alpha)


# -- chains and powers -------------------------------------------------------------------------


def multi_dot(tensors: Sequence[Array]) -> Array:
    """The product of several matrices, in the order of least work; the ends may be vectors.

    Source: Cormen et al., Introduction to Algorithms, section 15.2 (matrix-chain multiplication).
    """
    chain = list(tensors)
    if len(chain) < 2:
        raise ShapeError(f"multi_dot: expects at least two matrices, got {len(chain)}")
    first, last = chain[0].ndim == 1, chain[-1].ndim == 1
    chain[0] = unsqueeze(chain[0], 0) if first else chain[0]
    chain[-1] = unsqueeze(chain[-1], 1) if last else chain[-1]
    sizes = [t.shape[0] for t in chain] + [chain[-1].shape[1]]
    n = len(chain)
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            cost[i][j], cut[i][j] = min(
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )

    def product(i: int, j: int) -> Array:
        k = cut[i][j]
        return chain[i] if i == j else matmul(product(i, k), product(k + 1, j))

    y = product(0, n - 1)
    y = squeeze(y, 0) if first else y
    return squeeze(y, -1) if last else y


@spelled
def chain_matmul(*matrices: Array) -> Array:
    """As `multi_dot`, of arguments."""
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


@spelled
def matrix_power(x: Array, n: int) -> Array:
    """x·x·...·x, n times, by repeated squaring; x⁰ is the identity, x⁻ⁿ a power of x⁻¹."""
    if n < 0:
        x, n = inv(x), -n
    if n == 0:
        return expand(cast(np.eye(x.shape[-1]), x.dtype), tuple(x.shape)) + mul(x, 0)
    power: Any = None
    while n:
        if n & 1:
            power = x if power is None else matmul(power, x)
        n >>= 1
        x = matmul(x, x) if n else x
    return power


# -- distances ---------------------------------------------------------------------------------


@spelled
def dist(a: Array, b: Array, p: float = 2) -> Array:
    """‖a - b‖ₚ of all elements."""
    return norm(sub(a, b), p)


@spelled
def cdist(
    x1: Array, x2: Array, p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Array:  # fmt: skip
    """The distance ‖a - b‖ₚ of every row of x1 (..., P, M) to every row of x2 (..., R, M).

    Gives (..., P, R). Where rows are equal the gradient is 0. compute_mode is accepted for
    PyTorch's sake; the differences are taken one by one always, the exact way.
    """
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            f"cdist: needs rows of one length\n  x1 {tuple(x1.shape)} = (..., P, M); "
            f"x2 {tuple(x2.shape)} = (..., R, M)"
        )
    return norm(sub(unsqueeze(x1, -2), unsqueeze(x2, -3)), p, -1)
