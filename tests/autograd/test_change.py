"""Changes in place against PyTorch: values and gradients of what was changed and of its views."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd import change
from chainrule.errors import DTypeError, GraphError, ShapeError

PROGRAMS: dict[str, Callable[..., Any]] = {}
"""x (4, 3) positive, needing a gradient: o is chainrule or torch; gives what to compare."""


def program(f: Callable[..., Any]) -> Callable[..., Any]:
    PROGRAMS[f.__name__] = f
    return f


# -- what needs its own old input ----------------------------------------------------------------

for _name in ("log_", "log1p_", "sqrt_", "square_", "sin_", "cos_", "exp_", "tanh_",
              "sigmoid_", "relu_", "reciprocal_", "rsqrt_", "neg_", "atan_", "sinh_", "expm1_",
              "log2_", "log10_", "frac_", "exp2_", "sinc_"):  # fmt: skip
    PROGRAMS[_name] = lambda o, x, n=_name: [getattr(x * 1.5, n)()]
    PROGRAMS[f"{_name} of a view"] = lambda o, x, n=_name: _of_a_view(o, x, n)


def _of_a_view(o: Any, x: Any, name: str) -> list[Any]:
    h = x * 1.5
    row = h[1:3]
    getattr(row, name)()
    return [h, row]


@program
def compare_in_place(o: Any, x: Any) -> Any:
    y = x * 2
    y.gt_(1.0)
    return y * x


@program
def a_row_of_one_for_a_number(o: Any, x: Any) -> Any:
    y = x * 2
    y[0, 0] = x[1:2, 1]
    y[o.tensor(1), 2] = x[2:3, :1]
    return y * y


@program
def pow_and_div_and_mul(o: Any, x: Any) -> list[Any]:
    h = x * 2
    h.pow_(3)
    h.div_(x + 1)
    h.mul_(x)
    h.sub_(x, alpha=2)
    return [h]


@program
def clamp_and_where_masks(o: Any, x: Any) -> list[Any]:
    h, k = x * 2, x * 3
    h.clamp_(1.5, 2.5)
    k.masked_fill_(x > 1, -1.0)
    return [h.clamp_min_(1.7), k.clamp_max_(3.0)]


@program
def composed_ops(o: Any, x: Any) -> list[Any]:
    h = x * 2
    h.lerp_(x, 0.25)
    h.addcmul_(h * 1, x, value=0.5)
    h.addcdiv_(x, x + 1)
    return [h.cumsum_(0).tril_()]


@program
def plain_accumulator_times_recorded(o: Any, x: Any) -> list[Any]:
    total = o.ones(4, 3, dtype=o.float64)
    total.mul_(x)
    total += x * x
    total.mul_(x)
    return [total]


# -- by index ------------------------------------------------------------------------------------


@program
def rows_in_a_loop(o: Any, x: Any) -> list[Any]:
    out = o.zeros(4, 3, dtype=o.float64)
    for i in range(4):
        out[i] = x[i] * i
        out[i] += x[3 - i]
        out[i] *= x[0]
    return [out]


@program
def columns_and_masks(o: Any, x: Any) -> list[Any]:
    h = x * 2
    h[:, 0] = x[:, 1]
    h[:, 1] *= 3
    h[h > 2] += 1
    h[o.tensor([0, 2])] -= x[:2]
    h[..., -1:] = x.sum()
    h[1, 2] = x[0, 0] * 5
    return [h]


@program
def running_along_a_sequence(o: Any, x: Any) -> list[Any]:
    h = x.clone()
    for i in range(1, 4):
        h[i] = h[i - 1].clone() * h[i].clone()
    return [h]


@program
def numbers_beside_arrays(o: Any, x: Any) -> list[Any]:
    h = (x * 2).reshape(2, 2, 3)
    h[0, :, o.tensor([0, 2])] = x[:2, :2]
    return [h, h[1, :, o.tensor([2, 1])], h[o.tensor([0, 1]), :, 1], h[:, 0, [2, 0, 1]]]


@program
def index_methods(o: Any, x: Any) -> list[Any]:
    rows = o.tensor([0, 2])
    h = x * 2
    h.index_add_(0, rows, x[:2], alpha=2)
    h.index_copy_(0, o.tensor([1]), x[3:])
    h.index_fill_(1, o.tensor([2]), 0.5)
    h.scatter_(1, o.tensor([[0], [1], [2], [0]]), x[:, :1] * 1)
    h.scatter_add_(1, o.tensor([[0], [1], [2], [0]]), x[:, 1:2] * 1)
    h.masked_scatter_(x > 1.2, x * 7)
    h.index_put_((rows, rows), x[0, :2])
    h.index_put_((rows,), x[1] * 3, accumulate=True)
    h.put_(o.tensor([3, 4]), x[2, :2])
    return [h]


@program
def diagonals(o: Any, x: Any) -> list[Any]:
    h = x * 2
    h.fill_diagonal_(1.0)
    return [h * x]


# -- views ---------------------------------------------------------------------------------------


@program
def a_change_of_the_base_reaches_views(o: Any, x: Any) -> list[Any]:
    h = x * 2
    views = [h[1], h.view(-1), h.t(), h[:, ::2], h.reshape(2, 2, 3)[1], h.unsqueeze(0)]
    h.mul_(x)
    return [v * 1.5 for v in views]


@program
def a_change_of_a_view_reaches_all(o: Any, x: Any) -> list[Any]:
    h = x * 2
    flat, row, columns, turned = h.view(-1), h[2], h[:, 1:], h.t()
    flat[1:8].mul_(3)
    row.add_(x[0])
    columns.pow_(2)
    turned[0] = x[:, 2]
    return [h, flat, row, columns, turned, row * columns[2].sum()]


@program
def a_view_of_a_view(o: Any, x: Any) -> list[Any]:
    h = x * 2
    inner = h[1:][:, 1:][0]
    inner *= x[0, 0]
    return [h, inner]


@program
def expanded_views_follow(o: Any, x: Any) -> list[Any]:
    h = (x * 2)[:, :1]
    wide = h.expand(4, 3)
    h.mul_(x[:, 1:2])
    return [wide * x]


@program
def parts_of_a_split(o: Any, x: Any) -> list[Any]:
    h = x * 2
    a, b = h.chunk(2, 0)
    a = a.clone()
    b = b.clone()
    a.add_(b)
    return [a, b, h]


@program
def view_changed_after_its_base_was(o: Any, x: Any) -> list[Any]:
    h = x * 2
    v = h.view(-1)
    h.add_(x)
    v.mul_(3)
    h.sub_(1)
    return [v * 1, h * 1]


@program
def other_axes_in_place(o: Any, x: Any) -> list[Any]:
    h = x * 2
    h.unsqueeze_(0).squeeze_(0).t_()
    h.mul_(x.t())
    h.transpose_(0, 1)
    return [h]


# -- values --------------------------------------------------------------------------------------


@program
def overwritten_values_get_no_gradient(o: Any, x: Any) -> list[Any]:
    h, k, m = x * 2, x * 3, x * 4
    h.zero_()
    k.fill_(2.0)
    m.copy_(x[0])
    assert h.requires_grad and k.requires_grad
    return [h * x, k * x, m]


@program
def what_has_no_slope_gives_zeros(o: Any, x: Any) -> list[Any]:
    h, k = x * 2, x * 3
    row = k[1]
    h.gt_(2).mul_(x)
    row.floor_().add_(x[0])
    assert h.requires_grad and row.requires_grad
    return [h, k, row * x[2]]


@program
def detached_copies_of_the_memory_stay_outside(o: Any, x: Any) -> list[Any]:
    h = x * 2
    d = h.detach()
    h.mul_(x)
    assert not d.requires_grad and d.is_leaf
    return [h, d * x]


@program
def without_a_graph(o: Any, x: Any) -> list[Any]:
    with o.no_grad():
        h = x * 2
        row = h[1]
        row.mul_(3)
        h[0] += 1
        h.add_(1).clamp_(max=5)
    return [h * x, row * x[0]]


@program
def inplace_activations(o: Any, x: Any) -> list[Any]:
    F = o.nn.functional
    h = (x - 1) * 2
    y = F.relu(h, inplace=True)
    assert y is h
    k = (x - 1) * 3
    z = F.leaky_relu(k, 0.2, inplace=True)
    return [h * x, k + z]


@program
def residual_block(o: Any, x: Any) -> list[Any]:
    out = x * 2
    identity = out
    out = out * 3
    out += identity
    out.relu_()
    return [out]


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_matches_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    values = np.random.default_rng(3).uniform(0.5, 1.9, (4, 3))

    def run(o: Any) -> list[Any]:
        x = o.tensor(values, requires_grad=True)
        results = PROGRAMS[name](o, x)
        loss = sum(
            (y * o.arange(1, y.numel() + 1, dtype=o.float64).reshape(y.shape)).sum() * (i + 1)
            for i, y in enumerate(results)
        )
        (first,) = o.autograd.grad(loss, [x], create_graph=True)
        second = o.autograd.grad((first * first).sum(), [x], allow_unused=True)[0] \
            if first.requires_grad else None  # fmt: skip
        return [*(y.detach().numpy() for y in results), first.detach().numpy(),
                np.zeros(1) if second is None else second.detach().numpy()]  # fmt: skip

    for ours, theirs in zip(run(cr), run(torch), strict=True):
        np.testing.assert_allclose(*np.broadcast_arrays(ours, theirs), rtol=1e-10, atol=1e-10)


# -- what is refused, and what is noticed ----------------------------------------------------------


def leaf(*values: float) -> cr.Tensor:
    return cr.tensor(values, dtype=cr.float64, requires_grad=True)


def test_views_of_a_leaf_are_refused_as_the_leaf_is() -> None:
    x = leaf(1.0, 2.0)
    for view in (x[0:1], x.view(2, 1)):
        with pytest.raises(GraphError, match="view of a leaf that requires grad"):
            view.mul_(2)
    with pytest.raises(GraphError, match="leaf requires grad"):
        x.relu_()
    with pytest.raises(GraphError, match="leaf requires grad"):
        nn.functional.relu(x, inplace=True)
    with cr.no_grad():
        x[0] += 1
    assert x.tolist() == [2, 2]


def test_change_of_what_another_call_keeps_is_noticed() -> None:
    x = leaf(1.0, 2.0)
    h = x * 1
    y = h * h
    h.log_()
    with pytest.raises(GraphError, match=r"mul needs its .*changed in place"):
        y.sum().backward()


def test_detached_views_beside_one_another_are_refused() -> None:
    x = leaf(1.0, 2.0)
    h = x * 1
    a = h.detach()
    b = a[0:1]
    with pytest.raises(GraphError, match="other detached views"):
        a.mul_(x)
    del b
    a.mul_(x)
    assert a.requires_grad


def test_an_unseen_result_is_changed_without_a_copy() -> None:
    h = leaf(1.0, 2.0) * 1
    h.exp_()
    assert h.grad_fn.saved[0].array is h.array  # the result it keeps is the tensor's own memory


def test_memory_that_others_hold_is_written_to() -> None:
    ours = np.array([1.0, 2.0])
    x = cr.from_numpy(ours)
    x.mul_(leaf(3.0, 4.0))
    assert ours.tolist() == [3, 8]
    y = cr.ones(2)
    seen = y.numpy()
    y.add_(1)
    assert seen.tolist() == [2, 2]


@pytest.fixture
def references_measured_again() -> Any:
    """To call when getrefcount was replaced; afterwards as it was."""
    before = change._references_if_alone
    yield change._measure_references
    change._references_if_alone = before


@pytest.mark.parametrize(
    ("counting", "is_used"),
    [
        (lambda a: sys.getrefcount(a) - 1, True),  # this function's argument is one more
        (lambda a: sys.getrefcount(a) - 2, True),  # as where a call borrows its argument
        (lambda a: sys.getrefcount(a), False),  # more than any Python counts
        (lambda a: sys.getrefcount(a) - 3, False),
        (lambda a: 1, False),
        (lambda a: 0, False),
        (lambda a: 2**32 - 1, False),
    ],
    ids=["as here", "borrowed", "one more", "too few", "one", "none", "immortal"],
)
def test_memory_others_hold_is_safe_however_python_counts_references(
    monkeypatch: pytest.MonkeyPatch, references_measured_again: Any, counting: Any, is_used: bool
) -> None:
    if sys.version_info >= (3, 14):
        pytest.skip("the numbers are those of Pythons whose calls hold their arguments")
    monkeypatch.setattr(change, "getrefcount", counting)
    references_measured_again()
    h = cr.ones(2) * 1
    held = h.array
    h.exp_().mul_(2)
    assert h.array is held and held.tolist() == (np.exp(np.ones(2, np.float32)) * 2).tolist()
    view = (cr.ones(3) * 1)[1:]
    base = view.array.base
    view.add_(1)
    assert view.array.base is base
    free = leaf(1.0, 2.0) * 1
    free.exp_()
    assert (free.grad_fn.saved[0].array is free.array) is is_used  # taken, not copied


def test_references_are_counted_in_this_python() -> None:
    assert change._references_if_alone in (2, 3)


def test_an_address_that_was_told_stays() -> None:
    h = leaf(1.0, 2.0) * 1
    address = h.data_ptr()
    assert h.exp_().add_(1).data_ptr() == address


def test_assigning_a_changed_view_to_its_own_place_records_nothing() -> None:
    h = leaf(1.0, 2.0) * 2
    row = h[0]
    row += 1
    node = h.grad_fn
    h[0] = row
    assert h.grad_fn is node
    h[0] = row.detach()
    assert h.grad_fn is not node


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x: x.fill_(cr.ones(2)), ShapeError, "fill_: value must be a number"),
        (lambda x: x.copy_(cr.ones(3)), ShapeError, r"in place: \(3,\) cannot be broadcast"),
        (lambda x: x.long().add_(1.5), DTypeError, "cannot be stored in int64"),
        (lambda x: x.long().sigmoid_(), DTypeError, "cannot be stored in int64"),
        (lambda x: x.fill_diagonal_(1), ShapeError, "fill_diagonal_: needs a matrix"),
        (lambda x: x.random_(3, 3), DTypeError, "no whole number from 3 to below 3"),
    ],
)
def test_errors(change: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        change(cr.ones(2))


def test_draws() -> None:
    cr.manual_seed(0)
    x = cr.empty(20_000)
    assert 0.9 < x.exponential_(1.0).mean().item() < 1.1 and x.min().item() >= 0
    assert 0.45 < x.exponential_(2.0).mean().item() < 0.55
    assert 1.9 < x.geometric_(0.5).mean().item() < 2.1 and x.min().item() == 1
    assert sorted(set(x.random_(3).tolist())) == [0, 1, 2]
    assert sorted(set(x.random_(-1, 2).tolist())) == [-1, 0, 1]
    assert abs(np.median(x.cauchy_(3.0).array) - 3) < 0.1
    assert 0.2 < x.bernoulli_(cr.full((20_000,), 0.25)).mean().item() < 0.3
    k = cr.empty(1000, dtype=cr.uint8).random_()
    assert k.array.max() > 200
    assert cr.empty(9, dtype=cr.bool).random_().dtype == cr.bool
    assert x.uniform_(2, 3).min().item() >= 2
