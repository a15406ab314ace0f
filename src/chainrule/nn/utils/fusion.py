"""Batch norm's scale and shift moved into the layer before it: W' = s·W, b' = s·(b - μ) + β.

In evaluation batch norm is y = s·(x - μ) + β per channel, s = γ/√(σ² + ε): an affine map behind
an affine map is one affine map (docs/derivations/fold_batch_norm.md).
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import numpy as np

from chainrule.errors import ConfigError
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]

M = TypeVar("M", bound=Module)
Parameters = tuple[Parameter, Parameter]


def fuse_conv_bn_eval(conv: M, bn: Module, transpose: bool = False) -> M:
    """A copy of a convolution that does its batch norm's work too; both in evaluation.

    transpose: the weight of a transposed convolution, (I, O/groups, *).
    Raises ConfigError (in training; no running statistics).
    """
    return _fused("fuse_conv_bn_eval", conv, bn, transpose)


def fuse_linear_bn_eval(linear: M, bn: Module) -> M:
    """A copy of a linear layer that does its batch norm's work too; both in evaluation.

    Raises ConfigError (in training; no running statistics; widths differ).
    """
    if bn.num_features not in (linear.out_features, 1):
        raise ConfigError(
            f"fuse_linear_bn_eval: {linear.out_features} outputs, but batch norm of "
            f"{bn.num_features}"
        )
    return _fused("fuse_linear_bn_eval", linear, bn, False)


def _fused(name: str, layer: M, bn: Any, transpose: bool) -> M:
    if layer.training or bn.training:
        raise ConfigError(f"{name}: only in evaluation is batch norm affine; call .eval() first")
    if bn.running_mean is None or bn.running_var is None:
        raise ConfigError(f"{name}: batch norm has no running statistics, so nothing is constant")
    fused: Any = copy.deepcopy(layer)
    fused.weight, fused.bias = folded_parameters(layer, bn, transpose)
    return fused


def folded_parameters(layer: Any, bn: Any, transpose: bool | None = None) -> Parameters:
    """Weight and bias with which a layer does its batch norm's work too, in evaluation.

    transpose None: as the layer says.
    """
    if transpose is None:
        transpose = getattr(layer, "transposed", False)
    statistics = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    groups = getattr(layer, "groups", 1)
    return _folded(layer.weight, layer.bias, *statistics, transpose, groups)


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> Parameters:
    """Weight and bias of the convolution that does its batch norm's work too.

    conv_w (O, I/groups, *), or (I, O, *) with ``transpose``; bias and batch norm's (O,) or None.
    """
    return _folded(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose, 1)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> Parameters:
    """Weight and bias of the linear layer that does its batch norm's work too.   linear_w (O, I)"""
    return _folded(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, False, 1)


def _folded(
    weight: Tensor, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float,
    scale: Tensor | None, shift: Tensor | None, transpose: bool, groups: int,
) -> Parameters:  # fmt: skip
    """In float64, rounded once."""
    s = 1 / np.sqrt(_wide(var, 1.0) + eps) * _wide(scale, 1.0)
    b = (_wide(bias, 0.0) - _wide(mean, 0.0)) * s + _wide(shift, 0.0)
    w = _wide(weight, 0.0)
    if transpose:  # (I, O/groups, *): each group of inputs has its own outputs
        inputs, outputs, *window = weight.shape
        parts = w.reshape(groups, inputs // groups, outputs, *window)
        w = (parts * s.reshape(groups, 1, outputs, *(1,) * len(window))).reshape(weight.shape)
    else:
        w = w * s.reshape(-1, *(1,) * (weight.ndim - 1))
    b = np.broadcast_to(b, groups * weight.shape[1] if transpose else weight.shape[0])
    dtype = weight.dtype
    return (
        Parameter(w.astype(dtype), weight.requires_grad),
        Parameter(b.astype(dtype), bias is not None and bias.requires_grad),
    )


def _wide(values: Tensor | None, missing: float) -> Any:
    return missing if values is None else values.detach().array.astype(np.float64)
