"""Accuracy against a setting, over the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.viz.figure import colours, panel, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def accuracy_curve(
    curves: Mapping[str, Mapping[float, Sequence[float]]],
    *,
    name: str = "k",
    title: str = "",
    axes: Axes | None = None,
) -> Any:
    """A dot for the accuracy in every fold, a line through the means, ± one standard deviation.

    curves: a label for each line, and of each value of the setting its accuracies, a fold each.
    The values have a logarithmic scale where they are above 0 and the largest is more than
    twenty times the smallest. The best mean is marked. Returns a figure, or the axes.
    """
    drawn, result = panel(axes, 7.5, 4.8)
    for (label, points), colour in zip(curves.items(), colours(len(curves)), strict=True):
        _draw_curve(drawn, dict(sorted(points.items())), label, colour)
    means = [(np.mean(s), v, label) for label, p in curves.items() for v, s in p.items()]
    best, place, label = max(means, key=lambda mean: mean[0])
    with_label = f", {label}" if len(curves) > 1 else ""
    drawn.plot([place], [100 * best], "o", markersize=11, fillstyle="none", color="black",
               label=f"best: {name} = {place:g}{with_label}, {best:.1%}")  # fmt: skip
    _scale(drawn, sorted({value for points in curves.values() for value in points}))
    drawn.set_xlabel(name)
    drawn.set_ylabel("accuracy, %")
    drawn.set_title(title, fontsize=11)
    drawn.legend(fontsize=9)
    plain(drawn)
    return result


def _draw_curve(
    axes: Axes, points: Mapping[float, Sequence[float]], label: str, colour: str
) -> None:
    values = list(points)
    means = [100 * float(np.mean(scores)) for scores in points.values()]
    spread = [100 * float(np.std(scores)) for scores in points.values()]
    for value, scores in points.items():
        axes.plot([value] * len(scores), [100 * s for s in scores], ".", color=colour, alpha=0.45,
                  markersize=7)  # fmt: skip
    axes.errorbar(values, means, spread, color=colour, linewidth=1.8, capsize=3, label=label)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if values[0] > 0 and values[-1] > 20 * values[0]:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    if len(values) <= 14:
        axes.xaxis.set_major_locator(FixedLocator(list(values)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
