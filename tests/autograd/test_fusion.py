"""Fusing neighbouring operations changes neither values nor gradients, whoever looks on."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn, optim
from chainrule.autograd import fused_operations, is_fusion_enabled, set_fusion_enabled


class BasicBlock(nn.Module):
    """torchvision's, with its names and its habits: inplace ReLU, `out += identity`."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1, bias: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=bias)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes, 1, stride, bias=bias), nn.BatchNorm2d(planes)
            )

    def forward(self, x: Any) -> Any:
        identity = x
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        out = self.relu(out)
        return out


class PreActivation(nn.Module):
    """Batch norm and ReLU before the convolution; the sum is not rectified."""

    def __init__(self) -> None:
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return x + self.conv(F.relu(self.bn(x)))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "basic block": lambda: BasicBlock(6, 6),
    "basic block with bias": lambda: BasicBlock(6, 6, bias=True),
    "downsampling block": lambda: BasicBlock(6, 8, 2),
    "pre-activation": PreActivation,
    "conv relu": lambda: nn.Sequential(
        nn.Conv2d(6, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 1, bias=False), nn.ReLU()),
    "classifier": lambda: nn.Sequential(
        nn.Conv2d(6, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(45, 20), nn.ReLU(), nn.Linear(20, 7, bias=False), nn.ReLU(), nn.Linear(7, 4)),
    # as many outputs, in the last axis, as there are channels in the second
    "rows of images": lambda: nn.Sequential(
        nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU()),
    "batch norm alone": lambda: nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.BatchNorm2d(6)),
    "norms of rows": lambda: nn.Sequential(nn.Flatten(), nn.Linear(384, 9), nn.BatchNorm1d(9),
                                           nn.ReLU(), nn.Linear(9, 2)),
    "without affine": lambda: nn.Sequential(nn.Conv2d(6, 4, 3, bias=False),
                                            nn.BatchNorm2d(4, affine=False), nn.ReLU()),
}  # fmt: skip


@pytest.fixture(autouse=True)
def fused() -> Iterator[None]:
    with set_fusion_enabled(True):
        yield


def images(*shape: int, seed: int = 0) -> cr.Tensor:
    rng = np.random.default_rng(seed)
    return cr.tensor(rng.normal(size=shape or (3, 6, 8, 8)).astype(np.float32))


def moments_as_gathered_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the one thing that fusion may round otherwise."""
    from chainrule import kernels

    def apart(*arguments: Any) -> Any:
        y = kernels.conv2d(*arguments)
        return y, *kernels.moments(y)

    monkeypatch.setattr(kernels, "conv2d_moments", apart)


def run(build: Callable[[], nn.Module], training: bool, dtype: str = "float32") -> list[np.ndarray]:
    """Output, every gradient and every statistic of two steps."""
    cr.manual_seed(0)
    model = build().train(training)
    model.to(np.dtype(dtype))
    seen = []
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(2):
        x = images(seed=step).to(np.dtype(dtype)).requires_grad_()
        y = model(x)
        (y * y).sum().backward()
        seen += [y.detach().numpy(), x.grad.numpy()]
        seen += [p.grad.numpy().copy() for p in model.parameters()]
        optimizer.step()
        optimizer.zero_grad()
    return seen + [b.numpy().copy() for b in model.buffers()]


def assert_same_bits(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("model", MODELS)
def test_same_bits_with_and_without(
    model: str, training: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments_as_gathered_apart(monkeypatch)
    with np.errstate(over="ignore", invalid="ignore"):  # squares in half precision
        fused = run(MODELS[model], training, dtype)
        with set_fusion_enabled(False):
            apart = run(MODELS[model], training, dtype)
    assert_same_bits(fused, apart)


@pytest.mark.parametrize("model", MODELS)
def test_inference_is_the_same(model: str) -> None:
    cr.manual_seed(0)
    net = MODELS[model]()
    net(images())  # so that the statistics are not those of the start
    net.eval()
    with cr.no_grad():
        fused = net(images(seed=1)).numpy()
        with set_fusion_enabled(False):
            apart = net(images(seed=1)).numpy()
    np.testing.assert_array_equal(fused, apart)


def test_moments_gathered_by_the_convolution_are_equal_up_to_rounding() -> None:
    fused = run(MODELS["basic block"], True)
    with set_fusion_enabled(False):
        apart = run(MODELS["basic block"], True)
    for a, b in zip(fused, apart, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


# -- what is fused ---------------------------------------------------------------------------------


def fused_in(f: Callable[[], Any]) -> list[str]:
    with fused_operations() as names:
        f()
    return names


def test_a_training_step_of_a_block() -> None:
    block, x = BasicBlock(6, 6), images()
    names = fused_in(lambda: block(x).sum().backward())
    assert names == [
        "conv2d+moments", "batch_norm+relu", "conv2d+moments", "batch_norm+add+relu",
        "relu+add+batch_norm backward", "relu+batch_norm backward",
    ]  # fmt: skip


def test_inference_of_a_block_is_one_kernel_for_each_convolution() -> None:
    block, x = BasicBlock(6, 8, 2).eval(), images()
    with cr.no_grad():
        names = fused_in(lambda: block(x))
    assert names == [
        "conv2d+scale_shift+relu", "conv2d+scale_shift", "conv2d+scale_shift+add+relu",
    ]  # fmt: skip


def test_layers_with_bias() -> None:
    net, x = MODELS["classifier"](), images()
    assert fused_in(lambda: net(x).sum().backward()) == [
        "conv2d+relu", "linear+relu", "linear+relu",
        "relu+linear backward", "relu+conv2d backward",
    ]  # fmt: skip


def test_it_can_be_switched_off() -> None:
    net, x = MODELS["classifier"](), images()
    assert is_fusion_enabled()
    with set_fusion_enabled(False):
        assert not is_fusion_enabled()
        assert fused_in(lambda: net(x).sum().backward()) == []
    assert is_fusion_enabled()
    set_fusion_enabled(False)
    assert not is_fusion_enabled()


@pytest.mark.parametrize(("value", "enabled"), [("0", "False"), ("1", "True"), ("", "True")])
def test_the_environment_switches_it_off(value: str, enabled: str) -> None:
    code = "import chainrule; print(chainrule.is_fusion_enabled())"
    environment = {**os.environ, "CHAINRULE_FUSION": value}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == enabled


# -- whoever looks on ------------------------------------------------------------------------------


def pieces() -> tuple[Any, ...]:
    cr.manual_seed(1)
    return images().requires_grad_(), nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)


WATCHERS: dict[str, Callable[[Any, Any, Any], list[Any]]] = {}


def watcher(f: Callable[[Any, Any, Any], list[Any]]) -> Callable[..., Any]:
    WATCHERS[f.__name__] = f
    return f


@watcher
def uses_an_intermediate_twice(x: Any, conv: Any, bn: Any) -> list[Any]:
    h = conv(x)
    n = bn(h)
    y = F.relu(n) + n * 2 + h
    y.sum().backward()
    return [y, h, n, x.grad, conv.weight.grad, conv.bias.grad, bn.weight.grad]


@watcher
def keeps_intermediate_gradients(x: Any, conv: Any, bn: Any) -> list[Any]:
    h = conv(x)
    h.retain_grad()
    n = bn(h)
    n.retain_grad()
    total = n + x
    total.retain_grad()
    F.relu(total).square().sum().backward()
    return [h.grad, n.grad, total.grad, x.grad]


@watcher
def hooks_an_intermediate(x: Any, conv: Any, bn: Any) -> list[Any]:
    seen: list[Any] = []
    n = bn(conv(x))
    n.register_hook(lambda g: g * 2)
    n.register_hook(seen.append)
    F.relu(n).square().sum().backward()
    return [*seen, x.grad, bn.bias.grad]


@watcher
def differentiates_by_an_intermediate(x: Any, conv: Any, bn: Any) -> list[Any]:
    h = conv(x)
    n = bn(h)
    y = F.relu(n).square().sum()
    return [*cr.autograd.grad(y, [h, n], retain_graph=True), *cr.autograd.grad(y, [x, n])]


@watcher
def differentiates_only_by_some(x: Any, conv: Any, bn: Any) -> list[Any]:
    y = F.relu(bn(conv(x)) + x).square().sum()
    return [*cr.autograd.grad(y, [bn.weight], retain_graph=True), *cr.autograd.grad(y, [x])]


@watcher
def differentiates_twice(x: Any, conv: Any, bn: Any) -> list[Any]:
    y = F.relu(bn(conv(x))).square().sum()
    (g,) = cr.autograd.grad(y, x, create_graph=True)
    g.square().sum().backward()
    return [g, x.grad, conv.weight.grad, bn.weight.grad]


@watcher
def goes_back_twice(x: Any, conv: Any, bn: Any) -> list[Any]:
    y = F.relu(bn(conv(x))).square().sum()
    y.backward(retain_graph=True)
    y.backward()
    return [x.grad, conv.bias.grad]


@watcher
def goes_back_from_two_roots(x: Any, conv: Any, bn: Any) -> list[Any]:
    n = bn(conv(x))
    y = F.relu(n)
    cr.autograd.backward([y, n], [cr.ones_like(y), cr.ones_like(n) * 3])
    return [x.grad, bn.weight.grad, conv.weight.grad]


@watcher
def goes_back_without_the_bias(x: Any, conv: Any, bn: Any) -> list[Any]:
    conv.bias.requires_grad_(False)
    bn.bias.requires_grad_(False)
    F.relu(bn(F.relu(conv(x)))).square().sum().backward()
    return [x.grad, conv.weight.grad, bn.weight.grad]


@watcher
def changes_values_in_place(x: Any, conv: Any, bn: Any) -> list[Any]:
    y = conv(x)
    y.relu_()
    z = bn(y)
    z += x
    z *= 2
    z.relu_()
    w = conv(z)
    w[0] = 1.0
    w.sum().backward()
    return [y, z, w, x.grad, bn.weight.grad]


@watcher
def adds_with_broadcasting_and_numbers(x: Any, conv: Any, bn: Any) -> list[Any]:
    h = conv(x)
    two = cr.tensor(2.0)
    y = [h + 1, 2 + h, h + two, h + x[:1], cr.add(h, x, alpha=2), cr.add(h, x, alpha=two)]
    y += [h + h, h + x.double()]
    for v in y:
        F.relu(v).sum().backward(retain_graph=True)
    return [*y, x.grad]


@watcher
def looks_without_reading(x: Any, conv: Any, bn: Any) -> list[Any]:
    h = conv(x)
    assert (h.shape, h.ndim, h.dim(), h.size(1)) == ((3, 6, 8, 8), 4, 4, 6)
    assert h.dtype == np.float32 and h.is_floating_point() and h.requires_grad
    assert not is_computed(h) or not is_fusion_enabled()
    detached = h.detach()
    return [detached, F.relu(h), h]


@pytest.mark.parametrize("name", WATCHERS)
def test_nobody_notices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moments_as_gathered_apart(monkeypatch)
    fused = [v.array.copy() for v in WATCHERS[name](*pieces())]
    with set_fusion_enabled(False):
        apart = [v.array.copy() for v in WATCHERS[name](*pieces())]
    assert_same_bits(fused, apart)


def is_computed(x: cr.Tensor) -> bool:
    return type(x) is cr.Tensor


# -- values are those of the moment of the call ----------------------------------------------------


def in_place(x: Any, conv: Any) -> None:
    x += 1


def by_index(x: Any, conv: Any) -> None:
    x[0] = 7.0


def in_weights(x: Any, conv: Any) -> None:
    with cr.no_grad():
        conv.weight.mul_(2)
        conv.bias.zero_()


def by_initialising(x: Any, conv: Any) -> None:
    nn.init.ones_(conv.weight)


def by_an_optimizer(x: Any, conv: Any) -> None:
    conv(x).sum().backward()
    optim.Adam(conv.parameters(), lr=1.0).step()


def by_other_names_of_the_memory(x: Any, conv: Any) -> None:
    x.view(-1)[3] = 100.0
    conv.weight.data.fill_(3)


def by_loading_weights(x: Any, conv: Any) -> None:
    conv.load_state_dict({k: v * 0 for k, v in conv.state_dict().items()})


@pytest.mark.parametrize(
    "change",
    [in_place, by_index, in_weights, by_initialising, by_an_optimizer,
     by_other_names_of_the_memory, by_loading_weights],
)  # fmt: skip
def test_a_value_read_later_is_that_of_the_call(change: Callable[[Any, Any], None]) -> None:
    x, conv = images(), nn.Conv2d(6, 4, 3)
    kept = conv(x)
    F.relu(kept)
    assert not is_computed(kept), "else this would test nothing"
    with set_fusion_enabled(False):
        expected = conv(x).detach().numpy().copy()
    change(x, conv)
    np.testing.assert_array_equal(kept.detach().numpy(), expected)


def test_a_residual_read_later_is_that_of_the_call() -> None:
    x, other, bn = images(), images(seed=1), nn.BatchNorm2d(6)
    total = bn(x) + other
    assert not is_computed(total)
    expected = (bn(x.clone()).detach() * 1 + other).numpy().copy()
    other.zero_()
    x.zero_()
    bn.weight.data.zero_()
    np.testing.assert_array_equal(total.detach().numpy(), expected)


@pytest.mark.parametrize("channels", [1, 6])
def test_numpy_memory_may_be_overwritten_after_the_call(channels: int) -> None:
    """A loop over one buffer is how arrays are often read."""
    conv, linear = nn.Conv2d(channels, 4, 3), nn.Linear(channels * 64, 5)
    buffer = np.empty((3, channels, 8, 8), np.float32)
    kept = []
    for i in range(3):
        buffer[...] = i
        x = cr.from_numpy(buffer)
        kept.append((i, conv(x), linear(x.flatten(1)), conv(cr.as_tensor(buffer))))
    buffer[...] = 77
    with set_fusion_enabled(False):
        for i, of_conv, of_linear, again in kept:
            x = cr.full(buffer.shape, float(i))
            for result, truth in (
                (of_conv, conv(x)), (of_linear, linear(x.flatten(1))), (again, conv(x)),
            ):  # fmt: skip
                np.testing.assert_array_equal(result.detach().numpy(), truth.detach().numpy())


@pytest.mark.parametrize("role", ["x", "weight", "scale", "residual"])
def test_memory_handed_to_numpy_may_be_overwritten(role: str) -> None:
    x, weight, scale, residual = images(), images(4, 6, 1, 1), images(6), images(3, 4, 8, 8)
    handed = {"x": x, "weight": weight, "scale": scale, "residual": residual}[role].numpy()

    def results() -> list[cr.Tensor]:
        h = F.conv2d(x, weight)
        return [h, h + residual, F.batch_norm(x, None, None, scale, None, True)]

    kept = results()
    with set_fusion_enabled(False):
        expected = [v.numpy().copy() for v in results()]
    handed += 5
    assert_same_bits([v.numpy() for v in kept], expected)


@pytest.mark.parametrize("hand", [lambda x: x.numpy(), lambda x: x.data.numpy(), np.asarray])
def test_memory_may_be_handed_to_numpy_after_the_call(hand: Callable[[Any], np.ndarray]) -> None:
    x, conv = images(), nn.Conv2d(6, 4, 3)
    kept = conv(x)
    expected = conv(x.clone()).detach().numpy()
    handed = hand(x)
    handed += 5
    assert not is_computed(kept), "else this would test nothing"
    np.testing.assert_array_equal(kept.detach().numpy(), expected)


def test_first_layers_of_numpy_images_are_fused_all_the_same() -> None:
    x = cr.from_numpy(np.ones((4, 1, 12, 12), np.float32))
    conv = nn.Conv2d(1, 6, 5)
    assert fused_in(lambda: F.relu(conv(x))) == ["conv2d+relu"]
    bn = nn.BatchNorm2d(6).eval()
    with cr.no_grad():
        assert fused_in(lambda: F.relu(bn(conv(x)))) == ["conv2d+scale_shift+relu"]


# -- memory ----------------------------------------------------------------------------------------


def test_nothing_lives_longer() -> None:
    gc.collect()
    gc.disable()
    try:
        x, conv, bn = pieces()
        h = conv(x)
        y = F.relu(bn(h))
        alive = [weakref.ref(v) for v in (h, y, y.grad_fn, h.grad_fn, y.array)]
        del h, y
        assert [r() for r in alive] == [None] * len(alive)
    finally:
        gc.enable()


def test_a_skipped_value_takes_no_memory_and_is_gone_with_its_name() -> None:
    x, conv, _ = pieces()
    h = conv(x)
    y = F.relu(h)
    assert not is_computed(h) and is_computed(y)
    assert all(s.array is not None for s in y.grad_fn.saved if hasattr(s, "array"))


def test_dropped_late_values_are_not_remembered() -> None:
    from chainrule.autograd import pending

    x, conv, _ = pieces()
    for _ in range(1000):
        conv(x)
    assert len(pending._late) < 200


def test_copies_of_late_values_are_ordinary_tensors() -> None:
    import copy
    import pickle

    conv = nn.Conv2d(6, 4, 3)
    for made_anew in (copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))):
        with cr.no_grad():
            late = conv(images())
        assert not is_computed(late)
        again = made_anew(late)
        assert is_computed(again)
        np.testing.assert_array_equal(again.numpy(), late.numpy())
