"""Gradient clipping. The module's name is PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from chainrule.autograd.pending import before_change
from chainrule.errors import ConfigError, DivergenceError
from chainrule.tensor import Tensor

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor so that their joint norm is at most max_norm.

    n = (Σ |g|^p)^{1/p} over every element of every gradient, p = norm_type (inf: the largest
    |g|);  g ← g · min(1, max_norm / (n + 10⁻⁶)), in place. foreach changes nothing here.
    Returns n from before. Raises DivergenceError for a NaN or infinite n if
    error_if_nonfinite. Source: Pascanu et al. 2013, arXiv:1211.5063.
    """
    grads = _grads(parameters)
    norm = _total_norm("clip_grad_norm_", grads, norm_type, error_if_nonfinite)
    _scale(grads, max_norm / (norm + 1e-6))
    return _as_scalar(norm, grads)


clip_grad_norm = clip_grad_norm_  # PyTorch's old name


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The joint norm (Σ |x|^p)^{1/p} over every element of every tensor, p = norm_type.

    Raises DivergenceError if error_if_nonfinite and it is. foreach changes nothing here.
    """
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    return _as_scalar(
        _total_norm("get_total_norm", tensors, norm_type, error_if_nonfinite), tensors
    )


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale all gradients by min(1, max_norm / (total_norm + 10⁻⁶)), in place."""
    _scale(_grads(parameters), max_norm / (float(total_norm) + 1e-6))


def _total_norm(name: str, tensors: list[Tensor], p: float, error_if_nonfinite: bool) -> float:
    norm = _joint_norm(name, tensors, float(p))
    if error_if_nonfinite and not math.isfinite(norm):
        raise DivergenceError(
            f"{name}: the norm of the gradients is {norm}; lower the learning rate, "
            "or pass error_if_nonfinite=False to go on"
        )
    return norm


def _as_scalar(norm: float, tensors: list[Tensor]) -> Tensor:
    return Tensor(np.asarray(norm, tensors[0].dtype if tensors else np.float32))


def _scale(grads: list[Tensor], factor: float) -> None:
    if factor >= 1:  # not when NaN: it then shows in every gradient, as in PyTorch
        return
    with np.errstate(invalid="ignore"):
        for g in grads:
            before_change(g.array)
            g.array *= factor
            g.version.count += 1


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Clamp each element of the gradients to -clip_value..clip_value, in place."""
    limit = float(clip_value)
    for g in _grads(parameters):
        before_change(g.array)
        np.clip(g.array, -limit, limit, out=g.array)
        g.version.count += 1


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    tensors = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in tensors if p.grad is not None]


def _joint_norm(name: str, grads: list[Tensor], p: float) -> float:
    """In float64, and by NumPy's sums, not BLAS: the same bits with any number of threads."""
    if not p > 0:
        raise ConfigError(f"{name}: norm_type must be positive, got {p}")
    if p == math.inf:
        # not builtin max, which may lose a NaN
        return float(np.max([np.max(np.abs(g.array)) for g in grads if g.array.size] or [0.0]))
    if p == 2:
        return math.sqrt(sum(float(np.square(g.array, dtype=np.float64).sum()) for g in grads))
    powers = (np.abs(g.array).astype(np.float64) ** p for g in grads)
    return sum(float(power.sum()) for power in powers) ** (1 / p)
