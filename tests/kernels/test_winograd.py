"""Winograd's algorithm for 3x3 convolutions: right wherever it is possible, taken where it wins."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from chainrule import errors, kernels, threads
from chainrule.kernels import reference
from chainrule.kernels.epilogue import Epilogue

native = pytest.importorskip("chainrule.kernels.native", reason="native kernels are absent")

SHAPES = [  # x, outputs, padding
    ((2, 16, 8, 8), 16, (1, 1)),
    ((3, 20, 9, 6), 37, (1, 1)),  # partial squares, channels that fill no vector
    ((1, 3, 5, 7), 4, (0, 0)),
    ((2, 7, 6, 9), 19, (2, 0)),
    ((1, 4, 6, 5), 5, (4, 3)),  # outputs that see nothing but padding
    ((1, 1, 1, 1), 1, (1, 1)),
    ((2, 5, 1, 7), 3, (1, 2)),
    ((1, 1, 3, 3), 1, (0, 0)),
    ((0, 4, 5, 5), 8, (1, 1)),
    ((33, 64, 8, 8), 64, (1, 1)),  # many blocks of squares
    ((2, 130, 6, 5), 65, (1, 1)),
    ((1, 512, 7, 7), 100, (1, 1)),
]
BOUND = {2: 2e-6, 4: 5e-6}  # relative to the largest value of the result


@pytest.fixture
def everywhere(tier: str) -> Iterator[Callable[[int], None]]:
    """Sets the size of squares, wherever a convolution could use them."""
    if tier == "reference":
        pytest.skip("only native kernels use it")
    before = native.winograd()
    yield lambda tile: native._native.choose_winograd(tile, everywhere=True)
    native.choose_winograd(before)


@pytest.fixture
def setting(tier: str) -> Iterator[Callable[[str], None]]:
    if tier == "reference":
        pytest.skip("only native kernels use it")
    before = native.winograd()
    yield native.choose_winograd
    native.choose_winograd(before)


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def three(shape: Any, outputs: int, padding: Any, stride: int = 1) -> dict[str, tuple[Any, ...]]:
    """Arguments of the convolution and its two gradients."""
    x, weight = floats(*shape), floats(outputs, shape[1], 3, 3, seed=1)
    size = ((n + 2 * p - 3) // stride + 1 for n, p in zip(shape[2:], padding, strict=True))
    g = floats(shape[0], outputs, *size, seed=2)
    geometry = ((stride, stride), padding, (1, 1), 1)
    return {
        "conv2d": (x, weight, floats(outputs, seed=3), *geometry),
        "conv2d_input_grad": (g, weight, shape, *geometry),
        "conv2d_weight_grad": (g, x, weight.shape, *geometry),
    }


def answers(arguments: dict[str, tuple[Any, ...]]) -> list[bytes]:
    return [getattr(kernels, name)(*a).tobytes() for name, a in arguments.items()]


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_error_against_float64(case: Any, tile: int, everywhere: Callable[[int], None]):
    everywhere(tile)
    for name, arguments in three(*case).items():
        exact = [a.astype(float) if isinstance(a, np.ndarray) else a for a in arguments]
        truth = getattr(reference, name)(*exact)
        result = getattr(kernels, name)(*arguments)
        assert result.shape == truth.shape
        scale = np.abs(truth).max(initial=1)
        np.testing.assert_allclose(result, truth, rtol=0, atol=BOUND[tile] * scale, err_msg=name)


@pytest.mark.parametrize("tile", [2, 4])
def test_error_of_many_channels_stays_small(tile: int, everywhere: Callable[[int], None]):
    """The root of the mean square, where a wrong factor cannot hide behind one large value."""
    everywhere(tile)
    for name, arguments in three((4, 256, 12, 12), 64, (1, 1)).items():
        exact = [a.astype(float) if isinstance(a, np.ndarray) else a for a in arguments]
        truth = getattr(reference, name)(*exact)
        error = getattr(kernels, name)(*arguments) - truth
        assert np.sqrt((error**2).mean() / (truth**2).mean()) < {2: 1e-6, 4: 3e-6}[tile], name


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("shape", [(3, 20, 9, 6), (2, 16, 8, 8)], ids=str)
def test_epilogue_has_the_bits_of_separate_calls(
    shape: Any, tile: int, everywhere: Callable[[int], None]
):
    everywhere(tile)
    arguments = three(shape, 37, (1, 1))["conv2d"]
    plain = kernels.conv2d(*arguments)
    scale, shift, other = floats(37, seed=4), floats(37, seed=5), floats(*plain.shape, seed=6)
    for scaled, added, relu in product((False, True), repeat=3):
        pair = (scale, shift) if scaled else (None, None)
        fused = kernels.conv2d(*arguments, Epilogue(*pair, other if added else None, relu))
        y = kernels.scale_shift(plain, scale, shift) if scaled else plain
        y = kernels.add(y, other) if added else y
        y = kernels.relu(y) if relu else y
        assert fused.tobytes() == y.tobytes()


@pytest.mark.parametrize("tile", [2, 4])
def test_same_bits_for_any_number_of_threads(tile: int, everywhere: Callable[[int], None]):
    everywhere(tile)
    before = threads.get_num_threads()
    arguments = three((33, 24, 15, 14), 40, (1, 1))
    by_count = []
    for count in (1, 2, 3):
        threads.set_num_threads(count)
        by_count.append(answers(arguments))
    threads.set_num_threads(before)
    assert by_count[0] == by_count[1] == by_count[2]


def test_taken_where_it_wins(setting: Callable[[str], None]):
    """Other roundings betray another algorithm."""
    arguments = three((16, 64, 16, 16), 64, (1, 1))
    bits = {}
    for name in native.WINOGRAD:
        setting(name)
        bits[name] = answers(arguments)
    for direct, two, four in zip(bits["off"], bits["2"], bits["4"], strict=True):
        assert len({direct, two, four}) == 3


@pytest.mark.parametrize(
    ("shape", "outputs", "stride"),
    [
        ((4, 32, 16, 16), 32, 2),
        ((1, 512, 3, 3), 512, 1),  # the filters' transform would cost most
        ((8, 3, 16, 16), 8, 1),  # so would the squares'
    ],
    ids=str,
)
def test_not_taken_where_it_loses(
    shape: Any, outputs: int, stride: int, setting: Callable[[str], None]
):
    arguments = three(shape, outputs, (1, 1), stride)
    setting("off")
    direct = answers(arguments)
    setting("4")
    assert answers(arguments) == direct


def test_an_unknown_setting_is_named_with_the_choices(setting: Callable[[str], None]):
    with pytest.raises(errors.ConfigError, match="unknown Winograd setting '3'; choose one of off"):
        setting("3")
    with pytest.raises(ValueError, match="squares have 2x2 or 4x4 outputs"):
        native._native.choose_winograd(3)
