"""A step length along a line that satisfies the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.optim.optimizer import Array

DECREASE, CURVATURE = 1e-4, 0.9  # c₁ and c₂ of the conditions


@dataclass
class Point:
    """A point of the line: at step t the value f, the gradient, and the slope along the line."""

    t: Any
    f: float
    gradient: Array
    slope: Any


@dataclass
class Line:
    """φ(t) = f(x + td). ``at``: the point at t; ``start``: the one at 0, where the line falls.

    shortest: a bracket of which the longest entry of d moves less than this is not cut further.
    """

    at: Callable[[Any], Point]
    start: Point
    longest: Any
    shortest: float

    def is_too_high(self, point: Point) -> bool:
        """Whether the first condition fails: f ≤ f(0) + c₁ t φ'(0), a sufficient decrease."""
        return bool(point.f > self.start.f + DECREASE * point.t * self.start.slope)

    def is_flat(self, point: Point) -> bool:
        """The second condition: |φ'(t)| ≤ c₂ |φ'(0)|, a slope that has gone."""
        return bool(abs(point.slope) <= -CURVATURE * self.start.slope)

    def is_short(self, bracket: list[Point]) -> bool:
        return bool(abs(bracket[1].t - bracket[0].t) * self.longest < self.shortest)


def strong_wolfe(line: Line, t: Any, most: int) -> Point:
    """A point that satisfies both conditions, or the best found in ``most`` trials beside t.

    t: the first step to try.
    Source: Nocedal & Wright 2006, Numerical Optimization, algorithms 3.5 and 3.6, with the
    safeguards and the order of evaluations of minFunc (Schmidt 2005), as PyTorch has them.
    """
    last, point = line.start, line.at(t)
    for trials in range(most):
        if line.is_too_high(point) or (trials > 1 and point.f >= last.f):
            return _zoom(line, [last, point], trials, most)
        if line.is_flat(point):
            return point
        if point.slope >= 0:
            return _zoom(line, [last, point], trials, most)
        nearest, farthest = point.t + 0.01 * (point.t - last.t), point.t * 10
        t = cubic_minimum(last, point, (nearest, farthest))
        last, point = point, line.at(t)
    return _zoom(line, [line.start, point], most, most)


def _zoom(line: Line, bracket: list[Point], trials: int, most: int) -> Point:
    """Cut a bracket that holds points of both conditions until it gives one (algorithm 3.6)."""
    low, high = _order(bracket)
    was_close = False
    while trials < most and not line.is_short(bracket):
        t, was_close = _inside(cubic_minimum(bracket[0], bracket[1]), bracket, was_close)
        point = line.at(t)
        trials += 1
        if line.is_too_high(point) or point.f >= bracket[low].f:
            bracket[high] = point
            low, high = _order(bracket)
            continue
        if line.is_flat(point):
            return point
        if point.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = point
    return bracket[low]


def _order(bracket: list[Point]) -> tuple[int, int]:
    """The number of the lower point, and of the other."""
    return (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)


def _inside(t: Any, bracket: list[Point], was_close: bool) -> tuple[Any, bool]:
    """t, or a place a tenth of the bracket inside, where t makes too little progress.

    That is where it is close to an end of the bracket, and was so before, or is at the end.
    Returns it and whether it was close and is left so.
    """
    ends = [point.t for point in bracket]
    left, right = min(ends), max(ends)
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if not (was_close or t >= right or t <= left):
        return t, True
    return (right - margin if abs(t - right) < abs(t - left) else left + margin), False


def cubic_minimum(a: Point, b: Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """Where the cubic with both points' values and slopes is least, within bounds.

    bounds: a's and b's place, unless given. Where there is no minimum, their middle.
    Source: Nocedal & Wright 2006, equation 3.59.
    """
    left, right = bounds or (min(a.t, b.t), max(a.t, b.t))
    near, far = (a, b) if a.t <= b.t else (b, a)
    with np.errstate(all="ignore"):  # what overflows is cut off by the bounds
        d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
        square = d1**2 - a.slope * b.slope
        if not square >= 0:
            return (left + right) / 2
        d2 = np.sqrt(square)
        t = far.t - (far.t - near.t) * ((far.slope + d2 - d1) / (far.slope - near.slope + 2 * d2))
    return min(max(t, left), right)
