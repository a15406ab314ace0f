"""A picture of a result."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.bench.libraries import OURS
from chainrule.bench.result import Result, Row
from chainrule.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUR_COLOUR, PEER_COLOUR = "#2a6fbb", "#e08a2e"


def require_matplotlib() -> None:
    """Raise MissingExtraError, with the command that mends it, where there is none."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError("bench: --plot needs matplotlib; pip install 'chainrule[plot]'")


def save_plot(result: Result, path: Path) -> None:
    """Ratios of whole steps, and the kernels' GFLOP/s below the peak, as far as measured.

    Raises MissingExtraError without matplotlib, ConfigError where there is nothing to draw.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    steps = [row for group in ("training", "inference") for row in result.of(group)]
    steps = [row for row in steps if row.ratio is not None]
    kernels = [row for row in result.of("kernels") if row.operations is not None]
    panels = [bool(steps), bool(kernels)]
    if not any(panels):
        raise ConfigError(
            "bench: nothing to plot; it takes a kernel's row, or a model's compared with PyTorch"
        )
    rows = max(len(steps), len(kernels) * 0.6)
    figure = Figure(figsize=(7 * sum(panels), 1.6 + 0.3 * rows), layout="constrained")
    axes = iter(figure.subplots(1, sum(panels), squeeze=False)[0])
    if steps:
        _draw_steps(next(axes), steps)
    if kernels:
        _draw_kernels(next(axes), kernels, result)
    kind = result.machine["kernels"]["instruction_set"]
    figure.suptitle(
        f"{result.machine['cpu']}, {result.threads} threads, {kind}, {result.date[:10]}"
    )
    figure.savefig(path, dpi=120)


def _draw_steps(axes: Axes, rows: Sequence[Row]) -> None:
    """Bars of time relative to PyTorch's faster layout, which is the line at 1."""
    axes.barh(range(len(rows)), [row.ratio or 0 for row in rows], color=OUR_COLOUR)
    axes.axvline(1, color=PEER_COLOUR, linewidth=2)
    axes.set_xlim(0, 1.1 * max(1.0, *(row.ratio or 0 for row in rows)))
    for i, row in enumerate(rows):
        axes.text((row.ratio or 0) + 0.01, i, f"{row.ratio:.2f}", va="center", fontsize=8)
    _name_rows(axes, [f"{row.group}: {row.title}" for row in rows], 8)
    axes.set_xlabel("time of chainrule / time of PyTorch in its faster layout")
    axes.set_title("whole steps (less is better)")


def _draw_kernels(axes: Axes, rows: Sequence[Row], result: Result) -> None:
    """Bars of GFLOP/s, ours above the peer's, and the measured peak as a line."""
    for side, colour, place in ((OURS, OUR_COLOUR, -0.2), (None, PEER_COLOUR, 0.2)):
        speeds = [row.gigaflops(side or row.peer or "") or 0 for row in rows]
        label = side or "PyTorch (images: channels_last)"
        if any(speeds):
            axes.barh([i + place for i in range(len(rows))], speeds, 0.4, color=colour, label=label)
    kind = result.machine["kernels"]["instruction_set"]
    peak: Any = result.peak.get(kind, {}).get(str(result.threads))
    if peak:
        axes.axvline(peak, color="black", linestyle="--", linewidth=1, label="measured peak")
    _name_rows(axes, [row.title for row in rows], 6)
    axes.set_xlabel("GFLOP/s\n(above the peak: an algorithm with less work, or skipped padding)")
    axes.set_title("convolution and linear kernels (more is better)")
    axes.legend(loc="lower right", fontsize=8)


def _name_rows(axes: Axes, names: Sequence[str], size: int) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first on top
