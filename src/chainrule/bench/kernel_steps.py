"""The kernels of each kind of layer: a step of ours, and of what PyTorch runs for the same.

PyTorch's are the functions that its own layers and their gradients call. Where one kernel of
ours does what takes several of them, the several are run, in place where PyTorch's users can.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.bench.layers import Layer, Pair, Shape
from chainrule.bench.turns import Step
from chainrule.kernels.geometry import EDGES, ZERO, conv_output_size
from chainrule.ops.upsample import interpolate

ONES: Pair = (1, 1)
EPS = 1e-5


class Arrays:
    """What a layer's kernels work on: the same numbers for every side.

    `of` brings an array into the side's hands: its memory layout, its tensor type. `weight_of`
    does so with weights, where the side's models keep them otherwise than images.
    """

    def __init__(
        self,
        layer: Layer,
        of: Callable[[np.ndarray], Any],
        weight_of: Callable[[np.ndarray], Any] | None = None,
    ) -> None:
        self.layer = layer
        self.of = of
        self.weight_of = weight_of or of

    def _noise(self, seed: int, *shape: int) -> Any:
        return self.of(noise(seed, shape))

    @cached_property
    def x(self) -> Any:
        return self._noise(1, *self.layer.x)

    @cached_property
    def weight(self) -> Any:
        """Of a convolution or a linear layer; a vector where the layer has no outputs."""
        layer = self.layer
        if not layer.outputs:
            return self._noise(2, layer.x[1])
        window = layer.kernel_size if layer.kind == "conv2d" else ()
        return self.weight_of(noise(2, (layer.outputs, layer.x[1], *window)))

    @cached_property
    def bias(self) -> Any:
        """None where the layer has none."""
        layer = self.layer
        if layer.outputs and not layer.bias:
            return None
        return self._noise(3, layer.outputs or layer.x[1])

    @cached_property
    def g(self) -> Any:
        """The gradient of the output."""
        return self._noise(4, *output_shape(self.layer))

    @cached_property
    def other(self) -> Any:
        """A second input of x's shape."""
        return self._noise(5, *self.layer.x)

    @cached_property
    def target(self) -> Any:
        """Class numbers."""
        samples, classes = self.layer.x
        return self.of(np.random.default_rng(6).integers(0, classes, samples))


@lru_cache(maxsize=8)  # the sides of a case ask for the same, one after the other
def noise(seed: int, shape: Shape) -> np.ndarray:
    """Normally distributed numbers; not to be written to."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def output_shape(layer: Layer) -> Shape:
    """Of a layer's result; of a loss, one number for each sample."""
    if layer.kind == "loss":
        return layer.x[:1]
    if layer.kind == "linear":
        return (layer.x[0], layer.outputs)
    if layer.kind == "avg_pool2d":
        return (*layer.x[:2], 1, 1)
    if layer.kind not in ("conv2d", "max_pool2d"):
        return layer.x
    axes = zip(layer.x[2:], layer.kernel_size, layer.stride, layer.padding, ONES, strict=True)
    return (layer.x[0], layer.outputs or layer.x[1], *(conv_output_size(*axis) for axis in axes))


@dataclass(frozen=True)
class Kernel:
    """One kernel of a kind of layer, on either side."""

    name: str
    ours: Callable[[Arrays], Step]
    theirs: Callable[[Arrays], Step]
    needs_gradient: bool = False
    """Whether a layer whose input is the images does without it."""


# -- convolution and linear --------------------------------------------------------------------


def _our_conv2d(a: Arrays) -> Step:
    x, weight, bias, geometry = a.x, a.weight, a.bias, (a.layer.stride, a.layer.padding, ONES)
    return lambda: kernels.conv2d(x, weight, bias, *geometry, 1)


def _their_conv2d(a: Arrays) -> Step:
    from torch.nn.functional import conv2d

    x, weight, bias, geometry = a.x, a.weight, a.bias, (a.layer.stride, a.layer.padding)
    return lambda: conv2d(x, weight, bias, *geometry)


def _our_conv2d_input_grad(a: Arrays) -> Step:
    g, weight, geometry = a.g, a.weight, (a.layer.stride, a.layer.padding, ONES)
    return lambda: kernels.conv2d_input_grad(g, weight, a.layer.x, *geometry, 1)


def _our_conv2d_weight_grad(a: Arrays) -> Step:
    g, x, shape, geometry = a.g, a.x, a.weight.shape, (a.layer.stride, a.layer.padding, ONES)
    return lambda: kernels.conv2d_weight_grad(g, x, shape, *geometry, 1)


def _their_conv2d_input_grad(a: Arrays) -> Step:
    return _their_conv2d_gradient(a, 0)


def _their_conv2d_weight_grad(a: Arrays) -> Step:
    return _their_conv2d_gradient(a, 1)


def _their_conv2d_gradient(a: Arrays, which: int) -> Step:
    g, x, weight, geometry = a.g, a.x, a.weight, (a.layer.stride, a.layer.padding, ONES)
    mask = [which == 0, which == 1, False]
    backward = _aten().convolution_backward
    return lambda: backward(g, x, weight, None, *geometry, False, (0, 0), 1, mask)[which]


def _our_linear(a: Arrays) -> Step:
    x, weight, bias = a.x, a.weight, a.bias
    return lambda: kernels.linear(x, weight, bias)


def _their_linear(a: Arrays) -> Step:
    from torch.nn.functional import linear

    x, weight, bias = a.x, a.weight, a.bias
    return lambda: linear(x, weight, bias)


def _our_linear_input_grad(a: Arrays) -> Step:
    g, weight = a.g, a.weight
    return lambda: kernels.linear(g, weight.T, None)


def _our_linear_weight_grad(a: Arrays) -> Step:
    g, x = a.g, a.x
    return lambda: kernels.linear(g.T, x.T, None)


def _their_linear_input_grad(a: Arrays) -> Step:
    g, weight = a.g, a.weight
    return lambda: g.mm(weight)


def _their_linear_weight_grad(a: Arrays) -> Step:
    g, x = a.g, a.x
    return lambda: g.t().mm(x)


# -- batch normalisation -----------------------------------------------------------------------


def _our_batch_norm(a: Arrays, add: bool = False, relu: bool = False) -> Step:
    x, weight, bias, other = a.x, a.weight, a.bias, a.other if add else None

    def step() -> np.ndarray:
        mean, var = kernels.moments(x)
        return kernels.normalise(x, mean, var, weight, bias, EPS, other, relu)

    return step


def _their_batch_norm(a: Arrays, add: bool = False, relu: bool = False) -> Step:
    x, weight, bias, other = a.x, a.weight, a.bias, a.other if add else None
    running = a.of(np.zeros(a.layer.x[1], np.float32)), a.of(np.ones(a.layer.x[1], np.float32))
    batch_norm = _aten().native_batch_norm

    def step() -> Any:
        y = batch_norm(x, weight, bias, *running, True, 0.1, EPS)[0]
        if add:
            y += other
        return y.relu_() if relu else y

    return step


def _our_batch_norm_backward(a: Arrays, add: bool = False, relu: bool = False) -> Step:
    g, x, weight, bias = a.g, a.x, a.weight, a.bias
    mean, var = kernels.moments(x)
    if add:
        y = kernels.normalise(x, mean, var, weight, bias, EPS, a.other, True)
        return lambda: kernels.batch_norm_add_relu_backward(g, y, x, weight, mean, var, EPS)
    if relu:
        return lambda: kernels.batch_norm_relu_backward(g, x, weight, bias, mean, var, EPS)
    return lambda: kernels.batch_norm_backward(g, x, weight, mean, var, EPS)


def _their_batch_norm_backward(a: Arrays, add: bool = False, relu: bool = False) -> Step:
    g, x, weight = a.g, a.x, a.weight
    aten = _aten()
    running = a.of(np.zeros(a.layer.x[1], np.float32)), a.of(np.ones(a.layer.x[1], np.float32))
    y, *saved = aten.native_batch_norm(x, weight, a.bias, *running, True, 0.1, EPS)
    if add:
        y += a.other
    y.relu_()

    def step() -> Any:
        masked = aten.threshold_backward(g, y, 0) if relu else g
        return aten.native_batch_norm_backward(
            masked, x, weight, *running, *saved, True, EPS, [True, True, True]
        )

    return step


# -- pooling -----------------------------------------------------------------------------------


def _our_max_pool2d(a: Arrays) -> Step:
    x, geometry = a.x, (a.layer.kernel_size, a.layer.stride, a.layer.padding, ONES)
    return lambda: kernels.max_pool2d(x, *geometry, False)


def _their_max_pool2d(a: Arrays) -> Step:
    x, geometry = a.x, (a.layer.kernel_size, a.layer.stride, a.layer.padding, ONES)
    max_pool2d = _aten().max_pool2d_with_indices
    return lambda: max_pool2d(x, *geometry, False)


def _our_max_pool2d_backward(a: Arrays) -> Step:
    g, geometry = a.g, (a.layer.kernel_size, a.layer.stride, a.layer.padding, ONES)
    _, index = kernels.max_pool2d(a.x, *geometry, False)
    return lambda: kernels.max_pool2d_backward(g, index, a.layer.x, *geometry)


def _their_max_pool2d_backward(a: Arrays) -> Step:
    g, x, geometry = a.g, a.x, (a.layer.kernel_size, a.layer.stride, a.layer.padding, ONES)
    aten = _aten()
    _, index = aten.max_pool2d_with_indices(x, *geometry, False)
    backward = aten.max_pool2d_with_indices_backward
    return lambda: backward(g, x, *geometry, False, index)


def _our_avg_pool2d(a: Arrays) -> Step:
    x = a.x
    return lambda: kernels.adaptive_avg_pool2d(x, ONES)


def _their_avg_pool2d(a: Arrays) -> Step:
    from torch.nn.functional import adaptive_avg_pool2d

    x = a.x
    return lambda: adaptive_avg_pool2d(x, ONES)


def _our_avg_pool2d_backward(a: Arrays) -> Step:
    g, shape = a.g, a.layer.x
    return lambda: kernels.adaptive_avg_pool2d_backward(g, shape)


def _their_avg_pool2d_backward(a: Arrays) -> Step:
    g, shape = a.g, a.layer.x  # PyTorch pools to 1x1 by a mean
    return lambda: g.expand(shape) / math.prod(shape[2:])


# -- elementwise and loss ----------------------------------------------------------------------


def _our_relu(a: Arrays) -> Step:
    x = a.x
    return lambda: kernels.relu(x)


def _their_relu(a: Arrays) -> Step:
    return a.x.relu


def _our_relu_backward(a: Arrays) -> Step:
    g, y = a.g, kernels.relu(a.x)
    return lambda: kernels.relu_backward(g, y)


def _their_relu_backward(a: Arrays) -> Step:
    g, y, backward = a.g, a.x.relu(), _aten().threshold_backward
    return lambda: backward(g, y, 0)


def _our_add(a: Arrays) -> Step:
    x, other = a.x, a.other
    return lambda: kernels.add(x, other)


def _their_add(a: Arrays) -> Step:
    x, other = a.x, a.other
    return lambda: x + other


def _our_cross_entropy(a: Arrays) -> Step:
    x, target = a.x, a.target
    return lambda: kernels.cross_entropy(x, target)


def _their_cross_entropy(a: Arrays) -> Step:
    from torch.nn.functional import cross_entropy

    x, target = a.x, a.target
    return lambda: cross_entropy(x, target, reduction="none")


def _our_cross_entropy_backward(a: Arrays) -> Step:
    g, target = a.g, a.target
    _, log_probs = kernels.cross_entropy(a.x, target)
    return lambda: kernels.cross_entropy_backward(g, log_probs, target)


def _their_cross_entropy_backward(a: Arrays) -> Step:
    aten, g, target = _aten(), a.g, a.target
    log_probs = a.x.log_softmax(1)
    total = a.of(np.zeros(1, np.float32))[0]

    def step() -> Any:
        slopes = aten.nll_loss_backward(g, log_probs, target, None, 0, -100, total)
        return aten._log_softmax_backward_data(slopes, log_probs, 1, log_probs.dtype)

    return step


# -- kernels that no model's layers run ---------------------------------------------------------


def _our_gate(a: Arrays, name: str, *settings: float) -> Step:
    x, kernel = a.x, getattr(kernels, name)
    return lambda: kernel(x, *settings)


def _their_gate(a: Arrays, name: str, *settings: float) -> Step:
    x, function = a.x, getattr(_aten(), name)
    return lambda: function(x, *settings)


def _our_gate_backward(a: Arrays, name: str, *settings: float) -> Step:
    g, x, kernel = a.g, a.x, getattr(kernels, name)
    return lambda: kernel(g, x, *settings)


def _their_gate_backward(a: Arrays, name: str, *settings: float) -> Step:
    g, x, function = a.g, a.x, getattr(_aten(), name)
    return lambda: function(g, x, *settings)


def _our_prelu(a: Arrays) -> Step:
    x, weight = a.x, a.weight
    return lambda: kernels.prelu(x, weight)


def _their_prelu(a: Arrays) -> Step:
    x, weight, prelu = a.x, a.weight, _aten()._prelu_kernel
    weight = weight.reshape(-1, 1, 1)
    return lambda: prelu(x, weight)


def _points(layer: Layer) -> np.ndarray:
    """One for each pixel, somewhere in the image or just beyond."""
    images, _, height, width = layer.x
    return noise(7, (images, height * width, 2)).clip(-1.1, 1.1)


def _our_grid_sample(a: Arrays) -> Step:
    x, points = a.x, _points(a.layer)
    images, channels, height, width = a.layer.x

    def step() -> Any:
        y = kernels.sample_images(x, points, False, ZERO, EDGES)
        return y.reshape(images, height, width, channels).transpose(0, 3, 1, 2)

    return step


def _their_grid_sample(a: Arrays) -> Step:
    x, grid, sample = a.x, _their_grid(a.layer), _aten().grid_sampler_2d
    return lambda: sample(x, grid, 0, 0, False)


def _our_grid_sample_backward(a: Arrays) -> Step:
    x, points, settings = a.x, _points(a.layer), (False, ZERO, EDGES)
    g = a.g.transpose(0, 2, 3, 1).reshape(*points.shape[:2], -1)

    def step() -> Any:
        dx = kernels.sample_images_input_grad(g, points, a.layer.x, *settings)
        return dx, kernels.sample_images_place_grad(g, x, points, *settings)

    return step


def _their_grid_sample_backward(a: Arrays) -> Step:
    g, x, grid, backward = a.g, a.x, _their_grid(a.layer), _aten().grid_sampler_2d_backward
    return lambda: backward(g, x, grid, 0, 0, False, [True, True])


def _their_grid(layer: Layer) -> Any:
    import torch

    images, _, height, width = layer.x
    return torch.from_numpy(_points(layer).reshape(images, height, width, 2))


def _our_upsampling(a: Arrays) -> Step:
    x = a.x
    return lambda: interpolate(x, scale_factor=2, mode="bilinear")


def _their_upsampling(a: Arrays) -> Step:
    from torch.nn.functional import interpolate

    x = a.x
    return lambda: interpolate(x, scale_factor=2, mode="bilinear")


def _aten() -> Any:
    import torch

    return torch.ops.aten


def _batch_norm_pair(suffix: str, add: bool = False, relu: bool = False) -> tuple[Kernel, Kernel]:
    return (
        Kernel(
            f"batch_norm{suffix}",
            partial(_our_batch_norm, add=add, relu=relu),
            partial(_their_batch_norm, add=add, relu=relu),
        ),
        Kernel(
            f"batch_norm{suffix}_backward",
            partial(_our_batch_norm_backward, add=add, relu=relu),
            partial(_their_batch_norm_backward, add=add, relu=relu),
        ),
    )


def _gate_pair(name: str, *settings: float) -> tuple[Kernel, Kernel]:
    def step(side: Callable[..., Step], suffix: str) -> Callable[[Arrays], Step]:
        return lambda a: side(a, name + suffix, *settings)

    return (
        Kernel(name, step(_our_gate, ""), step(_their_gate, "")),
        Kernel(
            f"{name}_backward",
            step(_our_gate_backward, "_backward"),
            step(_their_gate_backward, "_backward"),
        ),
    )


BESIDE_MODELS: dict[Layer, tuple[Kernel, ...]] = {
    Layer("activation", (32, 64, 32, 32)): (
        *_gate_pair("silu"),
        *_gate_pair("hardswish"),
        *_gate_pair("softplus", 1.0, 20.0),
        Kernel("prelu", _our_prelu, _their_prelu),
    ),
    Layer("sampling", (8, 32, 56, 56)): (
        Kernel("grid_sample", _our_grid_sample, _their_grid_sample),
        Kernel("grid_sample_backward", _our_grid_sample_backward, _their_grid_sample_backward),
        Kernel("bilinear_upsampling", _our_upsampling, _their_upsampling),
    ),
}
"""Kernels on a layer such as networks beyond the package's have."""

KERNELS: dict[str, tuple[Kernel, ...]] = {
    "conv2d": (
        Kernel("conv2d", _our_conv2d, _their_conv2d),
        Kernel("conv2d_input_grad", _our_conv2d_input_grad, _their_conv2d_input_grad, True),
        Kernel("conv2d_weight_grad", _our_conv2d_weight_grad, _their_conv2d_weight_grad),
    ),
    "linear": (
        Kernel("linear", _our_linear, _their_linear),
        Kernel("linear_input_grad", _our_linear_input_grad, _their_linear_input_grad, True),
        Kernel("linear_weight_grad", _our_linear_weight_grad, _their_linear_weight_grad),
    ),
    "batch_norm": _batch_norm_pair(""),
    "batch_norm+relu": _batch_norm_pair("_relu", relu=True),
    "batch_norm+add+relu": _batch_norm_pair("_add_relu", add=True, relu=True),
    "max_pool2d": (
        Kernel("max_pool2d", _our_max_pool2d, _their_max_pool2d),
        Kernel("max_pool2d_backward", _our_max_pool2d_backward, _their_max_pool2d_backward),
    ),
    "avg_pool2d": (
        Kernel("avg_pool2d", _our_avg_pool2d, _their_avg_pool2d),
        Kernel("avg_pool2d_backward", _our_avg_pool2d_backward, _their_avg_pool2d_backward),
    ),
    "relu": (
        Kernel("relu", _our_relu, _their_relu),
        Kernel("relu_backward", _our_relu_backward, _their_relu_backward),
    ),
    "add": (Kernel("add", _our_add, _their_add),),
    "loss": (
        Kernel("cross_entropy", _our_cross_entropy, _their_cross_entropy),
        Kernel(
            "cross_entropy_backward", _our_cross_entropy_backward, _their_cross_entropy_backward
        ),
    ),
}
