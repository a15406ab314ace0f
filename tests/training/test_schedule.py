"""The learning rate of a run: its curves, and that they reach the optimizer."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.training.config import CHOICES, TrainConfig
from chainrule.training.schedule import build_plateau, build_schedule, rate

FORMULAS = [s for s in CHOICES["schedule"] if s not in ("onecycle", "plateau")]


def curve(schedule, steps=100, warmup=0.2):
    return [rate(step, schedule=schedule, warmup=warmup, steps=steps) for step in range(steps + 1)]


def run(steps, rule=optim.SGD, rates=(0.2, 0.02), settings=None, **config):
    """The rates and momenta that an optimizer of two groups has at each step."""
    groups = [{"params": [nn.Parameter(cr.ones(1))], "lr": lr} for lr in rates]
    optimizer = rule(groups, **(settings or {}))
    schedule = build_schedule(TrainConfig("d", "m", **config), optimizer, steps)
    seen = []
    for _ in range(steps):
        seen.append([[g["lr"] for g in optimizer.param_groups], momentum(optimizer)])
        optimizer.step()
        if schedule is not None:
            schedule.step()
    return [row[0] for row in seen], [row[1] for row in seen]


def momentum(optimizer):
    group = optimizer.param_groups[0]
    return group["betas"][0] if "betas" in group else group["momentum"]


def test_the_rate_rises_in_a_straight_line_then_falls_along_a_cosine():
    rates = [rate(step, schedule="cosine", warmup=0.2, steps=100) for step in range(101)]
    assert np.allclose(np.diff(rates[:20]), 1 / 21)
    assert rates[20] == max(rates) == 1
    assert rates[60] == pytest.approx(0.5)
    assert rates[100] == 0


def test_the_step_schedule_falls_twice_by_ten():
    rates = [rate(step, schedule="step", warmup=0, steps=100) for step in (0, 49, 50, 74, 75, 99)]
    assert rates == [1, 1, 0.1, 0.1, 0.01, 0.01]


def test_the_constant_schedule_only_warms_up():
    rates = [rate(step, schedule="constant", warmup=0.1, steps=10) for step in range(10)]
    assert rates == [0.5] + [1] * 9


@pytest.mark.parametrize("schedule", FORMULAS)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_short_runs_have_a_rate_above_zero_at_every_step(schedule, steps):
    for warmup in (0, 0.1, 0.99):
        rates = [rate(s, schedule=schedule, warmup=warmup, steps=steps) for s in range(steps)]
        assert all(0 < r <= 1 for r in rates)


def test_straight_and_bent_lines_down_to_nothing():
    linear, squared = curve("linear"), curve("polynomial")
    assert np.allclose(np.diff(linear[20:]), -1 / 80)
    assert np.allclose(np.square(linear[20:]), squared[20:])
    assert linear[100] == squared[100] == 0


def test_the_exponential_schedule_falls_to_a_hundredth_by_equal_factors():
    rates = curve("exponential")
    assert np.allclose(np.diff(np.log(rates[20:])), np.log(0.01) / 80)
    assert rates[20] == 1 and rates[100] == pytest.approx(0.01)


def test_restarts_come_after_one_and_three_sevenths():
    rates = curve("cosine-restarts", steps=70, warmup=0)
    assert [i for i in range(1, 70) if rates[i] > rates[i - 1]] == [10, 30]
    assert rates[0] == rates[10] == rates[30] == 1 and rates[70] == 0
    assert rates[5] == rates[20] == rates[50] == pytest.approx(0.5)


def test_the_rates_of_groups_keep_their_ratio():
    for schedule in CHOICES["schedule"]:
        rates, _ = run(20, schedule=schedule, warmup=0.3)
        assert np.allclose([a / b for a, b in rates], 10)
        assert np.allclose(max(rates), [0.2, 0.02], rtol=0.1)


def test_one_cycle_rises_during_the_warm_up_and_momentum_goes_the_other_way():
    rates, momenta = run(40, settings={"momentum": 0.9}, schedule="onecycle", warmup=0.3)
    top = int(np.argmax([r[0] for r in rates]))
    assert top == 11 and rates[11][0] == pytest.approx(0.2)
    assert rates[0][0] == pytest.approx(0.2 / 25) and rates[39][0] < 1e-6
    assert momenta[0] == momenta[39] == pytest.approx(0.95)
    assert momenta[top] == pytest.approx(0.85)
    _, betas = run(40, optim.Adam, schedule="onecycle")
    assert min(betas) < 0.86 and max(betas) == pytest.approx(0.95)
    _, without = run(40, settings={"momentum": 0}, schedule="onecycle")
    assert set(without) == {0}


def test_a_plateau_lowers_the_rate_that_the_warm_up_reached():
    config = TrainConfig("d", "m", schedule="plateau", epochs=30, warmup=0.1)
    optimizer = optim.SGD([nn.Parameter(cr.ones(1))], lr=0.5)
    schedule, plateau = build_schedule(config, optimizer, 60), build_plateau(config, optimizer)
    rates = []
    for step in range(60):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
        if step % 2:
            plateau.step(max(1 - step / 20, 0.5))  # the best comes after step 11, epoch 6
    assert rates[:7] == pytest.approx([0.5 * (i + 1) / 7 for i in range(7)])
    # three epochs may pass without a better loss, at the fourth the rate falls
    falls = [i for i in range(7, 60) if rates[i] < rates[i - 1]]
    assert falls == [20, 28, 36, 44, 52]
    assert rates[20] == pytest.approx(0.05) and rates[28] == pytest.approx(0.005)
    assert build_plateau(TrainConfig("d", "m"), optimizer) is None
    assert build_schedule(TrainConfig("d", "m", schedule="plateau", warmup=0), optimizer, 9) is None
