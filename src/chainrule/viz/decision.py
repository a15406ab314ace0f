"""Which class a classifier gives to every point of the plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.errors import ShapeError
from chainrule.viz.figure import colours, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 0.08  # around the points, of their extent
STRENGTH = 0.35  # of a region's colour


def decision_regions(
    predict: Callable[[NDArray[np.float64]], Any],
    points: ArrayLike,
    labels: ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    resolution: int = 300,
    axes: Axes | None = None,
) -> Any:
    """Colour the plane by the class that ``predict`` gives, and put the points onto it.

    predict: (M, 2) -> labels (M,), such as the method of a fitted estimator. points (N, 2),
    labels (N,); classes: their names, for a legend. resolution: how many points of the plane are
    asked along each side. Returns a figure, or the axes. Raises ShapeError.
    """
    places, names = np.asarray(points, float), np.asarray(labels)
    if places.ndim != 2 or places.shape[1] != 2 or names.shape != places.shape[:1]:
        raise ShapeError(
            "decision_regions: expects points (N, 2) and labels (N,), "
            f"got {places.shape} and {names.shape}"
        )
    from matplotlib.colors import ListedColormap

    known = np.unique(names)
    drawn, result = panel(axes, 5, 5)
    xs, ys, predicted = _predictions(predict, places, resolution)
    region = np.searchsorted(known, predicted)
    shades = ListedColormap([_lighter(c) for c in colours(len(known))])
    drawn.pcolormesh(xs, ys, region, cmap=shades, vmin=-0.5, vmax=len(known) - 0.5)
    for i, (name, colour) in enumerate(zip(known, colours(len(known)), strict=True)):
        own = places[names == name]
        label = None if classes is None else classes[i]
        drawn.scatter(own[:, 0], own[:, 1], s=16, color=colour, edgecolors="white", linewidths=0.5,
                      label=label)  # fmt: skip
    if classes is not None:
        drawn.legend(fontsize=8)
    drawn.set_xticks([])
    drawn.set_yticks([])
    drawn.set_aspect("equal")
    return result


def _predictions(
    predict: Callable[[NDArray[np.float64]], Any], places: NDArray[np.float64], resolution: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[Any]]:
    low, high = places.min(axis=0), places.max(axis=0)
    room = MARGIN * (high - low).max()
    xs, ys = (np.linspace(a - room, b + room, resolution) for a, b in zip(low, high, strict=True))
    plane = np.stack(np.meshgrid(xs, ys), axis=-1)
    return xs, ys, np.asarray(predict(plane.reshape(-1, 2))).reshape(plane.shape[:2])


def _lighter(colour: str) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(1 - STRENGTH * (1 - part) for part in to_rgb(colour))
