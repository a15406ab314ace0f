"""Spectral normalisation by a hook before every forward; see also `parametrizations`."""

from __future__ import annotations

from typing import Any, TypeVar

import chainrule as cr
import chainrule.nn.functional as F
from chainrule.autograd import no_grad
from chainrule.errors import ConfigError
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor

__all__ = ["remove_spectral_norm", "spectral_norm"]

M = TypeVar("M", bound=Module)


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """Axis ``dim`` as rows, all others as columns."""
    others = [axis for axis in range(weight.ndim) if axis != dim]
    return weight.permute(dim, *others).reshape(weight.shape[dim], -1)


def unit_vector(n: int, like: Tensor, eps: float) -> Tensor:
    """A random direction in n dimensions."""
    return F.normalize(cr.randn(n, dtype=like.dtype), dim=0, eps=eps)


def largest_singular_value(matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """σ = uᵀWv, with u and v constants that later changes in place do not reach: dW = g·u vᵀ."""
    return u.clone() @ (matrix @ v.clone())


def output_axis(module: Module) -> int:
    """The axis of a module's weight that counts outputs."""
    return 1 if getattr(module, "transposed", False) else 0


class SpectralNorm:
    """The hook: sets ``name`` to W/σ(W), where W is the parameter name_orig.

    u and v (buffers name_u, name_v) follow the singular vectors of the largest singular value,
    by ``n_power_iterations`` of v ← Wᵀu/‖Wᵀu‖, u ← Wv/‖Wv‖ before each forward in training.
    """

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        if n_power_iterations <= 0:
            raise ConfigError(
                f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}"
            )
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """W/σ; do_power_iteration: after moving u and v."""
        parts = (getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v"))
        weight, u, v = parts
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(matrix.mT @ u, dim=0, eps=self.eps))
                    u.copy_(F.normalize(matrix @ v, dim=0, eps=self.eps))
        return weight / largest_singular_value(matrix, u, v)

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide a weight by its largest singular value: W/σ(W), σ = uᵀWv.

    Parameter ``name`` becomes name_orig, with buffers name_u and name_v for the singular vectors;
    see `SpectralNorm`. dim: the axis that counts outputs; all others are columns (None: 1 for
    transposed convolutions, else 0).
    Raises ConfigError. Source: Miyato et al. 2018, arXiv:1802.05957, algorithm 1.
    """
    if _hook_of(module, name) is not None:
        raise ConfigError(f"spectral_norm: {name!r} of {type(module).__name__} has it already")
    hook = SpectralNorm(name, n_power_iterations, output_axis(module) if dim is None else dim, eps)
    weight = module.get_parameter(name)
    rows, columns = as_matrix(weight.detach(), hook.dim).shape
    u, v = unit_vector(rows, weight, eps), unit_vector(columns, weight, eps)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.data)  # there for who looks; the first forward replaces it
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make the weight one parameter again, W/σ at its present value."""
    key = _hook_of(module, name)
    if key is None:
        raise ConfigError(f"remove_spectral_norm: {name!r} of {type(module).__name__} has none")
    with no_grad():
        weight = module._forward_pre_hooks.pop(key).compute_weight(module, False)
    for each in (name, f"{name}_u", f"{name}_v", f"{name}_orig"):
        delattr(module, each)
    module.register_parameter(name, Parameter(weight))
    return module


def _hook_of(module: Module, name: str) -> int | None:
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            return key
    return None
