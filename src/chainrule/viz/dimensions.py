"""The curse of dimensionality, measured: in many dimensions every point is far from every other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule import kernels
from chainrule.errors import ConfigError
from chainrule.viz.figure import COLOURS, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIMENSIONS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 3000)
PART = 0.01
"""Of all points: how long is the edge of a cube that holds it?"""


@dataclass(frozen=True)
class Concentration:
    """Distances from a point to all others of a set: medians over the points asked.

    nearest, farthest are relative to the mean distance.
    """

    dimensions: int
    nearest: float
    farthest: float

    @property
    def contrast(self) -> float:
        """How much farther the farthest is than the nearest: (farthest - nearest) / nearest."""
        return (self.farthest - self.nearest) / self.nearest if self.nearest else np.inf


def concentration(
    points: ArrayLike, *, metric: str = "l2", queries: int = 100, seed: int = 0
) -> Concentration:
    """Measure how much distances differ among points (N, D); ``queries`` of them are asked."""
    rows = np.asarray(points)
    if rows.ndim != 2 or len(rows) < 3:
        raise ConfigError(f"concentration: expects at least 3 points (N, D), got {rows.shape}")
    asked = np.random.default_rng(seed).permutation(len(rows))[:queries]
    distances = kernels.distances(rows[asked], rows, metric)
    distances[np.arange(len(asked)), asked] = np.nan  # itself
    mean = np.nanmean(distances, axis=1)
    return Concentration(
        rows.shape[1],
        float(np.median(np.nanmin(distances, axis=1) / mean)),
        float(np.median(np.nanmax(distances, axis=1) / mean)),
    )


def edge_of_a_cube(points: NDArray[Any], part: float = PART) -> float:
    """The edge of the cube in the middle of the unit cube that holds this part of the points."""
    reach = 2 * np.abs(points - 0.5).max(axis=1)
    return float(np.quantile(reach, part))


def accuracy_with_noise(
    rows: NDArray[Any],
    labels: NDArray[np.int64],
    queries: NDArray[Any],
    wanted: NDArray[np.int64],
    counts: Sequence[int],
    *,
    metric: str = "l2",
    seed: int = 0,
) -> list[float]:
    """Of the nearest neighbour, with so many features more that are noise.

    The noise is as strong as the features are: of their mean and standard deviation.
    """
    rng = np.random.default_rng(seed)
    found = []
    for count in counts:
        wide = [
            np.hstack([x, rng.normal(rows.mean(), rows.std(), (len(x), count))]).astype(np.float32)
            for x in (rows, queries)
        ]
        _, nearest = kernels.nearest(wide[1], wide[0], 1, metric)
        found.append(float(np.mean(labels[nearest[:, 0]] == wanted)))
    return found


def curse_of_dimensionality(
    images: Mapping[str, ArrayLike] | None = None,
    noise: Mapping[int, float] | None = None,
    *,
    dimensions: Sequence[int] = DIMENSIONS,
    points: int = 1000,
    seed: int = 0,
) -> Figure:
    """What becomes of neighbourhoods as dimensions grow, measured on random points.

    1. The nearest and the farthest of ``points`` uniform random points, relative to the mean
       distance. images: rows (N, D) by name, measured in the same way: photographs fill few of
       their dimensions.
    2. The edge of a cube that holds a hundredth of the points: soon it is nearly all.
    3. noise: an accuracy for each number of meaningless features that were added, as
       `accuracy_with_noise` measures it; without, there are two panels.
    """
    rng = np.random.default_rng(seed)
    random = {d: rng.random((points, d), dtype=np.float32) for d in dimensions}
    figure = new_figure(13 if noise else 8.8, 4.3)
    panels = figure.subplots(1, 3 if noise else 2)
    _draw_concentration(panels[0], [concentration(x) for x in random.values()], images or {})
    _draw_edges(panels[1], {d: edge_of_a_cube(x) for d, x in random.items()})
    if noise:
        _draw_noise(panels[2], noise)
    return figure


def _draw_concentration(
    axes: Axes, measured: Sequence[Concentration], images: Mapping[str, ArrayLike]
) -> None:
    dimensions = [m.dimensions for m in measured]
    nearest, farthest = [m.nearest for m in measured], [m.farthest for m in measured]
    axes.fill_between(dimensions, nearest, farthest, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.plot(dimensions, farthest, "o-", color=COLOURS[0], markersize=4, label="farthest, random")
    axes.plot(dimensions, nearest, "o--", color=COLOURS[0], markersize=4, label="nearest, random")
    axes.axhline(1, color="#555555", linewidth=0.8)
    for (name, rows), colour in zip(images.items(), COLOURS[1:], strict=False):
        m = concentration(rows)
        axes.plot([m.dimensions] * 2, [m.nearest, m.farthest], "s-", color=colour, linewidth=2.5,
                  markersize=5, label=f"{name}, D = {m.dimensions:,}")  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("dimensions")
    axes.set_ylabel("distance / mean distance (L2)")
    axes.set_title("the nearest is hardly nearer than the rest", fontsize=11)
    axes.legend(fontsize=8)
    plain(axes)


def _draw_edges(axes: Axes, edges: Mapping[int, float]) -> None:
    dimensions = np.geomspace(min(edges), max(edges), 200)
    axes.plot(dimensions, PART ** (1 / dimensions), color="#999999", label=f"{PART:g}^(1/D)")
    axes.plot(list(edges), list(edges.values()), "o", color=COLOURS[1], label="measured")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("dimensions")
    axes.set_ylabel("edge of the cube")
    axes.set_title(f"a cube that holds {PART:.0%} of the points", fontsize=11)
    axes.legend(fontsize=8)
    plain(axes)


def _draw_noise(axes: Axes, noise: Mapping[int, float]) -> None:
    axes.plot(list(noise), [100 * a for a in noise.values()], "o-", color=COLOURS[2])
    axes.set_xscale("symlog", linthresh=min((n for n in noise if n), default=1))
    axes.set_xlabel("features of noise added to the pixels")
    axes.set_ylabel("accuracy of the nearest neighbour, %")
    axes.set_ylim(0, 103)
    axes.set_title("meaningless dimensions drown the others", fontsize=11)
    plain(axes)
