"""A linear classifier s = Wx + b seen three ways, and its rows as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.errors import ConfigError, ShapeError
from chainrule.viz.figure import COLOURS, bare, colours, new_figure, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

POSITIVE, NEGATIVE = "RdBu_r", "#8a8a8a"
SHOWN = 400  # points of a class in the geometric view, at most
PLANE = 200  # points along each side of the plane
SHADE = 0.25


def templates(weights: ArrayLike, classes: Sequence[str], *, columns: int = 5) -> Figure:
    """The rows of a linear classifier's W as pictures: what each class looks for.

    weights (K, C, H, W), as `templates_` of an estimator, each shown from its least to its
    largest value: grey, or the mean colour, is what leaves the score alone.
    """
    values, names = _pictures(weights, classes), list(classes)
    rows = math.ceil(len(names) / columns)
    figure = new_figure(1.6 * min(columns, len(names)), 1.85 * rows)
    panels = figure.subplots(rows, min(columns, len(names)), squeeze=False).ravel()
    for axes, image, name in zip(panels, values, names, strict=False):
        show(axes, image, stretch=True)
        axes.set_title(name, fontsize=11)
    for axes in panels[len(names) :]:
        bare(axes)
    return figure


def _pictures(weights: ArrayLike, classes: Sequence[str]) -> Array:
    values = np.asarray(weights, float)
    if values.ndim != 4 or len(values) != len(classes):
        raise ShapeError(
            f"templates: expects weights (K, C, H, W) and K names, got {values.shape} and "
            f"{len(classes)} names"
        )
    return values


def three_views(
    weights: ArrayLike,
    bias: ArrayLike,
    images: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    index: int = 0,
    chosen: tuple[int, int, int] = (0, 1, 2),
) -> Figure:
    """The same classifier as algebra, as pictures, and as geometry.

    weights (K, C, H, W), bias (K,), images (N, C, H, W) as the classifier is given them, labels
    (N,) from 0 to K - 1, classes: K names. index: the image whose scores are computed.

    Algebraic: W, x, b and the scores they give. Visual: every row of W as a picture, with its
    score. Geometric: space, cut by the plane through the means of three ``chosen`` classes; for
    each of them the line where its score is 0, and the way in which it grows fastest.
    Raises ShapeError, ConfigError (three classes without images).
    """
    pictures, offsets = _pictures(weights, classes), np.asarray(bias, float)
    shown, numbers = np.asarray(images, float), np.asarray(labels)
    if shown.shape[1:] != pictures.shape[1:] or offsets.shape != (len(classes),):
        raise ShapeError(
            f"three_views: weights {pictures.shape}, bias {offsets.shape} and images "
            f"{shown.shape} do not fit each other"
        )
    matrix, rows = pictures.reshape(len(pictures), -1), shown.reshape(len(shown), -1)
    scores = matrix @ rows[index] + offsets
    figure = new_figure(12, 7.6)
    upper, lower = _divided(figure, 2, 1, height_ratios=(0.85, 1))
    left, right = _divided(lower, 1, 2, width_ratios=(1.25, 1))
    _algebra(upper, matrix, rows[index], offsets, scores, classes)
    _visual(left, pictures, shown[index], scores, classes)
    _geometry(right.subplots(), matrix, offsets, rows, numbers, classes, chosen)
    return figure


def _divided(figure: Any, rows: int, columns: int, **ratios: Any) -> Any:
    return figure.subfigures(rows, columns, **ratios)


# -- algebraic -------------------------------------------------------------------------------------


def _algebra(
    figure: Any, matrix: Array, x: Array, bias: Array, scores: Array, classes: Sequence[str]
) -> None:
    """W x + b = s, every number a colour, b and s in figures."""
    figure.suptitle(
        f"algebraic: s = W x + b, W {matrix.shape[0]} x {matrix.shape[1]}, x {len(x)} pixels",
        fontsize=12, x=0.02, ha="left",
    )  # fmt: skip
    widths = (12, 0.6, 0.5, 0.6, 1.1, 0.6, 1.3)
    panels = figure.subplots(1, 7, width_ratios=widths)
    limit = float(np.abs(matrix).max()) or 1.0
    panels[0].imshow(
        matrix, aspect="auto", cmap=POSITIVE, vmin=-limit, vmax=limit, interpolation="nearest"
    )
    panels[0].set_yticks(range(len(classes)), classes, fontsize=9)
    panels[0].set_xticks([])
    panels[0].tick_params(length=0)
    panels[0].set_xlabel("W: a row for each class, red above 0, blue below", fontsize=9)
    panels[2].imshow(x[:, None], aspect="auto", cmap="gray", interpolation="nearest")
    panels[2].set_xlabel("x", fontsize=9)
    for axes, sign in zip(panels[1::2], ("·", "+", "="), strict=True):
        axes.text(0.5, 0.5, sign, ha="center", va="center", fontsize=18, transform=axes.transAxes)
        bare(axes)
    _column(panels[4], bias, "b", None)
    _column(panels[6], scores, "s", int(scores.argmax()))
    for axes in (panels[2], panels[4], panels[6]):
        axes.set_xticks([])
        axes.set_yticks([])


def _column(axes: Axes, values: Array, name: str, best: int | None) -> None:
    """Numbers under each other, the best on a background of its own."""
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    for i, value in enumerate(values):
        if i == best:
            axes.axhspan(i - 0.5, i + 0.5, color=COLOURS[2], alpha=0.35, linewidth=0)
        weight = "bold" if i == best else "normal"
        axes.text(0.92, i, f"{value:.2f}", ha="right", va="center", fontsize=9, weight=weight)
    axes.set_xlabel(name, fontsize=9)


# -- visual ----------------------------------------------------------------------------------------


def _visual(figure: Any, pictures: Array, x: Array, scores: Array, classes: Sequence[str]) -> None:
    """The image, and how well it fits each template."""
    columns = 1 + math.ceil(len(classes) / 2)
    figure.suptitle("visual: each row of W is a template", fontsize=12, x=0.03, ha="left")
    panels = figure.subplots(2, columns)
    show(panels[0, 0], x, stretch=True)
    panels[0, 0].set_title("x", fontsize=10)
    bare(panels[1, 0])
    places = panels[:, 1:].ravel()
    for axes in places[len(classes) :]:
        bare(axes)
    for i, (axes, image) in enumerate(zip(places, pictures, strict=False)):
        show(axes, image, stretch=True)
        best = i == scores.argmax()
        axes.set_title(
            f"{classes[i]}\n{scores[i]:.2f}",
            fontsize=10,
            weight="bold" if best else "normal",
            color=COLOURS[2] if best else "black",
        )


# -- geometric -------------------------------------------------------------------------------------


def _geometry(
    axes: Axes,
    matrix: Array,
    bias: Array,
    rows: Array,
    labels: NDArray[Any],
    classes: Sequence[str],
    chosen: tuple[int, int, int],
) -> None:
    """Lines and arrows in the plane through the means of three classes."""
    if not all((labels == label).any() for label in chosen):
        raise ConfigError(f"three_views: there must be images of each of the classes {chosen}")
    means = [rows[labels == label].mean(axis=0) for label in chosen]
    origin, axis_x, axis_y = _plane(means)
    basis = np.stack([axis_x, axis_y])
    slopes = matrix[list(chosen)] @ basis.T  # of each score along the plane
    levels = matrix[list(chosen)] @ origin + bias[list(chosen)]
    tints = colours(3)
    places = [(rows[labels == label][:SHOWN] - origin) @ basis.T for label in chosen]
    low, high = _limits(np.concatenate(places))
    _shade(axes, slopes, levels, low, high, tints)
    for label, own, slope, level, tint in zip(chosen, places, slopes, levels, tints, strict=True):
        axes.scatter(
            own[:, 0], own[:, 1], s=7, color=tint, alpha=0.55, linewidths=0, label=classes[label]
        )
        _line(axes, slope, level, tint, low, high)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal")
    axes.legend(fontsize=9, loc="upper right", markerscale=2)
    axes.set_title("geometric: where scores are 0, and grow", fontsize=12, loc="left")
    axes.set_xlabel("the plane through the means of three classes", fontsize=9)


def _plane(means: Sequence[Array]) -> tuple[Array, Array, Array]:
    """Its middle, and two directions at right angles, of length 1."""
    first = means[1] - means[0]
    second = means[2] - means[0]
    length = np.linalg.norm(first)
    if not length:
        raise ConfigError("three_views: two of the chosen classes have the same mean")
    first = first / length
    second = second - (second @ first) * first
    if not np.linalg.norm(second):
        raise ConfigError("three_views: the means of the chosen classes lie on a line")
    return np.mean(means, axis=0), first, second / np.linalg.norm(second)


def _limits(places: Array) -> tuple[Array, Array]:
    """A square around the points."""
    low, high = places.min(axis=0), places.max(axis=0)
    middle, half = (low + high) / 2, 0.54 * (high - low).max()
    return middle - half, middle + half


def _shade(
    axes: Axes, slopes: Array, levels: Array, low: Array, high: Array, tints: Sequence[str]
) -> None:
    from matplotlib.colors import ListedColormap, to_rgb

    xs, ys = (np.linspace(a, b, PLANE) for a, b in zip(low, high, strict=True))
    plane = np.stack(np.meshgrid(xs, ys), axis=-1)
    winner = (plane @ slopes.T + levels).argmax(axis=-1)
    shades = ListedColormap([tuple(1 - SHADE * (1 - p) for p in to_rgb(tint)) for tint in tints])
    axes.pcolormesh(xs, ys, winner, cmap=shades, vmin=-0.5, vmax=2.5)


def _line(axes: Axes, slope: Array, level: float, tint: str, low: Array, high: Array) -> None:
    """Where slope · place + level = 0, if that passes through the square, and an arrow from it."""
    length = float(np.linalg.norm(slope))
    if not length:
        return
    normal = slope / length
    foot = -level / length * normal
    middle = (low + high) / 2
    foot = foot + ((middle - foot) @ _turned(normal)) * _turned(normal)  # the nearest to the middle
    reach = float(np.linalg.norm(high - low))
    ends = np.stack([foot - reach * _turned(normal), foot + reach * _turned(normal)])
    for start, end in pairwise(ends):
        axes.plot(*np.stack([start, end]).T, color=tint, linewidth=2)
    tip = foot + 0.13 * (high[0] - low[0]) * normal
    axes.annotate("", xy=tuple(tip), xytext=tuple(foot),
                  arrowprops={"arrowstyle": "-|>", "color": tint, "linewidth": 2})  # fmt: skip


def _turned(direction: Array) -> Array:
    """By a right angle."""
    return np.array([-direction[1], direction[0]])
