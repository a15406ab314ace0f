"""PyTorch's `torch.nn.functional` by name and signature, over `chainrule.ops`.

Nothing is computed here; the formulas and their gradients are in `chainrule.ops`.
``inplace`` is accepted where PyTorch has it and changes nothing: results are new tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from chainrule import ops
from chainrule.errors import ConfigError, absent_name
from chainrule.random import Generator
from chainrule.tensor import Tensor

Size = int | Sequence[int]
Reduction = Literal["mean", "sum", "none"]

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "cross_entropy",
    "dropout",
    "group_norm",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "multi_margin_loss",
    "multiclass_svm_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


# -- layers with weights -----------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Affine map y = x Wᵀ + b.

    input x (..., I); weight W (O, I); bias b (O,) or None -> (..., O).
    Raises ShapeError (features disagree), DTypeError.
    """
    return ops.linear(input, weight, bias)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | Literal["same", "valid"] = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate images with filters (the filter is not flipped).

    y[n, o, i, j] = b[o] + Σ_{c, u, v} W[o, c, u, v] · x[n, c, i·s + u·d - p, j·s + v·d - p]

    input x (N, C, H, W) or (C, H, W); weight W (O, C/groups, KH, KW); bias b (O,) or None.
    stride, padding, dilation: pixels, int or (vertical, horizontal); padding "same" keeps
    the size (stride 1), "valid" pads nothing.
    Returns (N, O, ⌊(H + 2p - d(KH-1) - 1)/s⌋ + 1, the same for W).
    Raises ShapeError (channels disagree, window larger than the padded image), DTypeError.
    Source: Dumoulin & Visin 2016, arXiv:1603.07285.
    """
    return ops.conv2d(input, weight, bias, stride, padding, dilation, groups)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel: y = (x - μ) / √(σ² + ε) · w + b.

    input x (N, C, *); the others (C,) or None. In training, μ and the biased σ² are those
    of the batch, and the running statistics move in place by ``momentum`` towards its mean
    and unbiased variance; otherwise the running statistics are used.
    Raises ShapeError (one value per channel in training), DTypeError.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2.
    """
    if not training and running_mean is None:
        raise ConfigError(
            "batch_norm: evaluation needs running statistics; pass running_mean and "
            "running_var, or training=True to use the batch's"
        )
    mean = var = None
    if running_mean is not None and running_var is not None:
        mean, var = running_mean.array, running_var.array
        # moved by every batch, which the graph is not told
        running_mean.version.is_visible = running_var.version.is_visible = True
    return ops.batch_norm(input, mean, var, weight, bias, training, momentum, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each sample over its last axes: y = (x - μ) / √(σ² + ε) · w + b.

    normalized_shape: the sizes of these axes; weight and bias have that shape, or None.
    Raises ShapeError, DTypeError. Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
    """
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each group of channels of each image: y = (x - μ) / √(σ² + ε) · w + b.

    input x (N, C, *), C a multiple of num_groups; weight, bias (C,) or None.
    Raises ShapeError, DTypeError. Source: Wu & He 2018, arXiv:1803.08494.
    """
    return ops.group_norm(input, num_groups, weight, bias, eps)


# -- pooling, padding, dropout -----------------------------------------------------------------


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest value of each window; padding counts as -∞.

    input (N, C, H, W) or (C, H, W); sizes in pixels, int or (vertical, horizontal);
    stride None: the window's size. ceil_mode rounds the output size up.
    Returns (N, C, ⌊(H + 2p - d(K-1) - 1)/s⌋ + 1, the same for W).
    Raises ShapeError (window larger than the padded image), ConfigError, DTypeError.
    """
    return ops.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window; count_include_pad: padding counts as zeros of the mean.

    Shapes and errors as `max_pool2d`.
    """
    return ops.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """Means over a grid of output_size cells that covers the image; 1 is the global mean.

    input (N, C, H, W) or (C, H, W); output_size int or (OH, OW), None keeps a length.
    Cell i spans rows ⌊i·H/OH⌋ to ⌈(i+1)·H/OH⌉ - 1. Returns (N, C, OH, OW).
    """
    return ops.adaptive_avg_pool2d(input, output_size)


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Surround with a constant (0 unless ``value``); negative widths crop.

    pad: (before, after) pairs from the last axis backwards: (left, right, top, bottom).
    Raises ConfigError for another mode than "constant", ShapeError.
    """
    if mode != "constant":
        raise ConfigError(f'pad: mode {mode!r} is not supported; only "constant" is')
    return ops.pad(input, pad, 0.0 if value is None else value)


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each element with probability p and scale the rest by 1/(1 - p), in training.

    y = x · m / (1 - p), m ~ Bernoulli(1 - p), so E[y] = x; in evaluation, y = x.
    Raises ConfigError (p outside 0..1). Source: Srivastava et al. 2014, JMLR 15(56).
    """
    return ops.dropout(input, p, training, generator)


# -- activations -------------------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), elementwise."""
    return ops.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope · x. Source: Maas et al. 2013."""
    return ops.leaky_relu(input, negative_slope)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ), elementwise."""
    return ops.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """(eˣ - e⁻ˣ) / (eˣ + e⁻ˣ), elementwise."""
    return ops.tanh(input)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_i = e^{x_i} / Σ_j e^{x_j} along ``dim``; the input is cast to ``dtype`` first."""
    return ops.softmax(input if dtype is None else ops.cast(input, dtype), dim)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_i = x_i - ln Σ_j e^{x_j} along ``dim``; the input is cast to ``dtype`` first."""
    return ops.log_softmax(input if dtype is None else ops.cast(input, dtype), dim)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the class, 0 elsewhere: class numbers (*) -> int64 (*, C); C: the largest + 1."""
    return ops.one_hot(tensor, num_classes)


# -- losses ------------------------------------------------------------------------------------


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """ℓ_n = -w_t (z_t - ln Σ_j e^{z_j}): what softmax makes of the right class, -log.

    input z: scores (N, C, *) or (C,); target t: class numbers (N, *), or probabilities of
    z's shape. "mean" divides by the sum of the targets' weights. Targets equal to
    ignore_index count for nothing. label_smoothing s gives each class s/C.
    Starts near ln C. Raises ShapeError (shapes, a target that is no class), DTypeError.
    """
    return ops.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """ℓ_n = -w_t · log_p[n, t], for log-probabilities (N, C, *) and class numbers (N, *).

    Reduction and errors as `cross_entropy`.
    """
    return ops.nll_loss(input, target, weight, ignore_index, reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """The multiclass SVM: ℓ_n = w_t Σ_{j≠t} max(0, Δ - s_t + s_j)^p / C, margin Δ.

    input s: scores (N, C) or (C,); target t: class numbers (N,); p 1 or 2.
    Raises ShapeError, DTypeError, ConfigError. Source: Weston & Watkins 1999.
    """
    return ops.multi_margin_loss(input, target, p, margin, weight, reduction)


def multiclass_svm_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """The multiclass SVM without the division by C: ℓ_n = Σ_{j≠t} max(0, s_j - s_t + Δ).

    With small random scores it starts near (C - 1)·Δ. Not in PyTorch; see `multi_margin_loss`.
    """
    return ops.multiclass_svm_loss(input, target, margin, reduction)


def mse_loss(input: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """(x - t)², elementwise, then reduced."""
    return ops.mse_loss(input, target, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """|x - t|, elementwise, then reduced."""
    return ops.l1_loss(input, target, reduction)


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
