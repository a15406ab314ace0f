"""chainrule.utils.checkpoint: the same gradients, bit for bit, from less memory."""

from __future__ import annotations

import gc
import math
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd.graph import Node, Saved
from chainrule.errors import ConfigError, GraphError
from chainrule.utils.checkpoint import checkpoint, checkpoint_sequential

F = nn.functional


def network() -> nn.Sequential:
    cr.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3),
        nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4 * 4 * 4, 3),
    )  # fmt: skip


def images() -> cr.Tensor:
    return cr.from_numpy(np.random.default_rng(0).standard_normal((4, 2, 8, 8)).astype("float32"))


def kept_bytes(y: Any) -> int:
    """The bytes of all arrays that the graph of ``y`` keeps for its backward pass."""
    arrays: dict[int, np.ndarray] = {}
    seen, stack = set(), [y.grad_fn]
    while stack:
        node = stack.pop()
        if not isinstance(node, Node) or node.order in seen:
            continue
        seen.add(node.order)
        stack.extend(node.edges)
        if isinstance(node.saved, list):
            for s in node.saved:
                for a in s if isinstance(s, tuple) else (s,):
                    array = a.array if type(a) is Saved else a
                    if isinstance(array, np.ndarray):
                        arrays[id(array)] = array
    return sum(a.nbytes for a in arrays.values())


def trained(forward: Any, steps: int = 3) -> list[np.ndarray]:
    """Loss, gradients and state after some steps of training."""
    net, x, y = network(), images(), cr.arange(4) % 3
    x.requires_grad_()
    told = []
    for _ in range(steps):
        net.zero_grad()
        loss = F.cross_entropy(forward(net, x), y)
        loss.backward()
        told += [loss.detach().array, *(p.grad.array.copy() for p in net.parameters())]
        with cr.no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad
    told += [x.grad.array, *(v.array for v in net.state_dict().values())]
    return [*told, cr.rand(3).array]  # the stream of random numbers goes on as it would


WAYS = {
    "whole": lambda net, x: checkpoint(net, x),
    "reentrant": lambda net, x: checkpoint(net, x, use_reentrant=True),
    "halves": lambda net, x: checkpoint(net[5:], checkpoint(net[:5], x)),
    "one layer": lambda net, x: net[6:](checkpoint(net[5], net[:5](x))),
    "every layer": lambda net, x: [x := checkpoint(m, x, use_reentrant=False) for m in net][-1],
    "nested": lambda net, x: checkpoint(
        lambda x: net[4:](checkpoint(net[2:4], checkpoint(net[:2], x))), x
    ),
    "sequential": lambda net, x: checkpoint_sequential(net, 3, x),
    "list": lambda net, x: checkpoint_sequential(list(net), 10, x, use_reentrant=False),
    "one segment": lambda net, x: checkpoint_sequential(net, 1, x, preserve_rng_state=True),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "apart"])
def test_training_gives_the_same_bits(way: str, fused: bool) -> None:
    with cr.set_fusion_enabled(fused):
        plain, checkpointed = trained(lambda net, x: net(x)), trained(WAYS[way])
    parted = fused and way in ("halves", "one layer", "every layer", "list")  # conv | batch norm
    for a, b in zip(plain, checkpointed, strict=True):
        if parted:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(a, b)


def test_less_is_kept() -> None:
    cr.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(64, 64), nn.Tanh()) for _ in range(16)]
    net, x = nn.Sequential(*layers), cr.randn(32, 64)
    plain = kept_bytes(net(x))
    activation = 32 * 64 * 4
    assert plain >= 16 * activation
    parts = checkpoint_sequential(net, 4, x)
    weights = sum(p.array.nbytes for m in layers[12:] for p in m.parameters())
    assert kept_bytes(parts) <= 4 * 2 * activation + weights  # those of the last part alone
    assert kept_bytes(checkpoint(net, x)) == 0


def test_the_peak_is_lower() -> None:
    def peak(forward: Any) -> int:
        cr.manual_seed(0)
        net = nn.Sequential(
            *(nn.Sequential(nn.Linear(32, 32), nn.Tanh()) for _ in range(36))
        ).double()
        x = cr.randn(4096, 32, dtype=cr.float64)  # whose memory is Python's to count
        gc.collect()
        tracemalloc.start()
        forward(net, x).sum().backward()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    plain = peak(lambda net, x: net(x))
    sparing = peak(lambda net, x: checkpoint_sequential(net, 6, x))
    assert sparing < plain / 2


def test_what_was_recomputed_is_let_go_as_the_sweep_passes() -> None:
    gc.disable()
    try:
        seen: list[Any] = []

        def part(x: Any) -> Any:
            h = x.exp()
            seen.append(weakref.ref(h.array))
            return (h * h).sin()

        x = cr.ones(3, requires_grad=True)
        y = checkpoint(part, x)
        assert seen[0]() is None
        y.sum().backward()
        assert len(seen) == 2 and seen[1]() is None
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_closed_over_parameters_and_grad() -> None:
    w = cr.tensor([2.0, 3.0], requires_grad=True)
    x = cr.tensor([1.0, 4.0])  # needs no gradient itself
    y = checkpoint(lambda x: (x * w).exp(), x)
    (g,) = cr.autograd.grad(y.sum(), w)
    np.testing.assert_allclose(g.array, (x * (x * w).exp()).detach().array)


def test_higher_derivatives() -> None:
    results = []
    for run in (lambda f, *args: f(*args), checkpoint):
        x = cr.tensor([0.5, 1.5], dtype=cr.float64, requires_grad=True)
        w = cr.tensor([2.0, 3.0], dtype=cr.float64, requires_grad=True)
        y = run(lambda x, w=w: ((x * w).sin() * x).tanh(), x * 2)
        first = cr.autograd.grad(y.sum(), (x, w), create_graph=True)
        second = cr.autograd.grad(sum((g**2).sum() for g in first), (x, w))
        results.append([g.detach().array for g in (*first, *second)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)  # the sums have another order


def test_retain_graph() -> None:
    calls = []
    x = cr.tensor([1.0], requires_grad=True)
    y = checkpoint(lambda x: (calls.append(1), x.exp())[1], x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == pytest.approx(2 * math.e) and len(calls) == 2
    with pytest.raises(GraphError, match="freed by an earlier backward pass"):
        y.backward()


def test_user_defined_functions() -> None:
    class Square(cr.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x * x
            ctx.save_for_backward(x, y)
            return y, y * x

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, y = ctx.saved_tensors
            return 2 * g * x + 3 * h * y

    for run in (lambda f, x: f(x), checkpoint):
        x = cr.tensor([3.0], dtype=cr.float64, requires_grad=True)
        a, b = run(Square.apply, x)
        (g,) = cr.autograd.grad(a + b, x, create_graph=True)
        (h,) = cr.autograd.grad(g, x)
        assert (g.item(), h.item()) == (6 + 27, 2 + 18)


def test_arguments_and_results_of_all_kinds() -> None:
    def part(x: Any, scale: float, *, names: Any, also: Any = None) -> Any:
        return {"a": x * scale, "b": [names, (also["t"].exp(), None)]}

    x, t = cr.ones(2, requires_grad=True), cr.zeros(2, requires_grad=True)
    result = checkpoint(part, x, 3.0, names="n", also={"t": t})
    assert result["b"][0] == "n" and result["b"][1][1] is None
    assert kept_bytes(result["b"][1][0]) == 0
    (result["a"] * result["b"][1][0]).sum().backward()
    assert x.grad.tolist() == [3, 3] and t.grad.tolist() == [3, 3]


def test_under_no_grad_it_is_a_call() -> None:
    with cr.no_grad():
        assert not checkpoint(lambda x: x * 2, cr.ones(1, requires_grad=True)).requires_grad


def test_running_statistics_move_once() -> None:
    norm = nn.BatchNorm1d(2)
    x = cr.tensor([[1.0, 2.0], [3.0, 6.0]])
    checkpoint(norm, x).sum().backward()
    assert norm.num_batches_tracked.item() == 1
    np.testing.assert_allclose(norm.running_mean.tolist(), [0.2, 0.4], rtol=1e-6)


def test_buffers_that_the_forward_pass_reads_and_changes() -> None:
    """As spectral norm's: the second run must see what the first saw."""

    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", cr.ones(1))

        def forward(self, x: Any) -> Any:
            y = (x * self.count).exp()
            self.count = self.count + 1
            return y

    counter, x = Counter(), cr.tensor([1.0], requires_grad=True)
    y = checkpoint(lambda x: counter(counter(x)), x)
    assert counter.count.item() == 3
    counter.count = counter.count * 100
    (g,) = cr.autograd.grad(y, x)
    assert counter.count.item() == 300
    e = math.e
    assert g.item() == pytest.approx(math.exp(2 * e) * 2 * e, rel=1e-5)


def test_spectral_norm() -> None:
    results = []
    for run in (lambda f, x: f(x), checkpoint):
        cr.manual_seed(0)
        layer = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))
        x = cr.randn(2, 4).requires_grad_()
        for _ in range(3):
            run(layer, x).square().sum().backward()
        values = (x.grad, *(p.grad for p in layer.parameters()), *layer.buffers())
        results.append([t.array for t in values])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_dropout_without_the_random_numbers() -> None:
    x = cr.ones(1000, requires_grad=True)
    y = checkpoint(lambda x: F.dropout(x, 0.5), x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.array, y.detach().array)
    x.grad = None
    y = checkpoint(lambda x: F.dropout(x, 0.5), x, preserve_rng_state=False)
    y.sum().backward()
    assert (x.grad.array != y.detach().array).any()


def test_contexts() -> None:
    entered = []

    class Context:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            entered.append(self.name)

        def __exit__(self, *exc: object) -> None:
            entered.append("/" + self.name)

    x = cr.ones(1, requires_grad=True)
    y = checkpoint(
        lambda x: (entered.append("run"), x.exp())[1], x,
        context_fn=lambda: (Context("first"), Context("second")),
    )  # fmt: skip
    y.backward()
    assert entered == ["first", "run", "/first", "second", "run", "/second"]


@pytest.mark.parametrize("fused", [True, False])
def test_hooks_of_modules_and_tensors(fused: bool) -> None:
    told = []
    net, x = network().eval(), images().requires_grad_()
    net[4].register_full_backward_hook(lambda m, gi, go: told.append((gi[0].sum().item(),)))
    with cr.set_fusion_enabled(fused):
        for forward in (lambda x: net(x), lambda x: checkpoint(net, x)):
            h = forward(x)
            h.register_hook(lambda g: g * 2)
            h.sum().backward()
    assert len(told) == 2 and told[0] == told[1]


# -- what goes wrong is said ---------------------------------------------------------------------


def test_a_part_that_changes_its_mind() -> None:
    calls = []

    def part(x: Any) -> Any:
        calls.append(1)
        return x.exp() if len(calls) == 1 else x.sin() * 2

    x = cr.ones(1, requires_grad=True)
    y = checkpoint(part, x)
    with pytest.raises(GraphError, match=r"operation 0 was exp and is now sin \(1 operations, no"):
        y.backward()
    calls.clear()
    checkpoint(lambda x: part(x) if len(calls) < 1 else x.sin(), x, determinism_check="none")


def test_an_argument_that_was_changed() -> None:
    x = cr.ones(1, requires_grad=True)
    h = x * 1
    y = checkpoint(lambda h: h.exp(), h)
    h.mul_(2)
    with pytest.raises(GraphError, match="tensor 0 of its arguments was changed in place"):
        y.backward()


def test_a_weight_that_was_changed() -> None:
    layer = nn.Linear(2, 2)
    y = checkpoint(layer, cr.ones(1, 2, requires_grad=True))
    with cr.no_grad():
        layer.weight.mul_(2)
    with pytest.raises(GraphError, match="a tensor that linear uses was changed in place"):
        y.sum().backward()


def test_wrong_arguments() -> None:
    x = cr.ones(1, requires_grad=True)
    with pytest.raises(ConfigError, match="debug=True is not supported"):
        checkpoint(cr.exp, x, debug=True)
    with pytest.raises(ConfigError, match="determinism_check must be"):
        checkpoint(cr.exp, x, determinism_check="strict")
    with pytest.raises(ConfigError, match=r"segments must be 1 to 2, .* got 3"):
        checkpoint_sequential([cr.exp, cr.sin], 3, x)
    with pytest.raises(TypeError, match="unexpected arguments: other"):
        checkpoint_sequential([cr.exp], 1, x, other=1)
    with pytest.raises(AttributeError, match="utils has no bottleneck: use cProfile"):
        cr.utils.bottleneck  # noqa: B018


@pytest.mark.parity
def test_code_for_pytorch() -> None:
    """Every argument that PyTorch's has."""
    torch = pytest.importorskip("torch")
    import inspect

    import torch.utils.checkpoint as theirs

    import chainrule.utils.checkpoint as ours

    for name in ("checkpoint", "checkpoint_sequential"):
        there = inspect.signature(getattr(theirs, name)).parameters
        here = inspect.signature(getattr(ours, name)).parameters
        assert set(there) - set(here) == set()
    results = []
    for lib, module in ((cr, ours), (torch, theirs)):
        x = lib.tensor([[1.0, 2.0]], requires_grad=True)
        y = module.checkpoint(lambda x, k: (x * k).exp(), x, 0.5, use_reentrant=False)
        y.sum().backward()
        results.append(x.grad.numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)
