"""The learning rate of a run: a warm-up, and how the rate falls after it.

Times are in updates, so that a run of any length has the whole curve.
"""

from __future__ import annotations

import math
from functools import partial

from chainrule.optim import Optimizer
from chainrule.optim.lr_scheduler import (
    LambdaLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
)
from chainrule.training.config import TrainConfig

RESTARTS = (1, 2, 4)  # lengths of the cycles of cosine-restarts, each twice the one before


def build_schedule(config: TrainConfig, optimizer: Optimizer, steps: int) -> LRScheduler | None:
    """The learning rate over ``steps`` updates; step it after each."""
    if config.schedule == "onecycle":
        return _one_cycle(config, optimizer, steps)
    if config.schedule == "plateau":
        return _warm_up(optimizer, round(config.warmup * steps))
    return LambdaLR(
        optimizer, partial(rate, schedule=config.schedule, warmup=config.warmup, steps=steps)
    )


def build_plateau(config: TrainConfig, optimizer: Optimizer) -> ReduceLROnPlateau | None:
    """For the schedule of that name: a tenth of the rate where the validation loss rests.

    It is given the loss after each epoch; a tenth of all epochs, at least two, may pass
    without a better one.
    """
    if config.schedule != "plateau":
        return None
    return ReduceLROnPlateau(optimizer, patience=max(2, config.epochs // 10))


def _warm_up(optimizer: Optimizer, rising: int) -> LinearLR | None:
    # Chainable: it leaves the rate alone once it has risen, and the plateau lowers it.
    return LinearLR(optimizer, 1 / (rising + 1), 1.0, rising) if rising else None


def _one_cycle(config: TrainConfig, optimizer: Optimizer, steps: int) -> OneCycleLR:
    """The warm-up is the cycle's rise. Momentum cycles where the rule has one."""
    group = optimizer.param_groups[0]
    return OneCycleLR(
        optimizer,
        [group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        pct_start=float(config.warmup),
        cycle_momentum=bool(group.get("momentum")) or "betas" in group,
    )


def rate(step: int, *, schedule: str, warmup: float, steps: int) -> float:
    """Part of the highest learning rate at a step, counted from 0.

    It rises in a straight line over the first warmup·steps. Then, with p for the part of the
    remaining steps that is over:

        constant         1
        linear           1 - p
        polynomial       (1 - p)²
        exponential      0.01ᵖ: to a hundredth, by the same factor each step
        cosine           (1 + cos πp)/2
        cosine-restarts  the same three times, in 1/7, 2/7 and 4/7 of the steps
        step             a tenth after half, a hundredth after three quarters of all steps

    Sources: step: He et al. 2016, arXiv:1512.03385, §4.2; cosine and restarts: Loshchilov &
    Hutter 2017, arXiv:1608.03983; warm-up: Goyal et al. 2017, arXiv:1706.02677, §2.2.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    part = min(1, (step - rising) / max(steps - rising, 1))
    match schedule:
        case "linear":
            return 1 - part
        case "polynomial":
            return (1 - part) ** 2
        case "exponential":
            return math.exp(part * math.log(0.01))
        case "cosine":
            return (1 + math.cos(math.pi * part)) / 2
        case "cosine-restarts":
            return (1 + math.cos(math.pi * _part_of_cycle(part))) / 2
        case "step":
            return 0.01 if step >= 0.75 * steps else 0.1 if step >= 0.5 * steps else 1.0
    return 1.0


def _part_of_cycle(part: float) -> float:
    """From the part of all cycles that is over to the part of the present one."""
    place = part * sum(RESTARTS)
    for length in RESTARTS[:-1]:
        if place < length:
            return place / length
        place -= length
    return place / RESTARTS[-1]
