"""Activations, and softmax."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from chainrule import ops
from chainrule.autograd.change import change
from chainrule.ops.op import spelled
from chainrule.tensor import Tensor

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "maxout",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]


def _gate(function: Callable[..., Any], input: Tensor, inplace: bool, *settings: Any) -> Tensor:
    """The function of input; with inplace, put where input was."""
    y: Tensor = change(input, function, *settings) if inplace else function(input, *settings)
    return y


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), elementwise."""
    return input.relu_() if inplace else ops.relu(input)


def relu_(input: Tensor) -> Tensor:
    """x ← max(x, 0)."""
    return input.relu_()


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6), elementwise."""
    return _gate(ops.relu6, input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope · x. Source: Maas et al. 2013."""
    return _gate(ops.leaky_relu, input, inplace, negative_slope)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x ← leaky_relu(x)."""
    return leaky_relu(input, negative_slope, True)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight · x, the weight learned.

    input (N, C, *); weight (1,) for all channels or (C,). Raises ShapeError.
    Source: He et al. 2015, arXiv:1502.01852.
    """
    return ops.prelu(input, weight)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Leaky ReLU; in training each x ≤ 0 has its own slope, drawn evenly from lower..upper.

    In evaluation the slope is their mean. Raises ConfigError (lower above upper).
    Source: Xu et al. 2015, arXiv:1505.00853.
    """
    return _gate(ops.rrelu, input, inplace, lower, upper, training)


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """x ← rrelu(x)."""
    return rrelu(input, lower, upper, training, True)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else α(eˣ - 1). Source: Clevert et al. 2015, arXiv:1511.07289."""
    return _gate(ops.elu, input, inplace, alpha)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x ← elu(x)."""
    return elu(input, alpha, True)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """1.0507 · elu(x, 1.6733), which keeps normal inputs normal.

    Source: Klambauer et al. 2017, arXiv:1706.02515.
    """
    return _gate(ops.selu, input, inplace)


def selu_(input: Tensor) -> Tensor:
    """x ← selu(x)."""
    return selu(input, True)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else α(e^(x/α) - 1). Raises ConfigError (alpha 0). Source: Barron 2017."""
    return _gate(ops.celu, input, inplace, alpha)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x ← celu(x)."""
    return celu(input, alpha, True)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x·Φ(x), Φ the normal distribution; "tanh": Φ ≈ ½(1 + tanh √(2/π)(x + 0.044715 x³)).

    Raises ConfigError (another form). Source: Hendrycks & Gimpel 2016, arXiv:1606.08415.
    """
    return ops.gelu(input, approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x·σ(x), also called swish. Source: Ramachandran et al. 2017, arXiv:1710.05941."""
    return _gate(ops.silu, input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x·tanh(ln(1 + eˣ)). Source: Misra 2019, arXiv:1908.08681."""
    return _gate(ops.mish, input, inplace)


def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """ln(1 + e^(βx))/β, a smooth ReLU; x itself where βx > threshold."""
    return ops.softplus(input, beta, threshold)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """min(max(x, min_val), max_val), elementwise."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return _gate(ops.hardtanh, input, inplace, min_val, max_val)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x ← hardtanh(x)."""
    return hardtanh(input, min_val, max_val, True)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x + 3, 0), 6)/6: a straight sigmoid."""
    return _gate(ops.hardsigmoid, input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · hardsigmoid(x). Source: Howard et al. 2019, arXiv:1905.02244."""
    return _gate(ops.hardswish, input, inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value."""
    return _gate(ops.threshold, input, inplace, threshold, value)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """x ← x where x > threshold, else value."""
    return _gate(ops.threshold, input, True, threshold, value)


@spelled
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > λ, else 0."""
    return ops.hardshrink(input, lambd)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x ∓ λ where |x| > λ, else 0. Raises ConfigError (negative λ)."""
    return ops.softshrink(input, lambd)


def logsigmoid(input: Tensor) -> Tensor:
    """ln σ(x), without overflow."""
    return ops.logsigmoid(input)


def softsign(input: Tensor) -> Tensor:
    """x/(1 + |x|)."""
    return ops.softsign(input)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh x."""
    return ops.tanhshrink(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ), elementwise."""
    return ops.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """(eˣ - e⁻ˣ) / (eˣ + e⁻ˣ), elementwise."""
    return ops.tanh(input)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a·σ(b), with a and b the halves of x along ``dim``. Raises ShapeError (odd length).

    Source: Dauphin et al. 2016, arXiv:1612.08083.
    """
    return ops.glu(input, dim)


def maxout(input: Tensor, num_pieces: int, dim: int = 1) -> Tensor:
    """The largest of each num_pieces neighbouring channels: (N, C·k, *) -> (N, C, *).

    Not in PyTorch. Raises ShapeError. Source: Goodfellow et al. 2013, arXiv:1302.4389.
    """
    return ops.maxout(input, num_pieces, dim)


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """y_i = e^{x_i} / Σ_j e^{x_j} along ``dim``; the input is cast to ``dtype`` first.

    Give dim: without it PyTorch's old choice is made, with a warning.
    """
    dim = _implicit_dim("softmax", input.ndim, _stacklevel) if dim is None else dim
    return ops.softmax(input if dtype is None else ops.cast(input, dtype), dim)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """y_i = x_i - ln Σ_j e^{x_j} along ``dim``; else as `softmax`."""
    dim = _implicit_dim("log_softmax", input.ndim, _stacklevel) if dim is None else dim
    return ops.log_softmax(input if dtype is None else ops.cast(input, dtype), dim)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """softmax(-x) along ``dim``; else as `softmax`."""
    dim = _implicit_dim("softmin", input.ndim, _stacklevel) if dim is None else dim
    return ops.softmin(input if dtype is None else ops.cast(input, dtype), dim)


def _implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Nearly a draw from softmax(logits): softmax((logits + n)/τ), n = -ln E, E ~ Exp(1).

    hard: the draw itself as 0 and 1, with the gradient of the soft one. eps does nothing, as in
    PyTorch. Source: Jang et al. 2016, arXiv:1611.01144.
    """
    return ops.gumbel_softmax(logits, tau, hard, dim)
