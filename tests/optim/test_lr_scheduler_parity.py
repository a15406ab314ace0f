"""Every schedule beside PyTorch's, for two hundred steps, with states passed to and fro."""

import copy
import inspect
import re
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity

STEPS = 200
NAMES = [n for n in torch.optim.lr_scheduler.__all__ if n in optim.lr_scheduler.__all__]


class Scale:
    """A function that is an object: its attributes are part of a state."""

    def __init__(self, base):
        self.base = base

    def __call__(self, x):
        return self.base ** (x / 50)


SCHEDULES = {
    "step": lambda m, o: m.StepLR(o, 3, 0.9),
    "step, defaults": lambda m, o: m.StepLR(o, 60),
    "multi step": lambda m, o: m.MultiStepLR(o, [40, 20, 40, 90], 0.3),
    "multi step, at 0": lambda m, o: m.MultiStepLR(o, [0, 1]),
    "constant": lambda m, o: m.ConstantLR(o),
    "constant, all": lambda m, o: m.ConstantLR(o, factor=0.5, total_iters=40),
    "constant, at once": lambda m, o: m.ConstantLR(o, 0.5, 0),
    "linear": lambda m, o: m.LinearLR(o),
    "linear, all": lambda m, o: m.LinearLR(o, 0.1, 0.9, 60),
    "linear, down to 0": lambda m, o: m.LinearLR(o, 1.0, 0.0, 60),
    "linear, at once": lambda m, o: m.LinearLR(o, 0.5, total_iters=0),
    "exponential": lambda m, o: m.ExponentialLR(o, 0.97),
    "polynomial": lambda m, o: m.PolynomialLR(o),
    "polynomial, all": lambda m, o: m.PolynomialLR(o, total_iters=120, power=0.9),
    "polynomial, squared": lambda m, o: m.PolynomialLR(o, 300, 2.0),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, 23),
    "cosine, low above": lambda m, o: m.CosineAnnealingLR(o, 50, eta_min=1e-3),
    "cosine, to and fro": lambda m, o: m.CosineAnnealingLR(o, 1, 0.01),
    "cosine, fractional": lambda m, o: m.CosineAnnealingLR(o, 17.5, 0.01),
    "restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 13),
    "restarts, longer": lambda m, o: m.CosineAnnealingWarmRestarts(o, 7, 2, 1e-3),
    "lambda": lambda m, o: m.LambdaLR(o, lambda e: 0.98**e),
    "lambda for each": lambda m, o: m.LambdaLR(o, [lambda e: 1 / (1 + e), Scale(0.5)]),
    "multiplicative": lambda m, o: m.MultiplicativeLR(o, lambda e: 0.99),
    "multiplicative for each": lambda m, o: m.MultiplicativeLR(o, (Scale(0.99), lambda e: 0.9)),
    "cyclic": lambda m, o: m.CyclicLR(o, 0.01, 0.5, step_size_up=20),
    "cyclic, groups": lambda m, o: m.CyclicLR(
        o, [0.01, 0.02], [0.5, 1.0], 30, 11, "triangular2",
        base_momentum=[0.7, 0.6], max_momentum=[0.9, 0.99],
    ),
    "cyclic, exponential": lambda m, o: m.CyclicLR(o, 0.01, 0.5, 12, mode="exp_range", gamma=0.99),
    "cyclic, own scale": lambda m, o: m.CyclicLR(
        o, 0.01, 0.5, 12, 3, scale_fn=Scale(0.8), scale_mode="iterations", cycle_momentum=False
    ),
    "cyclic, own scale of cycles": lambda m, o: m.CyclicLR(
        o, 0.01, 0.5, 9, mode="mine", scale_fn=lambda x: 1 / x
    ),
    "one cycle": lambda m, o: m.OneCycleLR(o, [0.5, 2.0], STEPS),
    "one cycle, all": lambda m, o: m.OneCycleLR(
        o, 1.0, epochs=20, steps_per_epoch=11, pct_start=0.4, anneal_strategy="linear",
        base_momentum=[0.5, 0.6], max_momentum=0.9, three_phase=True, div_factor=10,
        final_div_factor=100,
    ),
    "one cycle, rate only": lambda m, o: m.OneCycleLR(
        o, 1.0, 210, pct_start=0.0, cycle_momentum=False, three_phase=False
    ),
    "warm-up, cosine, step": lambda m, o: m.SequentialLR(
        o,
        [m.LinearLR(o, 0.1, 1.0, 4), m.CosineAnnealingLR(o, 80), m.StepLR(o, 20, 0.5)],
        [4, 120],
    ),
    "in sequence, exponential": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.1, 20), m.ExponentialLR(o, 0.9), m.LambdaLR(o, lambda e: e)], [20, 90]
    ),
    "in sequence, restarts and cycle": lambda m, o: m.SequentialLR(
        o,
        [m.CosineAnnealingWarmRestarts(o, 5), m.PolynomialLR(o, 30), m.OneCycleLR(o, 1.0, 150)],
        [17, 60],
    ),
    "in sequence, in sequence": lambda m, o: m.SequentialLR(
        o,
        [
            m.SequentialLR(o, [m.LinearLR(o), m.StepLR(o, 5)], [5]),
            m.ExponentialLR(o, 0.9),
        ],
        [30],
    ),
    "chained": lambda m, o: m.ChainedScheduler(
        [m.ConstantLR(o, 0.1, 20), m.ExponentialLR(o, 0.99), m.StepLR(o, 50, 0.5)]
    ),
    "chained, cosine": lambda m, o: m.ChainedScheduler(
        (m.LinearLR(o, 0.25, 1.0, 30), m.CosineAnnealingLR(o, 90, 1e-4)), optimizer=o
    ),
    "chained, polynomial": lambda m, o: m.ChainedScheduler(
        [m.PolynomialLR(o, 250, 0.9), m.MultiStepLR(o, [30, 80], 0.1),
         m.MultiplicativeLR(o, lambda e: 0.995)]
    ),
    "chained in sequence": lambda m, o: m.SequentialLR(
        o,
        [m.ChainedScheduler([m.LinearLR(o, 0.5), m.ExponentialLR(o, 0.9)]), m.StepLR(o, 10)],
        [50],
    ),
}  # fmt: skip

# Those that may be told an epoch; PyTorch's formula for "at once" divides by 0.
TOLD = [k for k in SCHEDULES if not re.search("sequence|chained|warm-up|linear, at once", k)]

RULES = {"SGD": {"momentum": 0.9}, "Adam": {}, "SGD, rates in tensors": {"momentum": 0.9}}


class Side:
    """An optimizer of two groups and a schedule, in one of the two libraries."""

    def __init__(self, library, make, rule="SGD"):
        parameter = {optim: lambda: nn.Parameter(cr.ones(1)), torch.optim: torch_parameter}[library]
        rates = (0.1, 0.7)
        if "tensors" in rule:
            tensor = {optim: double, torch.optim: torch.DoubleTensor}[library]
            rates = [tensor([lr])[0] for lr in rates]
        groups = [{"params": [parameter()], "lr": lr} for lr in rates]
        self.opt = getattr(library, rule.partition(",")[0])(groups, **RULES[rule])
        self.scheduler = make(library.lr_scheduler, self.opt)

    def seen(self):
        """What a training loop could see: the rates, as written and as told, and momentum."""
        groups = self.opt.param_groups
        momenta = [g["momentum"] if "momentum" in g else g["betas"][0] for g in groups]
        return [
            float(v) for v in (*(g["lr"] for g in groups), *self.scheduler.get_last_lr(), *momenta)
        ]

    def go_on(self, steps, *arguments):
        rows = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for i in range(steps):
                rows.append(self.seen())
                self.opt.step()
                self.scheduler.step(*(a(i) for a in arguments))
        return [*rows, self.seen()]


def double(values):
    return cr.tensor(values, dtype=cr.float64)


def torch_parameter():
    return torch.nn.Parameter(torch.ones(1))


def both(make, rule="SGD"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Side(optim, make, rule), Side(torch.optim, make, rule)


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_arguments(name):
    ours = inspect.signature(getattr(optim.lr_scheduler, name)).parameters
    theirs = inspect.signature(getattr(torch.optim.lr_scheduler, name)).parameters
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]


def test_names():
    assert set(torch.optim.lr_scheduler.__all__) <= set(optim.lr_scheduler.__all__)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", SCHEDULES)
def test_two_hundred_steps(kind, rule):
    ours, theirs = both(SCHEDULES[kind], rule)
    assert_close(ours.go_on(STEPS), theirs.go_on(STEPS))


def plain(state):
    """A state without the functions that one of the libraries keeps."""
    return {k: v for k, v in state.items() if k not in ("_schedulers", "lr_lambdas")}


def assert_same_state(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, value in plain(theirs).items():
        if isinstance(value, float) or key in ("_last_lr", "base_lrs"):
            assert_close(ours[key], value)
        else:
            assert ours[key] == value, key
    for one, other in zip(ours.get("_schedulers", []), theirs.get("_schedulers", []), strict=True):
        assert_same_state(one, other)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_states_pass_to_and_fro(kind):
    """Ours goes on from PyTorch's state, and PyTorch from ours, after 37 steps."""
    ours, theirs = both(SCHEDULES[kind])
    ours.go_on(37)
    theirs.go_on(37)
    assert_same_state(ours.scheduler.state_dict(), theirs.scheduler.state_dict())
    again, theirs_again = both(SCHEDULES[kind])
    again.opt.load_state_dict(theirs.opt.state_dict())
    again.scheduler.load_state_dict(copy.deepcopy(theirs.scheduler.state_dict()))
    theirs_again.opt.load_state_dict(ours.opt.state_dict())
    theirs_again.scheduler.load_state_dict(copy.deepcopy(ours.scheduler.state_dict()))
    whole = theirs.go_on(100)
    assert_close(again.go_on(100), whole)
    assert_close(theirs_again.go_on(100), whole)


@pytest.mark.parametrize("kind", TOLD)
def test_a_schedule_told_its_epoch(kind):
    """step(epoch): the closed formula where there is one; back and forth."""
    ours, theirs = both(SCHEDULES[kind])
    epochs = np.random.default_rng(0).integers(0, 200, 60)
    there = lambda i: int(epochs[i])  # noqa: E731
    assert_close(ours.go_on(60, there), theirs.go_on(60, there))
    assert_close(ours.go_on(20), theirs.go_on(20))  # and on from there


def test_restarts_between_epochs():
    ours, theirs = both(SCHEDULES["restarts, longer"])
    part = lambda i: i / 7  # noqa: E731
    assert_close(ours.go_on(STEPS, part), theirs.go_on(STEPS, part))


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_rate_set_by_hand(kind):
    """Chainable schedules go on from it, the others take their own again: as PyTorch's."""
    ours, theirs = both(SCHEDULES[kind])
    assert_close(ours.go_on(30), theirs.go_on(30))
    for side in (ours, theirs):
        side.opt.param_groups[1]["lr"] = 0.123
    assert_close(ours.go_on(60), theirs.go_on(60))


def test_two_schedules_of_one_optimizer():
    """Without a ChainedScheduler: each step multiplies by both."""

    def make(m, o):
        first, second = m.ExponentialLR(o, 0.98), m.CosineAnnealingLR(o, 31)
        first.get_last_lr = second.get_last_lr
        one, two = first.step, second.step
        first.step = lambda: (one(), two())
        return first

    ours, theirs = both(make)
    assert_close(ours.go_on(STEPS), theirs.go_on(STEPS))


LAST_EPOCH = {
    "ConstantLR": {"total_iters": 20},
    "LinearLR": {"total_iters": 30},
    "PolynomialLR": {"total_iters": 25, "power": 2},
    "StepLR": {"step_size": 3},
    "MultiStepLR": {"milestones": [12, 20]},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": 25},
    "CosineAnnealingWarmRestarts": {"T_0": 12},
    "LambdaLR": {"lr_lambda": lambda e: 1 / (1 + e)},
    "MultiplicativeLR": {"lr_lambda": lambda e: 0.9},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 9, "cycle_momentum": False},
    "OneCycleLR": {"max_lr": 0.5, "total_steps": 50, "cycle_momentum": False},
}


@pytest.mark.parametrize("name", LAST_EPOCH)
def test_going_on_at_last_epoch(name):
    """A schedule made for groups that have an initial rate, at an epoch in the middle."""
    ours, theirs = both(SCHEDULES["one cycle, rate only"])
    assert_close(ours.go_on(11), theirs.go_on(11))
    for side, library in ((ours, optim), (theirs, torch.optim)):
        scheduler = getattr(library.lr_scheduler, name)
        side.scheduler = scheduler(side.opt, **LAST_EPOCH[name], last_epoch=10)
    assert_close(ours.go_on(30), theirs.go_on(30))


# -- plateau -------------------------------------------------------------------------------------

PLATEAUS = {
    "defaults": {},
    "loss, relative": {"mode": "min", "factor": 0.5, "patience": 3, "threshold": 0.05},
    "loss, absolute": {"threshold_mode": "abs", "threshold": 0.02, "patience": 2, "factor": 0.3},
    "accuracy, relative": {"mode": "max", "patience": 4, "threshold": 0.1, "factor": 0.7},
    "accuracy, absolute": {"mode": "max", "threshold_mode": "abs", "patience": 0, "factor": 0.9},
    "cooldown": {"patience": 1, "cooldown": 5, "factor": 0.5},
    "lowest": {"patience": 1, "factor": 0.5, "min_lr": 0.03},
    "lowest for each": {"patience": 1, "factor": 0.5, "min_lr": [0.01, 0.2]},
    "small changes": {"patience": 0, "factor": 0.5, "eps": 0.02},
}


@pytest.mark.parametrize("settings", PLATEAUS)
def test_plateau(settings):
    make = lambda m, o: m.ReduceLROnPlateau(o, **PLATEAUS[settings])  # noqa: E731
    ours, theirs = both(make)
    metrics = 1 / (1 + np.arange(STEPS) / 9) + np.random.default_rng(1).normal(0, 0.03, STEPS)
    metric = lambda i: metrics[i]  # noqa: E731
    assert_close(ours.go_on(100, metric), theirs.go_on(100, metric))
    assert ours.scheduler.state_dict() == theirs.scheduler.state_dict()
    again, theirs_again = both(make)
    again.opt.load_state_dict(theirs.opt.state_dict())
    again.scheduler.load_state_dict(theirs.scheduler.state_dict())
    theirs_again.opt.load_state_dict(ours.opt.state_dict())
    theirs_again.scheduler.load_state_dict(ours.scheduler.state_dict())
    later = lambda i: metrics[100 + i]  # noqa: E731
    whole = theirs.go_on(100, later)
    assert_close(again.go_on(100, later), whole)
    assert_close(theirs_again.go_on(100, later), whole)
    assert whole[-1][0] < 0.1  # it did fall


def test_plateau_after_a_group_was_added():
    ours, theirs = both(lambda m, o: m.ReduceLROnPlateau(o, patience=1))
    ours.opt.add_param_group({"params": [nn.Parameter(cr.ones(1))], "lr": 0.2})
    theirs.opt.add_param_group({"params": [torch_parameter()], "lr": 0.2})
    for side in (ours, theirs):
        side.scheduler.step(1.0)
    assert_close(ours.go_on(9, lambda i: 1.0), theirs.go_on(9, lambda i: 1.0))


# -- warnings ------------------------------------------------------------------------------------


def told(side, *calls):
    """The beginnings of the warnings that some calls give."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for call in calls:
            call(side)
    return [str(w.message)[:40] for w in caught]


def override_step(side):
    side.opt.step = lambda: None


@pytest.mark.parametrize(
    "calls",
    [
        [lambda s: s.scheduler.step()],
        [lambda s: s.opt.step(), lambda s: s.scheduler.step()],
        [lambda s: s.scheduler.step(), lambda s: s.opt.step(), lambda s: s.scheduler.step()],
        [override_step, lambda s: s.opt.step(), lambda s: s.scheduler.step()],
        [lambda s: s.opt.step(), lambda s: s.scheduler.step(3)],
        [lambda s: s.scheduler.get_lr()],
        [lambda s: s.scheduler.get_last_lr()],
    ],
)
def test_warnings(calls):
    ours, theirs = both(SCHEDULES["step"])
    assert told(ours, *calls) == told(theirs, *calls)
