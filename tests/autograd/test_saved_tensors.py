"""What a graph keeps may be packed by the user."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd.graph import (
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)
from chainrule.errors import GraphError

nn = cr.nn


def half(t: Any) -> Any:
    return t.half()


def network() -> Any:
    cr.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2))


def gradients(net: Any) -> list[np.ndarray]:
    x = cr.from_numpy(np.random.default_rng(0).standard_normal((2, 1, 6, 6)).astype("float32"))
    net.zero_grad()
    (net(x) ** 2).sum().backward()
    return [p.grad.array for p in net.parameters()]


def test_the_gradients_are_of_what_was_unpacked() -> None:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    w = cr.tensor([3.0, 4.0], requires_grad=True)
    packed = []
    with saved_tensors_hooks(lambda t: (packed.append(t.tolist()), t)[1], lambda t: t * 10):
        y = x * w
    y.sum().backward()
    assert sorted(packed) == [[1, 2], [3, 4]]
    assert x.grad.tolist() == [30, 40] and w.grad.tolist() == [10, 20]


@pytest.mark.parity
def test_as_pytorch() -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib in (cr, torch):
        x = lib.tensor([0.5, 1.5], dtype=lib.float64, requires_grad=True)
        seen: list[Any] = []

        def pack(t: Any, seen: Any = seen) -> Any:
            seen.append(round(t.sum().item(), 6))
            return t.tolist()

        def unpack(values: Any, lib: Any = lib) -> Any:
            return lib.tensor(values, dtype=lib.float64)

        with lib.autograd.graph.saved_tensors_hooks(pack, unpack):
            y = (x.exp() * x).sigmoid().sum()
        (g,) = lib.autograd.grad(y, x)
        results.append((sorted(seen), g.numpy()))
    (ours, g), (theirs, h) = results
    assert set(ours) == set(theirs)
    np.testing.assert_allclose(g, h, rtol=1e-12)


@pytest.mark.parametrize("fused", [True, False])
def test_a_network(fused: bool) -> None:
    with cr.set_fusion_enabled(fused):
        plain = gradients(network())
        with saved_tensors_hooks(lambda t: t.numpy().tobytes() and t.clone(), lambda t: t):
            copied = gradients(network())
        with saved_tensors_hooks(half, lambda t: t.float()):
            halved = gradients(network())
        with save_on_cpu(pin_memory=True):
            saved = gradients(network())
    for a, b, c, d in zip(plain, copied, halved, saved, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, d)
        np.testing.assert_allclose(a, c, rtol=0.02, atol=0.02)
    assert any((a != c).any() for a, c in zip(plain, halved, strict=True))


def test_functions_of_the_user() -> None:
    class Square(cr.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x, None)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * g * ctx.saved_tensors[0]

    x = cr.tensor([3.0], requires_grad=True)
    with saved_tensors_hooks(lambda t: t * 2, lambda t: t + 1):
        y = Square.apply(x)
    y.backward()
    assert x.grad.item() == 2 * 7


def test_the_innermost_hooks_pack() -> None:
    x = cr.tensor([3.0], requires_grad=True)
    with saved_tensors_hooks(lambda t: t * 100, lambda t: t):
        with saved_tensors_hooks(lambda t: t + 1, lambda t: t):
            y = x * x
        z = x * x
    w = x * x
    grads = [cr.autograd.grad(t, x)[0].item() for t in (y, z, w)]
    assert grads == [8, 600, 6]


def test_hooks_are_not_recorded_nor_packed() -> None:
    x, modes = cr.tensor([3.0], requires_grad=True), []

    def pack(t: Any) -> Any:
        modes.append((t * t).requires_grad)
        with cr.enable_grad():
            (x * x).sum()  # would pack without end
        return t

    with saved_tensors_hooks(pack, lambda t: t):
        y = x.exp()
    assert modes == [False]
    y.backward()


def test_a_packed_tensor_may_be_changed() -> None:
    h = cr.tensor([3.0], requires_grad=True) * 1
    with saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        y = h * h
    h.array[...] = 0
    h.version.count += 1
    (g,) = cr.autograd.grad(y, h, allow_unused=True)
    assert g.item() == 6


def test_other_threads_are_not_meant() -> None:
    x, results = cr.tensor([3.0], requires_grad=True), []
    with saved_tensors_hooks(lambda t: t * 0, lambda t: t):
        thread = threading.Thread(target=lambda: results.append(x * x))
        thread.start()
        thread.join()
    assert cr.autograd.grad(results[0], x)[0].item() == 6


def test_refused() -> None:
    x = cr.tensor([3.0], requires_grad=True)
    refused = pytest.raises(GraphError, match="not here")
    with disable_saved_tensors_hooks("not here"), refused, saved_tensors_hooks(half, half):
        pass
    with saved_tensors_hooks(half, lambda t: t.tolist()):
        y = x * x
    with pytest.raises(GraphError, match="unpack_hook must return a tensor, got list"):
        y.backward()
