"""Normalisation layers: what they refuse, remember and have no PyTorch twin for."""

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ConfigError, DTypeError, ShapeError


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.batch_norm(cr.ones(2, 3), cr.ones(3), None), ConfigError, "both running_mean"),
        (
            lambda: F.batch_norm(cr.ones(2, 3), cr.ones(3), cr.ones(2)),
            ShapeError,
            r"batch_norm: running_var \(2,\) must hold one value per channel",
        ),
        (
            lambda: F.batch_norm(cr.ones(2, 3), None, None, training=True, eps=0),
            ConfigError,
            "eps must be positive in training",
        ),
        (lambda: nn.BatchNorm3d(2)(cr.ones(2, 2, 3, 3)), ShapeError, r"\(N, C, D, H, W\), x is"),
        (lambda: nn.BatchNorm3d(2)(cr.ones(1, 2, 1, 1, 1)), ShapeError, "one value per channel"),
        (lambda: F.group_norm(cr.ones(1, 4, 1), 4), ShapeError, "one value per group"),
        (lambda: F.instance_norm(cr.ones(2, 3)), ShapeError, "one value per channel of an image"),
        (lambda: F.instance_norm(cr.ones(2, 3, 1)), ShapeError, "use larger images"),
        (lambda: F.instance_norm(cr.ones(3)), ShapeError, "at least two axes"),
        (lambda: F.instance_norm(cr.ones(2, 3, 4).int()), DTypeError, "expects a float tensor"),
        (
            lambda: F.instance_norm(cr.ones(2, 3, 4), use_input_stats=False),
            ConfigError,
            "without use_input_stats it needs running_mean",
        ),
        (
            lambda: F.instance_norm(cr.ones(2, 3, 4), weight=cr.ones(2)),
            ShapeError,
            r"instance_norm: weight \(2,\) must hold one value per channel",
        ),
        (
            lambda: nn.InstanceNorm2d(3)(cr.ones(4, 5)),
            ShapeError,
            r"InstanceNorm2d: expects \(N, C, H, W\) or \(C, H, W\), x is \(4, 5\)",
        ),
        (
            lambda: nn.InstanceNorm1d(3, affine=True)(cr.ones(2, 4, 5)),
            ShapeError,
            "InstanceNorm1d: x has 4 channels, num_features is 3",
        ),
        (lambda: F.rms_norm(cr.ones(2, 3), 4), ShapeError, r"rms_norm: normalized_shape \(4,\)"),
        (
            lambda: F.rms_norm(cr.ones(2, 3), 3, cr.ones(2)),
            ShapeError,
            r"rms_norm: weight \(2,\) must have normalized_shape \(3,\)",
        ),
        (lambda: F.rms_norm(cr.ones(2).long(), 2), DTypeError, "rms_norm: expects a float"),
        (lambda: F.local_response_norm(cr.ones(2, 3), 2), ShapeError, "x needs positions"),
        (lambda: F.local_response_norm(cr.ones(2, 3, 4), 0), ConfigError, "size must be at least"),
        (lambda: F.normalize(cr.ones(2, 3).long()), DTypeError, "normalize: expects a float"),
        (lambda: F.normalize(cr.ones(3)), IndexError, "there is no dim 1"),
        (lambda: nn.SyncBatchNorm(3), AttributeError, "BatchNorm2d: there is one process"),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_instance_norm_warns_of_channels_that_nothing_uses():
    with pytest.warns(UserWarning, match="x has 4 channels, num_features is 3, which nothing"):
        nn.InstanceNorm1d(3)(cr.ones(2, 4, 5))


def test_statistics_follow_the_images_of_a_batch():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3, 5, 2))
    mean, var = cr.zeros(3, dtype=cr.float64), cr.ones(3, dtype=cr.float64)
    F.instance_norm(cr.tensor(x), mean, var, momentum=0.3)
    np.testing.assert_allclose(mean.array, 0.3 * x.mean(axis=(0, 2, 3)), rtol=1e-12)
    unbiased = x.reshape(4, 3, 10).var(axis=2, ddof=1).mean(axis=0)
    np.testing.assert_allclose(var.array, 0.7 + 0.3 * unbiased, rtol=1e-12)


def test_an_empty_batch_moves_no_statistics():
    for layer in (nn.BatchNorm1d(3), nn.InstanceNorm1d(3, track_running_stats=True)):
        y = layer(cr.zeros(0, 3, 2).requires_grad_())
        y.sum().backward()
        assert tuple(y.shape) == (0, 3, 2)
        assert layer.running_mean.tolist() == [0, 0, 0] and layer.running_var.tolist() == [1, 1, 1]


def test_half_precision_is_kept_and_computed_in_single():
    x = cr.tensor(np.random.default_rng(1).standard_normal((4, 6, 5)) * 100).half()
    wide = x.float()
    for layer in (
        nn.BatchNorm1d(6),
        nn.InstanceNorm1d(6, affine=True),
        nn.RMSNorm(5),
        nn.LocalResponseNorm(3, 0.5),
    ):
        y, exact = layer.half()(x), layer.float()(wide)
        assert y.dtype == cr.float16
        np.testing.assert_allclose(y.detach().array, exact.detach().array, rtol=1e-3, atol=2e-3)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Mismatch dtype:UserWarning")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "build",
    [
        lambda m: m.BatchNorm1d(6),
        lambda m: m.BatchNorm1d(6, affine=False),
        lambda m: m.InstanceNorm1d(6, affine=True, track_running_stats=True),
        lambda m: m.LayerNorm(5),
        lambda m: m.GroupNorm(2, 6),
        lambda m: m.RMSNorm(5),
    ],
    ids=["batch", "batch, plain", "instance", "layer", "group", "rms"],
)
def test_half_precision_values_meet_single_precision_parameters(build, training):
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    value = np.random.default_rng(3).standard_normal((4, 6, 5)).astype(np.float16)
    ours, theirs = build(nn).train(training), build(torch.nn).train(training)
    x, t = cr.tensor(value).requires_grad_(), torch.tensor(value, requires_grad=True)
    y, u = ours(x), theirs(t)
    (y * y).sum().backward()
    (u * u).sum().backward()
    assert y.dtype == cr.float16 and x.grad.dtype == cr.float16
    np.testing.assert_allclose(y.detach().array, u.detach().numpy(), rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(x.grad.array, t.grad.numpy(), rtol=2e-2, atol=2e-2)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.grad.dtype == cr.float32
        np.testing.assert_allclose(p.grad.array, q.grad.numpy(), rtol=1e-2, atol=2e-2)
    for name, state in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name].array, state.numpy(), rtol=1e-4)


def test_normalize_into_a_tensor():
    out = cr.zeros(1, 2)
    assert F.normalize(cr.tensor([[3.0, 4.0]]), out=out) is out
    np.testing.assert_allclose(out.array, [[0.6, 0.8]], rtol=1e-6)


def test_response_norm_as_the_paper_writes_it():
    """Krizhevsky et al. 2012, §3.3, whose α is not divided by the size."""
    x = np.random.default_rng(2).standard_normal((2, 7, 3, 3)) * 30
    alpha, beta, k, n = 1e-4, 0.75, 2, 5
    y = np.empty_like(x)
    for c in range(7):
        window = x[:, max(0, c - n // 2) : min(6, c + n // 2) + 1]
        y[:, c] = x[:, c] / (k + alpha * (window**2).sum(axis=1)) ** beta
    result = F.local_response_norm(cr.tensor(x), n, n * alpha, beta, k)
    np.testing.assert_allclose(result.array, y, rtol=1e-12)


def test_resetting():
    for layer in (nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.InstanceNorm1d(3, affine=True)):
        layer.weight.array[:], layer.bias.array[:] = 5, 6
        layer.reset_parameters()
        assert layer.weight.tolist() == [1, 1, 1] and layer.bias.tolist() == [0, 0, 0]
    layer = nn.RMSNorm(3)
    layer.weight.array[:] = 5
    layer.reset_parameters()
    assert layer.weight.tolist() == [1, 1, 1]
