"""Comparing functions in one process, a few steps of the one, a few of the other.

Each side runs for a *turn*: some steps that do not count, then some that do. The steps that
do not count let the threads of the side before fall asleep: OpenMP's spin for some milliseconds
after their work and take a core from whoever comes next. The ratio is the median over the
ratios of neighbouring turns, so that a machine whose speed drifts does not decide.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Step = Callable[[], Any]


@dataclass(frozen=True)
class Pace:
    """How long to measure: so many steps *and* so many seconds, but no more than `most`."""

    rounds: int = 7
    fewest_rounds: int = 3
    """Are measured even if they take longer than `seconds`."""
    seconds: float = 15.0
    """After which no further round begins."""
    warm_up: int = 3
    warm_up_seconds: float = 0.01
    counted: int = 5
    counted_seconds: float = 0.01
    most: float = 0.6
    """Seconds after which a part of a turn ends, however few its steps; at least one counts."""


@dataclass(frozen=True)
class Comparison:
    """Median seconds of a step of each side, and how the first does against the peer."""

    seconds: dict[str, float]
    peer: str | None
    ratio: float | None
    """Time of the first side by the peer's: median over the rounds. None without a peer."""
    quartiles: tuple[float, float] | None
    """Of the rounds' ratios: how sure the median is."""
    rounds: int


def compare(sides: Mapping[str, Step], pace: Pace, peer: str | None = None) -> Comparison:
    """Run the sides in turns. The peer is the fastest of the others, unless it is named."""
    # the first step builds and allocates what is kept, and tells about how long one takes
    about = {name: run(step, 1, 0, math.inf)[0] for name, step in sides.items()}
    start = time.perf_counter()
    turns: list[dict[str, float]] = []
    while len(turns) < pace.rounds:
        turns.append({name: turn(step, pace, about[name]) for name, step in sides.items()})
        late = time.perf_counter() - start > pace.seconds
        if late and len(turns) >= pace.fewest_rounds:
            break
    seconds = {name: statistics.median(t[name] for t in turns) for name in sides}
    ours, *others = sides
    if not others:
        return Comparison(seconds, None, None, None, len(turns))
    peer = peer or min(others, key=seconds.__getitem__)
    ratios = [t[ours] / t[peer] for t in turns]
    return Comparison(seconds, peer, statistics.median(ratios), quartiles_of(ratios), len(turns))


def turn(step: Step, pace: Pace, about: float = 0.0) -> float:
    """Median seconds of the counted steps of one turn.

    A step of about more seconds than `most` needs no warming up: what threads spin is nothing
    to it.
    """
    if about <= pace.most:
        run(step, pace.warm_up, pace.warm_up_seconds, pace.most / 2)
    return statistics.median(run(step, max(pace.counted, 1), pace.counted_seconds, pace.most))


def run(step: Step, steps: int, seconds: float, most: float) -> list[float]:
    """Seconds of each step, of at least so many in at least so long, unless `most` is over."""
    times: list[float] = []
    total = 0.0
    while (len(times) < steps or total < seconds) and total < most:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
        total += times[-1]
    return times


def quartiles_of(values: list[float]) -> tuple[float, float]:
    """The first and the third; of one value, itself."""
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def geometric_mean(values: list[float]) -> float:
    """exp of the mean of the logarithms."""
    return math.exp(statistics.fmean(math.log(value) for value in values))
