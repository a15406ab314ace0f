"""How a classifier's parameters descend: by L-BFGS over all samples, or by any rule of optim.

The objective is loss + Σ (l1·|w| + ½·l2·w²). Its kink at w = 0, where L1 has no gradient, is
treated orthant by orthant (Andrew & Gao 2007, Scalable training of L1-regularized log-linear
models): the gradient at 0 is that of the side on which the objective falls, or 0 where it rises
on both; and a step that would take a weight across 0 ends there. So weights become exactly 0, and
where nothing moves any more the conditions for the minimum hold, whatever the rule.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import ops, optim
from chainrule.errors import ConfigError
from chainrule.optim.lbfgs import History
from chainrule.optim.line_search import CURVATURE, DECREASE
from chainrule.optim.optimizer import change
from chainrule.tensor import Tensor

Array = NDArray[Any]
Evaluate = Callable[[], tuple[float, list[Array]]]
"""Of the parameters as they are now: the mean loss and its gradient for each of them."""

RULES: dict[str, type[optim.Optimizer]] = {
    name.lower(): rule
    for name, rule in vars(optim).items()
    if inspect.isclass(rule) and issubclass(rule, optim.Optimizer) and name != "Optimizer"
}
"""The solvers by name: every optimizer, in small letters."""

HISTORY = 50  # pairs of steps and gradients; hinges need more of them than smooth losses
MOST_TRIALS = 25  # of a step's length
LEAST_SOFTNESS, LEAST_GAIN = 1e-5, 5e-4  # of the first one; of what separates smooth from sharp


@dataclass(frozen=True)
class Penalty:
    """Σ (l1·|w| + ½·l2·w²)."""

    l1: float = 0.0
    l2: float = 0.0

    def of(self, weight: Array) -> float:
        return float(ops.elastic_net(weight, self.l1, self.l2 / 2)) if self.l1 or self.l2 else 0.0

    def one_sided(self, weight: Array, gradient: Array) -> Array:
        """The objective's gradient, given the loss's, and at the kink that of the lower side."""
        gradient = gradient + weight.dtype.type(self.l2) * weight
        if not self.l1:
            return gradient
        at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - self.l1, 0)
        return np.where(weight == 0, at_zero, gradient + np.sign(weight) * self.l1).astype(
            weight.dtype, copy=False
        )


def orthant(weight: Array, gradient: Array) -> Array:
    """The signs that the weights may have after a step down this gradient."""
    return np.where(weight == 0, -np.sign(gradient), np.sign(weight))


@dataclass
class Point:
    """The objective at some weights, the gradient of what of it is smooth, and the one-sided one.

    Hinges count as smooth here; the kink that does not is L1's.
    """

    value: float
    smooth: Array
    slopes: Array


class RuleDescent:
    """Steps of an optimizer, each by the gradient of the objective over some samples."""

    stuck, error = False, 0.0

    def __init__(
        self, solver: str, params: Sequence[Tensor], penalties: Sequence[Penalty], **settings: Any
    ) -> None:
        self.params, self.penalties = list(params), list(penalties)
        known = inspect.signature(RULES[solver]).parameters
        if "weight_decay" in known:
            settings.setdefault("weight_decay", 0)  # AdamW's own default would be a second penalty
        for name in settings:
            if name not in known:
                raise ConfigError(f"solver {solver!r} has no setting {name!r}; see its signature")
        self.optimizer = RULES[solver](self.params, **settings)

    def step(self, evaluate: Evaluate) -> float:
        """Make one step; the objective before it."""
        value, gradients = evaluate()
        signs = []
        for p, gradient, penalty in zip(self.params, gradients, self.penalties, strict=True):
            value += penalty.of(p.array)
            gradient = penalty.one_sided(p.array, gradient)
            p.grad = Tensor(gradient)
            signs.append(orthant(p.array, gradient) if penalty.l1 else None)
        self.optimizer.step()
        for p, sign in zip(self.params, signs, strict=True):
            if sign is not None:
                p.array[p.array * sign <= 0] = 0
        return value

    def scale_rate(self, factor: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] *= factor


class QuasiNewtonDescent:
    """L-BFGS, one iteration at a time: what `optim.LBFGS` does, for objectives that have kinks.

    Its line search asks for the strong Wolfe conditions, a slope that is gone, which no step may
    fulfil where the slope jumps: hinges end its progress. Here a bisection finds a step of the
    weak ones, after which the slope is less steep, or positive: on the other side of a kink.
    Source: Lewis & Overton 2013, Nonsmooth optimization via quasi-Newton methods, algorithm 2.6.
    """

    error = 0.0  # how far what is minimised lies from the objective

    def __init__(
        self, params: Sequence[Tensor], penalties: Sequence[Penalty], history_size: int = HISTORY
    ) -> None:
        self.params, self.penalties = list(params), list(penalties)
        self.history_size = history_size
        self.stuck = False  # whether the last step found nothing lower
        self._forget()
        self._here: Point | None = None

    def step(self, evaluate: Evaluate) -> float:
        """Make one iteration; the objective after it."""
        here = self._here or self._look(evaluate)
        weights = self._weights()
        there = self._search(evaluate, here, weights, self._direction(here))
        if there is None and self.history.steps:  # what it remembers misleads: begin afresh
            self._forget()
            there = self._search(evaluate, here, weights, self._direction(here))
        self.stuck = there is None
        if there is None:
            self._put(weights)
        else:
            self.history.learn(there.smooth - here.smooth, self._weights() - weights)
        self._here = there or here
        return self._here.value

    def _direction(self, here: Point) -> Array:
        if self.history.steps:
            return self.history.newton_direction(here.slopes)
        return -here.slopes / max(float(np.abs(here.slopes).sum()), 1.0)

    def _search(
        self, evaluate: Evaluate, here: Point, weights: Array, direction: Array
    ) -> Point | None:
        """A lower point along the direction, where it leaves the weights; None if it found none."""
        slope = float(here.slopes.dot(direction))
        if not slope < 0:
            return None
        low, high, t = 0.0, np.inf, 1.0
        best: tuple[Point, float] | None = None
        for _ in range(MOST_TRIALS):
            self._put(weights + weights.dtype.type(t) * direction)
            there = self._look(evaluate)
            if not there.value <= here.value + DECREASE * t * slope:
                high = t
            elif float(there.slopes.dot(direction)) < CURVATURE * slope:
                low, best = t, (there, t)
            else:
                return there
            t = (low + high) / 2 if np.isfinite(high) else 2 * t
        if best is None:
            return None
        self._put(weights + weights.dtype.type(best[1]) * direction)
        return best[0]

    def _look(self, evaluate: Evaluate) -> Point:
        value, gradients = evaluate()
        smooth, slopes = [], []
        for p, gradient, penalty in zip(self.params, gradients, self.penalties, strict=True):
            value += penalty.of(p.array)
            smooth.append(Penalty(l2=penalty.l2).one_sided(p.array, gradient))
            slopes.append(penalty.one_sided(p.array, gradient))
        return Point(value, _flat(smooth), _flat(slopes))

    def objective(self, loss: float) -> float:
        """With the penalties of the weights as they are."""
        each = zip(self.params, self.penalties, strict=True)
        return loss + sum(penalty.of(p.array) for p, penalty in each)

    def _forget(self) -> None:
        self.history = History({}, self.history_size)

    def _weights(self) -> Array:
        return _flat([p.array for p in self.params])

    def _put(self, vector: Array) -> None:
        change(self.params)
        start = 0
        for p in self.params:
            p.array[...] = vector[start : start + p.array.size].reshape(p.array.shape)
            start += p.array.size


class OrthantDescent(QuasiNewtonDescent):
    """OWL-QN: L-BFGS for objectives with an L1 penalty (Andrew & Gao 2007, section 3.2).

    The curvature is learnt from the loss and its L2 penalty alone; the direction is cut to the
    orthant into which the one-sided gradient leads; and the search along it, which halves the
    step, is projected onto that orthant.
    """

    def _direction(self, here: Point) -> Array:
        direction = super()._direction(here)
        direction[direction * here.slopes >= 0] = 0
        return direction

    def _search(
        self, evaluate: Evaluate, here: Point, weights: Array, direction: Array
    ) -> Point | None:
        each = zip(self.params, self.penalties, strict=True)
        kinked = _flat([np.full(p.array.shape, penalty.l1 > 0) for p, penalty in each])
        signs = orthant(weights, here.slopes)
        t = 1.0
        for _ in range(MOST_TRIALS):
            trial = weights + weights.dtype.type(t) * direction
            trial[kinked & (trial * signs <= 0)] = 0
            self._put(trial)
            there = self._look(evaluate)
            gain = float(here.slopes.dot(trial - weights))
            if gain < 0 and there.value <= here.value + DECREASE * gain:
                return there
            t /= 2
        return None


class SmoothedDescent:
    """Minimises hinges by way of smooth functions that come ever closer to them.

    max(0, z₁, ..., z_k) lies below μ ln(1 + Σ e^{z_i/μ}), by μ ln(k + 1) at most: so far can a
    minimum of the smooth objective be from that of the hinge. L-BFGS descends the smooth one
    until an iteration gains little beside what separates the two; then the softness μ falls.
    Source: Nesterov 2005, Smooth minimization of non-smooth functions.
    """

    def __init__(
        self, kind: type[QuasiNewtonDescent], softness: float, *arguments: Any, **settings: Any
    ) -> None:
        self._begin_stage = lambda: kind(*arguments, **settings)
        self._stage, self.softness = self._begin_stage(), softness
        self.least = softness * LEAST_SOFTNESS
        self.stuck, self.error = False, np.inf
        self._before = np.inf

    def step(self, evaluate: Callable[..., tuple[float, list[Array]]]) -> float:
        """Make one iteration; the objective after it. ``evaluate`` takes a softness, or none."""
        smooth = self._stage.step(partial(evaluate, self.softness))
        value = self._stage.objective(evaluate()[0])
        self.error = smooth - value
        if not self._stage.stuck and self._before - smooth > LEAST_GAIN * self.error:
            self._before = smooth
        elif self.softness <= self.least:
            self.stuck = True
        else:
            self.softness /= 4
            self._stage, self._before = self._begin_stage(), np.inf
        return value


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([a.ravel() for a in arrays])


Descent = RuleDescent | QuasiNewtonDescent | SmoothedDescent


def descent(
    solver: str,
    params: Sequence[Tensor],
    penalties: Sequence[Penalty],
    settings: dict[str, Any],
    softness: float | None,
) -> Descent:
    """What makes the steps of a solver. Raises ConfigError for one that there is not.

    softness: where lbfgs begins with a smooth loss; None: the loss has no such form.
    """
    if solver not in RULES:
        raise ConfigError(f"solver must be one of {', '.join(sorted(RULES))}; got {solver!r}")
    if solver != "lbfgs":
        return RuleDescent(solver, params, penalties, **settings)
    unknown = set(settings) - {"lr", "history_size"}
    if unknown:
        raise ConfigError(f"solver 'lbfgs' has the setting history_size, not {sorted(unknown)}")
    settings = {name: value for name, value in settings.items() if name != "lr"}
    has_l1 = any(penalty.l1 for penalty in penalties)
    kind = OrthantDescent if has_l1 else QuasiNewtonDescent
    if softness is None:
        return kind(params, penalties, **settings)
    return SmoothedDescent(kind, softness, params, penalties, **settings)
