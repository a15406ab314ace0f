"""Lazy modules: what they are before the first call, and after."""

import copy
import io
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import CheckpointError, ConfigError, ShapeError, UninitializedError
from chainrule.nn.modules.lazy import LazyModuleMixin
from chainrule.nn.parameter import Parameter, UninitializedBuffer, UninitializedParameter, is_lazy

torch = pytest.importorskip("torch", reason="compared with PyTorch's")
pytestmark = pytest.mark.parity

LAZY = {
    "linear": (lambda m: m.LazyLinear(4), (3, 5)),
    "linear, no bias, more axes": (lambda m: m.LazyLinear(4, bias=False), (2, 3, 5)),
    "linear, one sample": (lambda m: m.LazyLinear(2), (7,)),
    "linear, no features": (lambda m: m.LazyLinear(2, False), (3, 0)),
    "conv 1d": (lambda m: m.LazyConv1d(4, 3), (2, 3, 8)),
    "conv 1d, one signal": (lambda m: m.LazyConv1d(4, 3), (3, 8)),
    "conv 2d": (lambda m: m.LazyConv2d(4, 3, padding=1), (2, 3, 5, 6)),
    "conv 2d, all settings": (
        lambda m: m.LazyConv2d(4, (3, 2), (2, 1), (1, 0), (1, 2), 2, False, "reflect"),
        (2, 6, 5, 6),
    ),
    "conv 2d, same": (lambda m: m.LazyConv2d(4, 3, padding="same"), (1, 5, 4, 4)),
    "conv 3d": (lambda m: m.LazyConv3d(2, 2), (2, 3, 3, 4, 5)),
    "conv transpose 1d": (lambda m: m.LazyConvTranspose1d(4, 3), (2, 3, 5)),
    "conv transpose 2d, all settings": (
        lambda m: m.LazyConvTranspose2d(4, 3, 2, 1, 1, 2, False, 2), (2, 6, 3, 4)
    ),
    "conv transpose 3d": (lambda m: m.LazyConvTranspose3d(2, 2, 2), (1, 3, 2, 3, 2)),
    "batch norm 1d": (lambda m: m.LazyBatchNorm1d(), (6, 5)),
    "batch norm 1d, length": (lambda m: m.LazyBatchNorm1d(1e-3, 0.3), (6, 5, 4)),
    "batch norm 2d": (lambda m: m.LazyBatchNorm2d(), (4, 3, 5, 5)),
    "batch norm 2d, average, no bias": (
        lambda m: m.LazyBatchNorm2d(momentum=None, bias=False), (4, 3, 5, 5)
    ),
    "batch norm 2d, of the batch alone": (
        lambda m: m.LazyBatchNorm2d(track_running_stats=False), (4, 3, 2, 5)
    ),
    "batch norm 2d, statistics only": (lambda m: m.LazyBatchNorm2d(affine=False), (4, 3, 2, 5)),
    "batch norm 3d": (lambda m: m.LazyBatchNorm3d(), (2, 3, 2, 3, 4)),
    "instance norm 1d": (lambda m: m.LazyInstanceNorm1d(), (2, 3, 5)),
    "instance norm 2d": (lambda m: m.LazyInstanceNorm2d(1e-3, 0.3), (2, 3, 4, 5)),
    "instance norm 2d, no statistics": (
        lambda m: m.LazyInstanceNorm2d(track_running_stats=False), (2, 3, 4, 5)
    ),
    "instance norm 3d": (lambda m: m.LazyInstanceNorm3d(), (2, 3, 2, 3, 2)),
    "network": (
        lambda m: m.Sequential(
            m.LazyConv2d(6, 3, padding=1), m.LazyBatchNorm2d(), m.ReLU(), m.MaxPool2d(2),
            m.LazyConv2d(4, 3), m.Flatten(), m.LazyLinear(5), m.LazyBatchNorm1d(), m.LazyLinear(3),
        ),
        (4, 3, 8, 9),
    ),
}  # fmt: skip


def images(shape):
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("case", LAZY)
def test_as_pytorch_before_and_after_the_first_call(case):
    build, shape = LAZY[case]
    ours, theirs = build(nn), build(torch.nn)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [is_lazy(p) for p in ours.parameters()] == [True] * len(list(theirs.parameters()))
    x = images(shape)
    ours(cr.tensor(x))
    theirs(torch.tensor(x))
    assert repr(ours) == repr(theirs)
    assert [type(m).__name__ for m in ours.modules()] == [
        type(m).__name__ for m in theirs.modules()
    ]
    assert not any(map(is_lazy, ours.state_dict().values()))
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    for mode in (True, False):
        y, u = (net.train(mode) for net in (ours, theirs))
        y, u = y(cr.tensor(x)), u(torch.tensor(x))
        np.testing.assert_allclose(y.detach().array, u.detach().numpy(), rtol=1e-4, atol=1e-5)
        if y.requires_grad:
            y.square().sum().backward()
            u.square().sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.array, q.grad.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("lazy", "ordinary", "shape"),
    [
        (lambda: nn.LazyLinear(4), lambda: nn.Linear(5, 4), (3, 5)),
        (lambda: nn.LazyConv2d(4, 3), lambda: nn.Conv2d(5, 4, 3), (3, 5, 6, 6)),
        (
            lambda: nn.LazyConvTranspose2d(4, 3, groups=2),
            lambda: nn.ConvTranspose2d(6, 4, 3, groups=2), (3, 6, 2, 2),
        ),
        (lambda: nn.LazyBatchNorm2d(), lambda: nn.BatchNorm2d(5), (3, 5, 2, 2)),
    ],
)  # fmt: skip
def test_first_values_are_those_of_the_ordinary_layer(lazy, ordinary, shape):
    made = lazy()  # draws nothing
    cr.manual_seed(3)
    made(cr.zeros(shape))
    cr.manual_seed(3)
    twin = ordinary()
    assert type(made) is type(twin) and made.__dict__.keys() == twin.__dict__.keys()
    if isinstance(made, nn.BatchNorm2d):
        made.reset_running_stats()
    for a, b in zip(made.state_dict().values(), twin.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.array, b.array)


@pytest.mark.parametrize("kind", [UninitializedParameter, UninitializedBuffer])
def test_an_uninitialized_tensor_can_be_asked_for_its_dtype_alone(kind):
    lazy = kind(dtype=cr.float64)
    assert repr(lazy) == f"<{kind.__name__}>" and lazy.dtype == np.float64
    assert lazy.requires_grad is (kind is UninitializedParameter) and lazy.grad is None
    for use in (
        lambda: lazy + 1, lambda: cr.empty_like(lazy), lazy.numel, lambda: len(lazy), lazy.dim,
        lambda: nn.init.zeros_(lazy), lazy.tolist, lambda: lazy[0], lazy.sum,
        lambda: nn.functional.linear(cr.zeros(2, 3), lazy),
    ):  # fmt: skip
        with pytest.raises(UninitializedError, match=r"of an uninitialized (parameter|buffer) can"):
            use()
    with pytest.raises(RuntimeError, match="the shape of an uninitialized"):
        _ = lazy.shape
    lazy.materialize((2, 3))
    assert type(lazy) is kind.cls_to_become and lazy.shape == (2, 3) and lazy.dtype == np.float64


def test_dtype_changes_before_there_are_values():
    net = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d()).double()
    net(cr.zeros(2, 4, dtype=cr.float64))
    assert all(p.dtype == np.float64 for p in net.parameters())
    assert net[1].running_mean.dtype == np.float64


def test_copies_and_pickles_before_and_after():
    net = nn.Sequential(nn.LazyConv2d(3, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    net.half().requires_grad_(False)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(twin) == repr(net)
        assert all(is_lazy(p) and not p.requires_grad for p in twin.parameters())
        twin.float().requires_grad_()(cr.zeros(2, 1, 4, 4))
        again = pickle.loads(pickle.dumps(twin))
        assert type(again[3]) is nn.Linear and type(again[3].weight) is Parameter
        np.testing.assert_array_equal(again[3].weight.array, twin[3].weight.array)
    assert type(net[0]) is nn.LazyConv2d and is_lazy(net[0].weight)  # what a copy did, it kept


def test_state_goes_from_and_to_both():
    def made():
        return nn.Sequential(nn.LazyConv2d(3, 3), nn.LazyBatchNorm2d(), nn.Flatten(),
                             nn.LazyLinear(2))  # fmt: skip

    x = cr.tensor(images((2, 4, 5, 5)))
    ready = made()
    ready(x)
    ready.eval()
    lazy = made()
    lazy.load_state_dict(made().state_dict())  # nothing known on either side
    assert all(map(is_lazy, lazy.parameters()))
    lazy.load_state_dict(ready.state_dict())
    assert type(lazy[0]) is nn.LazyConv2d and lazy[0].in_channels == 0  # until it is called
    lazy.eval()
    np.testing.assert_array_equal(lazy(x).array, ready(x).array)
    assert repr(lazy) == repr(ready)
    with pytest.raises(UninitializedError, match="of an uninitialized parameter"):
        ready.load_state_dict(made().state_dict())
    other = made()
    with pytest.raises(CheckpointError, match=r"missing 1: 3\.bias"):
        other.load_state_dict({k: v for k, v in ready.state_dict().items() if k != "3.bias"})
    assert all(map(is_lazy, other.parameters()))  # a failed attempt changes nothing
    replaced = made()
    replaced.load_state_dict(ready.state_dict(), assign=True)
    replaced.eval()
    np.testing.assert_array_equal(replaced(x).array, ready(x).array)


def test_loaded_values_that_do_not_fit_the_input_are_refused():
    lazy = nn.LazyLinear(2)
    lazy.load_state_dict(nn.Linear(3, 2).state_dict())
    with pytest.raises(ShapeError, match=r"LazyLinear: weight \(2, 3\) was loaded; .* \(2, 4\)"):
        lazy(cr.zeros(5, 4))
    some = nn.LazyLinear(2)
    some.load_state_dict({"weight": np.ones((2, 3))}, strict=False)
    with pytest.raises(ConfigError, match="some values were loaded, but not bias"):
        some(cr.zeros(5, 3))
    np.testing.assert_array_equal(some.weight.array, np.ones((2, 3)))


def test_an_optimizer_made_before_the_first_call_trains():
    net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(1))
    optimizers = [optim.SGD(net.parameters(), lr=0.05, momentum=0.9), optim.Adam(net.parameters())]
    assert all(is_lazy(p) for p in optimizers[0].param_groups[0]["params"])
    x = cr.tensor(images((16, 3)))
    losses = []
    for _ in range(30):
        optimizers[0].zero_grad()
        loss = (net(x).squeeze(1) - x.sum(1)).square().mean()
        loss.backward()
        optimizers[0].step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    optimizers[1].step()


def test_initialising_after_a_dry_run():
    def init_cnn(module):
        if type(module) == nn.Linear or type(module) == nn.Conv2d:  # noqa: E721
            nn.init.constant_(module.weight, 2)

    net = nn.Sequential(nn.LazyConv2d(2, 1, bias=False), nn.Flatten(), nn.LazyLinear(3))
    net.apply(init_cnn)  # before: there is nothing to fill
    net.forward(cr.zeros(1, 1, 2, 2))
    net.apply(init_cnn)
    assert all((m.weight.array == 2).all() for m in (net[0], net[2]))


def test_a_shared_parameter_is_materialized_once():
    a = nn.LazyLinear(3)
    net = nn.Sequential(a, nn.ReLU(), a)
    net(cr.zeros(2, 3))
    assert type(a) is nn.Linear and len(list(net.parameters())) == 2


def test_hooks_run_and_errors_leave_it_lazy():
    layer = nn.LazyConv2d(4, 3, groups=2)
    seen = []
    layer.register_forward_hook(lambda module, args, output: seen.append(type(module)))
    with pytest.raises(ConfigError, match="groups 2 must divide the input's channels"):
        layer(cr.zeros(1, 3, 5, 5))
    with pytest.raises(ShapeError, match="LazyConv2d: expects 3 axes, or 4 with a batch"):
        layer(cr.zeros(3, 5))
    with pytest.raises(ShapeError, match="LazyBatchNorm2d: expects"):
        nn.LazyBatchNorm2d()(cr.zeros(3, 5))
    with pytest.raises(ShapeError, match="LazyLinear: needs an input with at least one axis"):
        nn.LazyLinear(2)(cr.tensor(1.0))
    assert is_lazy(layer.weight) and not seen
    layer(cr.zeros(1, 2, 5, 5))
    assert seen == [nn.Conv2d]


def test_instance_norm_of_one_image_counts_its_channels():
    norm = nn.LazyInstanceNorm1d()
    assert norm(cr.tensor(images((3, 5)))).shape == (3, 5) and norm.num_features == 3


def test_a_lazy_module_of_ones_own():
    class Scale(nn.Module):
        def forward(self, x):
            return x * self.scale

    class LazyScale(LazyModuleMixin, Scale):
        cls_to_become = Scale

        def __init__(self):
            super().__init__()
            self.scale = UninitializedParameter()
            self.offset = UninitializedBuffer(persistent=False)

        def initialize_parameters(self, x):
            self.scale.materialize((x.shape[-1],))
            self.offset.materialize(())
            nn.init.constant_(self.scale, 2.0)

    class Stays(LazyScale):
        cls_to_become = None

    class Forgets(LazyScale):
        def initialize_parameters(self, x):
            pass

    for kind, becomes in ((LazyScale, Scale), (Stays, Stays)):
        module = kind()
        assert module.has_uninitialized_params() and list(module.state_dict()) == ["scale"]
        for _ in range(2):
            np.testing.assert_array_equal(module(x=cr.ones(2, 3)).array, np.full((2, 3), 2.0))
        assert type(module) is becomes and type(module.scale) is Parameter
    with pytest.raises(ConfigError, match=r"initialize_parameters\(\) left parameters uninit"):
        Forgets()(cr.ones(2))

    class Undefined(LazyModuleMixin, Scale):
        cls_to_become = Scale

    with pytest.raises(NotImplementedError, match="does not define initialize_parameters"):
        Undefined()(cr.ones(2))


def test_saving_what_has_no_values_is_refused():
    with pytest.raises(UninitializedError, match="of an uninitialized parameter"):
        cr.save(nn.LazyLinear(3).state_dict(), io.BytesIO())


def test_a_materialized_parameter_is_memory_of_its_own():
    layer = nn.LazyLinear(3)
    layer(cr.ones(2, 4))
    assert layer.weight.version.is_visible == nn.Linear(4, 3).weight.version.is_visible
