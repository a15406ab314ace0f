"""Convolutions of sizes that nobody chose: a fault may need one kernel, padding and channel count.

Seeded, so the sizes are the same in every run. Images and gradients lie between NaNs, which reach
the result if a kernel reads beside them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from chainrule import kernels
from chainrule.kernels import reference
from chainrule.kernels.geometry import conv_output_size

EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Convolution:
    x: tuple[int, ...]
    weight: tuple[int, ...]
    y: tuple[int, ...]
    geometry: tuple[Any, ...]  # stride, padding, dilation, groups

    def arguments(self, number: int) -> dict[str, tuple[Any, ...]]:
        rng = np.random.default_rng(number)
        x, weight, g = (rng.normal(size=s).astype("f") for s in (self.x, self.weight, self.y))
        bias = rng.normal(size=self.weight[0]).astype("f") if number % 2 else None
        return {
            "conv2d": (x, weight, bias, *self.geometry),
            "conv2d_input_grad": (g, weight, self.x, *self.geometry),
            "conv2d_weight_grad": (g, x, self.weight, *self.geometry),
        }

    def terms(self) -> dict[str, int]:
        """How many products make one element."""
        outputs, channels, *kernel = self.weight
        groups, taps = self.geometry[3], kernel[0] * kernel[1]
        pixels = self.y[0] * self.y[2] * self.y[3]
        return {
            "conv2d": channels * taps,
            "conv2d_input_grad": outputs // groups * taps,
            "conv2d_weight_grad": pixels,
        }


def draw(rng: np.random.Generator) -> Convolution | None:
    """None if the window does not fit, or if it would take long."""

    def pair(low: int, high: int) -> tuple[int, int]:
        return int(rng.integers(low, high + 1)), int(rng.integers(low, high + 1))

    kernel = (int(rng.choice([1, 3])),) * 2 if rng.random() < 0.5 else pair(1, 8)
    stride = (1, 1) if rng.random() < 0.6 else pair(1, 4)
    padding = (kernel[0] // 2, kernel[1] // 2) if rng.random() < 0.4 else pair(0, 5)
    dilation = (1, 1) if rng.random() < 0.7 else pair(1, 3)
    size, images = pair(1, 14), int(rng.integers(1, 4))
    widths = [1, 2, 3, 5, 8, 13, 16, 17, 24, 32, 33, 64, 130, 520]
    channels, outputs = (int(rng.choice(widths)) for _ in range(2))
    kind = rng.random()
    if kind < 0.2:
        groups, outputs = channels, channels * int(rng.integers(1, 3))
    elif kind < 0.4:
        groups = int(rng.integers(2, 6))
        channels, outputs = (groups * int(rng.integers(1, 20)) for _ in range(2))
    else:
        groups = 1
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    out = tuple(conv_output_size(*axis) for axis in axes)
    products = images * channels * outputs // groups * np.prod((*kernel, *out))
    if min(out) < 1 or products > 1_000_000:
        return None
    return Convolution(
        (images, channels, *size),
        (outputs, channels // groups, *kernel),
        (images, outputs, *out),
        (stride, padding, dilation, groups),
    )


@cache
def drawn(count: int = 300) -> list[Convolution]:
    def endless() -> Iterator[Convolution]:
        rng = np.random.default_rng(11)
        while True:
            if convolution := draw(rng):
                yield convolution

    source = endless()
    return [next(source) for _ in range(count)]


@cache
def truth(number: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """In float64: each result, and the same of all absolute values, which bounds rounding."""

    def result(name: str, arguments: tuple[Any, ...], magnitude: bool) -> np.ndarray:
        arrays = (a.astype(float) if isinstance(a, np.ndarray) else a for a in arguments)
        if magnitude:
            arrays = (abs(a) if isinstance(a, np.ndarray) else a for a in arrays)
        return getattr(reference, name)(*arrays)

    arguments = drawn()[number].arguments(number)
    return {name: (result(name, a, False), result(name, a, True)) for name, a in arguments.items()}


def between_nans(value: Any) -> Any:
    """The same images in channels-last memory, with NaNs before and after."""
    if not isinstance(value, np.ndarray) or value.ndim != 4:
        return value
    around = np.full(value.size + 160, np.nan, np.float32)
    images, channels, height, width = value.shape
    inside = around[80:-80].reshape(images, height, width, channels).transpose(0, 3, 1, 2)
    inside[...] = value
    return inside


@pytest.mark.parametrize("part", range(5))
def test_random_geometry_against_float64(part: int, tier: str):
    for number in range(part, len(drawn()), 5):
        convolution = drawn()[number]
        for name, arguments in convolution.arguments(number).items():
            result = getattr(kernels, name)(*map(between_nans, arguments))
            exact, magnitude = truth(number)[name]
            assert result.shape == exact.shape
            # The largest, not each element's own: Winograd's algorithm mixes neighbours.
            bound = EPS * (20 + 6 * np.sqrt(convolution.terms()[name])) * magnitude.max()
            error = np.abs(result - exact).max()
            assert error <= bound, (name, convolution, error, bound)  # also if NaN


@pytest.mark.parametrize("huge", [1 << 31, 1 << 62])
@pytest.mark.parametrize("place", [1, 2], ids=["padding", "dilation"])
def test_positions_that_overflow_raise(place: int, huge: int, tier: str):
    if tier == "reference":
        pytest.skip("Python's integers do not overflow")
    geometry: list[Any] = [(1, 1), (1, 1), (1, 1)]
    geometry[place] = (huge, huge)
    x, weight = (np.ones(s, np.float32) for s in ((1, 2, 3, 3), (2, 2, 3, 3)))
    for name, arguments in {
        "conv2d": (x, weight, None),
        "conv2d_input_grad": (x, weight, x.shape),
        "conv2d_weight_grad": (x, x, weight.shape),
    }.items():
        with pytest.raises(ValueError, match="2\\^30"):
            getattr(kernels, name)(*arguments, *geometry, 1)
