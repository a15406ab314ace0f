"""A picture of a result."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule.bench.libraries import OURS
from chainrule.bench.result import Result, Row
from chainrule.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
OUR_COLOUR, PEER_COLOUR = "#2a6fbb", "#e08a2e"


def require_matplotlib() -> None:
    """Raise MissingExtraError, with the command that mends it, where there is none."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError("bench: --plot needs matplotlib; pip install 'chainrule[plot]'")


def save_plot(result: Result, path: Path) -> None:
    """Ratios of whole steps; GFLOP/s of kernels below the peak; speeds of all kernels.

    Of these, what was measured. Raises MissingExtraError without matplotlib, ConfigError where
    there is nothing to draw.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    steps = [row for group in ("training", "inference") for row in result.of(group)]
    steps = [row for row in steps if row.ratio is not None]
    counted = [row for row in result.of("kernels") if row.operations is not None]
    compared = [row for row in result.of("kernels") if row.speed is not None]
    panels = sum(map(bool, (steps, counted, compared)))
    if not panels:
        raise ConfigError(
            "bench: nothing to plot; it takes a kernel's row, or a model's compared with PyTorch"
        )
    figure = Figure(figsize=(6 * panels, 6.5), layout="constrained")
    axes = iter(figure.subplots(1, panels, squeeze=False)[0])
    if steps:
        _draw_steps(next(axes), steps)
    if counted:
        _draw_rates(next(axes), counted, result)
    if compared:
        _draw_speeds(next(axes), compared)
    kind = result.machine["kernels"]["instruction_set"]
    figure.suptitle(
        f"{result.machine['cpu']}, {result.threads} threads, {kind}, {result.date[:10]}"
    )
    figure.savefig(path, dpi=120)


def _draw_steps(axes: Axes, rows: Sequence[Row]) -> None:
    """Bars of time relative to PyTorch's faster layout, which is the line at 1."""
    ratios = [row.ratio or 0.0 for row in rows]
    axes.barh(range(len(rows)), ratios, color=OUR_COLOUR)
    axes.axvline(1, color=PEER_COLOUR, linewidth=2)
    for i, ratio in enumerate(ratios):
        axes.text(ratio, i, f" {ratio:.2f}", va="center", fontsize=8)
    axes.set_xlim(0, 1.15 * max(1.0, *ratios))
    _name_rows(axes, [f"{row.group}: {row.title}" for row in rows])
    axes.set_xlabel("time of chainrule / time of PyTorch in its faster layout")
    axes.set_title("whole steps (less is better)")


def _draw_rates(axes: Axes, rows: Sequence[Row], result: Result) -> None:
    """A dot for each shape: ours, and below it the peer's."""
    names = list(dict.fromkeys(map(_kernel, rows)))
    for label, colour, shift in ((OURS, OUR_COLOUR, -0.15), ("PyTorch", PEER_COLOUR, 0.15)):
        dots = [
            (rate, names.index(_kernel(row)) + shift)
            for row in rows
            if (rate := row.gigaflops(OURS if label == OURS else row.peer or "")) is not None
        ]
        if dots:
            rates, places = zip(*dots, strict=True)
            axes.scatter(rates, places, color=colour, label=label, s=14, alpha=0.7)
    peaks = result.peak.get(result.machine["kernels"]["instruction_set"], {})
    if peak := peaks.get(str(result.threads)):
        axes.axvline(peak, color="black", linestyle="--", linewidth=1, label="measured peak")
    axes.set_xlim(left=0)
    _name_rows(axes, names)
    axes.set_xlabel("GFLOP/s (above the peak: less work, or skipped padding)")
    axes.set_title("kernels, a dot for each shape (more is better)")
    axes.legend(loc="lower right", fontsize=8)


def _draw_speeds(axes: Axes, rows: Sequence[Row]) -> None:
    """A dot for each shape: how many times as fast as the peer."""
    names = list(dict.fromkeys(map(_kernel, rows)))
    places = [names.index(_kernel(row)) for row in rows]
    axes.scatter([row.speed or 1 for row in rows], places, color=OUR_COLOUR, s=14, alpha=0.7)
    axes.axvline(1, color=PEER_COLOUR, linewidth=2)
    axes.set_xscale("log")
    ticks = (0.25, 0.5, 1, 2, 4, 8)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    _name_rows(axes, names)
    axes.set_xlabel("time of PyTorch / time of chainrule (images: channels_last)")
    axes.set_title("speed, a dot for each shape (more is better)")


def _kernel(row: Row) -> str:
    """The kernel's name, without its shape."""
    return row.name.partition("/")[2].partition("-")[0]


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first on top
    axes.grid(axis="x", linewidth=0.3)
    axes.set_axisbelow(True)
