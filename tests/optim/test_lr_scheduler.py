"""Schedules: their curves, resuming, and their errors."""

import copy
import json
import math

import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ConfigError, DTypeError, GroupsError
from chainrule.optim import lr_scheduler as schedules


def sgd(*rates, **settings):
    groups = [{"params": [nn.Parameter(cr.ones(1))], "lr": lr} for lr in rates or (1.0,)]
    return optim.SGD(groups, **settings)


def curve(scheduler, epochs, group=0):
    rates = []
    for _ in range(epochs):
        rates.append(scheduler.get_last_lr()[group])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def test_step():
    assert curve(schedules.StepLR(sgd(), 2, 0.5), 5) == [1, 1, 0.5, 0.5, 0.25]


def test_multi_step():
    assert curve(schedules.MultiStepLR(sgd(), [3, 1], 0.5), 5) == [1, 0.5, 0.5, 0.25, 0.25]


def test_cosine():
    rates = curve(schedules.CosineAnnealingLR(sgd(), 4, eta_min=0.2), 6)
    assert rates[0] == 1
    assert rates[1] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2)
    assert rates[2] == pytest.approx(0.6) and rates[4] == pytest.approx(0.2)
    assert rates[5] == pytest.approx(rates[3])


def test_linear():
    rates = curve(schedules.LinearLR(sgd(), 0.2, 1.0, 4), 6)
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_lambda_for_each_group():
    scheduler = schedules.LambdaLR(sgd(1.0, 10.0), [lambda e: 1 / (1 + e), lambda e: 1])
    assert curve(scheduler, 1) == [1]
    assert scheduler.get_last_lr() == [0.5, 10]


def test_sequence_is_a_warm_up_and_a_cosine():
    opt = sgd()
    warm_up = schedules.LinearLR(opt, 0.5, 1.0, 2)
    cosine = schedules.CosineAnnealingLR(opt, 2)
    rates = curve(schedules.SequentialLR(opt, [warm_up, cosine], [2]), 5)
    assert rates == pytest.approx([0.5, 0.75, 1, 0.5, 0])


def test_a_schedule_in_sequence_sets_momentum_too():
    opt = sgd(momentum=0.9)
    cycle = schedules.OneCycleLR(opt, 1.0, 10)
    scheduler = schedules.SequentialLR(opt, [schedules.StepLR(opt, 9), cycle], [2])
    momenta = []
    for _ in range(5):
        momenta.append(opt.param_groups[0]["momentum"])
        opt.step()
        scheduler.step()
    assert momenta[:3] == pytest.approx([0.95] * 3) and momenta[3] < 0.95


def test_one_cycle_rises_and_falls_and_momentum_goes_the_other_way():
    opt = sgd(momentum=0.9)
    scheduler = schedules.OneCycleLR(opt, 2.0, total_steps=11, pct_start=0.3, div_factor=20)
    rates, momenta = [], []
    for i in range(11):
        rates.append(opt.param_groups[0]["lr"])
        momenta.append(opt.param_groups[0]["momentum"])
        if i < 10:
            opt.step()
            scheduler.step()
    assert rates[0] == pytest.approx(0.1) and rates[10] == pytest.approx(0.1 / 1e4)
    assert 0.1 < rates[1] < rates[2] < 2 and rates[3] > rates[4] > rates[9]
    assert momenta[0] == pytest.approx(0.95) and momenta[10] == pytest.approx(0.95)
    assert min(momenta) >= 0.85 and momenta[0] > momenta[1] > momenta[2]
    scheduler.step()  # one more than there is a rate for, as PyTorch allows
    with pytest.raises(ConfigError, match=r"step 12 is beyond the cycle of 11 steps"):
        scheduler.step()


MAKERS = {
    "step": lambda o: schedules.StepLR(o, 2),
    "multi_step": lambda o: schedules.MultiStepLR(o, [2, 5]),
    "cosine": lambda o: schedules.CosineAnnealingLR(o, 7, 0.01),
    "linear": lambda o: schedules.LinearLR(o, total_iters=6),
    "lambda": lambda o: schedules.LambdaLR(o, lambda e: 0.9**e),
    "one_cycle": lambda o: schedules.OneCycleLR(o, 1.0, 20),
    "cyclic": lambda o: schedules.CyclicLR(o, 0.1, 1.0, 4, mode="exp_range", gamma=0.9),
    "restarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 3, 2),
    "chained": lambda o: schedules.ChainedScheduler(
        [schedules.PolynomialLR(o, 9), schedules.MultiplicativeLR(o, lambda e: 0.9)]
    ),
    "sequence": lambda o: schedules.SequentialLR(
        o, [schedules.LinearLR(o), schedules.StepLR(o, 2)], [3]
    ),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_resumed_schedule_goes_on_exactly(kind):
    opt = sgd(0.3, 0.7, momentum=0.9)
    scheduler = MAKERS[kind](opt)
    curve(scheduler, 4)
    twin_opt = sgd(0.5, 0.5, momentum=0.9)
    twin = MAKERS[kind](twin_opt)  # before the state is loaded: it writes its first rates
    twin_opt.load_state_dict(opt.state_dict())
    twin.load_state_dict(scheduler.state_dict())
    assert twin.get_last_lr() == scheduler.get_last_lr()
    for group in (0, 1):
        assert curve(twin, 4, group) == curve(scheduler, 4, group)


def test_last_epoch_goes_on_where_the_groups_know_their_first_rate():
    opt = sgd()
    whole = curve(schedules.StepLR(opt, 2, 0.5), 5)
    opt.param_groups[0]["lr"] = whole[1]
    assert curve(schedules.StepLR(opt, 2, 0.5, last_epoch=1), 3) == whole[2:]
    assert curve(schedules.LambdaLR(opt, lambda e: 0.5**e, last_epoch=1), 2) == [0.25, 0.125]
    with pytest.raises(ConfigError, match=r"^StepLR: param 'initial_lr' is not specified"):
        schedules.StepLR(sgd(), 2, last_epoch=1)
    with pytest.raises(KeyError):  # PyTorch's
        schedules.StepLR(sgd(), 2, last_epoch=1)


def optim_without_momentum():
    class Plain(optim.Optimizer):
        """No momentum."""

    return Plain([nn.Parameter(cr.ones(1))], {"lr": 0.1})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: schedules.StepLR(o, 0), r"step_size must be at least 1, got 0"),
        (lambda o: schedules.CosineAnnealingLR(o, 0), r"T_max must be at least 1, got 0"),
        (lambda o: schedules.LinearLR(o, 0.0), r"factors must lie in 0..1"),
        (lambda o: schedules.LinearLR(o, 1.0, 1.5), r"factors must lie in 0..1"),
        (lambda o: schedules.ConstantLR(o, 1.5), r"factor must lie in 0..1, got 1.5"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 0), r"T_0 must be a whole number"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 2, 1.5), r"T_mult must be a whole"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 2, 1, "a"), r"eta_min must be a num"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 2).step(-1), r"epoch is negative: -1"),
        (lambda o: schedules.CyclicLR(o, 0.1, 1.0, mode="x"), r"mode must be one of triangular,"),
        (lambda o: schedules.CyclicLR(o, 0.1, 1.0, 0), r"step_size_up must be above 0 .*, got 0 a"),
        (lambda o: schedules.CyclicLR(o, [0.1, 1], 1.0), r"1 groups, but 2 base_lr"),
        (
            lambda o: schedules.CyclicLR(optim_without_momentum(), 0.1, 1.0),
            r"CyclicLR: Plain has no momentum and no betas; set cycle_momentum=False",
        ),
        (lambda o: schedules.MultiplicativeLR(o, []), r"1 groups need as many functions, got 0"),
        (lambda o: schedules.ReduceLROnPlateau(o, factor=1), r"factor must be below 1, got 1"),
        (lambda o: schedules.ReduceLROnPlateau(o, "top"), r'mode must be "min" or "max", got'),
        (lambda o: schedules.ReduceLROnPlateau(o, threshold_mode="x"), r'"rel" or "abs", got'),
        (lambda o: schedules.ReduceLROnPlateau(o, min_lr=[]), r"1 groups, but 0 min_lr"),
        (lambda o: schedules.ChainedScheduler([]), r"give at least one schedule"),
        (
            lambda o: schedules.ChainedScheduler([schedules.ReduceLROnPlateau(o)]),
            r"ChainedScheduler: number 0 is a ReduceLROnPlateau, which needs a metric",
        ),
        (lambda o: schedules.LambdaLR(o, []), r"1 groups need as many functions, got 0"),
        (lambda o: schedules.SequentialLR(o, [], []), r"got 0 schedules and 0 milestones"),
        (lambda o: schedules.OneCycleLR(o, 1.0), r"give total_steps, or epochs and steps_per"),
        (lambda o: schedules.OneCycleLR(o, 1.0, 9, pct_start=2), r"pct_start is a fraction"),
        (lambda o: schedules.OneCycleLR(o, 1.0, 9, anneal_strategy="x"), r'"cos" or "linear"'),
        (
            lambda o: schedules.OneCycleLR(o, [1.0, 2.0], 9),
            r"or one for each group: 1 groups, but 2",
        ),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ConfigError, match=message):
        make(sgd())


def test_impossible_types():
    with pytest.raises(DTypeError, match=r"lr_scheduler: list is not an Optimizer"):
        schedules.StepLR([], 1)
    with pytest.raises(DTypeError, match=r"LambdaLR: lr_lambda should be a function, got float"):
        schedules.LambdaLR(sgd(), 0.5)
    with pytest.raises(DTypeError, match=r"SequentialLR: number 0 is no schedule, but a int"):
        schedules.SequentialLR(sgd(), [3], [])


def test_a_plateau_needs_a_least_rate_for_an_added_group():
    opt = sgd()
    scheduler = schedules.ReduceLROnPlateau(opt, patience=0, min_lr=[0.1])
    opt.add_param_group({"params": [nn.Parameter(cr.ones(1))]})
    scheduler.step(1.0)
    with pytest.raises(GroupsError, match=r"groups in the optimizer \(2\) is not .*; .* append"):
        scheduler.step(1.0)


def test_a_state_of_other_schedules():
    opt = sgd()
    state = schedules.ChainedScheduler([schedules.StepLR(opt, 1)]).state_dict()
    both = schedules.ChainedScheduler([schedules.StepLR(opt, 1), schedules.StepLR(opt, 2)])
    with pytest.raises(ConfigError, match=r"the state is of 1 schedules, here are 2"):
        both.load_state_dict(state)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_state_survives_a_file(kind, tmp_path):
    scheduler = MAKERS[kind](sgd(0.3, 0.7, momentum=0.9))
    before = curve(scheduler, 3)
    cr.save(scheduler.state_dict(), tmp_path / "schedule")
    twin = MAKERS[kind](sgd(0.3, 0.7, momentum=0.9))
    assert curve(twin, 3) == before
    twin.load_state_dict(cr.load(tmp_path / "schedule"))
    assert curve(twin, 5) == curve(scheduler, 5)


def test_a_state_survives_json():
    opt = sgd()
    scheduler = schedules.MultiStepLR(opt, [3, 3, 5], 0.5)
    state = json.loads(json.dumps(scheduler.state_dict()))
    scheduler.load_state_dict(state)
    assert curve(scheduler, 7) == [1, 1, 1, 0.25, 0.25, 0.125, 0.125]


def test_a_rate_that_is_a_tensor_stays_that_tensor():
    opt = optim.SGD([nn.Parameter(cr.ones(1))], lr=1.0)
    rate = opt.param_groups[0]["lr"] = cr.tensor(1.0)
    scheduler = schedules.ExponentialLR(opt, 0.5)
    first = scheduler.get_last_lr()
    opt.step()
    scheduler.step()
    assert opt.param_groups[0]["lr"] is rate and rate.item() == 0.5
    assert first[0].item() == 1.0


def test_a_copied_optimizer_steps_itself():
    """A schedule watches its optimizer's step; a copy of the optimizer is another one."""
    opt = sgd()
    schedules.StepLR(opt, 1)
    twin = copy.deepcopy(opt)
    for group in twin.param_groups:
        for p in group["params"]:
            p.grad = cr.ones(1)
    twin.step()
    assert twin.param_groups[0]["params"][0].item() == 0
    assert opt.param_groups[0]["params"][0].item() == 1


def test_a_schedule_of_ones_own():
    class Halves(schedules.LRScheduler):
        """Half of it each epoch."""

        def get_lr(self):
            return [lr / 2**self.last_epoch for lr in self.base_lrs]

    assert curve(Halves(sgd()), 3) == [1, 0.5, 0.25]
    with pytest.raises(NotImplementedError, match=r"LRScheduler does not define get_lr"):
        schedules.LRScheduler(sgd())


def test_schedules_in_sequence_share_their_optimizer():
    opt = sgd()
    with pytest.raises(ConfigError, match=r"every schedule must be of the same optimizer"):
        schedules.SequentialLR(opt, [schedules.StepLR(sgd(), 1)], [])
