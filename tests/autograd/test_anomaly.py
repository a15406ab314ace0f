"""detect_anomaly names the operation that made a NaN or infinity, not those that passed it on."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd import (
    Function,
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from chainrule.autograd.fusion import is_fusion_enabled
from chainrule.autograd.hooks import module_calls
from chainrule.errors import AnomalyError, DivergenceError

F = nn.functional
pytestmark = pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")


@pytest.fixture(autouse=True)
def nothing_is_left_on() -> Iterator[None]:
    before = cr.Tensor.__apply_op__
    yield
    assert not is_anomaly_enabled() and is_fusion_enabled() and not module_calls.watched
    assert cr.Tensor.__apply_op__ is before


def found(f: Any) -> str:
    """The message of the anomaly in ``f()``."""
    with pytest.raises(AnomalyError) as raised, detect_anomaly():
        f()
    return str(raised.value)


def line_of(f: Any, text: str) -> int:
    """The line of this file with ``text``, in the function ``f``."""
    lines, first = inspect.getsourcelines(f)
    return first + next(i for i, line in enumerate(lines) if text in line)


# -- forwards --------------------------------------------------------------------------------------


def test_the_first_of_a_chain_is_named() -> None:
    def chain() -> None:
        x = cr.tensor([[1.0, 0.0], [2.0, 3.0]])
        h = x * 1.0
        y = h.log()  # here
        (y * 2 + 1).sum()

    message = found(chain)
    assert message.startswith("log made an infinity (forward): its inputs are finite")
    assert "result (2, 2) float32: 1 of 4 values not finite (0 NaN, 1 infinite)" in message
    assert "the first at (0, 1): -inf" in message
    assert "x (2, 2) float32: 0 to 3, at that index 0" in message
    assert f"{__file__}:{line_of(chain, '# here')}: y = h.log()" in message
    assert "log(0) is -inf" in message


def test_nan_of_infinities_is_made_by_who_subtracts() -> None:
    x = cr.tensor([np.inf, 1.0])
    message = found(lambda: (x * 2) - (x * 3))
    assert message.startswith("sub made NaN (forward): its inputs hold no NaN, its result does")


class Root(nn.Module):
    def forward(self, x: Any) -> Any:
        return (x - 5).sqrt()


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 3)
        self.blocks = nn.ModuleList([nn.ReLU(), nn.Sequential(nn.Identity(), Root())])

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return x


def test_the_module_is_named() -> None:
    model = Model()
    message = found(lambda: model(cr.zeros(2, 3)))
    assert message.startswith("sqrt made NaN (forward)")
    assert "in the module blocks.1.1 (Root) of Model\n" in message
    assert re.search(r"test_anomaly\.py:\d+: return \(x - 5\)\.sqrt\(\)", message)


def test_the_line_that_called_a_layer_of_ours() -> None:
    layer = nn.Linear(2, 2)
    layer.weight.data.fill_(3e38)
    message = found(lambda: layer(cr.full((1, 2), 10.0)))
    assert message.startswith("linear made an infinity (forward)")
    assert "in the module Linear\n" in message and "test_anomaly.py:" in message
    assert "overflow of float32 (above 3.4e+38)" in message


def test_neighbours_that_are_fused_otherwise_are_told_apart() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.ReLU()).eval()
    model[0].weight.data.fill_(1e30)
    model[1].weight.data.fill_(1e30)
    x = cr.ones(1, 1, 2, 2)
    message = found(lambda: model(x))
    assert message.startswith("batch_norm") and "in the module 1 (BatchNorm2d)" in message
    model[0].weight.data.fill_(3e38)
    message = found(lambda: model(x * 10))
    assert message.startswith("conv2d") and "in the module 0 (Conv2d)" in message


def test_what_was_given_is_nobodys_fault() -> None:
    x = cr.randn(4, requires_grad=True)
    mask = cr.tensor([True, False, True, False])
    with detect_anomaly():
        F.softmax(x.masked_fill(mask, -np.inf), 0).sum().backward()
        scores = x + cr.tensor([0.0, -np.inf, 0.0, -np.inf])
        F.softmax(scores, 0).sum().backward()
        cr.isnan(cr.tensor([np.nan])).any()


def test_a_nan_in_a_weight_is_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight.data[1, 0] = np.nan
    message = found(lambda: model(cr.ones(1, 2)))
    assert message.startswith("linear was given NaN that no operation made: 1.weight held it")
    assert "1.weight (2, 2) float32: 1 of 4 values not finite (1 NaN, 0 infinite)" in message


def test_a_nan_in_the_data_is_named() -> None:
    images = cr.tensor([[1.0, np.nan]])
    message = found(lambda: nn.Linear(2, 2)(images))
    assert "its 'x' held it before" in message


def test_ops_of_many_tensors() -> None:
    assert found(lambda: cr.cat([cr.zeros(2), cr.zeros(2).log()])).startswith("log made")
    message = found(lambda: cr.cat([cr.zeros(2), cr.tensor([np.nan])]))
    assert "was given NaN that no operation made" in message


# -- backwards -------------------------------------------------------------------------------------


def test_the_first_of_the_way_back_is_named() -> None:
    def chain() -> None:
        x = cr.tensor([4.0, 0.0], requires_grad=True)
        h = x * 3
        y = h.sqrt()  # here
        (y * 2).sum().backward()

    message = found(chain)
    assert message.startswith("the gradient of sqrt made an infinity (backward)")
    assert "dL/d(input 0) (2,) float32: 1 of 2 values not finite" in message
    assert "the first at (1,): inf" in message
    assert "dL/d(result) (2,) float32: 2 to 2" in message
    assert f"{__file__}:{line_of(chain, '# here')}: y = h.sqrt()" in message
    assert "√(x + eps)" in message


def test_the_module_of_the_forward_call_is_named() -> None:
    class Norm(nn.Module):
        def forward(self, x: Any) -> Any:
            return x / (x * x).sum().sqrt()

    model = nn.Sequential(nn.Linear(2, 2, bias=False), Norm())
    x = cr.ones(1, 2)
    model[0].weight.data.fill_(1e-30)  # the square is 0 in float32, and 1e-30 / 0 is made first
    assert "div made an infinity (forward)" in found(lambda: model(x).sum().backward())

    class Root(nn.Module):
        def forward(self, x: Any) -> Any:
            return (x * x).sum().sqrt()

    model = nn.Sequential(nn.Linear(2, 2, bias=False), Root())
    model[0].weight.data.fill_(0)
    message = found(lambda: model(x).backward())
    assert "the gradient of sqrt made an infinity" in message
    assert "in the module 1 (Root) of Sequential" in message


def test_branches_whose_sum_overflows() -> None:
    def branches() -> None:
        x = cr.ones(2, requires_grad=True)
        h = x * 1
        cr.autograd.backward([h * 3e38, h * 3e38], [cr.ones(2), cr.ones(2)])

    message = found(branches)
    assert message.startswith("a sum of gradients made an infinity (backward)")
    assert "branches that use one result of mul are finite" in message


def test_a_forward_pass_outside() -> None:
    x = cr.zeros(2, requires_grad=True)
    y = x.sqrt() * np.nan
    z = y.exp()
    message = found(lambda: z.sum().backward())
    assert message.startswith("the gradient of exp made NaN (backward)")
    assert "a value kept from the forward pass (2,) float32: 2 of 2 values" in message
    assert "run it inside detect_anomaly too" in message
    assert "made outside detect_anomaly, so its line is not known" in message


@pytest.mark.parametrize("create_graph", [False, True])
def test_with_create_graph(create_graph: bool) -> None:
    def grad() -> None:
        x = cr.zeros(2, requires_grad=True)
        cr.autograd.grad(x.sqrt().sum(), x, create_graph=create_graph)

    assert "the gradient of sqrt made an infinity (backward)" in found(grad)


def test_the_second_derivative() -> None:
    def grad() -> None:
        x = cr.zeros(2, requires_grad=True)
        (g,) = cr.autograd.grad((x**1.5).sum(), x, create_graph=True)  # 1.5 √x, here
        g.sum().backward()

    message = found(grad)
    assert "(backward)" in message and f":{line_of(grad, 'here')}:" in message


def test_functions_of_the_user() -> None:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return cr.from_numpy(np.log(x.detach().numpy())), x + y

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return cr.from_numpy(np.full(g.shape, np.nan, np.float32)), h

    x = cr.zeros(2, requires_grad=True)
    assert found(lambda: Wrong.apply(x, x)).startswith("Wrong made an infinity (forward)")
    message = found(lambda: Wrong.apply(x + 1, x)[0].sum().backward())
    assert message.startswith("the gradient of Wrong made NaN (backward)")
    assert "test_anomaly.py" in message


def test_a_node_with_hooks() -> None:
    def grad() -> None:
        x = cr.zeros(2, requires_grad=True)
        y = x.sqrt()
        y.grad_fn.register_hook(lambda gi, go: None)
        y.register_hook(lambda g: None)
        y.sum().backward()

    assert "the gradient of sqrt made an infinity (backward)" in found(grad)


def test_another_error_on_the_way_back_tells_of_the_call() -> None:
    class Broken(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise ValueError("broken")

    def run() -> None:
        y = Broken.apply(cr.ones(1, requires_grad=True))  # here
        (y * 2).backward()

    with pytest.raises(ValueError, match="broken") as raised, detect_anomaly():
        run()
    notes = "\n".join(raised.value.__notes__)
    assert notes.startswith("in the gradient of Broken, which was called:")
    assert f":{line_of(run, '# here')}: y = Broken.apply" in notes


# -- switching -------------------------------------------------------------------------------------


def test_switching() -> None:
    assert not cr.is_anomaly_enabled()
    with detect_anomaly(check_nan=False):
        assert is_anomaly_enabled() and not is_anomaly_check_nan_enabled()
        assert not is_fusion_enabled()
        with set_detect_anomaly(False):
            assert not is_anomaly_enabled() and is_fusion_enabled()
            cr.zeros(1).log()
        assert is_anomaly_enabled()
    assert not is_anomaly_enabled() and is_anomaly_check_nan_enabled()
    set_detect_anomaly(True)
    try:
        assert is_anomaly_enabled()
        with pytest.raises(AnomalyError):
            cr.zeros(1).log()
    finally:
        set_detect_anomaly(False)


def test_one_object_entered_twice() -> None:
    mode = detect_anomaly()
    with mode:
        with mode:
            pass
        assert is_anomaly_enabled()


def test_fusion_that_was_off_stays_off() -> None:
    with cr.set_fusion_enabled(False):
        with detect_anomaly():
            pass
        assert not is_fusion_enabled()


def test_what_counts() -> None:
    zero, minus = cr.zeros(1), cr.full((1,), -1.0)
    with detect_anomaly(check_inf=False):
        zero.log()
        with pytest.raises(AnomalyError, match="log made NaN"):
            minus.log()
    with detect_anomaly(check_nan=False):
        minus.log()
        with pytest.raises(AnomalyError, match="log made an infinity"):
            zero.log()


def test_the_error_is_of_both_kinds() -> None:
    assert issubclass(AnomalyError, DivergenceError) and issubclass(AnomalyError, RuntimeError)


def test_modules_are_let_go_after_an_error() -> None:
    from chainrule.autograd.anomaly import _here

    found(lambda: Model()(cr.zeros(2, 3)))
    assert _here.modules == [] and not _here.in_sweep


def test_values_and_gradients_are_the_same() -> None:
    cr.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten())
    x = cr.randn(2, 1, 5, 5)
    results = []
    for mode in (False, True):
        with set_detect_anomaly(mode), cr.set_fusion_enabled(False):
            model.zero_grad()
            y = model(x)
            (y * y).sum().backward()
            results.append([y.detach().array, *(p.grad.array for p in model.parameters())])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


# -- what tells nothing is found, too, and the hint fits -------------------------------------------


def test_an_operation_in_place_outside_the_graph() -> None:
    x = cr.full((2,), 3e38)

    def grow() -> None:
        x.add_(x)

    assert found(grow).startswith("add made an infinity (forward): its inputs are finite")


def test_a_value_that_was_assigned() -> None:
    x = cr.ones(3, requires_grad=True) * 1
    half = x.half()

    def assign(t: Any, value: Any) -> None:
        t[1] = value

    assert "was given NaN that no operation made" in found(lambda: assign(x, np.nan))
    assert "index_put made an infinity" in found(lambda: assign(half, 1e6))


def test_a_number_is_named_where_it_comes_in() -> None:
    x = cr.ones(3, requires_grad=True)
    message = found(lambda: (x.sum() * float("nan")).backward())
    assert message.startswith("mul was given NaN that no operation made: its 'b' held it before")
    assert "look at where this number comes from" in message
    hooked = x * 2
    hooked.register_hook(lambda g: g * float("nan"))
    assert "mul was given NaN" in found(lambda: hooked.sum().backward())


@pytest.mark.parametrize(
    ("f", "head", "hint"),
    [
        (lambda: cr.zeros(0).mean(), "mul (in mean) was given NaN", "the mean of no elements"),
        (lambda: cr.ones(1).var(), "mul (in var) was given NaN", "too few elements"),
        (
            lambda: F.cross_entropy(cr.randn(2, 3), cr.tensor([-100, -100])),
            "div made NaN (forward, in nll_loss)", "no target counts",
        ),
        (lambda: F.softmax(cr.full((2, 3), -np.inf), -1), "softmax made NaN", "all masked"),
        (lambda: cr.full((2,), np.inf) * 0, "mul made NaN", "0·inf and inf/inf have no value"),
        (
            lambda: F.layer_norm(cr.ones(2, 3), (3,), eps=0.0), "layer_norm made NaN",
            "eps must be positive",
        ),
        (lambda: cr.full((2,), 3e38) * 2, "mul made an infinity", "an overflow of float32"),
        (
            lambda: cr.ones(2, requires_grad=True).acos().sum().backward(),
            "the gradient of acos made an infinity", "its slope at ±1 is infinite",
        ),
    ],
)  # fmt: skip
def test_the_hint_fits(f: Any, head: str, hint: str) -> None:
    message = found(f)
    assert message.startswith(head) and hint in message
    assert ("learning rate" in message) == (hint == "an overflow of float32")


def test_a_backward_hook_of_a_module_is_named() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    net[1].register_full_backward_hook(lambda m, gi, go: (gi[0] / 0,))
    message = found(lambda: net(cr.randn(2, 3)).sum().backward())
    assert message.startswith("the gradient of BackwardHookFunction made")
    assert "a backward hook of the module gave it" in message and "1 (ReLU) of Seq" in message
