"""Regularisers: values, gradients, which parameters count, and weight decay."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ConfigError, DTypeError
from chainrule.nn.regularization import Regularizer, elastic_net, l1, l2

WEIGHT = [[1.0, -2.0, 0.0], [0.5, 0.0, -3.0]]


def network():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Sequential(nn.Conv2d(4, 4, 3, bias=False), nn.LayerNorm((4, 2, 2))),
        nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip


def test_values_by_hand():
    w = cr.tensor(WEIGHT)
    assert l1(w).item() == 6.5
    assert l2(w).item() == 14.25
    assert elastic_net(w, 0.5, 2.0).item() == 0.5 * 6.5 + 2 * 14.25
    assert l2([w, 2 * w]).item() == 5 * 14.25


def test_gradient_is_zero_at_the_kink():
    w = cr.tensor(WEIGHT).requires_grad_()
    elastic_net(w, 0.5, 2.0).backward()
    assert w.grad.tolist() == [[4.5, -8.5, 0], [2.5, 0, -12.5]]


def test_second_derivative():
    w = cr.tensor([1.0, -2.0]).requires_grad_()
    (g,) = cr.autograd.grad(l2(w), [w], create_graph=True)
    (g * g).sum().backward()
    assert w.grad.tolist() == [8, -16]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["0.weight", "3.0.weight", "5.weight"]),
        ({"biases": True}, ["0.weight", "0.bias", "3.0.weight", "5.weight", "5.bias"]),
        ({"norms": True}, ["0.weight", "1.weight", "3.0.weight", "3.1.weight", "5.weight"]),
        ({"kinds": nn.Conv2d}, ["0.weight", "3.0.weight"]),
        ({"kinds": (nn.Linear, nn.BatchNorm2d), "norms": True}, ["1.weight", "5.weight"]),
        ({"names": "3.*"}, ["3.0.weight"]),
        ({"names": ["0.*", "5.*"], "biases": True}, ["0.weight", "0.bias", "5.weight", "5.bias"]),
    ],
)
def test_which_parameters_count(settings, names):
    net = network()
    penalty = Regularizer(0.1, 0.3, **settings)
    assert list(penalty.chosen(net)) == names
    expected = sum(
        0.1 * np.abs(p.numpy()).sum() + 0.3 * np.square(p.numpy()).sum()
        for p in (net.get_parameter(n).detach() for n in names)
    )
    value = penalty(net)
    assert value.item() == pytest.approx(expected, rel=1e-5)
    value.backward()
    assert [n for n, p in net.named_parameters() if p.grad is not None] == names


def test_a_parameter_of_its_own_and_a_shared_one():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(cr.tensor([2.0]))
            self.first = nn.Linear(2, 2)
            self.second = nn.Linear(2, 2)
            self.second.weight = self.first.weight

    net = Tied()
    assert list(Regularizer(beta=1.0).chosen(net)) == ["scale", "first.weight"]


@pytest.mark.parametrize("rule", [optim.SGD, optim.Adam])
def test_weight_decay_is_twice_beta(rule):
    cr.manual_seed(0)
    first = nn.Linear(3, 2, bias=False).double()
    second = nn.Linear(3, 2, bias=False).double()
    second.load_state_dict(first.state_dict())
    x = cr.randn(5, 3, dtype=cr.float64)
    decayed = rule(first.parameters(), lr=0.1, weight_decay=0.02)
    penalised = rule(second.parameters(), lr=0.1)
    penalty = Regularizer(beta=0.01)
    for _ in range(3):
        for net, step, extra in ((first, decayed, 0), (second, penalised, penalty(second))):
            step.zero_grad()
            ((net(x) ** 2).mean() + extra).backward()
            step.step()
    np.testing.assert_allclose(first.weight.detach(), second.weight.detach(), rtol=1e-12)


def test_what_is_refused():
    with pytest.raises(
        ConfigError, match=r"must be numbers and must not be negative, got -1 and 0"
    ):
        Regularizer(alpha=-1, beta=0)
    with pytest.raises(ConfigError, match="there are no parameters to regularise"):
        l1([])
    message = r"Sequential has no parameter that fits Regularizer\(alpha=0\.1, beta=0\.0, names="
    with pytest.raises(ConfigError, match=message):
        Regularizer(0.1, names="7.*")(network())
    with pytest.raises(DTypeError, match="elastic_net: expects"):
        l2(cr.tensor([1, 2]))


def test_printed_form():
    penalty = Regularizer(0.1, names=["a.*"], kinds=nn.Linear, biases=True)
    assert repr(penalty) == (
        "Regularizer(alpha=0.1, beta=0.0, names=['a.*'], kinds=(Linear), biases=True)"
    )


def test_regularizer_refuses_what_is_no_number_and_what_is_no_module() -> None:
    with pytest.raises(ConfigError, match="must be numbers and must not be negative, got 'a'"):
        nn.regularization.Regularizer("a")  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="expects a module, got a Tensor; elastic_net takes"):
        nn.regularization.Regularizer(1.0)(cr.ones(2))  # type: ignore[arg-type]
