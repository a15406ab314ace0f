"""Accounts of models: totals against published ones, rows against counting by hand."""

from __future__ import annotations

import functools
import gc
import random
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import inspect, models, nn
from chainrule.errors import ConfigError, ShapeError
from chainrule.inspect import Row, Summary
from chainrule.utils.checkpoint import checkpoint


def row(summary: Summary, path: str, op: str | None = None) -> Row:
    """The one row of this path and operation."""
    (found,) = (r for r in summary.rows if r.path == path and op in (None, r.op))
    return found


def test_a_convolution_by_hand() -> None:
    s = inspect.summary(nn.Sequential(nn.Conv2d(3, 10, 5, stride=2, padding=2)), (3, 32, 32))
    (r,) = s.rows
    assert (r.path, r.module, r.op) == ("0", "Conv2d", "conv2d")
    assert r.output == (1, 10, 16, 16)
    assert r.parameters == 5 * 5 * 3 * 10 + 10
    assert r.macs == 16 * 16 * 10 * 5 * 5 * 3
    assert r.flops == 2 * r.macs + 16 * 16 * 10  # and the bias
    assert r.backward_input == 0  # images need no gradient
    assert r.backward_weight == r.flops
    assert (r.field, r.jump, r.start) == ((5, 5), (2, 2), (-2, -2))
    assert r.kept == 3 * 32 * 32 * 4  # the images, for dW
    assert r.bytes == 10 * 16 * 16 * 4


def test_a_layer_behind_another_has_an_input_gradient() -> None:
    s = inspect.summary(nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4)), (20,))
    first, relu, second = s.rows
    assert first.backward_input == 0
    assert second.backward_input == 2 * 30 * 4
    assert second.backward_weight == 2 * 30 * 4 + 4
    assert (relu.flops, relu.backward_input, relu.kept) == (30, 30, 30 * 4)
    assert second.kept == 0  # what it needs, relu keeps already
    assert s.total_params == 20 * 30 + 30 + 30 * 4 + 4


@pytest.mark.parametrize(
    ("groups", "macs"), [(1, 8 * 8 * 12 * 9 * 6), (3, 8 * 8 * 12 * 9 * 2), (6, 8 * 8 * 12 * 9)]
)
def test_groups_divide_the_work(groups: int, macs: int) -> None:
    layer = nn.Conv2d(6, 12, 3, padding=1, groups=groups, bias=False)
    s = inspect.summary(layer, (6, 8, 8))
    assert s.total_macs == macs
    assert s.total_flops == 2 * macs
    assert s.total_params == 12 * 6 // groups * 9


def test_a_transposed_convolution_has_the_work_of_its_convolution() -> None:
    up = inspect.summary(nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, bias=False), (8, 5, 5))
    down = inspect.summary(nn.Conv2d(4, 8, 4, stride=2, padding=1, bias=False), (4, 10, 10))
    assert up.rows[0].output == (1, 4, 10, 10)
    assert up.total_macs == down.total_macs == 5 * 5 * 8 * 4 * 16


class Everything(nn.Module):
    """Work in functions, operators and views, of which modules know nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.weight = nn.Parameter(cr.ones(5, 4 * 6 * 6))

    def forward(self, x: Any) -> Any:
        y = F.relu(self.conv(x))
        y = y + self.conv(x) * 0.5
        y = F.max_pool2d(F.pad(y, (1, 1, 1, 1)), 2, 2)[:, :, :6, :6]
        y = F.interpolate(y, scale_factor=2, mode="nearest")[:, :, ::2, ::2]
        y = F.pad(y, (0, 6 - y.shape[3], 0, 6 - y.shape[2]))
        return F.softmax(y.flatten(1) @ self.weight.T, dim=1)


def test_what_no_module_does_is_counted_where_it_runs() -> None:
    s = inspect.summary(Everything(), (2, 8, 8))
    assert [(r.path, r.op) for r in s.rows if r.op not in ("constant_pad", "getitem")] == [
        ("conv", "conv2d"), ("", "relu"), ("conv", "conv2d"), ("", "mul"), ("", "add"),
        ("", "max_pool2d"), ("", "resample"), ("", "resample"), ("", "reshape"), ("", "permute"),
        ("", "matmul"), ("", "softmax"),
    ]  # fmt: skip
    first, again = (r for r in s.rows if r.path == "conv")
    assert (first.parameters, first.shared) == (2 * 4 * 9 + 4, False)
    assert (again.parameters, again.shared) == (0, True)
    assert again.macs == first.macs == 64 * 4 * 18
    assert row(s, "", "permute").parameters == 5 * 144
    assert row(s, "", "matmul").macs == 5 * 144
    assert row(s, "", "add").flops == 4 * 64
    assert row(s, "", "softmax").flops == 5 * 5
    assert row(s, "", "max_pool2d").flops == 4 * 25 * 3
    assert s.total_params == sum(r.parameters for r in s.rows)
    assert s.unknown == {}


def test_branches_add_their_gradients_where_they_meet() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x: Any) -> Any:
            x = self.first(x)
            return x + self.second(x)

    s = inspect.summary(Residual(), (6,))
    assert row(s, "first").backward_input == 6  # one sum of two gradients; no dx
    assert row(s, "second").backward_input == 2 * 36
    assert row(s, "", "add").backward_flops == 0  # it hands on what arrives


def test_shared_parameters_count_once_and_are_named() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode, self.decode = nn.Linear(8, 8), nn.Linear(8, 8, bias=False)
            self.decode.weight = self.encode.weight

        def forward(self, x: Any) -> Any:
            return self.decode(self.encode(x))

    s = inspect.summary(Tied(), (8,))
    assert s.total_params == 72
    assert s.aliases == {"decode.weight": "encode.weight"}
    assert row(s, "decode").shared
    assert "decode.weight is encode.weight" in str(s)


def test_batch_norm_keeps_its_input_and_dropout_its_mask() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5))
    predicting = inspect.summary(net, (1, 6, 6), batch_size=4)
    training = inspect.summary(net, (1, 6, 6), batch_size=4, training=True)
    size = 4 * 3 * 4 * 4
    assert [r.op for r in predicting.rows] == ["conv2d", "batch_norm_inference"]
    assert [r.op for r in training.rows] == ["conv2d", "batch_norm", "dropout"]
    assert predicting.rows[1].flops == 2 * size
    assert training.rows[1].flops == 6 * size
    assert size * 4 <= training.rows[1].kept <= size * 4 + 64  # and mean and variance


def test_kept_memory_is_what_the_graph_holds() -> None:
    net = models.resnet20()
    s = inspect.summary(net, (3, 32, 32), batch_size=2)
    net.eval()
    with cr.autograd.set_fusion_enabled(False):
        y = net(cr.randn(2, 3, 32, 32))
    assert s.total_kept == _held_by(y, net)


def test_kept_memory_of_a_training_step_is_what_the_graph_holds() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.MaxPool2d(2), nn.Dropout(0.3),
        nn.GroupNorm(2, 8), nn.Flatten(), nn.Linear(72, 5), nn.LayerNorm(5), nn.Softmax(1),
    )  # fmt: skip
    s = inspect.summary(net, (3, 8, 8), batch_size=3, training=True)
    with cr.autograd.set_fusion_enabled(False):
        y = net(cr.randn(3, 3, 8, 8))
    assert s.total_kept == _held_by(y, net)


def _held_by(y: Any, model: nn.Module) -> int:
    """Bytes that the nodes behind y keep, weights apart."""

    def root(array: Any) -> Any:
        while isinstance(array.base, np.ndarray):
            array = array.base
        return array

    weights = {id(root(t.array)) for t in (*model.parameters(), *model.buffers())}
    held: dict[int, int] = {}
    stack, seen = [y.node], set()
    while stack:
        node = stack.pop()
        if not hasattr(node, "saved") or id(node) in seen:
            continue
        seen.add(id(node))
        stack.extend(node.edges)
        values = list(node.saved)
        while values:
            value = values.pop()
            if isinstance(value, tuple | list):
                values += value
            array = getattr(value, "array", value)
            if isinstance(array, np.ndarray) and id(root(array)) not in weights:
                held[id(root(array))] = root(array).nbytes
    return sum(held.values())


def test_a_checkpointed_part_keeps_nothing() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(9, 9), nn.Linear(9, 9)

        def forward(self, x: Any) -> Any:
            return self.b(checkpoint(lambda x: self.a(x).tanh().exp(), x))

    s = inspect.summary(Net(), (9,))
    assert [r.op for r in s.rows] == ["linear", "tanh", "exp", "linear"]
    assert [r.kept for r in s.rows] == [0, 0, 0, 36]


def test_frozen_layers_keep_nothing_and_have_no_backward_pass() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    net[0].requires_grad_(False)
    s = inspect.summary(net, (3, 8, 8))
    assert [r.backward_flops for r in s.rows[:3]] == [0, 0, 0]
    assert [r.kept for r in s.rows[:3]] == [0, 0, 0]
    assert s.rows[3].backward_input == 0
    assert s.trainable_params == 4 * 36 * 2 + 2
    assert "290 trained" in str(s)


class Trained(nn.Module):
    """A model, and behind it the gradients of its parameters, recorded like anything else."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any) -> Any:
        parameters = tuple(self.net.parameters())
        return cr.autograd.grad(self.net(x).sum(), parameters, create_graph=True)


BACKWARDS = {
    "a chain": nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(8, 12, 3, 2),
        nn.Tanh(), nn.Conv2d(12, 12, 3, groups=4), nn.Flatten(), nn.Linear(12, 30), nn.ReLU(),
        nn.Linear(30, 5),
    ),
    "residual": models.resnet20(),
}  # fmt: skip


@pytest.mark.parametrize("name", BACKWARDS)
def test_backward_flops_are_those_of_a_backward_pass(name: str) -> None:
    net = BACKWARDS[name]
    account = inspect.summary(net, (3, 16, 16))
    both = inspect.summary(Trained(net), (3, 16, 16))
    products = [r for r in account.rows if r.kind == "weights"]
    expected = sum(r.macs for r in products[:1]) + 2 * sum(r.macs for r in products[1:])
    assert both.total_macs - account.total_macs == expected
    spent = both.total_flops - account.total_flops
    assert account.total_backward_flops == pytest.approx(spent, rel=0.02)


def test_nothing_is_left_in_memory() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    made: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        net[1].register_forward_hook(lambda m, args, y: made.append(weakref.ref(y.array)))
        inspect.summary(net, (3, 9, 9))
        assert len(made) == 1
        assert made[0]() is None
    finally:
        gc.enable()


# -- what is not known ---------------------------------------------------------------------------


def test_an_operation_without_a_formula_is_named_not_free() -> None:
    class Sorted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return cr.linalg.inv(self.fc(x))

    s = inspect.summary(Sorted(), (4, 4))
    assert row(s, "", "inv").flops is None
    assert s.unknown == {"inv": 1}
    assert "FLOPs not in the sums: inv" in str(s)


def test_a_users_function_is_unknown_backwards_and_transparent_forwards() -> None:
    class Cube(cr.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * g * x * x

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3)

        def forward(self, x: Any) -> Any:
            return Cube.apply(self.conv(x)) + 1

    s = inspect.summary(Net(), (1, 5, 5))
    assert [r.op for r in s.rows] == ["conv2d", "mul", "mul", "Cube", "add"]
    assert s.unknown == {"Cube": 1}
    assert s.rows[-1].field == (3, 3)


# -- the model stays as it is ---------------------------------------------------------------------


def test_nothing_is_changed() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
            self.calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            random.random()
            np.random.rand()
            return self.body(x)

    net = Counting()
    net.body[2].eval()
    before = {name: t.array.copy() for name, t in net.state_dict().items()}
    objects = [*net.parameters(), *net.buffers()]
    modes = [m.training for m in net.modules()]
    cr.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    expected = cr.randn(2).array, random.random(), np.random.rand()
    cr.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    for training in (False, True):
        inspect.summary(net, (3, 9, 9), batch_size=2, training=training)
    got = cr.randn(2).array, random.random(), np.random.rand()
    assert np.array_equal(got[0], expected[0])
    assert got[1:] == expected[1:]
    assert net.calls == 0
    assert [m.training for m in net.modules()] == modes
    assert all(a is b for a, b in zip(objects, [*net.parameters(), *net.buffers()], strict=True))
    for name, t in net.state_dict().items():
        assert np.array_equal(t.array, before[name]), name
    assert all(p.grad is None for p in net.parameters())
    assert net._hooks is None
    assert cr.autograd.is_fusion_enabled()


def test_recording_ends_where_the_model_fails() -> None:
    apply = cr.Tensor.__apply_op__
    with pytest.raises(ShapeError, match=r"summary: in 1, given \(1, 3, 8, 8\): conv2d: weight"):
        inspect.summary(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)), (3, 8, 8))
    assert cr.Tensor.__apply_op__ is apply


def test_a_lazy_model_stays_lazy() -> None:
    net = nn.Sequential(nn.LazyConv2d(6, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    s = inspect.summary(net, (3, 6, 6))
    assert s.total_params == 6 * 27 + 6 + 2 * 96 + 2
    assert s.unused == ()
    assert type(net[0]) is nn.LazyConv2d
    assert net[0].has_uninitialized_params()


def test_a_model_that_remembers_a_result_can_be_counted() -> None:
    layer = nn.utils.weight_norm(nn.Linear(3, 5))
    layer(cr.ones(1, 3))
    s = inspect.summary(layer, (3,))
    assert s.total_params == 15 + 5 + 5
    assert s.total_macs == 15
    assert s.depth() == 1


# -- what goes in and comes out -------------------------------------------------------------------


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.facts = nn.Conv2d(3, 2, 3), nn.Linear(5, 2)

    def forward(self, image: Any, facts: Any) -> Any:
        seen = self.image(image).mean((2, 3))
        return {"scores": seen + self.facts(facts), "seen": [seen]}


@pytest.mark.parametrize(
    "shapes", [[(3, 8, 8), (5,)], {"facts": (5,), "image": (3, 8, 8)}, [(3, 8, 8), cr.ones(1, 5)]]
)
def test_several_inputs_and_a_dict_of_outputs(shapes: Any) -> None:
    s = inspect.summary(Two(), shapes)
    assert s.total_macs == 36 * 2 * 27 + 10
    assert s.total_params == 56 + 12
    assert s.rows[-1].op == "add"
    assert s.rows[-1].whole


def test_integers_are_given_as_a_tensor() -> None:
    net = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 3))
    s = inspect.summary(net, cr.tensor([[1, 2, 3]]))
    assert s.total_params == 40 + 15
    assert s.total_macs == 3 * 12
    assert s.rows[0].flops == 0


def test_no_batch_axis() -> None:
    s = inspect.summary(nn.Conv2d(3, 2, 3), (3, 8, 8), batch_size=None)
    assert [r.op for r in s.rows] == ["reshape", "conv2d", "reshape"]
    assert s.rows[-1].output == (2, 6, 6)
    assert s.rows[-1].field == (3, 3)


def test_work_grows_with_the_batch_and_parameters_do_not() -> None:
    one, four = (inspect.summary(models.lenet5(), batch_size=n) for n in (1, 4))
    assert four.total_macs == 4 * one.total_macs
    assert four.total_kept == 4 * one.total_kept
    assert four.total_params == one.total_params


@pytest.mark.parametrize("training", [False, True])
def test_a_large_batch_follows_from_small_ones(training: bool) -> None:
    net = models.resnet20()
    large = inspect.summary(net, (3, 32, 32), batch_size=11, training=training)
    ran = inspect.summary(net, cr.randn(11, 3, 32, 32), training=training)
    assert large.operations == ran.operations
    assert large.inputs == ran.inputs == ((11, 3, 32, 32),)
    huge = inspect.summary(net, (3, 32, 32), batch_size=100_000)
    assert huge.total_macs == 100_000 * 40_551_040


def test_a_batch_whose_costs_grow_unevenly_is_run() -> None:
    class Contrast(nn.Module):
        def forward(self, x: Any) -> Any:
            return x @ x.T  # every example with every other

    s = inspect.summary(Contrast(), (3,), batch_size=12)
    assert s.total_macs == 12 * 12 * 3
    assert s.rows[-1].output == (12, 12)


def test_inputs_have_the_dtype_of_the_model() -> None:
    s = inspect.summary(nn.Linear(3, 2).double(), (3,))
    assert s.rows[0].bytes == 2 * 8


def test_fusion_and_no_grad_disturb_nothing() -> None:
    expected = inspect.summary(models.resnet20()).as_dict()
    with cr.autograd.set_fusion_enabled(False), cr.no_grad():
        assert inspect.summary(models.resnet20()).as_dict() == expected


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (None, {}, "input_shape is needed"),
        ((3, 0, 8), {}, r"input_shape is a shape such as \(3, 224, 224\)"),
        ("3x8x8", {}, "input_shape is a shape"),
        (28, {}, "input_shape is a shape .* got 28"),
        (28, {"batch_size": 64}, "input_shape is a shape .* got 28"),
        ((3,), {"batch_size": 0}, "batch_size must be a whole number of at least 1"),
    ],
)
def test_errors(shape: Any, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        inspect.summary(nn.Linear(3, 2), shape, **options)


def test_it_takes_a_module() -> None:
    with pytest.raises(ConfigError, match="takes a Module, got function"):
        inspect.summary(lambda x: x, (3,))  # type: ignore[arg-type]


# -- depth and sums -------------------------------------------------------------------------------


def test_depth_is_the_longest_path_with_pooling_or_without() -> None:
    s = inspect.summary(models.lenet5())
    assert s.depth() == 5
    assert s.depth(count_pooling=True) == 7
    assert inspect.summary(models.resnet20()).depth() == 20


def test_modules_sum_up_to_the_whole() -> None:
    s = inspect.summary(models.resnet20())
    for depth in (0, 1, 2, 9):
        m = s.by_module(depth)
        assert sum(r.parameters for r in m.rows) == s.total_params
        assert sum(r.macs for r in m.rows) == s.total_macs
        assert sum(r.kept for r in m.rows) == s.total_kept
        assert (m.layer_values, m.depth()) == (s.layer_values, 20)
    assert len(s.by_module(0).rows) == 1
    names = [r.path for r in s.by_module(1).rows]
    assert names[3:6] == ["layer1", "layer2", "layer3"]
    assert s.by_module(1).rows[4].field == (37, 37)
    with pytest.raises(ConfigError, match="depth must be at least 0"):
        s.by_module(-1)


# -- published totals -----------------------------------------------------------------------------

PUBLISHED = {
    # name: (parameters used, MACs in units of 10⁹, layers)
    "alexnet": (61_100_840, 0.714, 8),
    "vgg11": (132_863_336, 7.609, 11),
    "vgg16": (138_357_544, 15.47, 16),
    "vgg19": (143_667_240, 19.632, 19),
    "googlenet": (6_624_904, 1.498, 22),
    "resnet18": (11_689_512, 1.814, 18),
    "resnet50": (25_557_032, 4.089, 50),
    "resnet101": (44_549_160, 7.801, 101),
    "resnext50_32x4d": (25_028_904, 4.23, 50),
    "wide_resnet50_2": (68_883_240, 11.398, 50),
    "squeezenet1_0": (1_248_424, 0.819, 18),
    "squeezenet1_1": (1_235_496, 0.349, 18),
    "densenet121": (7_978_856, 2.834, 121),
    "mobilenet_v2": (3_504_872, 0.301, 53),
}
"""Of images of 224 x 224. Parameters and MACs: num_params and _ops in torchvision's sources
(0.25, torchvision/models/*.py; GoogLeNet's without the auxiliary heads). Layers: the papers'."""


@pytest.fixture(scope="module")
def summary_of() -> Any:
    """Each model is counted once; whatever its weights are."""

    @functools.cache
    def summary(name: str) -> Any:
        with nn.init.skipped():
            model = models.create(name)
        return inspect.summary(model)

    return summary


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_totals(name: str, summary_of: Any) -> None:
    params, billions, depth = PUBLISHED[name]
    s = summary_of(name)
    assert s.used_params == params
    assert round(s.total_macs / 1e9, 3) == billions
    assert s.depth() == depth
    assert s.unknown == {}
    assert all(row.field is not None for row in s.rows)
    assert s.used_params == sum(r.parameters for r in s.rows)
    assert 0 < s.total_flops - 2 * s.total_macs < 0.15 * s.total_flops


def test_cifar_resnet() -> None:
    """He et al. 2016, table 6: 0.27M, 0.46M, 0.66M, 0.85M, 1.7M parameters. The 40.8M MACs often
    told of ResNet-20 are those with projections for shortcuts: two 1x1 convolutions."""
    found = [models.create(f"resnet{n}") for n in (20, 32, 44, 56, 110)]
    summaries = [inspect.summary(m) for m in found]
    assert [round(s.total_params / 1e6, 2) for s in summaries] == [0.27, 0.46, 0.66, 0.85, 1.73]
    assert [s.depth() for s in summaries] == [20, 32, 44, 56, 110]
    projections = 16 * 16 * 32 * 16 + 8 * 8 * 64 * 32
    assert summaries[0].total_macs + projections == 40_813_184


def test_vgg16_as_the_lectures_count_it(summary_of: Any) -> None:
    """The table of CS231n's notes on VGG-16, line by line.

    Its lines add up to 15.2M numbers, 61 MB; the sum that it states, 24M and 93 MB, does not.
    """
    s = summary_of("vgg16")
    rows = [r for r in s.rows if r.kind]
    sides = {224: (64, 64), 112: (64, 128, 128), 56: (128, 256, 256, 256)}
    sides |= {28: (256, 512, 512, 512), 14: (512, 512, 512, 512), 7: (512,)}
    table = [side * side * c for side, channels in sides.items() for c in channels]
    assert [r.values for r in rows] == [*table, 4096, 4096, 1000]
    weights = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256)]
    weights += [(256, 512), *[(512, 512)] * 5]
    convolutions = [9 * a * b + b for a, b in weights]
    assert [r.parameters for r in rows if r.op == "conv2d"] == convolutions
    linear = [r.parameters for r in rows if r.op == "linear"]
    assert linear == [7 * 7 * 512 * 4096 + 4096, 4096 * 4096 + 4096, 4096 * 1000 + 1000]
    assert s.layer_values == 224 * 224 * 3 + sum(table) + 9192 == 15_237_608
    assert s.depth(count_pooling=True) == 21


def test_layers_counted_both_ways(summary_of: Any) -> None:
    """GoogLeNet: 22 or 27 layers (Szegedy et al. 2015, section 5); the notes' example."""
    s = summary_of("googlenet")
    assert (s.depth(), s.depth(count_pooling=True)) == (22, 27)
    heads = sum(count for name, count in s.parameters.items() if name.startswith("aux"))
    assert s.total_params - s.used_params == heads == 6_379_984
    assert {name.split(".")[0] for name in s.unused} == {"aux1", "aux2"}
    notes = inspect.summary(models.create("example_net"))
    assert [r.output for r in notes.rows if r.op in ("conv2d", "reshape")] == [
        (1, 10, 37, 37), (1, 20, 17, 17), (1, 40, 7, 7), (1, 1960),
    ]  # fmt: skip
    assert notes.depth() == notes.depth(count_pooling=True) == 4


def test_the_first_alexnet_had_two_groups() -> None:
    """724M MACs and 60,965,224 parameters, as in github.com/albanie/convnet-burden (caffenet)."""

    def block(i: int, o: int, k: int, groups: int = 1, stride: int = 1, pad: int = 0) -> Any:
        return nn.Sequential(nn.Conv2d(i, o, k, stride, pad, groups=groups), nn.ReLU())

    net = nn.Sequential(
        block(3, 96, 11, stride=4), nn.MaxPool2d(3, 2), block(96, 256, 5, 2, pad=2),
        nn.MaxPool2d(3, 2), block(256, 384, 3, pad=1), block(384, 384, 3, 2, pad=1),
        block(384, 256, 3, 2, pad=1), nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(9216, 4096),
        nn.Linear(4096, 4096), nn.Linear(4096, 1000),
    )  # fmt: skip
    s = inspect.summary(net, (3, 227, 227))
    assert s.total_params == 60_965_224
    assert s.total_macs == 724_406_816


@pytest.mark.parametrize(
    ("name", "field", "stride", "padding"),
    [
        ("alexnet", 195, 32, 66),  # 64 of the original, and 2 of the first convolution
        ("vgg16", 212, 32, 90),
        ("resnet18", 435, 32, 217),
        ("resnet50", 427, 32, 213),  # 483 where the stride is a stage's last: see test_fields
    ],
)
def test_receptive_fields(
    name: str, field: int, stride: int, padding: int, summary_of: Any
) -> None:
    seen = [r for r in summary_of(name).rows if r.field and None not in r.jump][-1]
    assert (seen.field, seen.jump) == ((field, field), (stride, stride))
    assert seen.start == (-padding, -padding)


def test_training_counts_the_auxiliary_heads() -> None:
    predicting, training = (
        inspect.summary(models.create("googlenet"), (3, 224, 224), training=mode, batch_size=2)
        for mode in (False, True)
    )
    assert training.unused == ()
    assert training.total_macs > predicting.total_macs
    assert {"dropout", "batch_norm"} <= {r.op for r in training.rows}
