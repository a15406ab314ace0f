"""Parametrizations ready to use: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

from typing import Any

from chainrule import ops
from chainrule.autograd import no_grad
from chainrule.errors import AxisError, ConfigError
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

__all__ = ["spectral_norm", "weight_norm"]


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

    def take_old_names(state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        old = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                new = f"{prefix}parametrizations.{name}.original{i}"
                state_dict[new] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(take_old_names)
    return module


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
