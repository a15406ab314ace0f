"""What the graph keeps alive, and for how long."""

from __future__ import annotations

import gc
import time
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Memory must be freed by reference counts alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def leaf(*shape: int) -> cr.Tensor:
    return cr.ones(*shape, requires_grad=True)


def test_a_dropped_graph_is_freed_at_once(no_collector: None) -> None:
    x = leaf(3)
    h = x.exp()
    y = (h * h).sum()
    array, node = weakref.ref(h.array), weakref.ref(h.grad_fn)
    del h
    assert array() is not None, "the graph needs it"
    del y
    assert array() is None and node() is None


def test_backward_frees_what_was_saved(no_collector: None) -> None:
    x = leaf(3)
    h = x.exp()
    y = (h * h).sum()
    array = weakref.ref(h.array)
    del h
    y.backward()
    assert array() is None


@pytest.mark.parametrize(
    "f",
    [lambda x: x.exp(), lambda x: x.softmax(0), lambda x: x.relu(), lambda x: x.sum() * x,
     lambda x: x.reshape(3, 1), lambda x: x.tanh() + x[0], lambda x: cr.cat([x, x])],
)  # fmt: skip
def test_no_op_makes_a_cycle(f: Any, no_collector: None) -> None:
    x = leaf(3)
    y = f(x)
    found = weakref.ref(y), weakref.ref(y.grad_fn), weakref.ref(y.array)
    del y
    assert [r() for r in found] == [None, None, None]


def test_second_order_graph_is_freed(no_collector: None) -> None:
    x = leaf(3)
    (g,) = cr.autograd.grad(x.exp().sum(), x, create_graph=True)
    node = weakref.ref(g.grad_fn)
    del g
    assert node() is None


def saved_arrays(y: cr.Tensor) -> list[np.ndarray]:
    saved = y.grad_fn.saved
    return [s.array for s in saved if hasattr(s, "array")]


@pytest.mark.parametrize(
    ("name", "f", "kept"),
    [
        ("add", lambda x, w: x + w, []),
        ("sub", lambda x, w: x - w, []),
        ("neg", lambda x, w: -x, []),
        ("add a number", lambda x, w: x + 2.0, []),
        ("sum", lambda x, w: x.sum(0), []),
        ("reshape", lambda x, w: x.reshape(9), []),
        ("getitem", lambda x, w: x[1], []),
        ("relu", lambda x, w: x.relu(), ["y"]),
        ("exp", lambda x, w: x.exp(), ["y"]),
        ("softmax", lambda x, w: x.softmax(1), ["y"]),
        ("mul", lambda x, w: x * w, ["w", "x"]),
        ("linear", lambda x, w: ops.linear(x, w), ["w", "x"]),
    ],
)
def test_only_what_the_gradient_needs_is_kept(name: str, f: Any, kept: list[str]) -> None:
    x, w = leaf(3, 3), leaf(3, 3)
    y = f(x, w)
    known = {id(x.array): "x", id(w.array): "w", id(y.array): "y"}
    assert sorted(known[id(a)] for a in saved_arrays(y)) == sorted(kept)


def test_nothing_is_kept_for_inputs_that_need_no_gradient() -> None:
    x, w = cr.ones(3, 3), leaf(3, 3)
    y = x * w
    assert [a is x.array for a in saved_arrays(y)] == [True]  # dw = g·x; w itself is not needed


def test_relu_lets_go_of_its_input(no_collector: None) -> None:
    x = leaf(3)
    h = x * 2
    array = weakref.ref(h.array)
    y = h.relu()
    del h
    assert array() is None
    y.sum().backward()


def test_gradients_are_let_go_as_the_sweep_passes(no_collector: None) -> None:
    megabyte = 1 << 20
    x = cr.ones(megabyte // 4, requires_grad=True)
    y = x
    for _ in range(30):
        y = (y * 1.5).tanh() + y
    seed = cr.ones_like(y)
    tracemalloc.start()
    y.backward(seed)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < 2 * megabyte, "x.grad alone stays"
    assert peak < 8 * megabyte, "not one gradient for each of 90 operations"


def test_no_grad_keeps_nothing(no_collector: None) -> None:
    x = leaf(3)
    with cr.no_grad():
        h = x.exp()
        array = weakref.ref(h.array)
        y = h * h
    del h
    assert array() is None
    assert y.grad_fn is None


def test_a_chain_of_100000_operations() -> None:
    x = cr.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward()
    assert x.grad.item() == 1
    del y  # and is taken apart again without a deep recursion


def test_a_long_chain_that_was_never_swept_is_freed(no_collector: None) -> None:
    x = cr.tensor([1.0], requires_grad=True)
    y = x * 2.0
    first = weakref.ref(y.grad_fn)
    for _ in range(100_000):
        y = y + 1.0
    del y
    assert first() is None


def test_wide_graphs_take_time_in_proportion() -> None:
    def seconds(n: int) -> float:
        x = cr.ones(1, requires_grad=True)
        total = x * 1.0
        begin = time.process_time()
        for _ in range(n):
            total = total + x
        total.backward()
        assert x.grad.item() == n + 1
        return time.process_time() - begin

    few, many = (min(seconds(n) for _ in range(3)) for n in (1000, 8000))
    assert many < 30 * few  # 8 if linear, 64 if quadratic
