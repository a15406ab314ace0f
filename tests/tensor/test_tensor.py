"""Description, conversion to Python, methods, in-place methods, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.errors import ConfigError, DTypeError, GraphError, ShapeError

# -- description -------------------------------------------------------------------------------


def test_shape_and_size() -> None:
    x = cr.zeros(2, 3, 4)
    assert x.shape == (2, 3, 4) and x.shape.numel() == 24
    assert x.size() == (2, 3, 4) and x.size(-1) == 4
    assert x.ndim == x.dim() == 3
    assert x.numel() == x.nelement() == 24
    assert x.element_size() == 4
    assert x.stride() == (12, 4, 1)
    assert len(x) == 2
    assert x.is_floating_point() and not x.long().is_floating_point()


def test_methods_that_give_the_same_tensor() -> None:
    x = cr.ones(2)
    assert x.float() is x and x.cpu() is x and x.to(cr.float32) is x and x.to("cpu") is x
    assert x.to(cr.zeros(1)) is x


@pytest.mark.parametrize(
    ("convert", "dtype"),
    [
        (lambda x: x.double(), cr.float64), (lambda x: x.half(), cr.float16),
        (lambda x: x.long(), cr.int64), (lambda x: x.int(), cr.int32),
        (lambda x: x.byte(), cr.uint8), (lambda x: x.bool(), cr.bool),
        (lambda x: x.to(cr.int16), cr.int16), (lambda x: x.to("float64"), cr.float64),
        (lambda x: x.to(dtype=cr.int8), cr.int8), (lambda x: x.type(np.float64), cr.float64),
        (lambda x: x.type_as(cr.zeros(1, dtype=cr.int64)), cr.int64),
        (lambda x: x.to("cpu", cr.float64), cr.float64),
    ],
)  # fmt: skip
def test_conversion(convert: Any, dtype: Any) -> None:
    x = cr.tensor([0.0, 1.0, 2.0])
    assert convert(x).dtype == dtype
    np.testing.assert_array_equal(convert(x).array, x.array.astype(dtype))


# -- to Python ---------------------------------------------------------------------------------


def test_single_elements_as_numbers() -> None:
    assert cr.tensor([[2.5]]).item() == 2.5 and type(cr.tensor(2.5).item()) is float
    assert type(cr.tensor(2).item()) is int and type(cr.tensor(True).item()) is bool
    assert float(cr.tensor(2)) == 2.0 and int(cr.tensor([3.9])) == 3
    assert bool(cr.tensor(0.0)) is False and bool(cr.tensor([2])) is True
    assert cr.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    x = cr.ones((), requires_grad=True)
    assert x.item() == 1 and float(x) == 1


def test_what_is_not_single() -> None:
    x = cr.zeros(2)
    with pytest.raises(ShapeError, match=r"item: needs exactly one element\n  x \(2,\)"):
        x.item()
    with pytest.raises(ShapeError, match=r"truth of a tensor with 2 elements is ambiguous"):
        bool(x)
    with pytest.raises(ShapeError, match="ambiguous"):
        if x == x:
            pass


def test_iteration_and_membership() -> None:
    x = cr.arange(6).reshape(3, 2)
    assert [row.tolist() for row in x] == [[0, 1], [2, 3], [4, 5]]
    assert 5 in x and 7 not in x
    *_, last = x
    assert last.tolist() == [4, 5]
    for f in (len, iter):
        with pytest.raises(TypeError, match="0-d tensor"):
            f(cr.tensor(1.0))


def test_tensors_are_hashed_by_identity() -> None:
    x, y = cr.ones(2), cr.ones(2)
    assert len({x, y, x}) == 2
    assert {x: "x"}[x] == "x"


def test_format() -> None:
    assert f"{cr.tensor(3.14159):.2f}" == "3.14"
    assert f"{cr.tensor(7):03d}" == "007"
    assert f"{cr.tensor([1, 2])}" == "tensor([1, 2])"
    assert f"loss {cr.tensor(0.5)}" == "loss 0.5"


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (cr.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (cr.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
        (cr.tensor([True]), "tensor([True])"),
        (cr.tensor(1.5), "tensor(1.5000)"),
        (cr.zeros(0, 3), "tensor([], size=(0, 3))"),
        (cr.ones(1, dtype=cr.float64), "tensor([1.], dtype=float64)"),
        (cr.ones(1, dtype=cr.uint8), "tensor([1], dtype=uint8)"),
        (cr.ones(1, requires_grad=True), "tensor([1.], requires_grad=True)"),
        (cr.ones(1, requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward>)"),
    ],
)
def test_printing(x: cr.Tensor, text: str) -> None:
    assert repr(x) == text


def test_large_tensors_print_short() -> None:
    assert len(repr(cr.zeros(100_000))) < 100


# -- methods agree with functions -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("exp", ()), ("log", ()), ("sqrt", ()), ("abs", ()), ("neg", ()), ("sum", (0,)),
        ("mean", (1, True)), ("var", ()), ("std", (1,)), ("amax", (0,)), ("argmax", (1,)),
        ("logsumexp", (1,)), ("softmax", (1,)), ("log_softmax", (0,)), ("clamp", (0.5, 1.0)),
        ("flatten", ()), ("unsqueeze", (1,)), ("transpose", (0, 1)), ("squeeze", ()),
        ("maximum", (cr.ones(3),)), ("pow", (2,)), ("sub", (1, 2)), ("norm", (2, 0)),
        ("sigmoid", ()), ("narrow", (1, 0, 2)), ("cumsum", (1,)), ("tril", ()), ("argsort", (0,)),
        ("isclose", (0.5, 0.9)), ("index_select", (1, cr.tensor([2, 0]))), ("nonzero", ()),
        ("scatter", (1, cr.tensor([[2], [0]]), 7.0)), ("lerp", (cr.ones(3), 0.5)),
    ],
)  # fmt: skip
def test_method_is_the_function(method: str, arguments: tuple[Any, ...]) -> None:
    x = cr.rand(2, 3)
    ours = getattr(x, method)(*arguments)
    np.testing.assert_array_equal(ours.array, getattr(ops, method)(x, *arguments).array)


def test_shape_methods_take_sizes_apart_or_together() -> None:
    x = cr.arange(6)
    assert x.reshape(2, 3).shape == x.reshape((2, 3)).shape == x.view([2, -1]).shape == (2, 3)
    y = x.reshape(1, 2, 3)
    assert y.permute(2, 0, 1).shape == y.permute((2, 0, 1)).shape == (3, 1, 2)
    assert y.expand(4, -1, -1).shape == y.expand((4, 2, 3)).shape == (4, 2, 3)
    assert y.view_as(cr.zeros(3, 2)).shape == (3, 2)
    assert y.T.shape == (3, 2, 1) and y.mT.shape == (1, 3, 2)
    assert y[0].t().shape == (3, 2)
    assert (
        ops.flip(x, 0).tolist() == x.flip(0).tolist() == x.flip((0,)).tolist() == [5, 4, 3, 2, 1, 0]
    )
    with pytest.raises(ShapeError, match="at most two axes"):
        y.t()


def test_max_and_min_in_their_three_forms() -> None:
    x = cr.tensor([[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]])
    assert x.max().item() == 7 and cr.min(x).item() == 0
    values, indices = x.max(1)
    assert values.tolist() == [5, 7] and indices.tolist() == [1, 0]
    least = x.min(dim=0, keepdim=True)
    assert least.values.tolist() == [[1, 0, 2]] and least.indices.tolist() == [[0, 1, 0]]
    assert cr.max(x, cr.tensor(4.0)).tolist() == [[4, 5, 4], [7, 4, 7]]
    assert cr.tensor(3.0).max(0).values.item() == 3
    assert cr.tensor(True).max(0).values.dtype == cr.bool


def test_max_along_an_axis_sends_the_gradient_to_one_winner() -> None:
    x = cr.tensor([[1.0, 1.0, 0.0]], requires_grad=True)
    x.max(1).values.sum().backward()
    assert x.grad.tolist() == [[1, 0, 0]]
    x.grad = None
    x.max().backward()
    assert x.grad.tolist() == [[0.5, 0.5, 0]]


def test_where_and_masked_fill() -> None:
    x, mask = cr.tensor([1.0, 2.0, 3.0]), cr.tensor([True, False, True])
    assert x.where(mask, 0.0).tolist() == [1, 0, 3]
    assert x.masked_fill(mask, -1.0).tolist() == [-1, 2, -1]


def test_sort_and_topk_by_name() -> None:
    x = cr.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    best = x.topk(2)
    assert best.values.tolist() == [[3, 2]] and best.indices.tolist() == [[0, 2]]
    values, indices = x.sort(descending=True, stable=True)
    assert values.tolist() == [[3, 2, 1]] and indices.tolist() == [[0, 2, 1]]
    best.values.sum().backward()
    assert x.grad.tolist() == [[1, 0, 1]]


def test_closeness() -> None:
    a, b = cr.tensor([1.0, 2.0], requires_grad=True), cr.tensor([1.0, 2.0 + 1e-6])
    assert cr.allclose(a, b) and a.allclose(b)
    assert not cr.allclose(a, b, rtol=0, atol=1e-8)
    assert not cr.equal(a, b) and cr.equal(a, a.detach())
    assert not cr.equal(cr.ones(2), cr.ones(1, 2))
    nan = cr.tensor([np.nan])
    assert cr.allclose(nan, nan, equal_nan=True) and not cr.allclose(nan, nan)


def test_repetition_takes_sizes_apart_or_together() -> None:
    x = cr.tensor([[1, 2]])
    assert x.repeat(2, 2).tolist() == x.repeat((2, 2)).tolist() == [[1, 2, 1, 2]] * 2
    assert x.tile(2).tolist() == [[1, 2, 1, 2]]
    assert x.broadcast_to(2, 2).tolist() == [[1, 2], [1, 2]]
    assert x.ravel().tolist() == [1, 2]


def test_logic_and_comparison() -> None:
    a, b = cr.tensor([True, True, False]), cr.tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (a | b).tolist() == [True, True, False]
    assert (~a).tolist() == [False, False, True]
    assert (a ^ b).tolist() == [False, True, False]
    assert (cr.tensor([1, 2]) != cr.tensor([1, 3])).tolist() == [False, True]
    assert (cr.tensor([6]) & 3).tolist() == [2]


# -- in place ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: x.add_(1), [2, 5]), (lambda x: x.add_(x, alpha=2), [3, 12]),
        (lambda x: x.sub_(1), [0, 3]), (lambda x: x.mul_(3), [3, 12]),
        (lambda x: x.div_(2), [0.5, 2]), (lambda x: x.pow_(2), [1, 16]),
        (lambda x: x.clamp_(2, 3), [2, 3]), (lambda x: x.sqrt_(), [1, 2]),
        (lambda x: x.neg_(), [-1, -4]), (lambda x: x.zero_(), [0, 0]),
        (lambda x: x.fill_(7), [7, 7]), (lambda x: x.copy_(cr.tensor([3, 9])), [3, 9]),
        (lambda x: x.copy_(5), [5, 5]), (lambda x: x.neg_().abs_(), [1, 4]),
        (lambda x: x.neg_().relu_(), [0, 0]),
        (lambda x: x.masked_fill_(x > 2, -1.0), [1, -1]),
        (lambda x: x.exp_(), [np.e, np.e**4]), (lambda x: x.tanh_(), np.tanh([1, 4])),
        (lambda x: x.sigmoid_(), 1 / (1 + np.exp([-1, -4]))), (lambda x: x.log_(), np.log([1, 4])),
        (lambda x: x.lerp_(cr.tensor([3.0, 0.0]), 0.25), [1.5, 3]),
        (lambda x: x.addcmul_(x, x, value=0.5), [1.5, 12]),
        (lambda x: x.addcdiv_(cr.ones(2), x, value=-2), [-1, 3.5]),
        (lambda x: x.scatter_(0, cr.tensor([1]), cr.tensor([9.0])), [1, 9]),
        (lambda x: x.scatter_(0, cr.tensor([0]), value=-1), [-1, 4]),
        (lambda x: x.scatter_add_(0, cr.tensor([1, 1]), cr.ones(2)), [1, 6]),
    ],
)  # fmt: skip
def test_in_place_methods(change: Any, expected: Any) -> None:
    x = cr.tensor([1.0, 4.0])
    array = x.array
    assert change(x) is x
    assert x.array is array and array.dtype == np.float32
    np.testing.assert_allclose(array, expected, rtol=1e-6)
    assert x.version.count >= 1


def test_augmented_operators_work_in_place() -> None:
    x = cr.tensor([1.0, 4.0])
    array = x.array
    x += 1
    x *= 2
    x -= 4
    x /= 2
    x **= 2
    assert x.array is array and x.tolist() == [0, 9]


def test_in_place_result_must_fit() -> None:
    with pytest.raises(ShapeError, match=r"in place: the result \(2, 2\) does not fit .* \(2,\)"):
        cr.ones(2).add_(cr.ones(2, 2))


def test_data_is_outside_the_graph() -> None:
    x = cr.ones(2, requires_grad=True)
    y = (x * x).sum()
    x.data.mul_(3)  # unseen by the graph, as in PyTorch
    y.backward()
    assert x.tolist() == [3, 3]
    x.data = cr.zeros(2)
    assert x.requires_grad and x.tolist() == [0, 0]


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda: cr.nn.functional.cross_entropy(cr.ones(2, 3), [0, 1]), DTypeError,
         r"cross_entropy: target must be a tensor or an array, got list"),
        (lambda: cr.nn.functional.multi_margin_loss(cr.ones(2, 3), (0, 1)), DTypeError,
         r"multi_margin_loss: target must be a tensor"),
        (lambda: cr.ones(2, 3).sum(5), ShapeError,
         r"sum: there is no dim 5; with 2 axes, dims go from -2 to 1"),
        (lambda: cr.ones(2, 3).mean(-3), ShapeError, r"sum: there is no dim -3"),
        (lambda: cr.ones(2, 3).argmax(2), ShapeError, r"argmax: there is no dim 2"),
        (lambda: cr.ones(2, 3).softmax(2), ShapeError, r"softmax: there is no dim 2"),
        (lambda: cr.ones(2, 3).transpose(0, 2), ShapeError, r"transpose: there is no dim 2"),
        (lambda: cr.ones(2, 3).unsqueeze(3), ShapeError, r"unsqueeze: there is no dim 3"),
        (lambda: cr.stack([cr.ones(2)], 2), ShapeError, r"unsqueeze: there is no dim 2"),
        (lambda: cr.ones(2).tril(), ShapeError, r"tril: x needs at least two axes"),
        (lambda: cr.ones(2, 3).masked_select(cr.tensor([True, False])), ShapeError,
         r"masked_select: the mask must have x's shape.*\n  x \(2, 3\); mask \(2,\)"),
        (lambda: cr.zeros(2.5), DTypeError, r"sizes must be whole numbers, got \(2\.5,\)"),
        (lambda: cr.ones(3).topk(4), ShapeError, r"topk: k = 4 of 3 elements \(dim -1\)\n  x \("),
        (lambda: cr.ones(3).narrow(0, 2, 2), ShapeError,
         r"narrow: entries 2 to 3 do not lie in 0 to 2 \(dim 0\)"),
        (lambda: cr.ones(3).chunk(0), ShapeError, r"chunk: .* at least 1, got 0"),
        (lambda: cr.nn.functional.one_hot(cr.ones(2)), DTypeError, r"one_hot: .*got float32"),
        (lambda: cr.nn.functional.one_hot(cr.tensor([1, 3]), 3), ShapeError,
         r"one_hot: classes 1 to 3 do not lie in 0 to 2"),
        (lambda: cr.ones(2) + cr.ones(3), ShapeError,
         r"add: shapes do not broadcast.*\n  a \(2,\); b \(3,\)"),
        (lambda: cr.ones(2, requires_grad=True) * np.ones((2, 3)), ShapeError,
         r"mul: shapes do not broadcast"),
        (lambda: cr.where(cr.ones(4) > 0, cr.ones(2), cr.ones(2)), ShapeError,
         r"where: .*\n  condition \(4,\); a \(2,\); b \(2,\)"),
        (lambda: cr.ones(2, 3) @ cr.ones(2, 3), ShapeError,
         r"matmul: a has 3 columns, b has 2 rows\n  a \(2, 3\)"),
        (lambda: cr.ones(()) @ cr.ones(3), ShapeError, r"matmul: both arguments need axes"),
        (lambda: ops.linear(cr.ones(8, 256), cr.ones(120, 400)), ShapeError,
         r"linear: weight expects 400 features, x has 256\n  x \(8, 256\) = \(\.\.\., I\)"),
        (lambda: ops.linear(cr.ones(8, 4), cr.ones(2, 4), cr.ones(1)), ShapeError,
         r"linear: bias must hold one value for each of 2 outputs"),
        (lambda: ops.linear(cr.ones(8, 4), cr.ones(2, 4), cr.ones(2).double()), DTypeError,
         r"linear: dtypes of x, weight, bias differ: float32, float32, float64"),
        (lambda: ops.conv2d(cr.ones(8, 1, 28, 28), cr.ones(6, 3, 5, 5)), ShapeError,
         r"conv2d: weight expects 3 channels, x has 1\n  x \(8, 1, 28, 28\) = \(N, C, H, W\)"),
        (lambda: ops.conv2d(cr.ones(1, 1, 2, 2), cr.ones(1, 1, 3, 3)), ShapeError,
         r"conv2d: the window of 3 pixels is larger than the padded image of 2"),
        (lambda: ops.conv2d(cr.ones(1, 3, 4, 4), cr.ones(2, 1, 3, 3), groups=2), ShapeError,
         r"conv2d: groups 2 must divide"),
        (lambda: ops.conv2d(cr.ones(4, 4), cr.ones(2, 1, 3, 3)), ShapeError,
         r"conv2d: x and weight need four axes"),
        (lambda: ops.conv2d(cr.ones(1, 1, 4, 4), cr.ones(2, 1, 3, 3), cr.ones(3)), ShapeError,
         r"conv2d: bias \(3,\) must hold one value per filter, \(2,\)"),
        (lambda: ops.conv2d(cr.ones(1, 1, 4, 4), cr.ones(2, 1, 3, 3).double()), DTypeError,
         r"conv2d: x is float32, weight is float64"),
        (lambda: ops.conv2d(cr.ones(1, 1, 4, 4), cr.ones(2, 1, 3, 3), stride=0), ConfigError,
         r"conv2d: stride must be a whole number of at least 1"),
        (lambda: ops.conv2d(cr.ones(1, 1, 4, 4), cr.ones(2, 1, 3, 3), padding="full"),
         ConfigError, r'conv2d: padding must be a number, "same" or "valid", got \'full\''),
        (lambda: ops.conv2d(cr.ones(1, 1, 4, 4), cr.ones(2, 1, 3, 3), None, 2, "same"),
         ConfigError, r'conv2d: padding "same" needs stride 1'),
        (lambda: ops.max_pool2d(cr.ones(1, 1, 2, 2), 3), ShapeError,
         r"max_pool2d: the window of 3 pixels is larger than the padded image of 2"),
        (lambda: ops.avg_pool2d(cr.ones(1, 1, 4, 4), 2, padding=2), ConfigError,
         r"avg_pool2d: padding \(2, 2\) exceeds half the window"),
        (lambda: ops.max_pool2d(cr.ones(1, 1, 4, 4, dtype=cr.int64), 2), DTypeError,
         r"max_pool2d: expects a float tensor, got int64"),
        (lambda: ops.batch_norm(cr.ones(1, 2), None, None, training=True), ShapeError,
         r"batch_norm: one value per channel has no variance"),
        (lambda: ops.batch_norm(cr.ones(4, 2), None, None, cr.ones(3), training=True), ShapeError,
         r"batch_norm: weight \(3,\) must hold one value per channel"),
        (lambda: ops.dropout(cr.ones(2), 1.5), ConfigError, r"dropout: p is a probability"),
        (lambda: ops.cross_entropy(cr.ones(2, 3), cr.tensor([0, 3])), ShapeError,
         r"cross_entropy: target 3 is no class: 3 classes are numbered 0 to 2"),
        (lambda: ops.cross_entropy(cr.ones(2, 3), cr.tensor([0, -1])), ShapeError,
         r"cross_entropy: target -1 is no class"),
        (lambda: ops.cross_entropy(cr.ones(2, 3), cr.tensor([0])), ShapeError,
         r"cross_entropy: target must be \(2,\)\n  scores \(2, 3\)"),
        (lambda: ops.cross_entropy(cr.ones(2, 3), cr.ones(2)), ShapeError,
         r"cross_entropy: a float target is a distribution"),
        (lambda: ops.cross_entropy(cr.ones(2, 3), cr.tensor([0, 1]), reduction="max"),
         ConfigError, r'reduction must be "mean", "sum" or "none"'),
        (lambda: ops.cross_entropy(cr.ones(2, 3), cr.tensor([0, 1]), label_smoothing=2),
         ConfigError, r"label_smoothing must lie in 0\.\.1, got 2"),
        (lambda: ops.multi_margin_loss(cr.ones(2, 3), cr.tensor([0, 1]), p=3), ConfigError,
         r"multi_margin_loss: .*p = 1 and p = 2.*, got 3"),
        (lambda: cr.ones(2, 3).reshape(4, 2), ShapeError,
         r"reshape: shape \(4, 2\) does not hold 6 elements\n  x \(2, 3\)"),
        (lambda: cr.ones(2, 3).reshape(-1, 4), ShapeError, r"reshape: .* does not hold 6"),
        (lambda: cr.ones(2, 3).reshape(-1, -1), ShapeError, r"reshape"),
        (lambda: cr.ones(2, 3).permute(0, 0), ShapeError, r"permute: dims \(0, 0\)"),
        (lambda: cr.ones(2, 3).expand(4, 3), ShapeError,
         r"expand: only axes of length one can be repeated\n  x \(2, 3\); shape \(4, 3\)"),
        (lambda: cr.ones(2, 3).expand(3), ShapeError, r"expand"),
        (lambda: cr.ones(3).expand(-1, 3), ShapeError, r"expand"),
        (lambda: cr.cat([cr.ones(2, 3), cr.ones(2, 2)]), ShapeError,
         r"cat: shapes must agree except along dim 0"),
        (lambda: cr.cat([]), ShapeError, r"cat: expects at least one tensor"),
        (lambda: cr.stack([cr.ones(2), cr.ones(3)]), ShapeError, r"stack: shapes differ"),
        (lambda: cr.split(cr.ones(5), [2, 2]), ShapeError, r"split: sizes \[2, 2\] do not add"),
        (lambda: cr.split(cr.ones(5), 0), ShapeError, r"split: the size of a piece"),
        (lambda: cr.ones(0, 3).amax(), ShapeError, r"amax: no elements to compare"),
        (lambda: cr.ones(0, 3).argmax(0), ShapeError, r"argmax: no elements"),
        (lambda: cr.ones(2, 3).gather(1, cr.ones(2, 1)), DTypeError,
         r"gather: index must hold integers, got float32"),
        (lambda: cr.ones(2, 3).gather(1, cr.tensor([0])), ShapeError, r"gather: index must have"),
        (lambda: ops.pad(cr.ones(2, 3), (1,)), ShapeError, r"pad: expects \(before, after\) pairs"),
        (lambda: ops.pad(cr.ones(2, 3), (-2, -2)), ShapeError, r"crops away more than there is"),
        (lambda: cr.arange(3).softmax(0), DTypeError, r"softmax: expects a float tensor"),
        (lambda: cr.arange(3).log_softmax(0), DTypeError, r"log_softmax: expects a float"),
        (lambda: cr.ones(2, 1).expand(2, 3).add_(1), GraphError, r"in place: this memory is read"),
        (lambda: cr.ones(2, 1).expand(2, 3).__setitem__(0, 1), GraphError, r"read-only"),
        (lambda: cr.ones(2, 3).requires_grad_().numpy(), GraphError, r"numpy: .*requires grad"),
    ],
)  # fmt: skip
def test_errors_say_where_and_what(f: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        f()


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda: ops.relu(), r"relu\(\) misses argument 'x'"),
        (lambda: ops.mul(1, 2, 3), r"mul\(\) takes 2 arguments \(a, b\), 3 given"),
        (lambda: ops.add(cr.ones(1), 1, beta=2), r"add\(\) got an unexpected argument 'beta'"),
        (lambda: ops.add(cr.ones(1), 1, b=2), r"add\(\) got two values for argument 'b'"),
    ],
)
def test_calls_with_the_wrong_arguments(f: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        f()
