"""What each operation costs: one formula an operation, forwards and backwards.

A MAC is one multiplication whose product is added to a sum, in a product of arrays (convolution,
linear map, matrix product). A FLOP is one addition, subtraction, multiplication, division,
comparison or one value of an elementary function (root, exp, log, sin, tanh, erf), so a MAC is
two. Moving values (views, indexing, padding, joining, casting) costs none of either.

With n values in the result, m in the argument, and windows of K taps in all:

    conv        MACs n·K·C/groups     y_o = Σ_c,k w·x: K·C/groups products for each result
    transposed  MACs m·K·O/groups     each input value goes to K·O/groups places
    linear      MACs n·I              y_o = Σ_i w·x: I products for each result
    matmul      MACs n·K              einsum and attention consist of these
    + bias      FLOPs n               one addition for each result
    batch norm  FLOPs 2n, training 6n x·s + t; mean 1, squared deviation 3, scale and shift 2
    layer norm, group norm  FLOPs 6n, + n for a weight, + n for a bias
    relu        FLOPs n               one comparison
    max pool    FLOPs n·(K - 1)       comparisons
    avg pool    FLOPs n·K             K - 1 additions and a division
    softmax     FLOPs 5n              maximum, difference, exp, sum, division
    resample    FLOPs n·(2K - 1)      K products, K - 1 additions (nearest, K = 1: none)

Backwards, of y = f(a, b, ...), each argument whose gradient is wanted has its own cost. A product
of arrays costs its MACs again for each of its two arguments: dx = gᵀW and dW = gᵀx are products
of the same three lengths. A bias sums g: n additions. The first layer's input needs no gradient,
and costs none. Where a value is used k times its k gradients are added: (k - 1)·n.

What is per channel (the root of a variance) is left out; so is drawing random numbers. An
operation that is not in these tables is unknown, not free.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from chainrule.inspect.recording import Call, Value


@dataclass(frozen=True)
class Cost:
    """MACs; all FLOPs, of which two for each MAC; FLOPs of each argument's gradient, by name.

    None: unknown. ``each``: of any argument that is not in ``gradients``.
    """

    macs: int = 0
    flops: int | None = 0
    gradients: dict[str, int] = field(default_factory=dict)
    each: int | None = 0

    def gradient(self, name: str) -> int | None:
        """FLOPs of the gradient of the argument ``name``."""
        return self.gradients.get(name, self.each)


UNKNOWN = Cost(0, None, each=None)
FREE = Cost()


def cost_of(call: Call) -> Cost:
    """The cost of a call; `UNKNOWN` of what is not in the tables."""
    if not call.traced:
        seen = bool(call.args)  # the operations inside were: only their gradient is its own
        return FREE if call.op in MOVES else Cost(0, 0 if seen else None, each=None)
    if call.op in MOVES:
        return Cost(gradients=_of_broadcast(call))
    if call.op in PER_VALUE:
        forward, backward = PER_VALUE[call.op]
        n = call.result.size
        spread = _of_broadcast(call)
        gradients = {name: backward * n + spread.get(name, 0) for name in call.settings}
        return Cost(0, round(forward * n), {k: round(v) for k, v in gradients.items()})
    if call.op in FORMULAS:
        return FORMULAS[call.op](call)
    return UNKNOWN


def _of_broadcast(call: Call) -> dict[str, int]:
    """FLOPs of adding up the gradient of what was repeated to fit the other arguments."""
    n = call.result.size
    if call.op in KEEPS_SIZE:
        return {
            name: n - a.size
            for name, a in call.settings.items()
            if isinstance(a, Value) and 0 < a.size < n
        }
    return {}


# -- products of arrays --------------------------------------------------------------------------


def _product(macs: int, call: Call, left: str, right: str) -> Cost:
    """Of MACs for each of two factors and, where there is one, a bias."""
    n = call.result.size
    bias = n if isinstance(call.settings.get("bias"), Value) else 0
    return Cost(macs, 2 * macs + bias, {left: 2 * macs, right: 2 * macs, "bias": n})


def _conv(call: Call) -> Cost:
    weight = call.settings["weight"]  # (O, C/groups, *K)
    return _product(call.result.size * math.prod(weight.shape[1:]), call, "x", "weight")


def _conv_transpose(call: Call) -> Cost:
    x, weight = call.settings["x"], call.settings["weight"]  # (C, O/groups, *K)
    return _product(x.size * math.prod(weight.shape[1:]), call, "x", "weight")


def _conv_grad(call: Call) -> Cost:
    """The gradients of a convolution, as operations of their own."""
    g, other = (v for v in call.values[:2])
    weight = other.shape if "weight" in call.settings else call.settings["shape"]
    macs = g.size * math.prod(weight[1:])
    return Cost(macs, 2 * macs, each=2 * macs)


def _linear(call: Call) -> Cost:
    return _product(call.result.size * call.settings["x"].shape[-1], call, "x", "weight")


def _matmul(call: Call) -> Cost:
    return _product(call.result.size * call.settings["a"].shape[-1], call, "a", "b")


# -- normalisation -------------------------------------------------------------------------------


def _batch_norm(call: Call) -> Cost:
    """Backwards dβ = Σg: n; dγ = Σ g·x̂: 4n with x̂; dx = s·(g - mean g - x̂·mean g·x̂): 4n."""
    n = call.result.size
    return Cost(0, 6 * n, {"x": 4 * n, "weight": 4 * n, "bias": n})


def _batch_norm_inference(call: Call) -> Cost:
    """x·s + t. Backwards dx = s·g: n; dβ = Σg: n; dγ = Σ g·x̂: 4n with x̂."""
    n = call.result.size
    return Cost(0, 2 * n, {"x": n, "weight": 4 * n, "bias": n})


def _row_norm(call: Call) -> Cost:
    """Mean 1, squared deviation 3 (of a root mean square: 2), scale and shift 2 (1)."""
    n = call.result.size
    own = 3 if call.op == "rms_norm" else 6
    affine = sum(isinstance(call.settings.get(name), Value) for name in ("weight", "bias"))
    return Cost(0, (own + affine) * n, {"x": 8 * n, "weight": 4 * n, "bias": n})


def _local_response_norm(call: Call) -> Cost:
    """x / (k + α/size · Σ x²)^β: square, sum of size, scale, add, power, division."""
    n, size = call.result.size, call.settings["size"]
    return Cost(0, (size + 4) * n, each=(size + 6) * n)


# -- windows -------------------------------------------------------------------------------------


def _max_pool(call: Call) -> Cost:
    """Backwards each g is added to its winner."""
    n = call.result.size
    return Cost(0, n * (math.prod(call.settings["kernel_size"]) - 1), each=n)


def _avg_pool(call: Call) -> Cost:
    """Backwards each g is divided and added to K pixels."""
    n, taps = call.result.size, math.prod(call.settings["kernel_size"])
    return Cost(0, n * taps, each=n * (taps + 1))


def _adaptive_avg_pool(call: Call) -> Cost:
    """Cells of all sizes: their pixels together, for each channel."""
    x, n = call.settings["x"], call.result.size
    if x.shape == call.result.shape:  # one cell for each pixel
        return FREE
    pixels = math.prod(x.shape[:2])
    for length, cells in zip(x.shape[2:], call.result.shape[2:], strict=True):
        pixels *= sum(-(-(i + 1) * length // cells) - i * length // cells for i in range(cells))
    return Cost(0, pixels, each=n + pixels)


def _resample(call: Call) -> Cost:
    n, taps = call.result.size, call.settings["index"].shape[1]
    flops = n * (2 * taps - 1) if taps > 1 else 0  # of one tap the weight is 1
    return Cost(0, flops, each=n * (2 * taps - 1 if taps > 1 else 1))


def _sample_images(call: Call) -> Cost:
    """Bilinear: the four weights 6 for each place; 4 products and 3 sums for each channel.

    Backwards the pixels: 4 products and sums; the place: both derivatives of the weights.
    """
    x, n = call.settings["x"], call.result.size
    places = n // max(x.shape[1], 1)
    if call.settings["nearest"]:
        return Cost(0, 2 * places, {"x": n, "at": 0})
    return Cost(0, 7 * n + 6 * places, {"x": 8 * n, "at": 12 * n})


def _channel_window_sum(call: Call) -> Cost:
    n, taps = call.result.size, call.settings["before"] + call.settings["after"] + 1
    return Cost(0, n * (taps - 1), each=n * (taps - 1))


# -- reductions and others ---------------------------------------------------------------------


def _reduction(forward: float, backward: float) -> Callable[[Call], Cost]:
    """Of so many FLOPs for each value that is reduced."""

    def cost(call: Call) -> Cost:
        m = call.values[0].size
        return Cost(0, round(forward * m), each=round(backward * m))

    return cost


def _sub(call: Call) -> Cost:
    """Backwards a takes g as it is, b takes -g."""
    n, spread = call.result.size, _of_broadcast(call)
    return Cost(0, n, {"a": spread.get("a", 0), "b": n + spread.get("b", 0)})


def _sum(call: Call) -> Cost:
    return Cost(0, max(call.values[0].size - call.result.size, 0))


def _loss(forward: int, backward: int) -> Callable[[Call], Cost]:
    """Of so many FLOPs for each score."""
    return _reduction(forward, backward)


def _weight_norm(call: Call) -> Cost:
    """v·g/‖v‖: squares and their sum 2, product 1; backwards 6."""
    n = call.result.size
    return Cost(0, 3 * n, {"v": 6 * n, "g": 2 * n})


def _fold(call: Call) -> Cost:
    return Cost(0, call.values[0].size)


def _embedding(call: Call) -> Cost:
    return Cost(0, 0, {"weight": call.result.size})


FORMULAS: dict[str, Callable[[Call], Cost]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _conv_transpose),
    **{f"conv{n}d_{of}_grad": _conv_grad for n in (1, 2, 3) for of in ("input", "weight")},
    "linear": _linear,
    "matmul": _matmul,
    "batch_norm": _batch_norm,
    "batch_norm_inference": _batch_norm_inference,
    "layer_norm": _row_norm,
    "group_norm": _row_norm,
    "rms_norm": _row_norm,
    "local_response_norm": _local_response_norm,
    "channel_window_sum": _channel_window_sum,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "adaptive_avg_pool2d": _adaptive_avg_pool,
    "resample": _resample,
    "sample_images": _sample_images,
    "sub": _sub,
    "sum": _sum,
    "sum_to": _sum,
    "amax": _reduction(1, 1),
    "amin": _reduction(1, 1),
    "argmax": _reduction(1, 0),
    "argmin": _reduction(1, 0),
    "any": _reduction(1, 0),
    "all": _reduction(1, 0),
    "product": _reduction(1, 2),
    "cumsum": _reduction(1, 1),
    "logsumexp": _reduction(4, 3),
    "softmax": _reduction(5, 4),  # backwards y·(g - Σ g·y)
    "masked_softmax": _reduction(6, 4),
    "log_softmax": _reduction(5, 4),  # backwards g - exp(y)·Σg
    "cross_entropy": _loss(7, 2),
    "mse_loss": _loss(3, 2),
    "l1_loss": _loss(3, 2),
    "smooth_l1_loss": _loss(6, 3),
    "huber_loss": _loss(6, 3),
    "kl_div": _loss(4, 2),
    "kl_div_of_log": _loss(4, 2),
    "binary_cross_entropy": _loss(6, 4),
    "binary_cross_entropy_with_logits": _loss(7, 5),
    "soft_margin_loss": _loss(5, 5),
    "multi_margin_loss": _loss(4, 2),
    "weight_norm": _weight_norm,
    "fold": _fold,
    "embedding": _embedding,
}
"""Operations that have a formula of their own."""

PER_VALUE: dict[str, tuple[float, float]] = {
    "add": (1, 0), "mul": (1, 1), "div": (1, 2), "neg": (1, 1), "pow": (1, 3),
    "maximum": (1, 1), "minimum": (1, 1), "clamp": (2, 1), "where": (1, 1), "abs": (1, 1),
    "sign": (1, 0), "exp": (1, 1), "expm1": (1, 2), "log": (1, 1), "log1p": (1, 2), "sqrt": (1, 2),
    "rsqrt": (2, 4), "reciprocal": (1, 3), "square": (1, 2), "sin": (1, 2), "cos": (1, 3),
    "tan": (1, 3), "erf": (1, 5), "erfc": (1, 5), "floor": (1, 0), "ceil": (1, 0), "round": (1, 0),
    "floor_divide": (2, 0), "remainder": (3, 1), "fmod": (3, 1),
    "eq": (1, 0), "ne": (1, 0), "lt": (1, 0), "le": (1, 0), "gt": (1, 0), "ge": (1, 0),
    "logical_and": (1, 0), "logical_or": (1, 0), "logical_xor": (1, 0), "logical_not": (1, 0),
    "isnan": (1, 0), "isinf": (1, 0), "isfinite": (1, 0),
    "relu": (1, 1), "leaky_relu": (2, 2), "prelu": (2, 2), "hardtanh": (2, 1), "threshold": (1, 1),
    "hardsigmoid": (4, 2), "hardswish": (5, 4), "hardshrink": (2, 1), "softshrink": (4, 1),
    "elu": (4, 3), "sigmoid": (4, 3), "tanh": (1, 3), "silu": (5, 5), "softplus": (5, 4),
    "mish": (6, 8), "gelu": (5, 8), "logsigmoid": (4, 4), "softsign": (3, 4), "tanhshrink": (2, 2),
    "dropout": (2, 1), "relu_backward": (1, 1), "log1p_exp": (4, 4), "at_least": (1, 1),
    "asin": (1, 4), "acos": (1, 4), "atan": (1, 3), "sinh": (1, 2), "cosh": (1, 2),
    "asinh": (1, 4), "acosh": (1, 4), "atanh": (1, 3), "erfinv": (1, 5), "sinc": (3, 6),
    "exp2": (1, 2), "log2": (1, 2), "log10": (1, 2), "logaddexp": (5, 4), "logit": (3, 3),
    "xlogy": (2, 2), "hypot": (4, 2), "atan2": (2, 4), "deg2rad": (1, 1), "rad2deg": (1, 1),
    "trunc": (1, 0), "frac": (2, 0), "heaviside": (2, 0), "fmax": (1, 1), "fmin": (1, 1),
    "copysign": (1, 1), "nan_to_num": (3, 1), "isclose": (4, 0), "signbit": (1, 0),
}  # fmt: skip
"""FLOPs for each value of the result: of the operation, and of each argument's gradient.

As the formulas are written, with one for each elementary function: σ(x) = 1/(1 + e^-x) has four,
silu x·σ(x) five, gelu x·½(1 + erf(x/√2)) five, and dropout compares and multiplies.
"""

MOVES = frozenset({
    "cast", "clone", "expand", "fill", "constant", "zeros_like", "reshape", "permute", "getitem",
    "add_at", "index_put", "gather", "take", "nonzero_indices", "constant_pad", "edge_pad",
    "edge_fold", "cat", "flip", "roll", "diagonal", "diagonal_backward", "one_hot",
    "max_pool_indices", "unfold", "overwrite", "straight_through_max", "BackwardHookFunction",
})  # fmt: skip
"""Operations that only move values."""

KEEPS_SIZE = frozenset(PER_VALUE) | {"expand", "sub"}
"""Operations that repeat arguments to one shape."""
