"""The figure of a summary: where memory, parameters and FLOPs lie."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chainrule.errors import ConfigError, MissingExtraError
from chainrule.inspect.table import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from chainrule.inspect.accounts import Row, Summary

FORMATS = (".png", ".svg", ".pdf")
COLOURS = ("#2a6fbb", "#3a8f5c", "#c8572f")
MOST_BARS = 40
"""More layers than these are drawn by module, as deep as they fit."""


def check_plot(path: Path) -> None:
    """Raise MissingExtraError without matplotlib, ConfigError for a kind of file it cannot be."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"summary: a figure is {', '.join(FORMATS)}; got {path.name!r}")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("summary: --plot needs matplotlib; pip install 'chainrule[plot]'")


class Bar(NamedTuple):
    """What is drawn of a layer, or of a module."""

    name: str
    kept: int
    params: int
    flops: int


def save_plot(summary: Summary, path: Path) -> None:
    """Three panels of bars, a bar for each layer: memory, parameters, FLOPs forwards."""
    check_plot(path)
    from matplotlib.figure import Figure

    bars = bars_of(summary)
    figure = Figure(figsize=(12, 1.7 + 0.24 * max(len(bars), 4)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    batch = f" for {summary.batch} images" if (summary.batch or 1) > 1 else " for one image"
    titles = (
        (f"memory kept for backward{batch}", "B", [b.kept for b in bars]),
        ("parameters", "", [b.params for b in bars]),
        (f"FLOPs forward{batch}", "", [b.flops for b in bars]),
    )
    for axes, (title, unit, values), colour in zip(panels, titles, COLOURS, strict=True):
        _draw(axes, values, title, unit, colour)
    panels[0].set_yticks(range(len(bars)), [b.name for b in bars], fontsize=8)
    panels[0].set_ylim(len(bars) - 0.5, -0.5)  # the first layer on top
    shape = "x".join(map(str, summary.inputs[0][0 if summary.batch is None else 1 :]))
    figure.suptitle(f"{summary.model}, input {shape}", fontsize=13, fontweight="bold")
    figure.savefig(path, dpi=130)


def _draw(axes: Axes, values: Sequence[int], title: str, unit: str, colour: str) -> None:
    total = sum(values)
    axes.barh(range(len(values)), values, color=colour, height=0.78)
    for i, value in enumerate(values):
        if value:
            share = value / total
            text = short(value, unit) + (f"  {share:.0%}" if share >= 0.01 else "")
            axes.text(value, i, f" {text}", va="center", fontsize=7.5, color="#333333")
    axes.set_xlim(0, 1.32 * max(*values, 1))
    axes.set_title(f"{title}\n{short(total, unit)}", fontsize=10.5)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color("#999999")


def bars_of(summary: Summary) -> list[Bar]:
    """A bar for each layer, with what runs behind it; of many layers one for each module."""
    rows = summary.operations
    bars = _layers(rows)
    deepest = max((row.path.count(".") + 1 for row in rows if row.path), default=1)
    while len(bars) > MOST_BARS and deepest > 1:
        deepest -= 1
        bars = _layers(summary.by_module(deepest).rows)
    return bars


def _layers(rows: Sequence[Row]) -> list[Bar]:
    """Rows that are no layer are counted to the layer before them."""
    bars: list[Bar] = []
    for row in rows:
        new = Bar(_name(row), row.kept, row.parameters, row.flops or 0)
        if row.kind or not bars:
            bars.append(new)
        else:
            last = bars[-1]
            bars[-1] = Bar(
                last.name, last.kept + new.kept, last.params + new.params, last.flops + new.flops
            )
    return bars


def _name(row: Row) -> str:
    """The path; of a layer that has only a number, what it does, too."""
    last = row.path.rpartition(".")[2]
    return (
        f"{row.path}  {row.op}" if last.isdigit() and row.op else row.path or row.op or row.module
    )
