"""Linear algebra on matrices (..., N, M): inverse, determinant, factors, eigenvalues.

NumPy's LAPACK computes the values. The gradients are the classical ones, with G the incoming
gradient; where a formula divides by differences of eigenvalues, equal ones make it infinite.
Sources: Giles 2008, An extended collection of matrix derivative results for forward and reverse
mode algorithmic differentiation; Seeger et al. 2017, arXiv:1710.08717 (QR); Golub & Pereyra 1973
(pseudo-inverse).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.arithmetic import square, where
from chainrule.ops.arrange import diag_embed, tril, triu
from chainrule.ops.elementwise import cast
from chainrule.ops.indexing import getitem, narrow
from chainrule.ops.joining import cat
from chainrule.ops.linalg import matmul, undo_batch
from chainrule.ops.op import op, spelled
from chainrule.ops.reduction import amax, sum
from chainrule.ops.shape import reshape, squeeze, unsqueeze

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "eigh",
    "eigvalsh",
    "inv",
    "logdet",
    "lstsq",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
]

Array = Any


def _matrices(name: str, x: Array, square: bool = True) -> None:
    if x.dtype.kind != "f":
        raise DTypeError(f"{name}: expects a float tensor, got {x.dtype}; convert with .float()")
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        kind = "square matrices (..., N, N)" if square else "matrices (..., N, M)"
        raise ShapeError(f"{name}: expects {kind}\n  x {tuple(x.shape)}")


def _lapack(name: str, function: Any, *arrays: Array, **settings: Any) -> Any:
    """NumPy's function in at least float32, its complaint in our words."""
    dtype = arrays[0].dtype
    wide = [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]
    try:
        result = function(*wide, **settings)
    except np.linalg.LinAlgError as e:
        raise ConfigError(f"{name}: {str(e).lower()}\n  x {arrays[0].shape}") from None
    if isinstance(result, tuple):
        return tuple(r.astype(dtype, copy=False) for r in result)
    return result.astype(dtype, copy=False)


def _eye(n: int, like: Array) -> Array:
    return np.eye(n, dtype=like.dtype)


# -- inverse and determinant -------------------------------------------------------------------


@op
def inv(x: Array) -> Array:
    """X⁻¹. dX = -Yᵀ G Yᵀ. Raises ConfigError where a matrix has no inverse."""
    _matrices("inv", x)
    return _lapack("inv", np.linalg.inv, x)


inv.vjp(x=lambda g, y: -(y.mT @ g @ y.mT))


@op
def _solve(a: Array, b: Array) -> Array:
    """X of A X = B. dB = A⁻ᵀ G, dA = -dB Xᵀ."""
    _matrices("solve", a)
    if a.dtype != b.dtype:
        raise DTypeError(f"solve: dtypes differ: a is {a.dtype}, b is {b.dtype}; convert one")
    if b.shape[-2] != a.shape[-1]:
        raise ShapeError(
            f"solve: b needs {a.shape[-1]} rows\n"
            f"  a {a.shape} = (..., N, N); b {b.shape} = (..., N, K)"
        )
    return _lapack("solve", np.linalg.solve, a, b)


@_solve.joint_vjp("a", "b")
def _solve_vjp(
    g: Array, a: Array, y: Array, a_shape: tuple[int, ...], b_shape: tuple[int, ...]
) -> tuple[Array, Array]:
    db = _solve(a.mT, g)
    return undo_batch(-(db @ y.mT), a_shape), undo_batch(db, b_shape)


@spelled
def solve(a: Array, b: Array, *, left: bool = True) -> Array:
    """X of A X = B, for B (..., N, K) or vectors (..., N); left False: of X A = B."""
    if not left:
        return solve(a.mT, b.mT).mT
    is_vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and tuple(b.shape) == tuple(a.shape[:-1]))
    return squeeze(_solve(a, unsqueeze(b, -1)), -1) if is_vector else _solve(a, b)


@spelled
def solve_triangular(
    a: Array, b: Array, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Array:
    """As `solve`, where only one triangle of A counts (unitriangular: with ones between)."""
    _matrices("solve_triangular", a)
    half = (triu if upper else tril)(a, (1 if upper else -1) if unitriangular else 0)
    if unitriangular:
        half = half + _eye(a.shape[-1], a)
    return solve(half, b, left=left)


@op
def det(x: Array) -> Array:
    """The determinant, (..., N, N) -> (...). dX = G·y·X⁻ᵀ, for matrices with an inverse."""
    _matrices("det", x)
    return np.asarray(_lapack("det", np.linalg.det, x))


def _stretch(g: Array) -> Array:
    return unsqueeze(unsqueeze(g, -1), -1)


det.vjp(x=lambda g, x, y: _stretch(g * y) * inv(x).mT)


class SignAndLog(NamedTuple):
    """sign · e^logabsdet is the determinant."""

    sign: Array
    logabsdet: Array


@op
def det_sign(x: Array) -> Array:
    """The sign of the determinant. No gradient."""
    _matrices("slogdet", x)
    return np.asarray(_lapack("slogdet", np.linalg.slogdet, x)[0])


@op
def log_abs_det(x: Array) -> Array:
    """ln |det X|. dX = G·X⁻ᵀ."""
    return np.asarray(_lapack("slogdet", np.linalg.slogdet, x)[1])


log_abs_det.vjp(x=lambda g, x: _stretch(g) * inv(x).mT)


@spelled
def slogdet(x: Array) -> SignAndLog:
    """(sign, ln |·|) of the determinant, which overflows later than it."""
    return SignAndLog(det_sign(x), log_abs_det(x))


@spelled
def logdet(x: Array) -> Array:
    """ln det X; NaN where the determinant is negative."""
    sign, log = slogdet(x)
    return where(sign < 0, float("nan"), log)


@op
def _pinv(x: Array, atol: float, rtol: float, hermitian: bool) -> Array:
    """The Moore-Penrose inverse P (..., M, N) of X (..., N, M).

    dX = -Pᵀ G Pᵀ + (I - X P) Gᵀ P Pᵀ + Pᵀ P Gᵀ (I - P X), while the rank stays.
    """
    _matrices("pinv", x, square=hermitian)
    rcond: Any = rtol
    if atol:
        largest = _lapack("pinv", np.linalg.norm, x, ord=2, axis=(-2, -1))
        with np.errstate(divide="ignore"):
            rcond = np.maximum(rtol, atol / largest)
    return _lapack("pinv", np.linalg.pinv, x, rcond=rcond, hermitian=hermitian)


def _pinv_vjp(g: Array, x: Array, y: Array) -> Array:
    p, gt = y, g.mT
    left = gt - x @ (p @ gt)
    right = gt - (gt @ p) @ x
    return -(p.mT @ g @ p.mT) + left @ p @ p.mT + p.mT @ p @ right


_pinv.vjp(x=_pinv_vjp)


def smallest_values(
    x: Array, atol: float | Array | None, rtol: float | Array | None
) -> tuple[float | Array, float | Array]:
    """Below which singular values of X count as zero: atol, and rtol·(the largest)."""
    if rtol is None:
        rtol = max(x.shape[-2:]) * float(np.finfo(x.dtype).eps) if atol is None else 0.0
    return 0.0 if atol is None else atol, rtol


@spelled
def pinv(
    x: Array, *, atol: float | None = None, rtol: float | None = None, hermitian: bool = False
) -> Array:
    """The Moore-Penrose inverse.

    Singular values below atol or rtol·(the largest) count as zero; without both rtol is
    max(N, M)·ε. hermitian: X is symmetric, and its lower triangle is read.
    """
    return _pinv(x, *smallest_values(x, atol, rtol), hermitian)


class LeastSquares(NamedTuple):
    """What `lstsq` found: X, Σ (A X - B)² of each column, the rank of A, its singular values."""

    solution: Array
    residuals: Array
    rank: Array
    singular_values: Array


@spelled
def lstsq(a: Array, b: Array, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """The X (..., M, K) of least ‖A X - B‖ (of several the smallest), by the pseudo-inverse.

    A (..., N, M); B (..., N, K), or vectors (..., N). rcond: singular values below rcond·(the
    largest) count as zero. driver: PyTorch's algorithms ("gelsy", "gels", "gelsd", "gelss"), here
    all one; as there, it decides what is not empty: residuals for other than "gelsy" where
    N > M = the rank, singular values for "gelsd" and "gelss".
    """
    is_vector = b.ndim == a.ndim - 1 and tuple(b.shape) == tuple(a.shape[:-1])
    columns = unsqueeze(b, -1) if is_vector else b
    x = matmul(pinv(a, rtol=rcond), columns)
    n, m = a.shape[-2:]
    values = svdvals(a)
    if rcond is None:
        rcond = max(n, m) * float(np.finfo(a.dtype).eps)
    counts = values > amax(values, -1, True) * rcond
    rank = sum(counts, -1)
    none = cast(getitem(reshape(counts, (-1,)), slice(0, 0)), a.dtype)
    residuals = none
    if n > m and driver not in (None, "gelsy") and (rank == m).all():
        residuals = sum(square(matmul(a, x) - columns), -2)
    return LeastSquares(
        squeeze(x, -1) if is_vector else x,
        residuals,
        rank,
        values if driver in ("gelsd", "gelss") else none,
    )


# -- factors -----------------------------------------------------------------------------------


@op
def _cholesky(x: Array) -> Array:
    """The lower triangular L of X = L Lᵀ.

    dX = ½(S + Sᵀ) with S = L⁻ᵀ Φ(Lᵀ G) L⁻¹, Φ the lower triangle with half the diagonal.
    """
    _matrices("cholesky", x)
    return _lapack("cholesky", np.linalg.cholesky, x)


def _cholesky_vjp(g: Array, y: Array) -> Array:
    n = y.shape[-1]
    half = np.tril(np.ones((n, n), y.dtype)) - 0.5 * _eye(n, y)
    inverse = inv(y)
    s = inverse.mT @ ((y.mT @ g) * half) @ inverse
    return (s + s.mT) * 0.5


_cholesky.vjp(x=_cholesky_vjp)


@spelled
def cholesky(x: Array, *, upper: bool = False) -> Array:
    """The triangular L of X = L Lᵀ (upper: U of X = Uᵀ U). Raises where X is not positive."""
    return _cholesky(x).mT if upper else _cholesky(x)


@spelled
def cholesky_solve(b: Array, L: Array, upper: bool = False) -> Array:
    """X of A X = B, where A = L Lᵀ (upper: Lᵀ L)."""
    lower = L.mT if upper else L
    return solve_triangular(lower.mT, solve_triangular(lower, b, upper=False), upper=True)


@spelled
def cholesky_inverse(L: Array, upper: bool = False) -> Array:
    """The inverse of A = L Lᵀ (upper: Lᵀ L)."""
    return cholesky_solve(_eye(L.shape[-1], L), L, upper)


def _pack(*parts: Array) -> Array:
    """Several results as one: each flattened, side by side on the last axis."""
    return np.concatenate([p.reshape(*p.shape[:-2], -1) for p in parts], -1)


def _unpack(packed: Array, *shapes: tuple[int, int]) -> list[Array]:
    batch, at, parts = tuple(packed.shape[:-1]), 0, []
    for rows, columns in shapes:
        part = getitem(packed, (..., slice(at, at + rows * columns)))
        parts.append(reshape(part, (*batch, rows, columns)))
        at += rows * columns
    return parts


class QR(NamedTuple):
    """X = Q R."""

    Q: Array
    R: Array


@op
def qr_packed(x: Array) -> Array:
    """Q and R of X = Q R, reduced, side by side.

    With M = R G_Rᵀ - G_Qᵀ Q:  dX = (G_Q + Q·(tril M + (tril₋₁ M)ᵀ)) R⁻ᵀ. Of a wide X = (A, B) with
    R = (U, W):  dB = Q G_W, and dA as above from G_Q + B G_Wᵀ and U.
    """
    _matrices("qr", x, square=False)
    return _pack(*_lapack("qr", np.linalg.qr, x))


def _qr_vjp(g: Array, x: Array, y: Array) -> Array:
    m, n = x.shape[-2:]
    k = min(m, n)
    q, r = _unpack(y, (m, k), (k, n))
    gq, gr = _unpack(g, (m, k), (k, n))
    if n > m:
        last = n - m
        gq = gq + narrow(x, -1, m, last) @ narrow(gr, -1, m, last).mT
        d_last = q @ narrow(gr, -1, m, last)
        r, gr = narrow(r, -1, 0, m), narrow(gr, -1, 0, m)
    middle = r @ gr.mT - gq.mT @ q
    symmetric = tril(middle) + tril(middle, -1).mT
    d = _solve(r, (gq + q @ symmetric).mT).mT
    return cat([d, d_last], d.ndim - 1) if n > m else d


qr_packed.vjp(x=_qr_vjp)


def _complement_of(q: Array) -> Array:
    def rest(q: Array) -> Array:
        return np.linalg.qr(q, mode="complete")[0][..., q.shape[-1] :]

    return _lapack("qr", rest, q)


@op
def _complement(q: Array) -> Array:
    """Orthonormal columns that complete those of Q to a basis. A constant: any such will do."""
    return _complement_of(q)


@op
def _differentiable_complement(q: Array) -> Array:
    """The same, where a gradient is asked for in error."""
    return _complement_of(q)


def _no_gradient(g: Array) -> Array:
    raise ConfigError('qr: mode "complete" of a tall matrix has no gradient; use "reduced"')


_differentiable_complement.vjp(q=_no_gradient)


@spelled
def qr(x: Array, mode: str = "reduced") -> QR:
    """X (..., N, M) = Q R, Q's columns orthonormal, R upper triangular.

    mode: "reduced": Q (..., N, K) and R (..., K, M), K = min(N, M); "complete": Q (..., N, N)
    and R (..., N, M), without gradient where N > M; "r": R alone, and an empty Q.
    """
    if mode not in ("reduced", "complete", "r"):
        raise ConfigError(f'qr: mode must be "reduced", "complete" or "r", got {mode!r}')
    _matrices("qr", x, square=False)
    m, n = x.shape[-2:]
    k = min(m, n)
    q, r = _unpack(qr_packed(x), (m, k), (k, n))
    if mode == "r":
        return QR(getitem(reshape(q, (-1,)), slice(0, 0)), r)
    if mode == "complete" and m > n:
        zeros = np.zeros((*x.shape[:-2], m - n, n), x.dtype)
        return QR(cat([q, _differentiable_complement(q)], -1), cat([r, zeros], -2))
    return QR(q, r)


class SVD(NamedTuple):
    """X = U diag(S) Vh."""

    U: Array
    S: Array
    Vh: Array


@op
def svd_packed(x: Array) -> Array:
    """U, S and Vᵀ of X = U diag(S) Vᵀ, reduced, side by side.

    With F_ij = 1/(s_j² - s_i²) off the diagonal, J = F∘(Uᵀ G_U), K = F∘(Vᵀ G_V):
    dX = U ((J + Jᵀ) S + S (K + Kᵀ) + diag G_S) Vᵀ + (I - U Uᵀ) G_U S⁻¹ Vᵀ + U S⁻¹ G_Vᵀ (I - V Vᵀ).
    """
    _matrices("svd", x, square=False)
    u, s, vh = _lapack("svd", np.linalg.svd, x, full_matrices=False)
    return _pack(u, s[..., None, :], vh)


def _off_diagonal_inverse(values: Array) -> Array:
    """1/(v_j - v_i) beside the diagonal, 0 on it."""
    difference = unsqueeze(values, -2) - unsqueeze(values, -1)
    on = np.eye(values.shape[-1], dtype=np.bool_)
    return where(on, 0.0, 1 / where(on, 1.0, difference))


def _svd_vjp(g: Array, x: Array, y: Array) -> Array:
    m, n = x.shape[-2:]
    k = min(m, n)
    shapes = (m, k), (1, k), (k, n)
    u, s, vh = _unpack(y, *shapes)
    gu, gs, gvh = _unpack(g, *shapes)
    f = _off_diagonal_inverse(squeeze(s * s, -2))
    utg, gvv = u.mT @ gu, gvh @ vh.mT  # Uᵀ G_U; (Vᵀ G_V)ᵀ
    j, kk = f * utg, f * gvv.mT
    inner = (j + j.mT) * s + s.mT * (kk + kk.mT) + diag_embed(squeeze(gs, -2))
    d = u @ inner @ vh
    if m > k:
        d = d + ((gu - u @ utg) / s) @ vh
    if n > k:
        d = d + u @ ((gvh - gvv @ vh) / s.mT)
    return d


svd_packed.vjp(x=_svd_vjp)


@spelled
def svd(x: Array, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """X (..., N, M) = U diag(S) Vh, singular values falling.

    full_matrices: U (..., N, N) and Vh (..., M, M); else U (..., N, K) and Vh (..., K, M) with
    K = min(N, M). Gradients with respect to what the full ones have more are ignored.
    driver: PyTorch's choice of an algorithm for GPUs; changes nothing.
    """
    _matrices("svd", x, square=False)
    m, n = x.shape[-2:]
    k = min(m, n)
    u, s, vh = _unpack(svd_packed(x), (m, k), (1, k), (k, n))
    if full_matrices and m > n:
        u = cat([u, _complement(u)], -1)
    elif full_matrices and n > m:
        vh = cat([vh, _complement(vh.mT).mT], -2)
    return SVD(u, squeeze(s, -2), vh)


@spelled
def svdvals(x: Array, *, driver: str | None = None) -> Array:
    """The singular values of X, falling."""
    return svd(x, False).S


class Eigh(NamedTuple):
    """X = V diag(w) Vᵀ."""

    eigenvalues: Array
    eigenvectors: Array


@op
def eigh_packed(x: Array, UPLO: str) -> Array:
    """Eigenvalues w (rising) and eigenvectors V of symmetric X, side by side.

    dX = V (diag G_w + F∘(Vᵀ G_V)) Vᵀ with F_ij = 1/(w_j - w_i) off the diagonal.
    """
    _matrices("eigh", x)
    w, v = _lapack("eigh", np.linalg.eigh, x, UPLO=UPLO)
    return _pack(w[..., None, :], v)


def _eigh_vjp(g: Array, y: Array, x_shape: tuple[int, ...]) -> Array:
    n = x_shape[-1]
    w, v = _unpack(y, (1, n), (n, n))
    gw, gv = _unpack(g, (1, n), (n, n))
    f = _off_diagonal_inverse(squeeze(w, -2))
    return v @ (diag_embed(squeeze(gw, -2)) + f * (v.mT @ gv)) @ v.mT


eigh_packed.vjp(x=_eigh_vjp)


@spelled
def eigh(x: Array, UPLO: str = "L") -> Eigh:
    """Eigenvalues (rising) and eigenvectors (columns) of a symmetric X; one triangle is read."""
    _matrices("eigh", x)
    n = x.shape[-1]
    w, v = _unpack(eigh_packed(x, UPLO), (1, n), (n, n))
    return Eigh(squeeze(w, -2), v)


@spelled
def eigvalsh(x: Array, UPLO: str = "L") -> Array:
    """The eigenvalues of a symmetric X, rising."""
    return eigh(x, UPLO).eigenvalues
