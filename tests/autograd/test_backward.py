"""backward() and grad(): order, accumulation, freeing, errors."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import autograd
from chainrule.errors import GraphError, ShapeError


def leaf(*values: float) -> cr.Tensor:
    return cr.tensor(values, dtype=cr.float64, requires_grad=True)


# -- accumulation ------------------------------------------------------------------------------


def test_branches_add_up() -> None:
    x = leaf(2.0, 3.0)
    (x * x + 3 * x + x.exp()).sum().backward()
    np.testing.assert_allclose(x.grad.array, 2 * x.array + 3 + np.exp(x.array))


def test_diamonds_within_diamonds() -> None:
    x = leaf(1.5)
    y = x
    for _ in range(5):
        y = y + y  # every level doubles the number of paths
    y.sum().backward()
    assert x.grad.item() == 32


def test_one_result_used_at_different_depths() -> None:
    x = leaf(0.5)
    a = x * 2
    b = a * a
    (a + b + b * a).sum().backward()  # 2x + 4x² + 8x³
    np.testing.assert_allclose(x.grad.array, 2 + 8 * 0.5 + 24 * 0.25)


def test_grad_accumulates_over_backward_calls_until_zeroed() -> None:
    x = leaf(1.0, 2.0)
    (3 * x).sum().backward()
    (4 * x).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [7, 7])
    x.zero_grad()
    assert x.grad is None
    (5 * x).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [5, 5])


def test_grads_of_a_sum_do_not_share_memory() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = cr.ones(2, dtype=cr.float64)
    (a + b).backward(seed)
    assert not np.shares_memory(a.grad.array, b.grad.array)
    assert not np.shares_memory(a.grad.array, seed.array)
    a.grad.add_(1)
    np.testing.assert_array_equal(b.grad.array, [1, 1])
    np.testing.assert_array_equal(seed.array, [1, 1])


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.reshape(2, 1),
        lambda x: x.sum().expand(2),
        lambda x: x[:],
        lambda x: x.clone(),
        lambda x: cr.cat([x, x]),
        lambda x: x * 1 + x.flip(0),
    ],
)
def test_grad_is_memory_of_its_own(f) -> None:  # type: ignore[no-untyped-def]
    x = leaf(1.0, 2.0)
    y = f(x)
    seed = cr.ones(y.shape, dtype=cr.float64)
    y.backward(seed)
    assert x.grad.array.flags.writeable
    assert not np.shares_memory(x.grad.array, seed.array)
    before = x.grad.array.copy()
    second = f(x)
    second.backward(seed)
    np.testing.assert_array_equal(seed.array, np.ones(y.shape))
    np.testing.assert_array_equal(x.grad.array, 2 * before)


def test_same_tensor_as_both_arguments() -> None:
    x = leaf(3.0)
    (x / x + x - x + x @ x).sum().backward()
    np.testing.assert_allclose(x.grad.array, 6.0)


def test_gradient_has_the_memory_dtype_and_shape_of_its_tensor() -> None:
    x = cr.ones(2, 3, requires_grad=True)
    (x.double() * 2).sum().backward()
    assert x.grad.dtype == cr.float32
    assert x.grad.shape == x.shape


# -- the seed ----------------------------------------------------------------------------------


def test_backward_of_several_elements_needs_a_gradient() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    with pytest.raises(GraphError, match=r"told dL/dy\n  y \(2,\)"):
        y.backward()
    y.backward(cr.tensor([1.0, 10.0], dtype=cr.float64))
    np.testing.assert_array_equal(x.grad.array, [2, 40])


def test_gradient_of_the_wrong_shape() -> None:
    y = leaf(1.0, 2.0) * 2
    with pytest.raises(ShapeError, match=r"gradient \(3,\) must have y's shape \(2,\)"):
        y.backward(cr.ones(3))


def test_seeds_of_another_kind_or_dtype() -> None:
    x = cr.ones(2, requires_grad=True)
    for seed in (cr.ones(2, dtype=cr.float64), np.ones(2), cr.ones(2, dtype=cr.int64)):
        x.grad = None
        (x * 2).backward(seed)
        assert x.grad.dtype == cr.float32 and x.grad.tolist() == [2, 2]
    x.sum().backward(10.0)
    assert x.grad.tolist() == [12, 12]
    (g,) = autograd.grad(x * x, x, cr.ones(2, dtype=cr.float64), create_graph=True)
    assert g.dtype == cr.float32


def test_backward_without_any_leaf_that_requires_grad() -> None:
    with pytest.raises(GraphError, match="does not require grad"):
        (cr.ones(1) * 2).backward()


def test_backward_of_several_tensors_at_once() -> None:
    x = leaf(2.0)
    autograd.backward([x * x, 3 * x])
    np.testing.assert_array_equal(x.grad.array, [7])


def test_backward_of_a_leaf() -> None:
    x = leaf(2.0)
    x.backward()
    np.testing.assert_array_equal(x.grad.array, [1])


# -- freeing -----------------------------------------------------------------------------------


def test_second_backward_says_what_to_do() -> None:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError, match=r"graph of \w+ has been freed.*retain_graph=True"):
        y.backward()


def test_retain_graph_allows_a_second_backward() -> None:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(x.grad.array, 4 * x.array)


def test_parts_that_another_loss_shares_are_freed_too() -> None:
    x = leaf(1.0)
    shared = x.exp()
    (shared * 2).backward()
    with pytest.raises(GraphError, match="freed"):
        (shared * 3).backward()


# -- changes in place ---------------------------------------------------------------------------


def test_change_of_a_saved_input_is_noticed() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * 1
    y = (h * w).sum()
    h.add_(1)
    with pytest.raises(
        GraphError, match=r"mul needs its 'a' .* changed in place .*version 1, expected 0"
    ):
        y.backward()


def test_change_of_a_saved_result_is_noticed() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = y.sum()
    y.mul_(2)
    with pytest.raises(GraphError, match="exp needs its 'y'"):
        z.backward()


def test_change_through_a_detached_alias_or_a_view_is_noticed() -> None:
    x = leaf(1.0, 2.0)
    for alias in (lambda t: t.detach(), lambda t: t.detach()[0:1]):
        h = x * 1
        y = (h * h).sum()
        alias(h).zero_()
        with pytest.raises(GraphError, match="changed in place"):
            y.backward()


def test_change_of_what_was_not_saved_is_allowed() -> None:
    x, h = leaf(1.0, 2.0), cr.ones(2, dtype=cr.float64)
    y = (x + h).sum()  # a sum needs neither
    h.mul_(10)
    y.backward()
    np.testing.assert_array_equal(x.grad.array, [1, 1])


def test_leaf_cannot_be_changed_in_place_while_recording() -> None:
    x = leaf(1.0, 2.0)
    for change in (lambda: x.add_(1), lambda: x.zero_(), lambda: x.__setitem__(0, 5.0)):
        with pytest.raises(GraphError, match=r"leaf requires grad.*no_grad\(\)"):
            change()
    np.testing.assert_array_equal(x.array, [1, 2])
    with cr.no_grad():
        x.add_(1)
    assert x.requires_grad and x.is_leaf
    np.testing.assert_array_equal(x.array, [2, 3])


def test_change_in_place_belongs_to_the_graph() -> None:
    x = leaf(1.0, 2.0)
    h = x * 2
    h.mul_(3).add_(x)
    h += 1
    h.sum().backward()
    np.testing.assert_array_equal(h.detach().array, 7 * x.array + 1)
    np.testing.assert_array_equal(x.grad.array, [7, 7])


def test_plain_tensor_joins_the_graph_when_something_recorded_is_added() -> None:
    total, x = cr.zeros(2, dtype=cr.float64), leaf(1.0, 2.0)
    total += x * x
    assert total.requires_grad and not total.is_leaf
    total.sum().backward()
    np.testing.assert_array_equal(x.grad.array, 2 * x.array)


def test_recorded_change_reaches_the_views_that_live() -> None:
    x = leaf(1.0, 2.0)
    h = x * 2
    row = h[0:1]
    h.mul_(2)
    row.mul_(3)
    h[0] += 1
    np.testing.assert_array_equal(row.detach().array, [13])
    (row.sum() * 10 + h.sum()).backward()
    np.testing.assert_array_equal(x.grad.array, [132, 4])


def test_view_whose_base_is_gone_can_be_changed() -> None:
    x = leaf(1.0, 2.0)
    h = (x * 2).reshape(2, 1)
    h.mul_(3)
    h.sum().backward()
    np.testing.assert_array_equal(x.grad.array, [6, 6])


def test_many_views_are_cheap_to_remember() -> None:
    base = cr.zeros(20_000)
    views = list(base)
    assert len(base.version.sharers) == 20_001
    del views
    for _ in range(20_001):
        base[0:1]
    assert len(base.version.sharers) < 20_001


def test_setitem_in_the_graph() -> None:
    x, v = leaf(1.0, 2.0, 3.0), leaf(10.0)
    h = x * 2
    h[1:2] = v * v
    h[0] = 7.0
    np.testing.assert_array_equal(h.detach().array, [7, 100, 6])
    (h * h).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [0, 0, 24])
    np.testing.assert_array_equal(v.grad.array, [4000])


def test_setitem_of_a_recorded_value_into_a_plain_tensor() -> None:
    out, v = cr.zeros(3, dtype=cr.float64), leaf(2.0)
    out[1] = v[0] * 5
    out.sum().backward()
    np.testing.assert_array_equal(v.grad.array, [5])


# -- grad() ------------------------------------------------------------------------------------


def test_grad_leaves_dot_grad_alone() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    gx, gw = autograd.grad((x * w).sum(), [x, w])
    np.testing.assert_array_equal(gx.array, w.array)
    np.testing.assert_array_equal(gw.array, x.array)
    assert x.grad is None and w.grad is None


def test_grad_with_respect_to_a_result_in_the_middle() -> None:
    x = leaf(1.0, 2.0)
    h = x * x
    y = (h * 3).sum()
    gh, gx = autograd.grad(y, (h, x))
    np.testing.assert_array_equal(gh.array, [3, 3])
    np.testing.assert_array_equal(gx.array, 6 * x.array)


def test_grad_of_an_output_with_respect_to_itself() -> None:
    x = leaf(2.0)
    y = x * 3
    assert autograd.grad(y, y)[0].item() == 1
    assert autograd.grad(x, x)[0].item() == 1


def test_grad_does_not_free_what_lies_below_its_inputs() -> None:
    x = leaf(1.0, 2.0)
    h = x.exp()
    autograd.grad((h * h).sum(), h)
    h.sum().backward()
    np.testing.assert_allclose(x.grad.array, np.exp(x.array))


def test_unused_inputs() -> None:
    x, z = leaf(1.0), leaf(1.0, 2.0)
    y = x * 2
    with pytest.raises(GraphError, match=r"do not depend on input 1 \(2,\).*allow_unused"):
        autograd.grad(y, [x, z], retain_graph=True)
    assert autograd.grad(y, [x, z], allow_unused=True, retain_graph=True)[1] is None
    zeros = autograd.grad(y, [x, z], materialize_grads=True)[1]
    np.testing.assert_array_equal(zeros.array, [0, 0])


def test_grad_of_an_input_that_does_not_require_it() -> None:
    with pytest.raises(GraphError, match="input 0 does not require grad"):
        autograd.grad(leaf(1.0) * 2, cr.ones(1))


def test_grad_outputs_weigh_the_outputs() -> None:
    x = leaf(1.0, 2.0)
    (g,) = autograd.grad([x * x, 3 * x], x, [cr.ones(2).double(), cr.ones(2).double() * 10])
    np.testing.assert_array_equal(g.array, 2 * x.array + 30)
    with pytest.raises(GraphError, match="2 outputs need as many gradients, got 1"):
        autograd.grad([x * x, 3 * x], x, [cr.ones(2)])


def test_backward_to_chosen_inputs_only() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * w
    (h * h).sum().backward(inputs=[x, h])
    assert w.grad is None
    np.testing.assert_array_equal(h.grad.array, 2 * h.detach().array)
    np.testing.assert_array_equal(x.grad.array, 2 * x.array * w.array**2)


# -- higher orders -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "derivatives"),
    [
        pytest.param(
            lambda x: x.sin(),
            [np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin],
            id="sin",
        ),
        pytest.param(lambda x: x.exp(), [np.exp] * 5, id="exp"),
        pytest.param(
            lambda x: x**5,
            [lambda x, k=k: math.perm(5, k) * x ** (5 - k) for k in range(5)],
            id="x^5",
        ),
        pytest.param(
            lambda x: x.log(),
            [np.log, *[lambda x, k=k: (-1) ** (k - 1) * math.factorial(k - 1) / x**k
                       for k in range(1, 5)]],
            id="log",
        ),
    ],
)  # fmt: skip
def test_derivatives_to_the_fourth_order(f, derivatives) -> None:  # type: ignore[no-untyped-def]
    x = leaf(0.4, 1.3)
    y = f(x)
    for derivative in derivatives:
        np.testing.assert_allclose(y.detach().array, derivative(x.array), rtol=1e-12)
        (y,) = autograd.grad(y.sum(), x, create_graph=True)


def test_mixed_second_derivatives() -> None:
    x, w = leaf(2.0), leaf(3.0)
    (gx,) = autograd.grad(x**2 * w**3, x, create_graph=True)  # 2xw³
    gxx, gxw = autograd.grad(gx, [x, w])
    assert gxx.item() == pytest.approx(54)
    assert gxw.item() == pytest.approx(2 * 2 * 27)


def test_gradient_penalty_reaches_the_parameters_through_dot_grad() -> None:
    x, w = leaf(2.0), leaf(3.0)
    (w * x**2).backward(create_graph=True)
    assert x.grad.requires_grad
    penalty = x.grad * x.grad  # (2wx)²
    w.grad = None
    penalty.backward()
    assert w.grad.item() == pytest.approx(8 * 3 * 4)


def test_create_graph_keeps_the_first_graph() -> None:
    x = leaf(1.0)
    y = x.exp()
    autograd.grad(y, x, create_graph=True)
    y.backward()
    assert x.grad.item() == pytest.approx(math.e)


# -- selecting and joining ------------------------------------------------------------------------


def test_repeated_rows_add_up() -> None:
    x = cr.randn(4, 2).double().requires_grad_()
    x[cr.tensor([1, 1, 3])].sum().backward()
    np.testing.assert_array_equal(x.grad.array, [[0, 0], [2, 2], [0, 0], [1, 1]])


def test_gather_adds_up() -> None:
    x = leaf(1.0, 2.0)
    x.gather(0, cr.tensor([0, 0, 1])).backward(cr.tensor([1.0, 2.0, 4.0], dtype=cr.float64))
    np.testing.assert_array_equal(x.grad.array, [3, 4])


def test_cat_stack_and_split_send_gradients_home() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    first, second = cr.split(cr.cat([a, b, a]), [3, 3])
    (first.sum() + 10 * second.sum() + 100 * cr.stack([b, a])[0].sum()).backward()
    np.testing.assert_array_equal(a.grad.array, [11, 11])
    np.testing.assert_array_equal(b.grad.array, [101, 110])


def test_cat_of_wanted_and_unwanted() -> None:
    a, b = leaf(1.0, 2.0), cr.ones(3, dtype=cr.float64)
    cr.cat([b, a, b]).backward(cr.arange(8).double())
    np.testing.assert_array_equal(a.grad.array, [3, 4])
    assert b.grad is None


# -- leaving the graph -----------------------------------------------------------------------------


def test_detach_shares_memory_and_stops_gradients() -> None:
    x = leaf(1.0, 2.0)
    d = x.detach()
    assert np.shares_memory(d.array, x.array)
    assert not d.requires_grad and d.is_leaf
    (x * d).sum().backward()
    np.testing.assert_array_equal(x.grad.array, d.array)


def test_detach_in_place() -> None:
    x = leaf(1.0)
    y = (x * 2).detach_()
    assert y.is_leaf and not y.requires_grad


def test_integer_results_do_not_require_grad() -> None:
    x = leaf(1.0, 2.0)
    for y in (x.long(), x > 1, x.argmax(), x.floor().int(), x.bool()):
        assert not y.requires_grad
        assert y.grad_fn is None
    assert x.float().requires_grad


def test_only_floats_can_require_grad() -> None:
    x = cr.tensor([1])
    for switch in (x.requires_grad_, lambda: setattr(x, "requires_grad", True)):
        with pytest.raises(TypeError, match="only float tensors have gradients, this is int64"):
            switch()
    assert not x.requires_grad


def test_results_cannot_be_switched_off() -> None:
    y = leaf(1.0) * 2
    for switch in (lambda: y.requires_grad_(False), lambda: setattr(y, "requires_grad", False)):
        with pytest.raises(GraphError, match=r"use \.detach\(\)"):
            switch()
    x = leaf(1.0)
    x.requires_grad = False  # a leaf can: this is how layers are frozen
    assert not (x * 2).requires_grad


def test_deepcopy_copies_values_and_grad() -> None:
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    made = copy.deepcopy([x, x])
    assert made[0] is made[1] and made[0].requires_grad
    made[0].grad.zero_()
    with cr.no_grad():
        made[0].zero_()
    np.testing.assert_array_equal(x.array, [1, 2])
    np.testing.assert_array_equal(x.grad.array, [2, 4])
    with pytest.raises(GraphError, match=r"use \.detach\(\)\.clone\(\)"):
        copy.deepcopy(x * 2)


def test_pickle_round_trip() -> None:
    x = leaf(1.0, 2.0)
    made = pickle.loads(pickle.dumps(x))
    assert made.requires_grad and made.dtype == x.dtype
    np.testing.assert_array_equal(made.array, x.array)
    result = pickle.loads(pickle.dumps(x * 2))  # without what it was made of, as in PyTorch
    assert result.tolist() == [2, 4] and result.is_leaf and result.requires_grad


def test_names_of_nodes() -> None:
    y = leaf(1.0) + 1
    assert y.grad_fn.name() == "AddBackward"
    assert repr(y) == "tensor([2.], dtype=float64, grad_fn=<AddBackward>)"
    assert y.grad_fn.next_functions[0][0].variable.shape == (1,)


def test_grad_of_inputs_by_name() -> None:
    a, b = leaf(2.0), leaf(3.0)
    grads = cr.autograd.grad((a * b).sum(), {"a": a, "b": b})
    assert {name: g.item() for name, g in grads.items()} == {"a": 3, "b": 2}


@pytest.mark.parity
def test_grads_batched() -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib in (cr, torch):
        a = lib.tensor([1.0, 2.0, 3.0], dtype=lib.float64, requires_grad=True)
        b = lib.tensor([4.0, 5.0, 6.0], dtype=lib.float64, requires_grad=True)
        c = lib.tensor([1.0], dtype=lib.float64, requires_grad=True)
        rows = lib.eye(3, dtype=lib.float64)
        y = a * a * b
        results.append(
            lib.autograd.grad(y, (a, b, c), rows, is_grads_batched=True, allow_unused=True)
        )
    (da, db, dc), theirs = results
    assert dc is theirs[2] is None
    np.testing.assert_array_equal(da.detach(), theirs[0])
    np.testing.assert_array_equal(db.detach(), theirs[1])


def test_variable_is_a_tensor() -> None:
    x = cr.autograd.Variable(cr.ones(2), requires_grad=True)
    assert isinstance(x, cr.Tensor) and isinstance(cr.ones(1), cr.autograd.Variable)
    assert x.requires_grad and x.is_leaf


def test_grad_variables_is_the_old_name() -> None:
    x = leaf(2.0)
    cr.autograd.backward([x * 3], grad_variables=[cr.tensor([2.0], dtype=cr.float64)])
    assert x.grad.item() == 6
