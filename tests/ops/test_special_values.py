"""Kinks, ties, extremes: where a formula alone does not say what should happen."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import kernels, ops
from chainrule.errors import ShapeError


def leaf(values: Any, dtype: Any = cr.float64) -> cr.Tensor:
    return cr.tensor(values, dtype=dtype, requires_grad=True)


def slope(f: Any, *values: Any) -> list[Any]:
    """dΣf/dx for each x."""
    xs = [leaf(v) for v in values]
    f(*xs).sum().backward()
    return [x.grad.tolist() for x in xs]


@pytest.mark.parametrize(
    ("f", "values", "expected"),
    [
        (ops.relu, ([-1.0, 0.0, 2.0],), [[0, 0, 1]]),
        (ops.leaky_relu, ([-1.0, 0.0, 2.0],), [[0.01, 0.01, 1]]),
        (ops.abs, ([-3.0, 0.0, 2.0],), [[-1, 0, 1]]),
        (ops.maximum, ([1.0, 2.0], [1.0, 0.0]), [[0.5, 1], [0.5, 0]]),
        (ops.minimum, ([1.0, 2.0], [1.0, 0.0]), [[0.5, 0], [0.5, 1]]),
        (lambda x: ops.clamp(x, 0.0, 1.0), ([-1.0, 0.0, 0.5, 1.0, 2.0],), [[0, 1, 1, 1, 0]]),
        (ops.amax, ([3.0, 1.0, 3.0],), [[0.5, 0, 0.5]]),
        (ops.amin, ([3.0, 1.0, 1.0, 1.0],), [[0, 1 / 3, 1 / 3, 1 / 3]]),
        (lambda x: x.norm(), ([0.0, 0.0],), [[0, 0]]),
        (lambda x: x.std(), ([2.0, 2.0],), [[0, 0]]),
        (lambda x: x**0, ([0.0, 2.0],), [[0, 0]]),
        (lambda x: x**2, ([0.0, -3.0],), [[0, -6]]),
        (lambda a, b: a**b, ([0.0, 2.0], [2.0, 0.0]), [[0, 0], [0, math.log(2)]]),
        (lambda x: ops.max_pool2d(x, 2), ([[[[1.0, 1.0], [0.0, 1.0]]]],), [[[[[1, 0], [0, 0]]]]]),
    ],
)
def test_gradient_at_kinks_and_ties(f: Any, values: Any, expected: Any) -> None:
    assert slope(f, *values) == expected


@pytest.mark.parity
def test_those_gradients_are_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    for name, values in {
        "relu": [-1.0, 0.0], "abs": [0.0], "sign": [0.0], "amax": [3.0, 3.0], "norm": [0.0, 0.0],
        "std": [2.0, 2.0], "square": [0.0], "round": [0.5, 1.5, 2.5, -0.5],
    }.items():  # fmt: skip
        x, t = leaf(values), torch.tensor(values, dtype=torch.float64, requires_grad=True)
        y, u = getattr(x, name)(), getattr(t, name)()
        np.testing.assert_array_equal(y.detach().array, u.detach().numpy(), err_msg=name)
        y.sum().backward()
        u.sum().backward()
        np.testing.assert_array_equal(x.grad.array, t.grad.numpy(), err_msg=name)


def test_sigmoid_tanh_and_softmax_do_not_overflow() -> None:
    x = leaf([-1000.0, 0.0, 1000.0], cr.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = [x.sigmoid(), x.tanh(), x.softmax(0), x.log_softmax(0), x.logsumexp(0)]
        for t in y:
            t.sum().backward()
    assert y[0].tolist() == [0, 0.5, 1] and y[1].tolist() == [-1, 0, 1]
    assert y[2].tolist() == [0, 0, 1] and y[3].tolist() == [-2000, -1000, 0]
    assert y[4].item() == 1000
    assert np.isfinite(x.grad.array).all()


def test_logsumexp_of_minus_infinity() -> None:
    x = leaf([[-np.inf, -np.inf], [-np.inf, 0.0]])
    y = x.logsumexp(1)
    assert y.tolist() == [-np.inf, 0]
    y.sum().backward()
    assert x.grad.tolist() == [[0, 0], [0, 1]]


def test_small_numbers_keep_their_digits() -> None:
    x = cr.tensor([1e-10], dtype=cr.float64)
    assert x.expm1().item() == pytest.approx(1e-10, rel=1e-15)
    assert x.log1p().item() == pytest.approx(1e-10, rel=1e-9)


def test_half_precision_sums_keep_counting() -> None:
    x = cr.ones(5000, 3, dtype=cr.float16, requires_grad=True)
    assert x.sum(0).tolist() == [5000] * 3
    assert cr.ones(100_000, dtype=cr.float16).mean().item() == 1
    x.mean().backward()
    assert x.grad.dtype == cr.float16


def test_nan_goes_through() -> None:
    x = cr.tensor([1.0, float("nan")])
    for y in (x.relu(), x.clamp(0, 1), x.maximum(cr.zeros(2)), x.sum(), x.amax(), x.mean()):
        assert y.isnan().any()


def test_straight_through_has_the_gradient_of_the_soft_choice() -> None:
    x, upstream = leaf([[0.3, 1.2, -0.4]]), np.array([[1.0, -2.0, 0.5]])
    grads = []
    for hard in (True, False):
        y = ops.gumbel_softmax(x, 0.5, hard, 1, cr.Generator(0))
        grads.append(cr.autograd.grad(y, x, cr.tensor(upstream))[0].array)
        assert hard == (sorted(y.tolist()[0]) == [0, 0, 1])
    np.testing.assert_array_equal(*grads)


def test_gumbel_noise_draws_from_softmax() -> None:
    cr.manual_seed(0)
    x = cr.tensor([0.5, 1.5, -1.0]).expand(20_000, 3)
    share = ops.gumbel_softmax(x, 1.0, True).mean(0).array
    np.testing.assert_allclose(share, x[0].softmax(0).array, atol=0.01)


def test_slopes_of_rrelu_spread_over_their_range() -> None:
    x = cr.full((20_000,), -1.0)
    slopes = -ops.rrelu(x, 0.2, 0.6, True, cr.Generator(0)).array
    assert 0.2 <= slopes.min() < 0.201
    assert 0.599 < slopes.max() < 0.6
    assert slopes.mean() == pytest.approx(0.4, abs=0.005)


@pytest.mark.parametrize("function", [ops.erf, ops.erfc])
def test_error_function_is_good_to_rounding(function: Any) -> None:
    name = function.name
    x = np.concatenate([np.linspace(-7, 28, 5001), [0.0, 0.46875, 4.0, -4.0, 1e-300]])
    exact = np.array([getattr(math, name)(v) for v in x])
    np.testing.assert_allclose(function(x), exact, rtol=1e-15, atol=1e-323)
    edges = function(np.array([np.inf, -np.inf, np.nan]))
    assert edges[:2].tolist() == [getattr(math, name)(v) for v in (math.inf, -math.inf)]
    assert math.isnan(edges[2])


def test_the_inverse_error_function_is_good_to_rounding() -> None:
    y = np.concatenate([np.linspace(-5.8, 5.8, 5001), 10.0 ** np.arange(-300, 0, 10)])
    x = np.array([math.erf(v) for v in y])
    slope = 2 / math.sqrt(math.pi) * np.exp(-y * y)
    rounding = 2e-15 * np.abs(y) + np.spacing(np.abs(x)) / slope  # of y, and of x before
    assert (np.abs(ops.erfinv(x) - y) <= rounding).all()
    assert ops.erfinv(np.array([-1.0, -0.0, 1.0])).tolist() == [-math.inf, 0.0, math.inf]


def test_gelu_keeps_the_digits_of_its_lower_tail() -> None:
    x = np.array([-5.0, -9.0])
    exact = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in x]
    np.testing.assert_allclose(ops.gelu(x), exact, rtol=3e-14)
    np.testing.assert_allclose(ops.gelu(x.astype(np.float32)), exact, rtol=1e-5)


@pytest.mark.parity
def test_gates_have_pytorchs_gradients_at_their_kinks() -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    values = [-6.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0, 10.0, 20.0]
    for name in (
        "relu6", "leaky_relu", "elu", "selu", "celu", "hardtanh", "hardsigmoid", "hardswish",
        "hardshrink", "softshrink", "softplus", "softsign", "silu", "mish",
    ):  # fmt: skip
        for dtype in (np.float64, np.float32):
            x = cr.tensor(np.array(values, dtype), requires_grad=True)
            t = torch.tensor(np.array(values, dtype), requires_grad=True)
            getattr(ops, name)(x).sum().backward()
            getattr(torch.nn.functional, name)(t).sum().backward()
            np.testing.assert_allclose(x.grad.array, t.grad.numpy(), rtol=1e-6, err_msg=name)


# -- losses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_losses_start_where_the_lecture_says(classes: int) -> None:
    cr.manual_seed(0)
    scores = cr.randn(256, classes) * 1e-3
    target = cr.randint(classes, (256,))
    assert ops.cross_entropy(scores, target).item() == pytest.approx(math.log(classes), rel=1e-3)
    for margin in (1.0, 0.5):
        svm = ops.multiclass_svm_loss(scores, target, margin).item()
        assert svm == pytest.approx((classes - 1) * margin, rel=1e-2)


def test_gradient_of_cross_entropy_is_p_minus_onehot() -> None:
    z = leaf([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    ops.cross_entropy(z, cr.tensor([2, 0]), reduction="sum").backward()
    np.testing.assert_allclose(
        z.grad.array, z.detach().softmax(1).array - np.array([[0, 0, 1], [1, 0, 0]])
    )


def test_cross_entropy_of_huge_scores_is_exact() -> None:
    z = leaf([[1e4, 0.0], [0.0, 1e4]], cr.float32)
    loss = ops.cross_entropy(z, cr.tensor([0, 0]), reduction="none")
    assert loss.tolist() == [0, 1e4]
    loss.sum().backward()
    assert z.grad.tolist() == [[0, 0], [-1, 1]]


def test_when_every_target_is_ignored() -> None:
    z, nothing = leaf([[1.0, 2.0]]), cr.tensor([-100])
    assert ops.cross_entropy(z, nothing, reduction="sum").item() == 0
    with np.errstate(invalid="ignore"):
        assert math.isnan(ops.cross_entropy(z, nothing).item())


@pytest.mark.parametrize("dtype", [cr.uint8, cr.int32, cr.int64])
def test_labels_of_any_integer_dtype(dtype: Any) -> None:
    z = cr.randn(4, 3)
    target = cr.tensor([0, 2, 1, 2])
    expected = ops.cross_entropy(z, target).item()
    assert ops.cross_entropy(z, target.to(dtype)).item() == expected
    assert ops.cross_entropy(z, target.numpy().astype(dtype)).item() == expected


# -- batch norm --------------------------------------------------------------------------------


def test_batch_norm_normalises_and_moves_its_statistics() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (8, 2, 4, 4))
    mean, var = np.zeros(2), np.ones(2)
    y = ops.batch_norm(x, mean, var, training=True, momentum=0.1)
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, rtol=1e-4)
    np.testing.assert_allclose(mean, 0.1 * x.mean((0, 2, 3)))
    np.testing.assert_allclose(var, 0.9 + 0.1 * x.var((0, 2, 3), ddof=1))


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["arrays", "tensors"])
def test_running_statistics_match_pytorch(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    rng = np.random.default_rng(0)
    mean, var = np.zeros(3, np.float32), np.ones(3, np.float32)
    ours = (cr.from_numpy(mean), cr.from_numpy(var)) if kind == "tensors" else (mean, var)
    theirs = torch.zeros(3), torch.ones(3)
    for _ in range(3):
        x = rng.normal(1, 3, (5, 3, 2)).astype(np.float32)
        ops.batch_norm(cr.from_numpy(x), *ours, training=True, momentum=0.3)
        torch.nn.functional.batch_norm(torch.tensor(x), *theirs, training=True, momentum=0.3)
    np.testing.assert_allclose(mean, theirs[0].numpy(), rtol=1e-5)
    np.testing.assert_allclose(var, theirs[1].numpy(), rtol=1e-5)


def test_batch_norm_of_a_constant_channel() -> None:
    x = cr.full((4, 1, 2, 2), 7.0)
    y = ops.batch_norm(x, None, None, training=True)
    np.testing.assert_array_equal(y.array, 0)


# -- dropout -----------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_masks_the_gradient_alike() -> None:
    cr.manual_seed(0)
    x = cr.ones(100_000, requires_grad=True)
    y = ops.dropout(x, 0.3)
    assert set(np.unique(y.detach().array)) == {np.float32(0), np.float32(1 / 0.7)}
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.array, y.detach().array)


def test_dropout_is_the_identity_in_evaluation() -> None:
    x = cr.ones(5)
    assert ops.dropout(x, 0.5, training=False) is x


def test_dropout_draws_anew_and_repeats_with_the_seed() -> None:
    x = cr.ones(64)
    cr.manual_seed(1)
    a, b = ops.dropout(x), ops.dropout(x)
    cr.manual_seed(1)
    assert (a != b).any()
    assert (ops.dropout(x) == a).all()


# -- memory order ------------------------------------------------------------------------------


def test_channels_last_memory_flows_through() -> None:
    x = cr.randn(2, 3, 6, 6)
    with kernels.use("reference"):
        y = ops.conv2d(x, cr.randn(4, 3, 3, 3), cr.zeros(4), padding=1)

    def is_channels_last(t: cr.Tensor) -> bool:
        return t.array.transpose(0, 2, 3, 1).flags.c_contiguous

    assert is_channels_last(y)
    for z in (y.relu(), y + 1, y + y, y * cr.ones(1, 4, 1, 1), ops.max_pool2d(y, 2),
              ops.avg_pool2d(y, 2), ops.batch_norm(y, None, None, training=True),
              ops.pad(y, (1, 1, 1, 1)), cr.cat([y, y], 1), y.clone()):  # fmt: skip
        assert is_channels_last(z)


def test_losses_of_no_scores_at_all():
    scores, target = cr.zeros(0, 0), cr.zeros(0, dtype=cr.int64)
    smooth = ops.cross_entropy(scores, target, reduction="sum", label_smoothing=0.1)
    margin = ops.multi_margin_loss(scores, target, reduction="sum")
    assert smooth.item() == margin.item() == 0


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_feature_dropout_drops_whole_channels(p: float) -> None:
    x = cr.ones(300, 200, 2, 2)
    y = ops.feature_dropout(x, p, True, cr.Generator(0)).array
    assert np.all(y == y[:, :, :1, :1])
    assert (y[:, :, 0, 0] == 0).mean() == pytest.approx(p, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("function", [ops.alpha_dropout, ops.feature_alpha_dropout])
def test_alpha_dropout_keeps_mean_and_variance(function: Any) -> None:
    cr.manual_seed(0)
    y = function(cr.randn(500, 400, 2), 0.3, True).array
    assert y.mean() == pytest.approx(0, abs=0.02)
    assert y.var() == pytest.approx(1, abs=0.03)


def test_stochastic_depth_drops_samples_or_the_batch() -> None:
    cr.manual_seed(0)
    x = cr.ones(20_000, 2, 2)
    rows = ops.stochastic_depth(x, 0.25, "row").array
    assert np.all(rows == rows[:, :1, :1])
    assert rows.mean() == pytest.approx(1, abs=0.02)
    together = [ops.stochastic_depth(x[:3], 0.25, "batch").array for _ in range(400)]
    assert all(np.ptp(y) == 0 for y in together)
    assert np.mean(together) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("pool", ["max_pool2d", "avg_pool2d"])
def test_ceil_mode_keeps_a_window_larger_than_the_image(pool: str):
    x = cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    y = getattr(ops, pool)(x, 3, 2, ceil_mode=True)
    assert y.tolist() == [[[[4.0 if pool == "max_pool2d" else 2.5]]]]
    with pytest.raises(ShapeError, match="larger than the padded image"):
        getattr(ops, pool)(x, 3, 2)


def test_running_variance_keeps_its_digits():
    """With momentum 1 it is the batch's, however far from what it was."""
    x = cr.tensor([[1e-3], [-1e-3]])
    mean, var = cr.zeros(1), cr.full((1,), 1e4)
    ops.batch_norm(x, mean.numpy(), var.numpy(), training=True, momentum=1.0)
    assert var.item() == pytest.approx(2e-6, rel=1e-6)
