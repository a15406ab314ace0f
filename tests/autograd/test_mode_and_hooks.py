"""Switching recording off and on; hooks; retain_grad."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DTypeError, GraphError, ShapeError


def leaf(*values: float) -> cr.Tensor:
    return cr.tensor(values, dtype=cr.float64, requires_grad=True)


# -- modes -------------------------------------------------------------------------------------


def test_nothing_is_recorded_under_no_grad() -> None:
    x = leaf(1.0)
    with cr.no_grad():
        y = x * 2
    assert not y.requires_grad and y.is_leaf
    assert (x * 2).requires_grad


def test_modes_nest() -> None:
    x = leaf(1.0)
    with cr.no_grad():
        with cr.enable_grad():
            assert (x * 2).requires_grad
            with cr.no_grad():
                assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert cr.is_grad_enabled()


def test_one_object_can_be_entered_twice() -> None:
    mode = cr.no_grad()
    with mode:
        with mode:
            assert not cr.is_grad_enabled()
        assert not cr.is_grad_enabled()
    assert cr.is_grad_enabled()


@pytest.mark.parametrize("decorate", [cr.no_grad, cr.no_grad()])
def test_no_grad_decorates(decorate: Any) -> None:
    @decorate
    def double(x: cr.Tensor, *, times: int = 2) -> cr.Tensor:
        """Documented."""
        return x * times

    y = double(leaf(1.0), times=3)
    assert not y.requires_grad and y.item() == 3
    assert double.__name__ == "double" and double.__doc__ == "Documented."
    assert cr.is_grad_enabled()


@pytest.mark.parametrize("decorate", [cr.enable_grad, cr.enable_grad()])
def test_enable_grad_decorates(decorate: Any) -> None:
    f = decorate(lambda x: x * 2)
    with cr.no_grad():
        assert f(leaf(1.0)).requires_grad
        assert not cr.is_grad_enabled()


def test_mode_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), cr.no_grad():
        _ = 1 / 0
    assert cr.is_grad_enabled()


def test_set_grad_enabled_as_a_call_and_as_a_block() -> None:
    cr.set_grad_enabled(False)
    try:
        assert not cr.is_grad_enabled()
        with cr.set_grad_enabled(True):
            assert cr.is_grad_enabled()
        assert not cr.is_grad_enabled()
    finally:
        cr.set_grad_enabled(True)


def test_set_grad_enabled_decorates() -> None:
    @cr.set_grad_enabled(False)
    def double(x: cr.Tensor) -> cr.Tensor:
        return x * 2

    assert cr.is_grad_enabled()
    assert not double(leaf(1.0)).requires_grad
    assert cr.is_grad_enabled()


def test_inference_mode() -> None:
    x = leaf(1.0)
    with cr.inference_mode():
        assert not (x * 2).requires_grad
    with cr.no_grad(), cr.inference_mode(mode=False):
        assert (x * 2).requires_grad
    for decorate in (cr.inference_mode, cr.inference_mode(), cr.inference_mode(True)):
        assert not decorate(lambda: x * 2)().requires_grad
    assert cr.inference_mode(False)(lambda: x * 2)().requires_grad
    assert cr.is_grad_enabled()


def test_no_grad_decorates_a_generator() -> None:
    told = []

    @cr.no_grad()
    def steps(x: cr.Tensor) -> Any:
        try:
            given = yield x * 2
            told.append(cr.is_grad_enabled())
            try:
                yield given
            except ValueError as error:
                told.append(str(error))
            yield cr.is_grad_enabled()
            return "returned"
        finally:
            told.append(cr.is_grad_enabled())

    run = steps(leaf(1.0))
    assert not next(run).requires_grad
    assert cr.is_grad_enabled()  # its user's own mode, between the steps
    assert run.send("given") == "given"
    assert run.throw(ValueError("thrown")) is False
    with pytest.raises(StopIteration) as end:
        next(run)
    assert end.value.value == "returned"
    run = steps(leaf(1.0))
    next(run)
    run.close()
    assert told == [False, "thrown", False, False]
    assert cr.is_grad_enabled()


def test_each_thread_has_its_own_mode() -> None:
    seen: list[bool] = []
    with cr.no_grad():
        thread = threading.Thread(target=lambda: seen.append((leaf(1.0) * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_decorated_function_in_many_threads() -> None:
    barrier, after = threading.Barrier(4, timeout=10), []

    @cr.no_grad()
    def wait() -> None:
        barrier.wait()

    def work() -> None:
        for _ in range(50):
            wait()
        after.append(cr.is_grad_enabled())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert after == [True] * 4


def test_threads_may_sweep_graphs_of_their_own() -> None:
    results: dict[int, float] = {}

    def work(k: int) -> None:
        x = leaf(float(k))
        for _ in range(20):
            x.grad = None
            (x**3).sum().backward()
        results[k] = x.grad.item()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {k: 3.0 * k * k for k in range(4)}


# -- hooks -------------------------------------------------------------------------------------


def test_hook_on_a_leaf_sees_the_sum_once() -> None:
    x, seen = leaf(1.0, 2.0), []
    x.register_hook(lambda g: seen.append(g.array.copy()))
    (x * 2 + x * 3).sum().backward()
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], [5, 5])
    np.testing.assert_array_equal(x.grad.array, [5, 5])


def test_hook_on_a_result_may_replace_its_gradient() -> None:
    x = leaf(1.0, 2.0)
    h = x * 2
    h.register_hook(lambda g: g * 10)
    (h * 3).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [60, 60])


def test_hook_on_a_leaf_may_replace_its_gradient() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: g.clamp(-1, 1))
    (x * 100).backward()
    assert x.grad.item() == 1


def test_hooks_run_in_order_and_can_be_removed() -> None:
    x = leaf(1.0)
    first = x.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: g * 10)
    (x * 2).backward()
    assert x.grad.item() == 30
    first.remove()
    first.remove()  # harmless
    x.grad = None
    (x * 2).backward()
    assert x.grad.item() == 20


def test_hook_handle_as_a_block() -> None:
    x = leaf(1.0)
    with x.register_hook(lambda g: g * 0):
        (x * 2).backward()
    assert x.grad.item() == 0
    (x * 2).backward()
    assert x.grad.item() == 2


def test_what_a_hook_saw_or_gave_is_not_changed_later() -> None:
    x, seen, given = leaf(1.0), [], cr.tensor([5.0], dtype=cr.float64)
    x.register_hook(seen.append)
    x.register_hook(lambda g: given)
    for _ in range(2):
        (x * 2 + x * 3).backward()
    assert x.grad.item() == 10
    assert given.item() == 5 and [g.item() for g in seen] == [5, 5]


def test_hook_may_give_another_dtype() -> None:
    x = cr.ones(1, requires_grad=True)
    x.register_hook(lambda g: g.double() * 2)
    (x * 3).backward()
    assert x.grad.dtype == cr.float32 and x.grad.item() == 6


def test_hook_that_returns_the_wrong_shape() -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ShapeError, match=r"hook: the gradient it returned has shape \(\)"):
        (x * 2).sum().backward()


def test_hook_needs_a_tensor_that_requires_grad() -> None:
    with pytest.raises(GraphError, match="does not require grad"):
        cr.ones(2).register_hook(lambda g: None)


def test_hooks_take_part_in_higher_derivatives() -> None:
    x = leaf(2.0)
    h = x * 1
    h.register_hook(lambda g: g * g)
    (g,) = cr.autograd.grad(h**2, x, create_graph=True)  # (2h)²
    assert g.item() == 16
    (second,) = cr.autograd.grad(g, x)  # 8h, and h's hook squares its way back too
    assert second.item() == pytest.approx((8 * 2.0) ** 2)


def test_a_hook_does_not_record() -> None:
    x, recorded = leaf(1.0), []
    x.register_hook(lambda g: recorded.append((g * x).requires_grad))
    (x * 2).backward()
    assert recorded == [False]


# -- retain_grad ---------------------------------------------------------------------------------


def test_retain_grad_keeps_the_gradient_of_a_result() -> None:
    x = leaf(1.0, 2.0)
    h, other = x * 2, x * 3
    h.retain_grad()
    (h * h + other).sum().backward()
    np.testing.assert_array_equal(h.grad.array, 4 * x.array)
    assert other.grad is None


def test_retain_grad_sees_what_the_hooks_made_of_it() -> None:
    h = leaf(1.0) * 2
    h.retain_grad()
    h.register_hook(lambda g: g * 5)
    h.sum().backward()
    assert h.grad.item() == 5


def test_retained_gradient_is_memory_of_its_own() -> None:
    x = leaf(1.0)
    h = x + 1
    h.retain_grad()
    h.backward(cr.ones(1, dtype=cr.float64))
    h.grad.mul_(7)
    assert x.grad.item() == 1


def test_retain_grad_of_a_leaf_changes_nothing() -> None:
    x = leaf(1.0)
    x.retain_grad()
    (x * 2).backward()
    assert x.grad.item() == 2


def test_retain_grad_needs_requires_grad() -> None:
    with pytest.raises(GraphError, match="does not require grad"):
        cr.ones(1).retain_grad()


def test_grad_must_have_the_shape_of_the_tensor() -> None:
    x = leaf(1.0)
    with pytest.raises(ShapeError, match=r"grad: shape \(2,\) must be \(1,\)"):
        x.grad = cr.ones(2, dtype=cr.float64)
    with pytest.raises(DTypeError, match=r"grad: must be a tensor of float64, got float32"):
        x.grad = cr.ones(1)
    with pytest.raises(DTypeError, match=r"grad: must be a tensor of float64, got list"):
        x.grad = [1.0]  # type: ignore[assignment]
    x.grad = cr.ones(1, dtype=cr.float64)
    (x * 2).backward()
    assert x.grad.item() == 3


@pytest.mark.parametrize("how", ["method", "item", "view", "late"])
def test_after_a_change_in_place_the_gradient_of_what_it_holds_now_is_kept(how: str) -> None:
    x = cr.tensor([1.0, -2.0], requires_grad=True)
    y = cr.nn.functional.linear(x[None], cr.eye(2))[0] if how == "late" else x * 2
    y.retain_grad()
    if how == "item":
        y[0] = x[1]
    elif how == "view":
        y[:1].mul_(3)
    else:
        y.mul_(3)
    (y * 5).sum().backward()
    assert y.grad.tolist() == [5, 5]


def test_a_hook_must_return_a_tensor() -> None:
    x = cr.ones(2, requires_grad=True)
    x.register_hook(lambda g: 3)
    with pytest.raises(
        GraphError, match="hook: it must return a tensor in place of the gradient, "
    ):
        x.sum().backward()


def test_backward_needs_inputs_where_they_are_given() -> None:
    with pytest.raises(GraphError, match="backward: inputs is empty; leave it out"):
        cr.ones(2, requires_grad=True).sum().backward(inputs=[])
