"""Layers and module trees beside PyTorch's: names, printed form, values, gradients."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning"),  # PyTorch's
]


def twins(build, dtype=np.float64):
    """The same module here and there, with the same weights, in ``dtype``."""
    torch.manual_seed(0)
    ours, theirs = build(nn), build(torch.nn)
    theirs = theirs.to(torch.float64 if dtype == np.float64 else torch.float32)
    ours.to(dtype).load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


def tensors(array):
    return cr.tensor(array).requires_grad_(), torch.tensor(array, requires_grad=True)


LAYERS = {
    "linear": (lambda m: m.Linear(5, 3), (4, 5)),
    "linear, no bias, three axes": (lambda m: m.Linear(5, 3, bias=False), (2, 4, 5)),
    "conv": (lambda m: m.Conv2d(3, 4, 3), (2, 3, 7, 6)),
    "conv, all settings": (
        lambda m: m.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2, bias=False),
        (2, 4, 9, 8),
    ),
    "conv same": (lambda m: m.Conv2d(3, 4, (3, 5), padding="same", dilation=2), (2, 3, 9, 9)),
    "conv valid": (lambda m: m.Conv2d(3, 4, 3, padding="valid"), (2, 3, 7, 6)),
    "depthwise": (lambda m: m.Conv2d(4, 8, 3, padding=1, groups=4), (2, 4, 5, 5)),
    "conv reflect": (lambda m: m.Conv2d(3, 4, 3, 2, 1, padding_mode="reflect"), (2, 3, 6, 7)),
    "conv replicate": (
        lambda m: m.Conv2d(2, 4, 3, padding=(3, 1), dilation=(1, 2), padding_mode="replicate"),
        (2, 2, 4, 7),
    ),
    "conv circular same": (
        lambda m: m.Conv2d(2, 3, (4, 3), padding="same", padding_mode="circular"),
        (2, 2, 5, 6),
    ),
    "conv valid reflect": (
        lambda m: m.Conv2d(2, 3, 2, padding="valid", padding_mode="reflect"),
        (2, 2, 4, 4),
    ),
    "conv 1d": (lambda m: m.Conv1d(3, 4, 3), (2, 3, 8)),
    "conv 1d, all settings": (
        lambda m: m.Conv1d(4, 6, 3, 2, 2, 2, 2, False, "replicate"),
        (2, 4, 9),
    ),
    "conv 1d, same, unbatched": (lambda m: m.Conv1d(2, 3, (4,), padding="same"), (2, 6)),
    "conv 3d": (lambda m: m.Conv3d(2, 3, 3, padding=1), (2, 2, 4, 5, 3)),
    "conv 3d, all settings": (
        lambda m: m.Conv3d(
            4, 6, (3, 2, 1), (1, 2, 2), (1, 0, 1), (2, 1, 1), 2, padding_mode="circular"
        ),
        (2, 4, 6, 5, 5),
    ),
    "conv 3d, depthwise, same": (
        lambda m: m.Conv3d(3, 3, (2, 3, 3), groups=3, padding="same"),
        (1, 3, 3, 4, 4),
    ),
    "conv transpose 1d": (
        lambda m: m.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, True, 2),
        (2, 4, 5),
    ),
    "conv transpose": (lambda m: m.ConvTranspose2d(3, 4, 2, stride=2), (2, 3, 4, 5)),
    "conv transpose, all settings": (
        lambda m: m.ConvTranspose2d(4, 6, (3, 4), (2, 3), (1, 0), (1, 2), 2, False, (1, 2)),
        (2, 4, 3, 4),
    ),
    "conv transpose, unbatched": (lambda m: m.ConvTranspose2d(2, 2, 3, dilation=2), (2, 3, 3)),
    "conv transpose 3d": (
        lambda m: m.ConvTranspose3d(2, 4, (2, 3, 3), (2, 1, 2), 1, (1, 0, 1), groups=2),
        (2, 2, 3, 4, 3),
    ),
    "unfold": (lambda m: m.Unfold((2, 3), 1, (1, 0), 2), (2, 3, 5, 6)),
    "fold": (lambda m: m.Fold((4, 5), 2, padding=1, stride=(1, 2)), (2, 8, 15)),
    **{
        f"{kind} pad {axes}d": (
            lambda m, kind=kind, axes=axes, p=padding: getattr(m, f"{kind}Pad{axes}d")(p),
            (2, 3, 4, 5, 6)[: 2 + axes],
        )
        for kind in ("Reflection", "Replication", "Circular", "Zero")
        for axes, padding in ((1, 3), (2, (1, 2, 3, -1)), (3, (1, 0, 2, 1, 0, 2)))
    },
    "constant pad 1d": (lambda m: m.ConstantPad1d((1, 2), 0.5), (2, 4)),
    "constant pad 2d": (lambda m: m.ConstantPad2d(2, -1), (2, 3, 4, 5)),
    "constant pad 3d": (lambda m: m.ConstantPad3d((1, -1, 0, 2, 1, 1), 3.5), (2, 1, 3, 3, 3)),
    "batch norm 1d": (lambda m: m.BatchNorm1d(5), (6, 5)),
    "batch norm 1d, length": (lambda m: m.BatchNorm1d(5, eps=1e-3, momentum=0.3), (6, 5, 4)),
    "batch norm 2d": (lambda m: m.BatchNorm2d(3), (4, 3, 5, 5)),
    "batch norm, average": (lambda m: m.BatchNorm2d(3, momentum=None), (4, 3, 5, 5)),
    "batch norm, plain": (
        lambda m: m.BatchNorm2d(3, affine=False, track_running_stats=False),
        (4, 3, 5, 5),
    ),
    "layer norm": (lambda m: m.LayerNorm(5), (4, 3, 5)),
    "layer norm, axes, no bias": (lambda m: m.LayerNorm((3, 5), eps=1e-3, bias=False), (4, 3, 5)),
    "layer norm, plain": (lambda m: m.LayerNorm(5, elementwise_affine=False), (4, 5)),
    "group norm": (lambda m: m.GroupNorm(2, 6), (3, 6, 4, 5)),
    "group norm, plain": (lambda m: m.GroupNorm(6, 6, 1e-3, False), (3, 6, 4)),
    "batch norm, no bias": (lambda m: m.BatchNorm2d(3, bias=False), (4, 3, 5, 5)),
    "batch norm 3d": (lambda m: m.BatchNorm3d(3, momentum=0.2), (2, 3, 2, 3, 4)),
    "batch norm 3d, average": (lambda m: m.BatchNorm3d(3, momentum=None), (2, 3, 2, 1, 3)),
    "batch norm 1d, statistics only": (lambda m: m.BatchNorm1d(4, affine=False), (5, 4)),
    "batch norm, of the batch alone": (
        lambda m: m.BatchNorm2d(3, track_running_stats=False), (4, 3, 2, 5)
    ),
    "instance norm 1d": (lambda m: m.InstanceNorm1d(3), (2, 3, 5)),
    "instance norm 1d, one signal": (lambda m: m.InstanceNorm1d(3, affine=True), (3, 5)),
    "instance norm 2d": (lambda m: m.InstanceNorm2d(3, eps=0.1), (2, 3, 4, 5)),
    "instance norm 2d, one image": (
        lambda m: m.InstanceNorm2d(3, affine=True, track_running_stats=True), (3, 4, 5)
    ),
    "instance norm 2d, all settings": (
        lambda m: m.InstanceNorm2d(3, 1e-3, 0.3, True, True, bias=False), (2, 3, 4, 5)
    ),
    "instance norm 2d, momentum none": (
        lambda m: m.InstanceNorm2d(3, momentum=None, track_running_stats=True), (2, 3, 4, 5)
    ),
    "instance norm 3d": (
        lambda m: m.InstanceNorm3d(2, affine=True, track_running_stats=True), (3, 2, 2, 3, 2)
    ),
    "rms norm": (lambda m: m.RMSNorm(5), (4, 3, 5)),
    "rms norm, axes": (lambda m: m.RMSNorm((3, 5), eps=1e-2), (4, 3, 5)),
    "rms norm, plain": (lambda m: m.RMSNorm([5], elementwise_affine=False), (4, 5)),
    "local response norm": (lambda m: m.LocalResponseNorm(5, 0.3, k=2.0), (2, 7, 3, 2)),
    "local response norm, even": (lambda m: m.LocalResponseNorm(2, 1, 0.5), (2, 3, 4)),
    "max pool": (lambda m: m.MaxPool2d(2), (2, 3, 7, 7)),
    "max pool, all settings": (
        lambda m: m.MaxPool2d((3, 2), 2, 1, (1, 2), ceil_mode=True),
        (2, 3, 8, 9),
    ),
    "avg pool": (lambda m: m.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 3, 8, 8)),
    "avg pool, padding apart": (
        lambda m: m.AvgPool2d(3, 2, 1, count_include_pad=False),
        (2, 3, 8, 8),
    ),
    "adaptive": (lambda m: m.AdaptiveAvgPool2d((3, None)), (2, 3, 7, 5)),
    "max pool 1d": (lambda m: m.MaxPool1d(3, 2, 1, ceil_mode=True), (2, 3, 8)),
    "max pool 3d": (lambda m: m.MaxPool3d((1, 3, 2), 2, (0, 1, 1), (1, 1, 2)), (2, 3, 4, 8, 9)),
    "max pool of a sample": (lambda m: m.MaxPool2d(2), (3, 7, 7)),
    "avg pool 1d": (lambda m: m.AvgPool1d(3, 2, 1, True, False), (2, 3, 8)),
    "avg pool 2d, divisor": (lambda m: m.AvgPool2d(3, divisor_override=2), (2, 3, 8, 8)),
    "avg pool 3d": (lambda m: m.AvgPool3d((2, 3, 3), 2, (1, 1, 0)), (2, 3, 4, 8, 9)),
    "adaptive avg 1d": (lambda m: m.AdaptiveAvgPool1d(3), (2, 3, 7)),
    "adaptive avg 3d": (lambda m: m.AdaptiveAvgPool3d((3, None, 1)), (2, 3, 7, 2, 3)),
    "adaptive max 1d": (lambda m: m.AdaptiveMaxPool1d(3), (2, 3, 7)),
    "adaptive max 2d": (lambda m: m.AdaptiveMaxPool2d((3, None)), (2, 3, 7, 5)),
    "adaptive max 3d": (lambda m: m.AdaptiveMaxPool3d(2), (2, 3, 7, 2, 3)),
    "upsample": (lambda m: m.Upsample(scale_factor=2), (2, 3, 4, 5)),
    "upsample, bilinear": (
        lambda m: m.Upsample((5, 9), mode="bilinear", align_corners=True),
        (2, 3, 4, 5),
    ),
    "upsample, factors": (lambda m: m.Upsample(scale_factor=(1.5, 2)), (2, 3, 4, 5)),
    "upsample line": (lambda m: m.Upsample(7, mode="linear"), (2, 3, 4)),
    "upsampling nearest": (lambda m: m.UpsamplingNearest2d(scale_factor=3), (2, 3, 4, 5)),
    "upsampling bilinear": (lambda m: m.UpsamplingBilinear2d(6), (2, 3, 4, 5)),
    "pixel shuffle": (lambda m: m.PixelShuffle(2), (2, 8, 3, 4)),
    "pixel unshuffle": (lambda m: m.PixelUnshuffle(2), (2, 3, 4, 6)),
    "channel shuffle": (lambda m: m.ChannelShuffle(2), (2, 6, 3, 4)),
    "flatten": (lambda m: m.Flatten(), (2, 3, 4)),
    "unflatten": (lambda m: m.Unflatten(1, (2, 3)), (2, 6, 4)),
    "identity": (lambda m: m.Identity(), (2, 3)),
    "relu": (lambda m: m.ReLU(inplace=False), (3, 4)),
    "leaky relu": (lambda m: m.LeakyReLU(0.2), (3, 4)),
    "sigmoid": (lambda m: m.Sigmoid(), (3, 4)),
    "tanh": (lambda m: m.Tanh(), (3, 4)),
    "softmax": (lambda m: m.Softmax(dim=1), (3, 4)),
    "log softmax": (lambda m: m.LogSoftmax(dim=-1), (3, 4)),
    "prelu": (lambda m: m.PReLU(), (3, 4, 2)),
    "prelu, channels": (lambda m: m.PReLU(4, 0.1), (3, 4, 2, 2)),
    "elu": (lambda m: m.ELU(0.7), (3, 4)),
    "selu": (lambda m: m.SELU(), (3, 4)),
    "celu": (lambda m: m.CELU(0.5), (3, 4)),
    "gelu": (lambda m: m.GELU(), (3, 4)),
    "gelu, tanh": (lambda m: m.GELU("tanh"), (3, 4)),
    "silu": (lambda m: m.SiLU(), (3, 4)),
    "mish": (lambda m: m.Mish(), (3, 4)),
    "softplus": (lambda m: m.Softplus(2, 1), (3, 4)),
    "hardtanh": (lambda m: m.Hardtanh(-0.5, 0.7), (3, 4)),
    "relu6": (lambda m: m.ReLU6(), (3, 4)),
    "hardswish": (lambda m: m.Hardswish(), (3, 4)),
    "threshold": (lambda m: m.Threshold(0.1, 20), (3, 4)),
    "hardshrink": (lambda m: m.Hardshrink(0.3), (3, 4)),
    "softshrink": (lambda m: m.Softshrink(), (3, 4)),
    "log sigmoid": (lambda m: m.LogSigmoid(), (3, 4)),
    "softsign": (lambda m: m.Softsign(), (3, 4)),
    "tanhshrink": (lambda m: m.Tanhshrink(), (3, 4)),
    "rrelu, one slope": (lambda m: m.RReLU(0.3, 0.3), (3, 4)),
    "glu": (lambda m: m.GLU(1), (3, 4)),
    "softmin": (lambda m: m.Softmin(1), (3, 4)),
    "softmax2d": (lambda m: m.Softmax2d(), (2, 3, 4, 2)),
    "dropouts in name only": (
        lambda m: m.Sequential(
            m.Dropout2d(0.0), m.Dropout3d(0.0), m.AlphaDropout(0),
            m.FeatureAlphaDropout(0.0),
        ),
        (2, 3, 4, 2),
    ),
    "dropouts of everything": (
        lambda m: m.Sequential(m.Dropout2d(1.0), m.AlphaDropout(1.0), m.FeatureAlphaDropout(1.0)),
        (2, 3, 4, 2),
    ),
    "dropout 1d in name only": (lambda m: m.Dropout1d(0.0), (2, 3, 4)),
    "dropout in name only": (lambda m: m.Dropout(0.0), (3, 4)),
    "network": (
        lambda m: m.Sequential(
            m.Conv2d(3, 8, 3, padding=1, bias=False), m.BatchNorm2d(8), m.ReLU(), m.MaxPool2d(2),
            m.Sequential(m.Conv2d(8, 4, 3), m.LeakyReLU()), m.AdaptiveAvgPool2d(1), m.Flatten(),
            m.Linear(4, 2),
        ),
        (3, 3, 9, 9),
    ),
}  # fmt: skip

IN_PLACE = {
    "ReLU": (), "LeakyReLU": (0.2,), "ELU": (0.7,), "SELU": (), "CELU": (0.5,), "SiLU": (),
    "Mish": (), "Hardtanh": (-0.5, 0.7), "ReLU6": (), "Hardswish": (), "Threshold": (0.1, 20.0),
    "RReLU": (0.3, 0.3), "Dropout": (0.0,), "AlphaDropout": (0.0,),
}  # fmt: skip
for _name, _settings in IN_PLACE.items():
    LAYERS[f"{_name} in place"] = (
        lambda m, name=_name, settings=_settings: m.Sequential(
            m.Linear(4, 4), getattr(m, name)(*settings, inplace=True)
        ),
        (3, 4),
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", LAYERS)
def test_values_gradients_and_state_in_training_and_evaluation(case, dtype):
    build, shape = LAYERS[case]
    ours, theirs = twins(build, dtype)
    rtol, atol = (1e-10, 1e-11) if dtype == np.float64 else (1e-4, 1e-5)
    tolerance = {"rtol": rtol, "atol": atol}
    rng = np.random.default_rng(0)
    for mode in (True, True, False):
        ours.train(mode)
        theirs.train(mode)
        x, t = tensors(rng.standard_normal(shape).astype(dtype))
        y, u = ours(x), theirs(t)
        g = rng.standard_normal(y.shape).astype(dtype)
        y.backward(cr.tensor(g))
        u.backward(torch.tensor(g))
        np.testing.assert_allclose(y.detach().array, u.detach().numpy(), **tolerance)
        np.testing.assert_allclose(x.grad.array, t.grad.numpy(), **tolerance)
        for (name, p), (twin, q) in zip(
            ours.named_parameters(), theirs.named_parameters(), strict=True
        ):
            assert name == twin
            np.testing.assert_allclose(p.grad.array, q.grad.numpy(), err_msg=name, **tolerance)
    state, twin_state = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(twin_state)
    for name, value in state.items():
        np.testing.assert_allclose(value.array, twin_state[name].numpy(), err_msg=name, **tolerance)


@pytest.mark.parametrize("case", LAYERS)
def test_printed_form(case):
    build, _ = LAYERS[case]
    assert repr(build(nn)) == repr(build(torch.nn))


def test_shared_modules_and_names_in_containers():
    def build(m):
        shared = m.Linear(2, 2)
        net = m.ModuleDict({"a": shared, "b": m.ModuleList([shared, m.BatchNorm1d(2)])})
        net.register_buffer("seen", None)
        return net

    ours, theirs = build(nn), build(torch.nn)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for listing in ("named_parameters", "named_buffers", "named_modules"):
        for once in (True, False):
            names = [n for n, _ in getattr(ours, listing)(remove_duplicate=once)]
            assert names == [n for n, _ in getattr(theirs, listing)(remove_duplicate=once)]


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clip_grad_norm(p, limit):
    rng = np.random.default_rng(6)
    pairs = [tensors(np.zeros(shape)) for shape in [(3, 2), (4,), ()]]
    for x, t in pairs:
        g = rng.standard_normal(x.shape)
        x.grad, t.grad = cr.tensor(g), torch.tensor(g)
    ours = nn.utils.clip_grad_norm_([x for x, _ in pairs], limit, p)
    theirs = torch.nn.utils.clip_grad_norm_([t for _, t in pairs], limit, p)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    for x, t in pairs:
        np.testing.assert_allclose(x.grad.array, t.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["linear", "relu", "tanh", "sigmoid", "selu", "conv2d"])
def test_gains(name):
    assert nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)


@pytest.mark.parametrize(
    "settings",
    [{}, {"a": 0.3}, {"mode": "fan_out", "nonlinearity": "relu"}, {"nonlinearity": "tanh"}],
)
@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_initialisers_have_the_same_spread(name, settings):
    shape = (40, 30, 5, 5)
    ours = getattr(nn.init, name)(cr.empty(shape), **settings).array
    theirs = getattr(torch.nn.init, name)(torch.empty(shape), **settings).numpy()
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.03)


def test_bilinear():
    ours, theirs = twins(lambda m: m.Bilinear(3, 4, 5))
    rng = np.random.default_rng(0)
    pairs = [tensors(rng.standard_normal(s)) for s in ((2, 6, 3), (2, 6, 4))]
    y, u = ours(*[x for x, _ in pairs]), theirs(*[t for _, t in pairs])
    y.square().sum().backward()
    u.square().sum().backward()
    found = [y.detach(), *(x.grad for x, _ in pairs), ours.weight.grad, ours.bias.grad]
    expected = [u.detach(), *(t.grad for _, t in pairs), theirs.weight.grad, theirs.bias.grad]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.array, b.numpy(), rtol=1e-10)
    for bias in (True, False):
        assert repr(nn.Bilinear(3, 4, 5, bias)) == repr(torch.nn.Bilinear(3, 4, 5, bias))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"padding_idx": 2},
        {"padding_idx": -1, "scale_grad_by_freq": True},
        {"max_norm": 1.0},
        {"max_norm": 0.5, "norm_type": 1.0},
    ],
)
def test_embedding(settings):
    ours, theirs = twins(lambda m: m.Embedding(5, 3, **settings))
    rows = np.array([[0, 4, 2], [4, 4, 1]])
    y, u = ours(cr.tensor(rows)), theirs(torch.tensor(rows))
    y.square().sum().backward()
    u.square().sum().backward()
    for a, b in (
        (y.detach(), u.detach()),
        (ours.weight.grad, theirs.weight.grad),
        (ours.weight.detach(), theirs.weight.detach()),
    ):
        np.testing.assert_allclose(a.array, b.numpy(), rtol=1e-6)
    assert repr(ours) == repr(theirs)
    table = np.random.default_rng(0).standard_normal((4, 2))
    mine = nn.Embedding.from_pretrained(cr.tensor(table), **settings)
    twin = torch.nn.Embedding.from_pretrained(torch.tensor(table), **settings)
    assert repr(mine) == repr(twin) and not mine.weight.requires_grad
    np.testing.assert_allclose(mine(cr.tensor([1, 3])).array, twin(torch.tensor([1, 3])).numpy())


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"padding_idx": -2},
        {"scale_grad_by_freq": True, "padding_idx": 1},
        {"max_norm": 0.7, "norm_type": 1.0},
        {"include_last_offset": True},
    ],
)
def test_embedding_bag(mode, settings):
    if mode == "max":
        settings = {k: v for k, v in settings.items() if k != "scale_grad_by_freq"}
    ours, theirs = twins(lambda m: m.EmbeddingBag(5, 3, mode=mode, **settings))
    assert repr(ours) == repr(theirs)
    rows, offsets = np.array([0, 4, 3, 4, 4, 1, 3, 3]), np.array([0, 3, 3, 6, 8])
    factors = [None]
    if mode == "sum":
        factors.append(np.random.default_rng(0).standard_normal(8))
    for factor in factors:
        found = []
        for o, net in ((cr, ours), (torch, theirs)):
            net.zero_grad()
            p = None if factor is None else o.tensor(factor, requires_grad=True)
            y = net(o.tensor(rows), o.tensor(offsets), p)
            y.square().sum().backward()
            grads = [net.weight.grad, *([] if p is None else [p.grad])]
            found.append([np.asarray(t.detach()) for t in (y, net.weight, *grads)])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-12)
    table = np.random.default_rng(0).standard_normal((4, 2))
    settings = {"mode": mode, "padding_idx": 0}
    mine = nn.EmbeddingBag.from_pretrained(cr.tensor(table), **settings)
    twin = torch.nn.EmbeddingBag.from_pretrained(torch.tensor(table), **settings)
    assert repr(mine) == repr(twin) and not mine.weight.requires_grad
    rows = [[1, 3], [0, 0], [0, 2]]
    np.testing.assert_allclose(mine(cr.tensor(rows)).array, twin(torch.tensor(rows)).numpy())
