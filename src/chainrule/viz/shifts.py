"""What L2 does not see: images that it finds equally far from another, and the eye does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import ConfigError
from chainrule.viz.figure import new_figure, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]

STEPS = 40  # of halving


class Variant(NamedTuple):
    """An image (C, H, W) and how far it is, in L2, from the first one."""

    name: str
    image: Pixels
    distance: float


def equally_far(image: Pixels, *, pixels: int = 2, seed: int = 0) -> list[Variant]:
    """An image (C, H, W) of bytes, moved to the right, and others that L2 finds as far from it.

    pixels: by how many it is moved; what enters repeats its left edge. The others are the image
    darkened, with a dark square on it, and with noise, each as much as the distance asks for; to
    within the rounding of bytes. Raises ConfigError for an image that moving does not change, or
    that cannot be darkened so far.
    """
    width = image.shape[2]
    if not 0 < pixels < width:
        raise ConfigError(f"equally_far: pixels must be from 1 to {width - 1}, got {pixels}")
    moved = image[:, :, np.maximum(np.arange(width) - pixels, 0)]
    target = _distance(image, moved)
    if not 0 < target < _distance(image, np.zeros_like(image)):
        raise ConfigError("equally_far: moving this image changes it too little or too much")
    noise = np.random.default_rng(seed).normal(size=image.shape)
    others = {
        "darker": lambda t: _bytes(image * (1 - t)),
        "with a square": lambda t: _covered(image, t),
        "with noise": lambda t: _bytes(image + 600 * t * noise),
    }
    word = "pixel" if pixels == 1 else "pixels"
    found = [
        Variant("original", image, 0.0),
        Variant(f"moved by {pixels} {word}", moved, target),
    ]
    for name, change in others.items():
        changed = _as_far(image, change, target)
        found.append(Variant(name, changed, _distance(image, changed)))
    return found


def _distance(a: Pixels, b: Pixels) -> float:
    return float(np.sqrt(((a.astype(float) - b) ** 2).sum()))


def _bytes(values: NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _as_far(image: Pixels, change: Callable[[float], Pixels], target: float) -> Pixels:
    """The change whose strength, from 0 to 1, comes nearest to the distance, by halving."""
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _distance(image, change(middle)) < target:
            low = middle
        else:
            high = middle
    return min((change(low), change(high)), key=lambda c: abs(_distance(image, c) - target))


def _covered(image: Pixels, strength: float) -> Pixels:
    """A dark square in the middle: its side grows, and at each side it is faded in."""
    height, width = image.shape[1:]
    whole, part = divmod(strength * min(height, width), 1)
    changed = image.astype(float)
    for side, shade in ((whole + 1, part), (whole, 1.0)):
        top, left = ((length - int(side)) // 2 for length in (height, width))
        rows, columns = slice(max(top, 0), top + int(side)), slice(max(left, 0), left + int(side))
        changed[:, rows, columns] = image[:, rows, columns] * (1 - shade)
    return _bytes(changed)


def shifted_images(variants: Sequence[Variant]) -> Figure:
    """The images in a row, with their names and distances."""
    figure = new_figure(2.05 * len(variants), 2.7)
    for axes, variant in zip(figure.subplots(1, len(variants)), variants, strict=True):
        show(axes, variant.image)
        axes.set_title(variant.name, fontsize=11)
        axes.set_xlabel(f"L2 distance {variant.distance:,.0f}", fontsize=10)
    return figure
