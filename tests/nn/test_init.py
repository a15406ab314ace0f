"""Initialisers: the distribution each promises, the seed, the errors."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, ShapeError
from chainrule.nn import init

SHAPE = (64, 32, 3, 3)  # fan_in 288, fan_out 576


def spread(fill, shape=SHAPE):
    cr.manual_seed(1)
    return fill(cr.empty(shape)).array


@pytest.mark.parametrize(
    ("fill", "variance"),
    [
        (init.xavier_uniform_, 2 / (288 + 576)),
        (init.xavier_normal_, 2 / (288 + 576)),
        (lambda t: init.xavier_normal_(t, gain=3), 9 * 2 / (288 + 576)),
        (init.kaiming_uniform_, 2 / 288),
        (init.kaiming_normal_, 2 / 288),
        (lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"), 2 / 576),
        (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), 1 / 3 / 288),
        (lambda t: init.kaiming_normal_(t, nonlinearity="linear"), 1 / 288),
        (init.uniform_, 1 / 12),
        (lambda t: init.normal_(t, 2.0, 0.5), 0.25),
    ],
)
def test_variance(fill, variance):
    values = spread(fill)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values.var(), variance, rtol=0.03)


@pytest.mark.parametrize(
    ("fill", "bound"),
    [
        (init.xavier_uniform_, math.sqrt(6 / (288 + 576))),
        (init.kaiming_uniform_, math.sqrt(6 / 288)),
        (lambda t: init.uniform_(t, -0.3, 0.3), 0.3),
    ],
)
def test_uniform_bounds(fill, bound):
    values = np.abs(spread(fill))
    assert 0.99 * bound < values.max() <= bound * (1 + 1e-6)


def test_trunc_normal_is_a_normal_cut_off():
    values = spread(lambda t: init.trunc_normal_(t, std=0.5, a=-0.5, b=0.5))
    assert np.abs(values).max() <= 0.5
    # variance of a standard normal cut at ±1: 1 - 2φ(1)/(2Φ(1) - 1) = 0.2911
    np.testing.assert_allclose(values.var(), 0.25 * 0.2911, rtol=0.03)
    with pytest.raises(ConfigError, match=r"N\(9.0, 1.0²\) lies between -2.0 and 2.0 in less than"):
        init.trunc_normal_(cr.empty(2), mean=9.0)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 2, 3)])
def test_orthogonal(shape):
    q = spread(lambda t: init.orthogonal_(t, gain=2.0), shape).reshape(shape[0], -1) / 2
    gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)


def test_the_identity_of_a_linear_layer_and_of_a_convolution():
    assert init.eye_(cr.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    x = cr.randn(2, 3, 5, 4)
    for groups, weight in ((1, cr.empty(4, 3, 3, 5)), (3, cr.empty(6, 1, 3, 5))):
        y = cr.conv2d(x, init.dirac_(weight, groups), padding=(1, 2), groups=groups)
        kept = y[:, :3] if groups == 1 else y[:, ::2]
        np.testing.assert_array_equal(kept, x)
        assert (y[:, 3:] if groups == 1 else y[:, 1::2]).eq(0).all()


def test_sparse_columns():
    values = spread(lambda t: init.sparse_(t, sparsity=0.25, std=2.0), (10, 300))
    assert ((values == 0).sum(axis=0) == 3).all()
    np.testing.assert_allclose(values[values != 0].std(), 2.0, rtol=0.05)


def test_constants_fill_in_place_and_return_the_tensor():
    t = cr.empty(2, 3)
    assert init.constant_(t, 0.5) is t and (t.array == 0.5).all()
    assert (init.ones_(t).array == 1).all() and (init.zeros_(t).array == 0).all()


def test_filling_is_not_recorded_but_noticed():
    w = cr.ones(2, requires_grad=True)
    y = (w * w).sum()
    assert init.ones_(w).is_leaf and w.requires_grad
    with pytest.raises(cr.errors.GraphError, match=r"changed in place"):
        y.backward()


def test_the_seed_and_a_generator_choose_the_values():
    a = spread(init.kaiming_normal_)
    assert np.array_equal(a, spread(init.kaiming_normal_))
    own = cr.Generator(1)
    cr.manual_seed(7)
    b = init.kaiming_normal_(cr.empty(SHAPE), generator=own).array
    assert np.array_equal(a, b)


def test_gains():
    assert init.calculate_gain("relu") == pytest.approx(math.sqrt(2))
    assert init.calculate_gain("conv_transpose2d") == 1
    assert init.calculate_gain("tanh") == pytest.approx(5 / 3)
    assert init.calculate_gain("leaky_relu", 1) == pytest.approx(1)
    with pytest.raises(ConfigError, match=r"no gain for 'swish'; known: conv1d"):
        init.calculate_gain("swish")


def test_errors():
    with pytest.raises(ShapeError, match=r"kaiming_normal_: fan_in and fan_out need a weight"):
        init.kaiming_normal_(cr.empty(3))
    with pytest.raises(ShapeError, match=r"orthogonal_: needs at least two axes, got \(3,\)"):
        init.orthogonal_(cr.empty(3))
    for fill in (init.eye_, lambda t: init.sparse_(t, 0.1)):
        with pytest.raises(ShapeError, match=r"(eye|sparse)_: needs two axes, got \(3,\)"):
            fill(cr.empty(3))
    with pytest.raises(ShapeError, match=r"dirac_: .* O a multiple of groups 2, got \(3, 1, 1\)"):
        init.dirac_(cr.empty(3, 1, 1), 2)
    with pytest.raises(ConfigError, match=r'mode must be "fan_in" or "fan_out", got \'fan\''):
        init.kaiming_uniform_(cr.empty(3, 3), mode="fan")


@pytest.mark.parametrize("name", [n for n in dir(init) if hasattr(init, f"{n}_")])
def test_older_names_fill_as_the_new_ones_and_warn(name):
    arguments = {"constant": (0.5,), "sparse": (0.5,)}.get(name, ())
    shape = (3, 3, 3) if name == "dirac" else (3, 3)
    cr.manual_seed(0)
    expected = getattr(init, f"{name}_")(cr.empty(shape), *arguments).tolist()
    cr.manual_seed(0)
    with pytest.warns(FutureWarning, match=rf"^`nn\.init\.{name}` is now deprecated in favor of"):
        filled = getattr(init, name)(cr.empty(shape), *arguments).tolist()
    assert filled == expected


def test_all_of_pytorchs_older_names_are_here():
    older = "uniform normal constant eye dirac xavier_uniform xavier_normal kaiming_uniform"
    assert all(hasattr(init, n) for n in f"{older} kaiming_normal orthogonal sparse".split())


@pytest.mark.parametrize(
    "fill",
    [
        init.uniform_,
        init.normal_,
        init.trunc_normal_,
        init.ones_,
        init.zeros_,
        init.xavier_uniform_,
        init.kaiming_normal_,
        init.orthogonal_,
        init.eye_,
        lambda t: init.sparse_(t, 0.5),
        lambda t: init.fan_in_uniform_(t, None),
    ],
)
def test_skipped_draws_nothing_and_leaves_tensors_as_they_are(fill):
    cr.manual_seed(0)
    tensor = cr.full((3, 4), 7.0)
    with init.skipped():
        with init.skipped():
            fill(tensor)
        fill(tensor)
    np.testing.assert_array_equal(tensor.array, 7)
    drawn = cr.randn(2).array
    cr.manual_seed(0)
    np.testing.assert_array_equal(cr.randn(2).array, drawn)
    fill(tensor)  # it is over
    assert (tensor.array != 7).any()


def test_skipping_ends_with_an_error_too():
    with pytest.raises(RuntimeError, match="stop"), init.skipped():
        raise RuntimeError("stop")
    assert init.ones_(cr.zeros(1)).item() == 1


@pytest.mark.parametrize("size", [0, 1, 2**15, 2**16 + 7])
def test_many_draws_are_as_one(size):
    for fill, draw in (
        (init.normal_, lambda rng: rng.normal(1.0, 2.0, size)),
        (init.uniform_, lambda rng: rng.uniform(1.0, 2.0, size)),
    ):
        cr.manual_seed(7)
        drawn = fill(cr.zeros(size), 1.0, 2.0)
        strided = cr.zeros(size, 2)[:, 1]
        cr.manual_seed(7)
        fill(strided, 1.0, 2.0)
        wanted = draw(np.random.Generator(np.random.PCG64(7))).astype(np.float32)
        np.testing.assert_array_equal(drawn, wanted)
        np.testing.assert_array_equal(strided, wanted)
