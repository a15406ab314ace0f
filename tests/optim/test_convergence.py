"""How fast the rules come down: against theory on quadratics, and on Rosenbrock's valley."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

CONDITION = 100.0
EIGENVALUES = np.geomspace(1, CONDITION, 12)
ROOT = math.sqrt(CONDITION)


def measured_rate(make, steps=600):
    """The factor by which a step shrinks the distance to a quadratic's minimum, in the long run."""
    w = nn.Parameter(cr.tensor(np.ones(EIGENVALUES.size)))
    opt = make([w])
    distances = []
    for _ in range(steps):
        w.grad = cr.tensor(EIGENVALUES * w.array)
        opt.step()
        distances.append(np.linalg.norm(w.array))
    return (distances[-1] / distances[steps // 2]) ** (1 / (steps - 1 - steps // 2))


def test_gradient_descent_with_the_best_rate():
    """η = 2/(λ₁ + λₙ): (κ - 1)/(κ + 1)."""
    rate = measured_rate(lambda p: optim.SGD(p, lr=2 / (1 + CONDITION)))
    assert rate == pytest.approx((CONDITION - 1) / (CONDITION + 1), rel=1e-5)


@pytest.mark.parametrize("rule", [optim.SGD, optim.Momentum])
def test_momentum_with_the_best_rate_and_momentum(rule):
    """μ = ((√κ - 1)/(√κ + 1))², η = 4/(√λ₁ + √λₙ)²: (√κ - 1)/(√κ + 1), times k by a double root."""
    best = (ROOT - 1) / (ROOT + 1)
    rate = measured_rate(lambda p: rule(p, lr=4 / (1 + ROOT) ** 2, momentum=best**2))
    assert best < rate < best * 1.01


@pytest.mark.parametrize(
    "make",
    [
        lambda p, **settings: optim.SGD(p, nesterov=True, **settings),
        lambda p, **settings: optim.Nesterov(p, **settings),
    ],
)
def test_nesterov(make):
    """μ = (√κ - 1)/(√κ + 1), η = 1/λₙ: 1 - 1/√κ, times k by a double root."""
    momentum = (ROOT - 1) / (ROOT + 1)
    rate = measured_rate(lambda p: make(p, lr=1 / CONDITION, momentum=momentum))
    assert 1 - 1 / ROOT < rate < (1 - 1 / ROOT) * 1.01


def test_momentum_needs_a_tenth_of_the_steps_of_descent():
    plain = math.log((CONDITION - 1) / (CONDITION + 1))
    with_momentum = math.log((ROOT - 1) / (ROOT + 1))
    assert with_momentum / plain == pytest.approx(ROOT, rel=0.01)


# Rule, steps, and the distance to (1, 1) that it must reach from (-1.2, 1).
ROSENBROCK = {
    "descent": (lambda p: optim.SGD(p, lr=1e-3), 5000, 0.2),
    "momentum": (lambda p: optim.SGD(p, lr=5e-4, momentum=0.95), 5000, 1e-6),
    "lectures' momentum": (lambda p: optim.Momentum(p, lr=5e-4, momentum=0.95), 5000, 1e-6),
    "nesterov": (lambda p: optim.SGD(p, 5e-4, momentum=0.95, nesterov=True), 5000, 1e-6),
    "lectures' nesterov": (lambda p: optim.Nesterov(p, lr=5e-4, momentum=0.95), 5000, 1e-6),
    "adam": (lambda p: optim.Adam(p, lr=0.02), 5000, 1e-4),
    "amsgrad": (lambda p: optim.Adam(p, lr=0.05, amsgrad=True), 5000, 1e-2),
    "adamw": (lambda p: optim.AdamW(p, lr=0.02, weight_decay=0), 5000, 1e-4),
    "nadam": (lambda p: optim.NAdam(p, lr=0.02), 5000, 0.05),
    "radam": (lambda p: optim.RAdam(p, lr=5e-3), 5000, 0.5),
    "adamax": (lambda p: optim.Adamax(p, lr=0.05), 5000, 1e-3),
    "adagrad": (lambda p: optim.Adagrad(p, lr=0.5), 5000, 0.05),
    "rmsprop": (lambda p: optim.RMSprop(p, lr=1e-3), 5000, 0.1),
    "adadelta": (lambda p: optim.Adadelta(p, rho=0.99), 5000, 0.5),
    "asgd": (lambda p: optim.ASGD(p, lr=1e-3, lambd=0), 5000, 0.2),
    "rprop": (lambda p: optim.Rprop(p, lr=0.01), 5000, 1e-2),
}


@pytest.mark.parametrize("rule", ROSENBROCK)
def test_rosenbrock(rule):
    make, steps, within = ROSENBROCK[rule]
    w = nn.Parameter(cr.tensor(np.array([-1.2, 1.0])))
    opt = make([w])
    for _ in range(steps):
        x, y = w.array
        w.grad = cr.tensor(np.array([2 * (x - 1) - 400 * x * (y - x * x), 200 * (y - x * x)]))
        opt.step()
    assert np.linalg.norm(w.array - 1) < within
