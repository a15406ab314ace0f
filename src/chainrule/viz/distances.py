"""All distances between two sets of images, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from chainrule.errors import ShapeError
from chainrule.viz.figure import panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def distance_matrix(
    distances: ArrayLike,
    rows: ArrayLike | None = None,
    columns: ArrayLike | None = None,
    *,
    classes: Sequence[str] = (),
    title: str = "",
    axes: Axes | None = None,
) -> Any:
    """Distances (Q, N): dark is near, bright is far.

    A bright row is a query that is far from all points; a bright column a point that is near to
    none. rows (Q,), columns (N,): labels 0, 1, ..., by which they are then sorted; where classes
    keep together, the blocks along the diagonal are dark. classes: their names.
    Returns a figure, or the axes. Raises ShapeError.
    """
    values = np.asarray(distances, float)
    given = [None if labels is None else np.asarray(labels) for labels in (rows, columns)]
    for labels, length in zip(given, values.shape, strict=False):
        if values.ndim != 2 or (labels is not None and labels.shape != (length,)):
            raise ShapeError(
                "distance_matrix: expects distances (Q, N), rows (Q,) and columns (N,), got "
                f"{values.shape} and {[None if x is None else x.shape for x in given]}"
            )
    drawn, result = panel(axes, 6, 5.2)
    for axis, labels in enumerate(given):
        if labels is not None:
            order = np.argsort(labels, kind="stable")
            values = values.take(order, axis)
            _mark_classes(drawn, axis, labels[order], classes)
    image = drawn.imshow(values, cmap="magma", aspect="auto", interpolation="nearest")
    drawn.figure.colorbar(image, ax=drawn, label="distance", fraction=0.05)
    drawn.set_title(title, fontsize=11)
    return result


def _mark_classes(axes: Axes, axis: int, labels: Any, classes: Sequence[str]) -> None:
    """Lines between the classes, and their names."""
    known, starts, counts = np.unique(labels, return_index=True, return_counts=True)
    names = [classes[i] if i < len(classes) else str(i) for i in known]
    middles = starts + counts / 2 - 0.5
    if axis:
        turned: Any = {"rotation": 45, "ha": "right"} if max(map(len, names)) > 2 else {}
        axes.set_xticks(middles, names, fontsize=8, **turned)
    else:
        axes.set_yticks(middles, names, fontsize=8)
    axes.tick_params(length=0)
    line = axes.axvline if axis else axes.axhline
    for start in starts[1:]:
        line(start - 0.5, color="white", linewidth=0.6, alpha=0.7)
