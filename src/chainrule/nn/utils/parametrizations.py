"""Parametrizations ready to use: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import ops
from chainrule.autograd import no_grad
from chainrule.errors import AxisError, ConfigError, ShapeError
from chainrule.nn import functional as F
from chainrule.nn.module import Module
from chainrule.nn.utils import parametrize
from chainrule.nn.utils.spectral_norm import (
    as_matrix,
    largest_singular_value,
    output_axis,
    unit_vector,
)
from chainrule.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """w = g·v/‖v‖ of the originals g and v."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return ops.weight_norm(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The weight's length and the weight itself."""
        return ops.norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn direction and length of a weight apart: w = g·v/‖v‖ (`ops.weight_norm`).

    g (``original0``: a length for each slice along ``dim``; None: one of all) and v
    (``original1``) lie in ``module.parametrizations[name]``; weights saved by the older
    `nn.utils.weight_norm`, as name_g and name_v, load too.
    Source: Salimans & Kingma 2016, arXiv:1602.07868.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(functools.partial(_take_old_names, name))
    return module


def _take_old_names(name: str, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
    old = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
    if all(key in state_dict for key in old):
        for i, key in enumerate(old):
            new = f"{prefix}parametrizations.{name}.original{i}"
            state_dict[new] = state_dict.pop(key)


class _SpectralNorm(Module):
    """W/σ(W), by buffers _u and _v that follow the largest singular value's vectors."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise AxisError(
                f"spectral_norm: there is no dim {dim}; the weight has {weight.ndim} axes"
            )
        if n_power_iterations <= 0:
            raise ConfigError(
                f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}"
            )
        self.dim = dim % weight.ndim
        self.eps = eps
        if weight.ndim > 1:  # a vector's norm needs no iterations
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            rows, columns = matrix.shape
            self.register_buffer("_u", unit_vector(rows, weight, eps))
            self.register_buffer("_v", unit_vector(columns, weight, eps))
            self._power_method(matrix, 15)

    @no_grad()
    def _power_method(self, matrix: Tensor, n_power_iterations: int) -> None:
        for _ in range(n_power_iterations):
            self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=self.eps))
            self._v.copy_(F.normalize(matrix.mT @ self._u, dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        return weight / largest_singular_value(matrix, self._u, self._v)

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value: what it is divided by is 1 for one that has been."""
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value: W/σ(W), σ = uᵀWv; a vector by its norm.

    u and v follow by ``n_power_iterations`` of the power method at each read in training. dim:
    the axis that counts outputs; all others are columns (None: 1 for transposed convolutions,
    else 0). Raises ConfigError. Source: Miyato et al. 2018, arXiv:1802.05957, algorithm 1.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ConfigError(
            f"spectral_norm: {type(module).__name__} has no parameter or buffer {name!r}"
        )
    dim = output_axis(module) if dim is None else dim
    norm = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return parametrize.register_parametrization(module, name, norm)


class _Orthogonal(Module):
    """A matrix with orthonormal columns (or, where it is wide, rows) made of any matrix.

    What counts of the original X (n, k), n ≥ k, is its part below the diagonal, L. matrix_exp and
    cayley: A = L - Lᵀ, filled up with zeros to (n, n), is skew-symmetric, so that e^A and
    (I - A/2)⁻¹(I + A/2) are orthogonal. householder: a product of reflections across the columns
    of L with ones on the diagonal. ``base``, orthogonal too, is multiplied from the left, so that
    training goes on from there and not from the identity (Lezcano-Casado 2019, arXiv:1909.09501).
    """

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.shape = tuple(weight.shape)
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        wide = X.shape[-2] < X.shape[-1]
        Q = self._orthonormal_columns(X.mT if wide else X)
        if hasattr(self, "base"):
            Q = self.base @ Q
        return Q.mT if wide else Q

    def _orthonormal_columns(self, X: Tensor) -> Tensor:
        n, k = X.shape[-2:]
        if self.orthogonal_map == "householder":
            return _product_of_reflections(X)
        below = X.tril()
        if n != k:
            below = ops.cat([below, cr.zeros(*X.shape[:-1], n - k, dtype=X.dtype)], -1)
        A = below - below.mT
        if self.orthogonal_map == "matrix_exp":
            return ops.matrix_exp(A)[..., :k]
        one = cr.eye(n, dtype=X.dtype)
        return ops.solve(one - 0.5 * A, one + 0.5 * A)[..., :k]

    @no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:
        """An original for which this gives Q, or for any other matrix its Q of Q·R."""
        if tuple(Q.shape) != self.shape:
            raise ShapeError(
                f"orthogonal: expects a value of shape {self.shape}, got {tuple(Q.shape)}"
            )
        wide = Q.shape[-2] < Q.shape[-1]
        columns = np.swapaxes(Q.array, -1, -2) if wide else Q.array
        if not hasattr(self, "base"):
            original = self._reflectors_of(columns)
            return Tensor(np.ascontiguousarray(np.swapaxes(original, -1, -2)) if wide else original)
        n, k = columns.shape[-2:]
        if n != k:
            more = cr.randn(*columns.shape[:-1], n - k, dtype=Q.dtype).array
            columns = np.concatenate([columns, more], -1)
        elif _is_orthogonal(columns):
            self.base = Tensor(columns.copy())
            return Tensor(_minus_identity(Q.array))
        self.base = Tensor(_orthogonalised(columns))
        return Tensor(_minus_identity(Q.array))

    def _reflectors_of(self, columns: Any) -> Any:
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                f"orthogonal: {self.orthogonal_map} without use_trivialization has no inverse"
            )
        flat = columns.reshape(-1, *columns.shape[-2:])
        made = np.empty_like(flat)
        for i, matrix in enumerate(flat):
            packed, tau = np.linalg.qr(matrix, mode="raw")
            made[i] = packed.T
            diagonal = np.einsum("ii->i", made[i, : len(tau)])
            diagonal[...] = np.sign(diagonal) * np.where(tau == 0, -1, 1)
        return made.reshape(columns.shape)


def _product_of_reflections(X: Tensor) -> Tensor:
    """The first k columns of H₁H₂...H_k, H_i = I - 2v_i v_iᵀ/‖v_i‖², each times ±1 as X's diagonal.

    v_i is column i of X below the diagonal, where it is 1. The product is I - V T Vᵀ, and T⁻¹ is
    the upper triangle of VᵀV with half the diagonal (Schreiber & Van Loan 1989).
    """
    n, k = X.shape[-2:]
    V = X.tril(-1) + cr.eye(n, k, dtype=X.dtype)
    products = V.mT @ V
    inverse = products.triu() - 0.5 * products * cr.eye(k, dtype=X.dtype)
    Q = cr.eye(n, k, dtype=X.dtype) - V @ ops.solve(inverse, V[..., :k, :].mT)
    signs = np.trunc(np.diagonal(X.array, axis1=-2, axis2=-1))
    return Q * Tensor(signs[..., None, :].astype(X.dtype))


def _is_orthogonal(Q: Any) -> bool:
    n, k = Q.shape[-2:]
    near = 10.0 * n * np.finfo(Q.dtype).eps
    return np.allclose(np.swapaxes(Q, -1, -2) @ Q, np.eye(k, dtype=Q.dtype), atol=near)


def _orthogonalised(matrix: Any) -> Any:
    """Q of Q·R, the diagonal of R positive."""
    q, r = np.linalg.qr(matrix)
    return q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]


def _minus_identity(like: Any) -> Any:
    return np.broadcast_to(-np.eye(*like.shape[-2:], dtype=like.dtype), like.shape).copy()


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Let a weight (..., n, k) have orthonormal columns, or rows where n < k: QᵀQ = I or QQᵀ = I.

    orthogonal_map: "matrix_exp", "cayley" or "householder" (None: the first for square matrices,
    the last for others); see `_Orthogonal`. use_trivialization: start from the present weight,
    orthogonalised if need be, kept in a buffer ``base``.
    Raises ConfigError, ShapeError. Source: Lezcano-Casado 2019, arXiv:1909.09501.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ConfigError(
            f"orthogonal: {type(module).__name__} has no parameter or buffer {name!r}"
        )
    if weight.ndim < 2:
        raise ShapeError(f"orthogonal: {name!r} is no matrix\n  {name} {tuple(weight.shape)}")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ConfigError(
            'orthogonal: orthogonal_map must be "matrix_exp", "cayley" or "householder", '
            f"got {orthogonal_map!r}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return parametrize.register_parametrization(module, name, made, unsafe=True)
