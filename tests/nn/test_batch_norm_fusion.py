"""nn.utils.fuse_conv_bn_eval and its kin: one layer that does the work of two."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError


def seen(bn):
    """Batch norm with statistics, scales and shifts of its own."""
    rng = np.random.default_rng(0)
    for name, tensor in bn.state_dict().items():
        if name != "num_batches_tracked":
            tensor.array[...] = rng.uniform(0.5, 2, tensor.array.shape)
    return bn.double().eval()


LAYERS = {
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d, (2, 4, 5, 5)),
    "conv2d, groups": (
        lambda: nn.Conv2d(4, 6, 3, groups=2, bias=False),
        nn.BatchNorm2d,
        (2, 4, 5, 5),
    ),
    "linear": (lambda: nn.Linear(4, 6), nn.BatchNorm1d, (3, 4)),
    "linear, no bias": (lambda: nn.Linear(4, 6, bias=False), nn.BatchNorm1d, (3, 4)),
}
SETTINGS = [{}, {"affine": False}, {"bias": False}, {"eps": 0.1}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_are_those_of_both_layers(name, settings):
    build, norm, shape = LAYERS[name]
    layer, bn = build().double().eval(), seen(norm(6, **settings))
    fuse = nn.utils.fuse_linear_bn_eval if "linear" in name else nn.utils.fuse_conv_bn_eval
    before = copy.deepcopy(layer.state_dict())
    fused = fuse(layer, bn)
    x = cr.randn(*shape, dtype=cr.float64)
    np.testing.assert_allclose(
        fused(x).detach().array, bn(layer(x)).detach().array, rtol=1e-10, atol=1e-12
    )
    assert type(fused) is type(layer) and fused is not layer
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.array, before[key].array)


def test_a_norm_of_one_channel_behind_a_linear_layer():
    layer, bn = nn.Linear(4, 6, bias=False).double().eval(), seen(nn.BatchNorm1d(1))
    x = cr.randn(3, 4, dtype=cr.float64)
    expected = bn(layer(x).unsqueeze(1)).squeeze(1)
    fused = nn.utils.fuse_linear_bn_eval(layer, bn)
    np.testing.assert_allclose(fused(x).detach().array, expected.detach().array, rtol=1e-10)


@pytest.mark.parity
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("affine", [False, True])
def test_weights_are_pytorchs(transpose, affine):
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    rng = np.random.default_rng(1)
    weight, (mean, var, scale, shift) = rng.standard_normal((6, 6, 3, 2)), rng.uniform(1, 2, (4, 6))
    parts = [
        weight,
        scale if affine else None,
        mean,
        var,
        1e-3,
        *([scale, shift] if affine else [None] * 2),
    ]
    ours = nn.utils.fuse_conv_bn_weights(
        *(cr.tensor(p) if isinstance(p, np.ndarray) else p for p in parts), transpose
    )
    theirs = torch.nn.utils.fuse_conv_bn_weights(
        *(torch.tensor(p) if isinstance(p, np.ndarray) else p for p in parts), transpose
    )
    for p, q in zip(ours, theirs, strict=True):
        assert isinstance(p, nn.Parameter) and p.requires_grad == q.requires_grad
        np.testing.assert_allclose(p.detach().array, q.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.utils.fuse_conv_bn_eval(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)),
            r"fuse_conv_bn_eval: only in evaluation is batch norm affine; call \.eval\(\)",
        ),
        (
            lambda: nn.utils.fuse_conv_bn_eval(
                nn.Conv2d(2, 2, 1).eval(), nn.BatchNorm2d(2, track_running_stats=False).eval()
            ),
            "no running statistics",
        ),
        (
            lambda: nn.utils.fuse_linear_bn_eval(nn.Linear(2, 3).eval(), nn.BatchNorm1d(2).eval()),
            "3 outputs, but batch norm of 2",
        ),
    ],
)
def test_refuses(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
