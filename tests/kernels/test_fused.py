"""A fused kernel gives the bits of the separate calls it stands for, on every tier."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from chainrule import kernels
from chainrule.kernels.epilogue import Epilogue

SHAPES = [
    (8, 16, 16, 16), (3, 70, 9, 7), (2, 3, 5, 5), (4, 10, 33, 9), (1, 1, 1, 1), (2, 1030), (64, 33),
    (5, 7, 6),
]  # fmt: skip
IMAGES = [shape for shape in SHAPES if len(shape) == 4]
EPS = 1e-5


def floats(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random numbers, images in channels-last memory."""
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    if values.ndim != 4:
        return values
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def vectors(channels: int, count: int) -> list[np.ndarray]:
    return [floats((channels,), 10 + i) for i in range(count)]


def separately(y: np.ndarray, add: np.ndarray | None, relu: bool) -> np.ndarray:
    y = y if add is None else kernels.add(y, add)
    return kernels.relu(y) if relu else y


def assert_same_bits(results: Any, expected: Any) -> None:
    for result, truth in zip(results, expected, strict=True):
        assert result.shape == truth.shape and result.dtype == truth.dtype
        assert result.tobytes() == truth.tobytes()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 1), (1, 2), (5, 1)])
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_convolution(shape: Any, kernel: int, stride: int, bias: bool, tier: str):
    x, weight = floats(shape, 0), floats((24, shape[1], kernel, kernel), 1)
    b, scale, shift = vectors(24, 3)
    geometry = ((stride, stride), (kernel // 2, kernel // 2), (1, 1), 1)
    plain = kernels.conv2d(x, weight, b if bias else None, *geometry)
    other = floats(plain.shape, 2)
    for scaled, added, relu in product((False, True), (False, True), (False, True)):
        ends = Epilogue(
            scale if scaled else None, shift if scaled else None, other if added else None, relu
        )
        fused = kernels.conv2d(x, weight, b if bias else None, *geometry, ends)
        y = kernels.scale_shift(plain, scale, shift) if scaled else plain
        assert_same_bits([fused], [separately(y, ends.add, relu)])
    fused, mean, var = kernels.conv2d_moments(x, weight, b if bias else None, *geometry)
    assert_same_bits([fused], [plain])
    for result, truth in zip((mean, var), kernels.moments(plain), strict=True):
        # Up to rounding, which is relative to the values that a mean near zero is of.
        np.testing.assert_allclose(result, truth, rtol=1e-5, atol=1e-7 * np.ptp(plain))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("sizes", [(200, 300, 100), (1, 84, 10), (5, 17, 33)], ids=str)
def test_linear(sizes: Any, bias: bool, tier: str):
    n, inputs, outputs = sizes
    x, weight = floats((n, inputs), 0), floats((outputs, inputs), 1)
    b = floats((outputs,), 2) if bias else None
    separate = kernels.relu(kernels.linear(x, weight, b))
    assert_same_bits([kernels.linear(x, weight, b, True)], [separate])


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_normalisation(shape: Any, affine: bool, tier: str):
    x, other = floats(shape, 0) * 3 + 5, floats(shape, 1)
    weight, bias = vectors(shape[1], 2) if affine else (None, None)
    mean, var = kernels.moments(x)
    plain = kernels.normalise(x, mean, var, weight, bias, EPS)
    scale, shift = vectors(shape[1], 2)
    scaled = kernels.scale_shift(x, scale, shift)
    for add, relu in product((None, other), (False, True)):
        fused = kernels.normalise(x, mean, var, weight, bias, EPS, add, relu)
        assert_same_bits([fused], [separately(plain, add, relu)])
        fused = kernels.scale_shift(x, scale, shift, add, relu)
        assert_same_bits([fused], [separately(scaled, add, relu)])


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_through_relu(shape: Any, affine: bool, tier: str):
    g, x, other = floats(shape, 0), floats(shape, 1) * 3 + 5, floats(shape, 2)
    weight, bias = vectors(shape[1], 2) if affine else (None, None)
    mean, var = kernels.moments(x)

    y = kernels.normalise(x, mean, var, weight, bias, EPS, None, True)
    masked = kernels.relu_backward(g, y)
    assert_same_bits(
        kernels.batch_norm_relu_backward(g, x, weight, bias, mean, var, EPS),
        kernels.batch_norm_backward(masked, x, weight, mean, var, EPS),
    )

    y = kernels.normalise(x, mean, var, weight, bias, EPS, other, True)
    masked = kernels.relu_backward(g, y)
    assert_same_bits(
        kernels.batch_norm_add_relu_backward(g, y, x, weight, mean, var, EPS),
        (*kernels.batch_norm_backward(masked, x, weight, mean, var, EPS), masked),
    )
    assert_same_bits(kernels.relu_bias_backward(g, y), (masked, kernels.channel_sum(masked)))
