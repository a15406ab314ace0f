"""Ready filters: what each one answers to."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, ShapeError
from chainrule.nn import filters

DERIVATIVES = [filters.sobel, filters.prewitt, filters.scharr]


def picture(function, size=17):
    """function(x, y) on a grid, as an image (1, 1, size, size)."""
    y, x = np.mgrid[:size, :size].astype(np.float64)
    return cr.tensor(function(x, y)[None, None] * np.ones((1, 1, size, size)))


def answers(image, weights):
    """What each filter says, away from the border: (O, h, w)."""
    result = filters.filter_channels(image, weights.double())
    border = weights.shape[-1] // 2 + 1
    return result.array[0, :, border:-border, border:-border]


@pytest.mark.parametrize("make", DERIVATIVES)
def test_derivatives_of_a_slope(make):
    assert make().shape == (2, 1, 3, 3) and make().dtype == cr.float32
    by_x, by_y = answers(picture(lambda x, y: 3 * x - 2 * y + 5), make(normalized=True))
    np.testing.assert_allclose(by_x, 3)
    np.testing.assert_allclose(by_y, -2)
    per_slope = {"sobel": 8, "prewitt": 6, "scharr": 32}[make.__name__]
    assert np.allclose(make().array, per_slope * make(normalized=True).array)


@pytest.mark.parametrize("make", DERIVATIVES)
def test_derivatives_of_a_step_edge(make):
    """Dark left of column 8, bright from there on: the edge lies between columns 7 and 8."""
    image = picture(lambda x, y: x >= 8)
    by_x, by_y = filters.filter_channels(image, make(True).double()).array[0]
    np.testing.assert_allclose(by_x[:, [7, 8]], 0.5)
    assert not by_x[:, :7].any() and not by_x[:, 9:].any() and not by_y.any()
    turned = filters.filter_channels(image.transpose(2, 3), make(True).double()).array[0]
    np.testing.assert_allclose(turned[1], by_x.T)


def test_the_published_numbers():
    assert filters.sobel().tolist()[0] == [[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]]
    assert filters.sobel().tolist()[1] == [[[-1, -2, -1], [0, 0, 0], [1, 2, 1]]]
    assert filters.scharr().tolist()[0] == [[[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]]]
    assert filters.prewitt().tolist()[1] == [[[-1, -1, -1], [0, 0, 0], [1, 1, 1]]]
    assert filters.laplacian().tolist() == [[[[0, 1, 0], [1, -4, 1], [0, 1, 0]]]]
    assert filters.laplacian(8).tolist() == [[[[1, 1, 1], [1, -8, 1], [1, 1, 1]]]]


def test_roberts_sees_diagonals():
    down_right, down_left = answers(picture(lambda x, y: 2 * x + 5 * y), filters.roberts())
    assert (down_right == 7).all() and (down_left == 3).all()


@pytest.mark.parametrize(("neighbours", "factor"), [(4, 1), (8, 3)])
def test_laplacian_of_a_bowl(neighbours, factor):
    bowl = picture(lambda x, y: x**2 + 3 * y**2 + x * y - 4 * x)
    np.testing.assert_allclose(answers(bowl, filters.laplacian(neighbours)), factor * (2 + 6))


def test_gaussian_is_a_mean_of_the_asked_width():
    bell = filters.gaussian(1.5, dtype=cr.float64).array[0, 0]
    assert bell.shape == (11, 11)
    x = np.arange(-5, 6)
    np.testing.assert_allclose(bell.sum(), 1)
    np.testing.assert_allclose((bell * x**2).sum(), 1.5**2, rtol=0.02)
    np.testing.assert_allclose(bell, np.outer(bell.sum(0), bell.sum(1)), atol=1e-12)
    np.testing.assert_allclose(bell[5, 6] / bell[5, 5], math.exp(-1 / (2 * 1.5**2)))


def test_laplacian_of_gaussian():
    log = filters.laplacian_of_gaussian(1.4, dtype=cr.float64)
    assert log.shape == (1, 1, 13, 13)
    assert abs(answers(picture(lambda x, y: 4 + 2 * x - y, 31), log)).max() < 1e-6
    # of a bowl x² + y², blurred or not, the Laplacian is 4 (the window cuts a little off)
    np.testing.assert_allclose(answers(picture(lambda x, y: x**2 + y**2, 31), log), 4, rtol=0.02)
    across = answers(picture(lambda x, y: x >= 15, 31), log)[0, 8]
    crossing = np.flatnonzero(np.diff(np.sign(np.where(abs(across) > 1e-9, across, 0))) == -2)
    assert len(crossing) == 1  # from the dark side's + to the bright side's -, once


def test_gabor_filters_answer_to_their_direction():
    bank = filters.gabor(orientations=6, wavelength=5.0)
    assert bank.shape == (6, 1, 19, 19)
    np.testing.assert_allclose(bank.array.sum((1, 2, 3)), 0, atol=1e-5)
    for k in range(6):
        angle = k * math.pi / 6
        stripes = picture(
            lambda x, y, a=angle: np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / 5), 41
        )
        energy = (answers(stripes, bank) ** 2).mean((1, 2))
        assert energy.argmax() == k and np.sort(energy)[-2] < 0.5 * energy[k]
    edge = filters.gabor(1, phase=math.pi / 2).array[0, 0]
    np.testing.assert_allclose(edge, -edge[:, ::-1], atol=1e-6)  # odd


def test_every_channel_by_itself():
    x = cr.randn(2, 3, 6, 5)
    y = filters.filter_channels(x, filters.sobel(), "reflect")
    assert y.shape == (2, 6, 6, 5)
    for c in range(3):
        alone = filters.filter_channels(x[:, c : c + 1], filters.sobel(), "reflect")
        np.testing.assert_allclose(y.array[:, 2 * c : 2 * c + 2], alone.array, atol=1e-5)
    assert filters.filter_channels(x[0], filters.roberts()).shape == (6, 6, 5)
    weights = filters.gaussian(1.0).requires_grad_()
    filters.filter_channels(x, weights).sum().backward()
    assert weights.grad.shape == weights.shape


def test_errors():
    for make, message in (
        (lambda: filters.laplacian(6), "neighbours must be 4 or 8, got 6"),
        (lambda: filters.gaussian(0), "gaussian: sigma must be positive, got 0"),
        (lambda: filters.laplacian_of_gaussian(1, 4), "size must be odd, got 4"),
        (lambda: filters.gabor(0), "orientations, wavelength and aspect must be positive"),
    ):
        with pytest.raises(ConfigError, match=message):
            make()
    with pytest.raises(ShapeError, match=r"filter_channels: expects images and filters of one"):
        filters.filter_channels(cr.ones(1, 3, 4, 4), cr.ones(2, 3, 3, 3))
