"""What all pictures share: a figure without a window, colours, pixels for the eye."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import ConfigError, MissingExtraError, ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
COLOURS = (
    "#2a6fbb", "#c8572f", "#3a8f5c", "#8456a5", "#c29a1c",
    "#4aa8b5", "#c24f86", "#7a6a55", "#6f7f2b", "#555f77",
)  # fmt: skip
"""Of classes, in order; then again from the first."""


def check_figure(path: Path, caller: str) -> None:
    """Raise MissingExtraError without matplotlib, ConfigError for a kind of file it cannot be."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"{caller}: a figure is {', '.join(FORMATS)}; got {path.name!r}")
    require_matplotlib(caller)


def require_matplotlib(caller: str) -> None:
    """Raise MissingExtraError, with the command that mends it, where there is none."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError(f"{caller}: needs matplotlib; pip install 'chainrule[plot]'")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    require_matplotlib("viz")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def panel(axes: Axes | None, width: float, height: float) -> tuple[Axes, Any]:
    """Axes to draw into, and what is returned: the same, or the new figure around them."""
    if axes is not None:
        return axes, axes
    figure = new_figure(width, height)
    return figure.subplots(), figure


def colours(count: int) -> list[str]:
    """One for each class."""
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def bare(axes: Axes) -> None:
    """No ticks and no frame: for pictures."""
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def plain(axes: Axes) -> None:
    """A light grid, and a frame on two sides: for curves."""
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def picture(values: NDArray[Any], *, stretch: bool = False) -> NDArray[Any]:
    """(C, H, W) as matplotlib shows it: (H, W, 3) or (H, W), from 0 to 1.

    Bytes count to 255. stretch: from the least to the largest value, as templates need it.
    """
    if values.ndim != 3 or values.shape[0] not in (1, 3):
        raise ShapeError(f"viz: a picture is (1, H, W) or (3, H, W), got {values.shape}")
    image = values.transpose(1, 2, 0).astype(float)
    if stretch:
        low, high = image.min(), image.max()
        image = (image - low) / (high - low) if high > low else np.full_like(image, 0.5)
    elif values.dtype == np.uint8:
        image /= 255
    return image[:, :, 0] if image.shape[2] == 1 else image


def show(axes: Axes, values: NDArray[Any], *, stretch: bool = False) -> None:
    """A picture (C, H, W) in axes without ticks; grey ones in grey."""
    axes.imshow(picture(values, stretch=stretch), cmap="gray", vmin=0, vmax=1)
    bare(axes)
