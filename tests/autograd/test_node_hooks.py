"""Hooks of nodes and leaves, against PyTorch: what they see, in which order, and may replace."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import GraphError, ShapeError

torch = pytest.importorskip("torch", reason="hooks are compared with PyTorch's")
pytestmark = pytest.mark.parity


def leaf(lib: Any, *values: float) -> Any:
    return lib.tensor(values, dtype=lib.float64, requires_grad=True)


def both(story: Any) -> tuple[Any, Any]:
    """What a story that uses a library tells, here and there."""
    return story(cr), story(torch)


def values(grads: Any) -> list[Any]:
    return [None if g is None else g.tolist() for g in grads]


def test_order_on_one_result() -> None:
    def story(lib: Any) -> list[Any]:
        told: list[Any] = []
        x = leaf(lib, 1.0, 2.0)
        h = x * 3
        h.grad_fn.register_hook(lambda gi, go: told.append(("after", values(gi)[0], values(go))))
        h.grad_fn.register_prehook(lambda go: told.append(("before", values(go))))
        h.register_hook(lambda g: told.append(("tensor", g.tolist())))
        h.retain_grad()
        h.register_hook(lambda g: g * 10)
        x.register_post_accumulate_grad_hook(lambda t: told.append(("leaf", t.grad.tolist())))
        x.register_hook(lambda g: told.append(("gradient of leaf", g.tolist())))
        (h * h).sum().backward()
        told.append(h.grad.tolist())
        return told

    ours, theirs = both(story)
    assert ours == theirs and len(ours) == 6


def test_node_hooks_replace_gradients() -> None:
    def story(lib: Any) -> list[Any]:
        a, b = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
        h = a * b
        h.grad_fn.register_prehook(lambda go: (go[0] * 2,))
        h.grad_fn.register_hook(lambda gi, go: (gi[0] + 1, gi[1] * go[0]))
        h.grad_fn.register_hook(lambda gi, go: (gi[0] * 10, gi[1]))
        h.sum().backward()
        return [a.grad.tolist(), b.grad.tolist()]

    ours, theirs = both(story)
    assert ours == theirs == [[70, 90], [4, 8]]


def test_an_input_given_twice_has_a_gradient_for_each_place() -> None:
    def story(lib: Any) -> list[Any]:
        a, seen = leaf(lib, 3.0), []
        h = a * a
        h.grad_fn.register_hook(lambda gi, go: seen.append(values(gi)))
        h.grad_fn.register_hook(lambda gi, go: (gi[0] * 10, gi[1]))
        h.backward()
        return [seen, a.grad.tolist()]

    ours, theirs = both(story)
    assert ours == theirs == [[[[3], [3]]], [33]]


def test_hooks_behind_a_relu_are_not_fused_away() -> None:
    def story(lib: Any) -> list[Any]:
        seen: list[Any] = []
        x = lib.tensor([[[[1.0, -2.0], [3.0, 4.0]]]] * 2, dtype=lib.float32)
        layers = lib.nn.Sequential(lib.nn.Conv2d(1, 1, 1), lib.nn.BatchNorm2d(1), lib.nn.ReLU())
        for p in layers.parameters():
            p.data.fill_(0.5)
        y = layers(x)
        norm = y.grad_fn.next_functions[0][0]
        norm.register_hook(lambda gi, go: seen.append(np.round(go[0].numpy(), 4).tolist()))
        norm.register_prehook(lambda go: (go[0] * 2,))
        y.grad_fn.register_hook(lambda gi, go: (gi[0] * 3,))
        y.sum().backward()
        return [seen, *[np.round(p.grad.numpy(), 3).tolist() for p in layers.parameters()]]

    ours, theirs = both(story)
    assert ours == theirs


@pytest.mark.parametrize("create_graph", [False, True])
def test_hooks_in_grad(create_graph: bool) -> None:
    def story(lib: Any) -> list[Any]:
        a, b, seen = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0), []
        h = a * b
        h.grad_fn.register_hook(lambda gi, go: seen.append(len(gi)))
        h.grad_fn.register_prehook(lambda go: (go[0] * go[0],))
        a.register_hook(lambda g: g * 7)
        b.register_post_accumulate_grad_hook(lambda t: seen.append("accumulated"))
        (g,) = lib.autograd.grad((h * h).sum(), a, create_graph=create_graph)
        told = [seen, g.tolist()]
        if create_graph:
            told.append(lib.autograd.grad(g.sum(), b)[0].tolist())
        return told

    ours, theirs = both(story)
    assert ours == theirs


def test_post_accumulate_hook_with_inputs_of_backward() -> None:
    def story(lib: Any) -> list[Any]:
        a, b, seen = leaf(lib, 1.0), leaf(lib, 3.0), []
        for t, name in ((a, "a"), (b, "b")):
            t.register_post_accumulate_grad_hook(lambda t, name=name: seen.append(name))
        (a * b).backward(inputs=[b])
        return [seen, a.grad is None, b.grad.tolist()]

    ours, theirs = both(story)
    assert ours == theirs == [["b"], True, [1]]


def test_post_accumulate_hook_may_step_and_forget() -> None:
    w = cr.ones(2, requires_grad=True)

    def step(p: Any) -> None:
        with cr.no_grad():
            p -= 0.1 * p.grad
        p.grad = None

    handle = w.register_post_accumulate_grad_hook(step)
    (w * 2).sum().backward()
    assert w.grad is None
    np.testing.assert_allclose(w.detach(), [0.8, 0.8], rtol=1e-6)
    handle.remove()
    (w * 2).sum().backward()
    assert w.grad.tolist() == [2, 2]


def test_post_accumulate_hook_is_for_leaves() -> None:
    h = leaf(cr, 1.0) * 2
    with pytest.raises(GraphError, match="only a leaf that requires grad"):
        h.register_post_accumulate_grad_hook(print)


def test_node_hooks_can_be_removed() -> None:
    x = leaf(cr, 1.0)
    h = x * 2
    first = h.grad_fn.register_hook(lambda gi, go: (gi[0] * 10,))
    second = h.grad_fn.register_prehook(lambda go: (go[0] * 10,))
    first.remove()
    with second:
        pass
    h.backward()
    assert x.grad.item() == 2


def test_wrong_replacements() -> None:
    x = leaf(cr, 1.0, 2.0)
    h = x * 2
    wrong_count = h.grad_fn.register_hook(lambda gi, go: (gi[0], gi[0]))
    with pytest.raises(GraphError, match="returned 2 gradients of inputs, expected 1"):
        h.sum().backward(retain_graph=True)
    wrong_count.remove()
    h.grad_fn.register_prehook(lambda go: (go[0].sum(),))
    with pytest.raises(ShapeError, match=r"has shape \(\), expected \(2,\)"):
        h.sum().backward(retain_graph=True)


def test_what_a_node_hook_keeps_is_not_changed_later() -> None:
    x, kept = leaf(cr, 1.0), []
    h = x * 2
    h.grad_fn.register_hook(lambda gi, go: kept.extend([*gi, *go]))
    (h + h).backward()
    x.grad.mul_(100)
    (x * 5).backward()
    assert [g.item() for g in kept] == [4, 2]


def test_a_handle_does_not_keep_the_graph() -> None:
    gc.disable()
    try:
        h = leaf(cr, 1.0) * 2
        handle = h.grad_fn.register_hook(lambda gi, go: None)
        node = weakref.ref(h.grad_fn)
        del h
        assert node() is None
        handle.remove()
    finally:
        gc.enable()


def test_hooks_of_a_function_with_several_results() -> None:
    class Halves(cr.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x[:1] * 2, x[1:] * 3

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return cr.cat([g * 2, h * 3])

    x, seen = leaf(cr, 1.0, 2.0), []
    a, b = Halves.apply(x)
    call = a.grad_fn.next_functions[0][0]
    assert call is b.grad_fn.next_functions[0][0] and call.name() == "HalvesBackward"
    call.register_prehook(lambda go: (go[0] * 10, go[1]))
    call.register_hook(lambda gi, go: seen.append([values(gi), values(go)]))
    (a * b).backward()
    assert seen == [[[[120, 6]], [[60], [2]]]]
    assert x.grad.tolist() == [120, 6]


def test_next_functions_lead_to_the_leaves() -> None:
    x = leaf(cr, 1.0)
    node = ((x * 2).exp()).grad_fn
    (mul, index), *none = node.next_functions
    assert (mul.name(), index, none) == ("MulBackward", 0, [])
    ((accumulate, _),) = mul.next_functions
    assert accumulate.name() == "AccumulateGrad" and accumulate.variable is x
    assert accumulate.next_functions == () and repr(accumulate) == "<AccumulateGrad>"
    assert accumulate == (x + 1).grad_fn.next_functions[0][0]


def test_retains_grad() -> None:
    h = leaf(cr, 1.0) * 2
    assert not h.retains_grad
    h.retain_grad()
    assert h.retains_grad
