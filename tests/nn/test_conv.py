"""Convolution and padding layers: identities, sizes that one asks for, errors."""

import math

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import kernels, nn
from chainrule.errors import ConfigError, DTypeError, ShapeError

CONVOLUTIONS = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
TRANSPOSED = [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(a.detach().array, b.detach().array, rtol=0, atol=tolerance)


def test_a_1x1_convolution_is_a_dense_layer_at_each_pixel():
    conv, dense = nn.Conv2d(5, 7, 1), nn.Linear(5, 7)
    dense.load_state_dict({"weight": conv.weight[:, :, 0, 0], "bias": conv.bias})
    x = cr.randn(2, 5, 4, 6)
    close(conv(x), dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def test_a_convolution_of_the_whole_image_is_a_dense_layer():
    conv = nn.Conv2d(3, 4, (5, 6))
    x = cr.randn(2, 3, 5, 6)
    close(conv(x).flatten(1), F.linear(x.flatten(1), conv.weight.flatten(1), conv.bias))


def test_convolution_is_a_matrix_product_with_unfolded_windows():
    x, weight = cr.randn(2, 3, 7, 6), cr.randn(4, 3, 3, 2)
    columns = F.unfold(x, (3, 2), padding=(1, 0), stride=2)
    y = (weight.flatten(1) @ columns).reshape(2, 4, 4, 3)
    close(y, F.conv2d(x, weight, stride=2, padding=(1, 0)))


def test_folding_counts_the_windows_that_see_a_pixel():
    counts = F.fold(F.unfold(cr.ones(1, 1, 3, 4), 2), (3, 4), 2)
    assert counts.tolist() == [[[[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]]]]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_transposed_convolution_is_the_adjoint_of_a_convolution(axes):
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩ for the same weight."""
    conv, back = (getattr(F, f"{name}{axes}d") for name in ("conv", "conv_transpose"))
    x, weight = cr.randn(2, 4, *(6, 5, 7)[:axes]).double(), cr.randn(6, 2, *(3,) * axes).double()
    settings = {"stride": 2, "padding": 1, "groups": 2}
    y = conv(x, weight, **settings)
    g = cr.randn(*y.shape).double()
    extra = [(n - 1) % 2 for n in x.shape[2:]]
    spread = back(g, weight, output_padding=extra, **settings)
    assert spread.shape == x.shape
    np.testing.assert_allclose((y * g).sum().item(), (x * spread).sum().item(), rtol=1e-10)


def test_transposed_convolution_can_give_every_size_that_convolves_to_its_input():
    layer = nn.ConvTranspose2d(3, 2, 3, stride=3, padding=1)
    x = cr.randn(1, 3, 4, 4)
    for size in (10, 11, 12):
        assert layer(x, output_size=(size, 12)).shape == (1, 2, size, 12)
    assert layer(x, output_size=(1, 2, 11, 10)).shape == (1, 2, 11, 10)
    assert layer(x[0], output_size=[2, 11, 10]).shape == (2, 11, 10)
    assert layer(x, (12, 12)).shape == (1, 2, 12, 12)
    with pytest.raises(ConfigError, match=r"output_size \(13, 12\) .* \(10, 10\) to \(12, 12\)"):
        layer(x, output_size=(13, 12))
    with pytest.raises(ConfigError, match=r"output_size needs 2 or 4 lengths"):
        layer(x, output_size=(12,))


@pytest.mark.parametrize("layer", [*CONVOLUTIONS, *TRANSPOSED])
def test_initial_values_and_attributes(layer):
    cr.manual_seed(0)
    axes, transposed = int(layer.__name__[-2]), layer in TRANSPOSED
    made = layer(40, 60, 2, groups=2)
    fan = (30 if transposed else 20) * 2**axes
    shape = (40, 30) if transposed else (60, 20)
    assert made.weight.shape == (*shape, *(2,) * axes)
    assert made.bias.shape == (60,)
    for p in (made.weight, made.bias):
        bound = 1 / math.sqrt(fan)
        assert np.abs(p.array).max() <= bound
        np.testing.assert_allclose(p.array.std(), bound / math.sqrt(3), rtol=0.2)
    assert (made.kernel_size, made.stride) == ((2,) * axes, (1,) * axes)
    assert (made.padding, made.dilation) == ((0,) * axes, (1,) * axes)
    assert (made.transposed, made.output_padding) == (transposed, (0,) * axes)
    assert (made.groups, made.padding_mode) == (2, "zeros")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv1d(2, 2, (3, 3)), r"Conv1d: kernel_size must be .* or one in a sequence"),
        (lambda: nn.Conv3d(2, 2, (3, 3)), r"Conv3d: kernel_size must be .* or 3 of them, got"),
        (lambda: nn.Conv3d(2, 2, 3, stride=0), r"Conv3d: stride must be .* at least 1"),
        (lambda: nn.Conv2d(2, 2, 1.5), r"Conv2d: kernel_size must be a whole number"),
        (lambda: nn.ConvTranspose2d(2, 2, 3, padding="same"), r"padding must be a number"),
        (
            lambda: nn.ConvTranspose1d(2, 2, 3, padding_mode="reflect"),
            r'ConvTranspose1d: padding_mode must be "zeros"',
        ),
        (lambda: nn.ConvTranspose3d(2, 3, 3, groups=2), r"ConvTranspose3d: groups 2 must divide"),
        (
            lambda: nn.ConvTranspose2d(1, 1, 3, stride=2, output_padding=2)(cr.ones(1, 1, 2, 2)),
            r"conv_transpose2d: output_padding \(2, 2\) must be smaller than stride",
        ),
        (lambda: nn.ReflectionPad2d((1, 2)), r"ReflectionPad2d: padding must be an int or 4"),
        (lambda: F.pad(cr.ones(1, 1, 3), (1, 1), "edge"), r"mode must be one of .* got 'edge'"),
        (
            lambda: F.pad(cr.ones(1, 1, 3), (1, 1), "reflect", 2.0),
            r'mode "reflect" takes no value',
        ),
        (lambda: F.conv1d(cr.ones(1, 1, 3), cr.ones(1, 1, 1), dilation=0), "conv1d: dilation"),
        (lambda: F.unfold(cr.ones(1, 1, 3, 3), 2, stride=0), r"unfold: stride must be"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: F.conv1d(cr.ones(1, 2, 5), cr.ones(4, 3, 2)),
            r"conv1d: weight expects 3 channels, x has 2\n  x \(1, 2, 5\) = \(N, C, L\); weight",
        ),
        (lambda: F.conv1d(cr.ones(1, 2, 5, 1), cr.ones(4, 2, 2)), "conv1d: .* need three axes"),
        (
            lambda: F.conv3d(cr.ones(1, 1, 2, 5, 5), cr.ones(1, 1, 3, 3, 3)),
            r"conv3d: the window of 3 pixels is larger than the padded image of 2",
        ),
        (
            lambda: F.conv3d(cr.ones(1, 1, 3, 3, 3), cr.ones(2, 1, 1, 1, 1), cr.ones(3)),
            r"conv3d: bias \(3,\) must hold one value per filter, \(2,\)",
        ),
        (
            lambda: F.conv_transpose2d(cr.ones(1, 2, 3, 3), cr.ones(3, 2, 2, 2)),
            r"conv_transpose2d: weight expects 3 channels, x has 2\n.*= \(C, O/groups, KH, KW\)",
        ),
        (
            lambda: F.conv_transpose1d(cr.ones(1, 2, 3), cr.ones(2, 2, 2), padding=2),
            r"conv_transpose1d: the result would have the size \(0,\); pad less",
        ),
        (
            lambda: F.conv_transpose2d(cr.ones(1, 3, 3, 3), cr.ones(3, 2, 2, 2), groups=2),
            r"groups 2 must divide the channels of x",
        ),
        (
            lambda: F.conv_transpose3d(cr.ones(1, 3, 3, 3, 1, 1), cr.ones(3, 2, 2, 2, 2)),
            r"conv_transpose3d: x and weight need five axes",
        ),
        (
            lambda: F.pad(cr.ones(1, 1, 3), (3, 0), "reflect"),
            r"at most 2 along an axis of 3",
        ),
        (lambda: F.pad(cr.ones(1, 1, 3), (0, 4), "circular"), r"at most 3 along an axis of 3"),
        (lambda: F.pad(cr.ones(1, 1, 0), (1, 0), "replicate"), r"at most 0 along an axis of 0"),
        (lambda: F.pad(cr.ones(3), (1, 1), "reflect"), r"2, 4 or 6 widths, got \(1, 1\)"),
        (lambda: F.pad(cr.ones(1, 3), (1,)), r"expects \(before, after\) pairs"),
        (lambda: F.pad(cr.ones(3), (1, 1, 1, 1)), r"pairs for at most 1 axes"),
        (lambda: F.pad(cr.ones(3), (-2, -2)), r"crops away more than there is"),
        (lambda: nn.CircularPad1d(1)(cr.ones(1, 1, 3, 3)), r"CircularPad1d: expects 2 or 3 axes"),
        (lambda: F.unfold(cr.ones(3, 3), 2), r"unfold: x needs four axes"),
        (lambda: F.unfold(cr.ones(1, 1, 3, 3), 4), r"unfold: the window is larger than"),
        (lambda: F.fold(cr.ones(1, 7, 4), 3, 2), r"fold: x must be \(N, C·4, 4\)"),
        (lambda: F.fold(cr.ones(1, 8, 3), 3, 2), r"fold: x must be \(N, C·4, 4\)"),
    ],
)
def test_shapes_that_do_not_fit(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


def test_dtypes_agree():
    for call in (F.conv1d, F.conv_transpose1d):
        with pytest.raises(DTypeError, match=r"conv.*1d: x is float32, weight is float64"):
            call(cr.ones(1, 1, 3), cr.ones(1, 1, 1).double())
        with pytest.raises(DTypeError, match=r"x is int64"):
            call(cr.ones(1, 1, 3).long(), cr.ones(1, 1, 1).long())


def test_padding_keeps_integers():
    x = cr.arange(6).reshape(1, 2, 3)
    assert F.pad(x, (2, 1), "reflect").tolist() == [[[2, 1, 0, 1, 2, 1], [5, 4, 3, 4, 5, 4]]]
    assert F.pad(x, (1, 0), value=7).dtype == cr.int64


@pytest.mark.parametrize("size", [4, 40])
def test_every_tier_adds_the_bias_of_a_transposed_convolution(size):
    x, weight, bias = cr.randn(2, 3, size, 5), cr.randn(3, 40, 3, 3), cr.randn(40)
    expected = F.conv_transpose2d(x, weight, stride=2) + bias[:, None, None]
    for tier in ("naive", "reference", "native"):
        if tier == "native" and kernels.describe().get("native_absent"):
            continue
        if tier != "naive" or size == 4:
            with kernels.use(tier):
                close(F.conv_transpose2d(x, weight, bias, stride=2), expected)
