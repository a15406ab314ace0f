"""Two hundred steps beside PyTorch's optimizers."""

import inspect
from itertools import product

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity

# By class: what is always given, and the values that each other argument takes in turn.
ARGUMENTS = {
    "SGD": ({"lr": 0.02}, {
        "momentum": [0, 0.9], "dampening": [0, 0.4], "weight_decay": [0, 0.01],
        "nesterov": [False, True], "maximize": [False, True],
    }),
    "Adam": ({"lr": 0.01}, {
        "betas": [(0.9, 0.999), (0.8, 0.95)], "eps": [1e-8, 1e-3], "weight_decay": [0, 0.01],
        "amsgrad": [False, True], "maximize": [False, True],
        "decoupled_weight_decay": [False, True],
    }),
    "AdamW": ({"lr": 0.01}, {
        "weight_decay": [0.01, 0.1], "amsgrad": [False, True], "maximize": [False, True],
    }),
    "Adagrad": ({"lr": 0.05}, {
        "lr_decay": [0, 0.1], "weight_decay": [0, 0.01], "initial_accumulator_value": [0, 0.5],
        "eps": [1e-10, 1e-3], "maximize": [False, True],
    }),
    "RMSprop": ({"lr": 0.01}, {
        "alpha": [0.99, 0.8], "eps": [1e-8, 1e-3], "weight_decay": [0, 0.01],
        "momentum": [0, 0.7], "centered": [False, True], "maximize": [False, True],
    }),
    "Adadelta": ({}, {
        "lr": [1.0, 0.3], "rho": [0.9, 0.7], "eps": [1e-6, 1e-2], "weight_decay": [0, 0.01],
        "maximize": [False, True],
    }),
    "NAdam": ({"lr": 0.01}, {
        "betas": [(0.9, 0.999), (0.8, 0.95)], "weight_decay": [0, 0.01],
        "momentum_decay": [4e-3, 0.1], "decoupled_weight_decay": [False, True],
        "maximize": [False, True],
    }),
    "RAdam": ({"lr": 0.01}, {
        "betas": [(0.9, 0.999), (0.8, 0.95), (0.5, 0.6)], "eps": [1e-8, 1e-3],
        "weight_decay": [0, 0.01], "decoupled_weight_decay": [False, True],
        "maximize": [False, True],
    }),
    "Adamax": ({"lr": 0.01}, {
        "betas": [(0.9, 0.999), (0.8, 0.95)], "eps": [1e-8, 1e-3], "weight_decay": [0, 0.01],
        "maximize": [False, True],
    }),
    "ASGD": ({"lr": 0.02}, {
        "lambd": [1e-4, 0.1], "alpha": [0.75, 0.5], "t0": [1e6, 50], "weight_decay": [0, 0.01],
        "maximize": [False, True],
    }),
    "Rprop": ({"lr": 0.01}, {
        "etas": [(0.5, 1.2), (0.3, 1.5)], "step_sizes": [(1e-6, 50), (0.005, 0.02)],
        "maximize": [False, True],
    }),
}  # fmt: skip


def settings_of(rule):
    always, choices = ARGUMENTS[rule]
    for values in product(*choices.values()):
        settings = {**always, **dict(zip(choices, values, strict=True))}
        if settings.get("nesterov") and (settings["momentum"] == 0 or settings["dampening"]):
            continue
        yield settings


EVERY = [
    pytest.param(rule, settings, id=f"{rule}-{'-'.join(str(v) for v in settings.values())}")
    for rule in ARGUMENTS
    for settings in settings_of(rule)
]
# What later groups override, where the rule has it.
OF_THE_SECOND_GROUP = {"weight_decay": 0.02, "eps": 1e-4, "lambd": 1e-3, "alpha": 0.9}
SHAPES = [(3, 4), (), (2, 3, 2, 2), (0, 3), (5,)]


class Problem:
    """The same parameters here and there, with gradients of the same noisy bowl.

    The noise is fresh at each step: at rest, Adam would divide rounding errors by one another.
    """

    def __init__(self, rule, settings, dtype="float64"):
        self.rng = np.random.default_rng(0)
        start = [np.asarray(self.rng.standard_normal(shape), dtype) for shape in SHAPES]
        self.ours = [nn.Parameter(cr.tensor(w)) for w in start]
        self.theirs = [torch.nn.Parameter(torch.tensor(w)) for w in start]
        self.rule, self.settings = rule, settings
        self.opt, self.twin = self.optimizer(optim, self.ours), self.torch_optimizer()
        self.start, self.steps = start, 0

    def optimizer(self, library, parameters):
        other = {k: v for k, v in OF_THE_SECOND_GROUP.items() if k in self.settings}
        groups = [{"params": parameters[:2]}, {"params": parameters[2:], "lr": 0.03, **other}]
        return getattr(library, self.rule)(groups, **self.settings)

    def torch_optimizer(self):
        return self.optimizer(torch.optim, self.theirs)

    def step(self, ours=True, theirs=True):
        sign = -1 if self.settings.get("maximize") else 1
        without = self.steps % 7 == 3 and self.steps % 5  # the number of one without gradient
        for i, (p, q) in enumerate(zip(self.ours, self.theirs, strict=True)):
            noise = np.asarray(self.rng.standard_normal(p.shape), p.dtype)
            p.grad = q.grad = None
            if i != without:
                p.grad = cr.from_numpy(np.asarray(sign * (p.array * 0.3 + noise)))
                q.grad = torch.from_numpy(np.asarray(sign * (q.detach().numpy() * 0.3 + noise)))
        if ours:
            self.opt.step()
        if theirs:
            self.twin.step()
        self.steps += 1

    def assert_equal(self, tolerance=1e-10):
        for p, q in zip(self.ours, self.theirs, strict=True):
            np.testing.assert_allclose(p.array, q.detach().numpy(), rtol=tolerance, atol=tolerance)

    def assert_equal_state(self, tolerance=1e-10):
        ours, theirs = self.opt.state_dict(), self.twin.state_dict()
        assert ours["param_groups"] == theirs["param_groups"]
        assert ours["state"].keys() == theirs["state"].keys()
        for n, entries in theirs["state"].items():
            assert ours["state"][n].keys() == entries.keys()
            for name, value in entries.items():
                mine = ours["state"][n][name]
                mine = mine.array if isinstance(mine, cr.Tensor) else mine
                np.testing.assert_allclose(
                    mine, value.numpy(), rtol=tolerance, atol=tolerance, err_msg=name
                )


@pytest.mark.parametrize(("rule", "settings"), EVERY)
def test_two_hundred_steps(rule, settings):
    """With groups; the state goes through a state_dict, ours and PyTorch's, in between."""
    problem = Problem(rule, settings)
    for _ in range(80):
        problem.step()
    saved, problem.opt = problem.opt.state_dict(), problem.optimizer(optim, problem.ours)
    problem.opt.load_state_dict(saved)
    for _ in range(60):
        problem.step()
    problem.opt = problem.optimizer(optim, problem.ours)
    problem.opt.load_state_dict(problem.twin.state_dict())
    for _ in range(60):
        problem.step()
    assert np.abs(problem.ours[0].array - problem.start[0]).max() > 1e-3
    problem.assert_equal()
    problem.assert_equal_state()


@pytest.mark.parametrize("rule", ARGUMENTS)
def test_pytorch_goes_on_from_our_state(rule):
    problem = Problem(rule, next(settings_of(rule)))
    for _ in range(5):
        problem.step(theirs=False)
    with torch.no_grad():
        for p, q in zip(problem.ours, problem.theirs, strict=True):
            q.copy_(torch.tensor(p.array))
    ours = problem.opt.state_dict()
    tensors = {
        n: {k: torch.tensor(v.array) if isinstance(v, cr.Tensor) else v for k, v in state.items()}
        for n, state in ours["state"].items()
    }
    problem.twin.load_state_dict({"state": tensors, "param_groups": ours["param_groups"]})
    for _ in range(5):
        problem.step()
    problem.assert_equal()
    problem.assert_equal_state()


@pytest.mark.parametrize("rule", ARGUMENTS)
def test_in_float32(rule):
    for settings in list(settings_of(rule))[::7]:
        problem = Problem(rule, settings, "float32")
        for _ in range(50):
            problem.step()
        problem.assert_equal(1e-4)


@pytest.mark.parametrize("rule", ARGUMENTS)
def test_the_rate_may_be_a_tensor(rule):
    class TensorRate(Problem):
        def optimizer(self, library, parameters):
            one = (torch if library is torch.optim else cr).tensor(0.5)
            return getattr(library, self.rule)(parameters, **{**self.settings, "lr": one})

    problem = TensorRate(rule, next(settings_of(rule)))
    for _ in range(5):
        problem.step()
    problem.assert_equal(1e-6)  # PyTorch divides a float32 rate in float32


@pytest.mark.parametrize("rule", ARGUMENTS)
def test_signatures(rule):
    ours = inspect.signature(getattr(optim, rule)).parameters
    theirs = inspect.signature(getattr(torch.optim, rule)).parameters
    facts = lambda each: [(p.name, p.kind, p.default) for p in each.values()]  # noqa: E731
    assert facts(ours) == facts(theirs)


@pytest.mark.parametrize("rule", ARGUMENTS)
def test_printed_forms(rule):
    settings = next(settings_of(rule))
    mine = getattr(optim, rule)([nn.Parameter(cr.ones(2))], **settings)
    theirs = getattr(torch.optim, rule)([torch.nn.Parameter(torch.ones(2))], **settings)
    assert repr(mine) == repr(theirs)
