"""Two hundred steps beside PyTorch's optimizers and schedules."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity

RULES = {
    "sgd": ("SGD", {"lr": 0.05}),
    "sgd, decay": ("SGD", {"lr": 0.05, "weight_decay": 0.01}),
    "momentum": ("SGD", {"lr": 0.02, "momentum": 0.9}),
    "momentum, dampening, decay": (
        "SGD",
        {"lr": 0.02, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.01},
    ),
    "nesterov, decay": (
        "SGD",
        {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "maximize": (
        "SGD",
        {"lr": 1e-3, "momentum": 0.5, "dampening": 0.1, "weight_decay": 0.01, "maximize": True},
    ),
    "maximize, nesterov": (
        "SGD",
        {"lr": 1e-3, "momentum": 0.5, "nesterov": True, "maximize": True},
    ),
    "adam": ("Adam", {"lr": 0.01}),
    "adam, decay, betas": ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.01}),
    "adam, amsgrad": ("Adam", {"lr": 0.01, "amsgrad": True, "eps": 1e-4}),
    "adam, maximize": ("Adam", {"lr": 1e-3, "maximize": True, "weight_decay": 0.01}),
    "adamw": ("AdamW", {"lr": 0.01}),
    "adamw, all": ("AdamW", {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True, "maximize": True}),
}


class Problem:
    """A small network here and there, trained on the same noise, in float64."""

    def __init__(self, rule):
        name, settings = RULES[rule]
        rng = np.random.default_rng(0)
        torch.manual_seed(0)
        build = lambda m: m.Sequential(m.Linear(4, 8), m.Tanh(), m.Linear(8, 3))  # noqa: E731
        self.theirs = build(torch.nn).double()
        self.ours = build(nn).double()
        self.ours.load_state_dict({k: v.numpy() for k, v in self.theirs.state_dict().items()})
        self.opt = getattr(optim, name)(self.ours.parameters(), **settings)
        self.twin = getattr(torch.optim, name)(self.theirs.parameters(), **settings)
        self.rng = rng

    def step(self, ours=True, theirs=True):
        # Fresh data each step: at rest, Adam would divide rounding errors by one another.
        x, y = self.rng.standard_normal((16, 4)), self.rng.integers(0, 3, 16)
        if ours:
            self.opt.zero_grad()
            loss = nn.CrossEntropyLoss()
            loss(self.ours(cr.tensor(x)), cr.tensor(y)).backward()
            self.opt.step()
        if theirs:
            self.twin.zero_grad()
            loss = torch.nn.CrossEntropyLoss()
            loss(self.theirs(torch.tensor(x)), torch.tensor(y)).backward()
            self.twin.step()

    def assert_equal(self):
        for p, q in zip(self.ours.parameters(), self.theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.array, q.detach().numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rule", RULES)
def test_two_hundred_steps(rule):
    problem = Problem(rule)
    start = problem.ours[0].weight.array.copy()
    for _ in range(200):
        problem.step()
    assert np.abs(problem.ours[0].weight.array - start).max() > 1e-3
    problem.assert_equal()


@pytest.mark.parametrize("rule", ["nesterov, decay", "adam, amsgrad", "adamw"])
def test_going_on_from_pytorchs_state(rule):
    problem = Problem(rule)
    for _ in range(5):
        problem.step(ours=False)
    weights = {k: v.numpy() for k, v in problem.theirs.state_dict().items()}
    problem.ours.load_state_dict(weights)
    problem.opt.load_state_dict(problem.twin.state_dict())
    for _ in range(5):
        problem.step()
    problem.assert_equal()
    ours, theirs = problem.opt.state_dict(), problem.twin.state_dict()
    assert ours["state"].keys() == theirs["state"].keys()
    assert set(ours["state"][0]) == set(theirs["state"][0])
    assert ours["param_groups"][0]["params"] == theirs["param_groups"][0]["params"]
