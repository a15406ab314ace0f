"""Draws docs/schedules.png: the learning rate of every schedule over a hundred epochs.

    python docs/schedules.py                # needs matplotlib: pip install 'chainrule[plot]'

The curves are not drawn by hand: each schedule drives an optimizer, and what it wrote is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import chainrule as cr
from chainrule import nn, optim
from chainrule.optim import lr_scheduler as s

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE = Path(__file__).with_name("schedules.png")
EPOCHS = 100
RATE, MOMENTUM, LOSS = "#2a6fbb", "#c8572f", "#8a8a8a"

SCHEDULES: dict[str, Callable[[optim.Optimizer], s.LRScheduler]] = {
    "StepLR(30, gamma=0.3)": lambda o: s.StepLR(o, 30, gamma=0.3),
    "MultiStepLR([50, 75])": lambda o: s.MultiStepLR(o, [50, 75]),
    "ExponentialLR(0.96)": lambda o: s.ExponentialLR(o, 0.96),
    "PolynomialLR(100, power=2)": lambda o: s.PolynomialLR(o, 100, power=2),
    "LinearLR(0.1, total_iters=20)": lambda o: s.LinearLR(o, 0.1, total_iters=20),
    "ConstantLR(0.3, total_iters=20)": lambda o: s.ConstantLR(o, 0.3, total_iters=20),
    "LambdaLR(1 / (1 + 0.1 e))": lambda o: s.LambdaLR(o, lambda e: 1 / (1 + 0.1 * e)),
    "MultiplicativeLR(1 - e / 1000)": lambda o: s.MultiplicativeLR(o, lambda e: 1 - e / 1000),
    "CosineAnnealingLR(100)": lambda o: s.CosineAnnealingLR(o, 100),
    "CosineAnnealingWarmRestarts(15, T_mult=2)": lambda o: s.CosineAnnealingWarmRestarts(
        o, 15, T_mult=2
    ),
    'CyclicLR(0.1, 1, 15, mode="triangular2")': lambda o: s.CyclicLR(
        o, 0.1, 1.0, 15, mode="triangular2"
    ),
    "OneCycleLR(1, total_steps=100)": lambda o: s.OneCycleLR(o, 1.0, total_steps=EPOCHS),
    "SequentialLR: LinearLR, then cosine": lambda o: s.SequentialLR(
        o, [s.LinearLR(o, 0.01, total_iters=10), s.CosineAnnealingLR(o, 90)], [10]
    ),
    "ChainedScheduler: LinearLR x StepLR": lambda o: s.ChainedScheduler(
        [s.LinearLR(o, 0.01, total_iters=10), s.StepLR(o, 30, gamma=0.3)]
    ),
    "ReduceLROnPlateau(0.3, patience 5)": lambda o: s.ReduceLROnPlateau(
        o, factor=0.3, patience=5, threshold=0.02
    ),
}


class Curves(NamedTuple):
    """What an optimizer was told, epoch by epoch; the loss, where the schedule looked at one."""

    rates: list[float]
    momenta: list[float]
    losses: list[float]


def run(make: Callable[[optim.Optimizer], s.LRScheduler]) -> Curves:
    """Go through all epochs of a schedule."""
    optimizer = optim.SGD([nn.Parameter(cr.ones(1))], lr=1.0, momentum=0.9)
    schedule: Any = make(optimizer)
    group, curves, loss = optimizer.param_groups[0], Curves([], [], []), 1.0
    for _ in range(EPOCHS):
        curves.rates.append(group["lr"])
        curves.momenta.append(group["momentum"])
        optimizer.step()
        if isinstance(schedule, s.ReduceLROnPlateau):
            curves.losses.append(loss)
            loss += 0.12 * (0.5 * group["lr"] - (loss - 0.1))  # lower rates let it come lower
            schedule.step(loss)
        else:
            schedule.step()
    return curves


def draw(path: Path) -> None:
    """A panel for each schedule: the rate, and momentum and loss where they have a part."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 10.5), layout="constrained")
    panels = figure.subplots(5, 3, sharex=True, sharey=True)
    for axes, (name, make) in zip(panels.flat, SCHEDULES.items(), strict=True):
        draw_one(axes, name, run(make))
    for axes in panels[-1]:
        axes.set_xlabel("epoch, or update")
    for axes in panels[:, 0]:
        axes.set_ylabel("rate / highest")
    figure.savefig(path, dpi=90)


def draw_one(axes: Axes, name: str, curves: Curves) -> None:
    """One panel."""
    axes.plot(curves.rates, color=RATE, linewidth=2, label="rate", drawstyle="steps-post")
    if len({*curves.momenta}) > 1:
        axes.plot(curves.momenta, "--", color=MOMENTUM, linewidth=1.3, label="momentum")
    if curves.losses:
        axes.plot(curves.losses, ":", color=LOSS, linewidth=1.6, label="loss it is told")
    if len(axes.lines) > 1:
        axes.legend(frameon=False, fontsize=8)
    axes.set_title(name, fontsize=10)
    axes.set_ylim(-0.04, 1.08)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


if __name__ == "__main__":
    draw(FIGURE)
    print(f"wrote {FIGURE}")
