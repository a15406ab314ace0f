"""Reading images between their pixels: at coordinates that may be learned themselves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, ShapeError
from chainrule.kernels.geometry import CENTRES, EDGES, places_along
from chainrule.ops.arithmetic import abs, clamp, mul, remainder, where
from chainrule.ops.dtypes import result_type
from chainrule.ops.elementwise import cast, fill
from chainrule.ops.indexing import add_at, getitem
from chainrule.ops.joining import stack
from chainrule.ops.linalg import matmul
from chainrule.ops.op import Recorded, op
from chainrule.ops.reduction import check_float, sum
from chainrule.ops.shape import permute, reshape, transpose, unsqueeze

__all__ = ["affine_grid", "grid_sample"]

Array = Any
MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")  # in the order of kernels.geometry.OUTSIDE


def affine_grid(theta: Array, size: Sequence[int], align_corners: bool | None = None) -> Array:
    """Where the pixels of a result of ``size`` lie after an affine map, for `grid_sample`.

    theta (N, 2, 3), size (N, C, H, W) -> (N, H, W, 2): θ (x, y, 1)ᵀ, with x and y from -1 to 1
    across the image (align_corners: between the corners' centres). theta (N, 3, 4) and size
    (N, C, D, H, W) -> (N, D, H, W, 3). dθ = Σ g ⊗ (x, y, 1).
    Raises ShapeError. Source: Jaderberg et al. 2015, arXiv:1506.02025, section 3.2.
    """
    axes = len(size) - 2
    check_float("affine_grid", theta)
    if axes not in (2, 3) or tuple(theta.shape) != (size[0], axes, axes + 1):
        raise ShapeError(
            "affine_grid: theta is (N, 2, 3) for a size (N, C, H, W), (N, 3, 4) for "
            f"(N, C, D, H, W)\n  theta {tuple(theta.shape)}; size {tuple(size)}"
        )
    lines = []
    for n in size[2:]:
        line = np.linspace(-1, 1, n) if n > 1 else np.zeros(n)
        lines.append(line if align_corners else line * ((n - 1) / max(n, 1)))
    grid = np.meshgrid(*lines, indexing="ij")[::-1]  # x runs along the last axis
    points = np.stack([*(g.reshape(-1) for g in grid), np.ones(math.prod(size[2:]))], -1)
    there = matmul(points.astype(theta.dtype), transpose(theta, 1, 2))
    return reshape(there, (size[0], *size[2:], axes))


def grid_sample(
    x: Array,
    grid: Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Array:
    """Read images x at the points of ``grid``, (x, y) from -1 to 1 across the image.

    x (N, C, H, W), grid (N, OH, OW, 2) -> (N, C, OH, OW); volumes (N, C, D, H, W) with grid
    (N, OD, OH, OW, 3). -1 and 1 are the edges of the outermost pixels (align_corners: their
    centres). Beyond: 0, the border's pixel, or the image reflected. g goes to the pixels that
    were read, weighted, and through the weights to the grid; see docs/derivations/upsampling.md.
    Raises ShapeError, ConfigError. Source: Jaderberg et al. 2015, arXiv:1506.02025, section 3.3.
    """
    _check(x, grid, mode, padding_mode)
    if x.ndim == 4 and mode != "bicubic":
        return _grid_sample_images(x, grid, mode, padding_mode, bool(align_corners))
    lengths = x.shape[2:]
    points = [
        _pixels_of(getitem(grid, (..., i)), n, bool(align_corners))
        for i, n in enumerate(reversed(lengths))
    ][::-1]
    if mode != "bicubic":  # which pads each of its pixels by itself
        points = [
            _pad(p, n, padding_mode, bool(align_corners))
            for p, n in zip(points, lengths, strict=True)
        ]
    if mode == "bicubic":

        def place(at: Any, n: int) -> Any:
            return _pad(at, n, padding_mode, bool(align_corners))

        y = read(x, points, cubic_taps, place)
    else:
        y = read(x, points, linear_taps if mode == "bilinear" else nearest_tap)
    return permute(y, (0, y.ndim - 1, *range(1, y.ndim - 1)))


def _grid_sample_images(
    x: Array, grid: Array, mode: str, padding_mode: str, align_corners: bool
) -> Array:
    if x.dtype != grid.dtype:
        dtype = result_type([values_of(x), values_of(grid)])
        x, grid = cast(x, dtype), cast(grid, dtype)
    n, height, width, _ = grid.shape
    at = reshape(grid, (n, height * width, 2))
    units = CENTRES if align_corners else EDGES
    y = sample_images(x, at, mode == "nearest", PADDINGS.index(padding_mode), units)
    return permute(reshape(y, (n, height, width, x.shape[1])), (0, 3, 1, 2))


def _check(x: Array, grid: Array, mode: str, padding_mode: str) -> None:
    check_float("grid_sample", x)
    if mode not in MODES or (mode == "bicubic" and x.ndim == 5):
        raise ConfigError(
            f"grid_sample: mode is bilinear, nearest, or for images bicubic; got {mode!r}"
        )
    if padding_mode not in PADDINGS:
        raise ConfigError(
            f"grid_sample: padding_mode is one of {', '.join(PADDINGS)}; got {padding_mode!r}"
        )
    axes = x.ndim - 2
    fits = axes in (2, 3) and grid.ndim == x.ndim
    if not fits or grid.shape[-1] != axes or grid.shape[0] != x.shape[0]:
        raise ShapeError(
            "grid_sample: grid is (N, OH, OW, 2) for images (N, C, H, W), (N, OD, OH, OW, 3) for "
            f"volumes\n  x {tuple(x.shape)}; grid {tuple(grid.shape)}"
        )
    if min(x.shape[2:]) < 1:
        raise ShapeError(f"grid_sample: there is no pixel to read\n  x {tuple(x.shape)}")


def _pixels_of(at: Array, n: int, align_corners: bool) -> Array:
    """From -1..1 to pixels."""
    return (at + 1) * ((n - 1) / 2) if align_corners else ((at + 1) * n - 1) / 2


def _pad(at: Array, n: int, padding_mode: str, align_corners: bool) -> Array:
    """Coordinates beyond the image moved to what stands for them there."""
    if padding_mode == "zeros":
        return at
    if padding_mode == "reflection":
        low, span = (0.0, float(n - 1)) if align_corners else (-0.5, float(n))
        if span == 0:
            return mul(at, 0.0)
        away = abs(at - low)
        back = remainder(away, 2 * span)
        at = where(back > span, 2 * span - back, back) + low
    # As in PyTorch, a coordinate on the border or beyond has no slope.
    inside = (at > 0) & (at < n - 1)
    return where(inside, at, clamp(values_of(at), 0, n - 1))


def values_of(x: Array) -> Any:
    """The array behind x, outside the graph."""
    return x.array if isinstance(x, Recorded) else x


# -- pixels and their weights --------------------------------------------------------------------

Tap = tuple[Any, Array]  # where along an axis a pixel is read, and its weight


def nearest_tap(at: Array) -> list[Tap]:
    """The nearest pixel, halves to even: its weight is constant, with a gradient of 0."""
    return [(np.round(values_of(at)), fill(at, 1.0))]


def linear_taps(at: Array) -> list[Tap]:
    """The two neighbours, each weighted by the distance to the other."""
    first = np.floor(values_of(at))
    share = at - first
    return [(first, 1 - share), (first + 1, share)]


def cubic_taps(at: Array) -> list[Tap]:
    """The four nearest by Keys' kernel (1981, eq. 15) of slope -¾ at distance 1."""
    first = np.floor(values_of(at))
    share, a = at - first, -0.75
    taps = []
    for step in (-1, 0, 1, 2):
        d = share - step if step < 1 else step - share
        if step in (0, 1):
            weight = ((a + 2) * d - (a + 3)) * d * d + 1
        else:
            weight = ((d - 5) * d + 8) * d * a - 4 * a
        taps.append((first + step, weight))
    return taps


def read(
    x: Array,
    points: Sequence[Array],
    taps: Callable[[Array], list[Tap]],
    place: Callable[[Any, int], Any] | None = None,
) -> Array:
    """Σ over pixels near each point of weight · pixel; pixels outside count as 0.

    x (N, C, *lengths); points: one array (N, *) for each of the axes, in pixels -> (N, *, C).
    place: where to read instead of a pixel, given its coordinate and the axis' length.
    """
    lengths = x.shape[2:]
    rows = reshape(permute(x, (0, *range(2, x.ndim), 1)), (-1, x.shape[1]))
    shape = points[0].shape
    image = np.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    y = None
    for chosen in itertools.product(*(taps(p) for p in points)):
        index, inside, weight = image, True, None
        for (at, share), n in zip(chosen, lengths, strict=True):
            at = at if place is None else np.round(place(at, n))
            with np.errstate(invalid="ignore"):  # NaN reads pixel 0 and stays NaN by its weight
                inside = inside & (at >= 0) & (at <= n - 1)
                index = index * n + np.clip(np.nan_to_num(at), 0, n - 1).astype(np.intp)
            weight = share if weight is None else mul(weight, share)
        weight = mul(weight, np.asarray(inside, x.dtype))
        term = mul(getitem(rows, index), unsqueeze(weight, -1))
        y = term if y is None else y + term
    return y


# -- images at points ----------------------------------------------------------------------------


@op
def sample_images(x: Array, at: Array, nearest: bool, outside: int, units: int) -> Array:
    """Each image read at its points, (x, y): y_p = Σ over the (up to four) pixels around of w·x.

    x (N, C, H, W), at (N, P, 2) -> (N, P, C); outside and units: see `chainrule.kernels.geometry`.
    Weights copy a pixel to the points that read it: dx sums w·g over them. The points move the
    weights: dat = Σ_c g_c Σ x_c ∂w/∂at, 0 where the nearest pixel is read.
    """
    return kernels.sample_images(x, at, nearest, outside, units)


def _sampled_x(
    g: Array, at: Array, x_shape: tuple[int, ...], nearest: bool, outside: int, units: int
) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.sample_images_input_grad(g, at, x_shape, nearest, outside, units)
    n, channels, height, width = x_shape
    dx = None
    for corner in _corners(at, x_shape, nearest, outside, units):
        entries = (np.arange(n)[:, None], corner.pixel)
        part = mul(g, unsqueeze(corner.weight, -1))
        term = add_at(part, entries, (n, height * width, channels))
        dx = term if dx is None else dx + term
    return permute(reshape(dx, (n, height, width, channels)), (0, 3, 1, 2))


def _sampled_at(g: Array, x: Array, at: Array, nearest: bool, outside: int, units: int) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.sample_images_place_grad(g, x, at, nearest, outside, units)
    rows = reshape(permute(x, (0, 2, 3, 1)), (x.shape[0], -1, x.shape[1]))
    slopes = None
    for corner in _corners(at, tuple(x.shape), nearest, outside, units):
        pixels = getitem(rows, (np.arange(x.shape[0])[:, None], corner.pixel))
        along = unsqueeze(sum(mul(g, pixels), -1), -1)
        term = mul(along, stack([corner.by_x, corner.by_y], -1))
        slopes = term if slopes is None else slopes + term
    return slopes


sample_images.vjp(x=_sampled_x, at=_sampled_at)


class Corner(NamedTuple):
    """For every point one of the pixels around it, in operations that have gradients."""

    pixel: Any  # (N, P) in 0..H·W - 1; pixel 0, of weight 0, beyond the image
    weight: Array  # (N, P)
    by_x: Array  # ∂weight/∂x
    by_y: Array


def _corners(
    at: Array, x_shape: tuple[int, ...], nearest: bool, outside: int, units: int
) -> list[Corner]:
    height, width = x_shape[2:]
    cols = _sides(getitem(at, (..., 0)), width, nearest, outside, units)
    rows = _sides(getitem(at, (..., 1)), height, nearest, outside, units)
    return [
        Corner(row * width + col, mul(down, across), mul(down, by_x), mul(across, by_y))
        for (row, down, by_y), (col, across, by_x) in itertools.product(rows, cols)
    ]


def _sides(
    coordinate: Array, n: int, nearest: bool, outside: int, units: int
) -> list[tuple[Any, Array, Any]]:
    """The pixels of an axis that are read, their weights, and how fast these change."""
    values = values_of(coordinate)
    place, slope = places_along(values, n, outside, units)
    moving = (coordinate - values) * slope + place  # the same number, which its slope moves
    signs = (0,) if nearest else (-1, 1)
    sides = []
    for (pixel, weight), sign in zip(
        (nearest_tap if nearest else linear_taps)(moving), signs, strict=True
    ):
        inside = (pixel >= 0) & (pixel <= n - 1)
        mask = inside.astype(values.dtype)
        sides.append(
            (np.where(inside, pixel, 0).astype(np.intp), mul(weight, mask), sign * slope * mask)
        )
    return sides
