"""Images of another size: each output pixel a weighted sum of input pixels, axis by axis.

Along one axis a resampling is a matrix with few entries a row. It is kept as these entries:
``index`` (O, K), the pixels that each of the O outputs reads, and ``weight`` (O, K). Images are
resampled along their axes one after the other, the transposed matrix gives the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.elementwise import apart, clone
from chainrule.ops.op import op
from chainrule.ops.pool_adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from chainrule.ops.reduction import check_float
from chainrule.ops.shape import permute, reshape

__all__ = ["channel_shuffle", "interpolate", "pixel_shuffle", "pixel_unshuffle"]

Array = Any
Rows = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]  # index and weight, (O, K)

AXES = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}
AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
CUBIC, CUBIC_ANTIALIAS = -0.75, -0.5  # the slope of Keys' kernel at 1, as PyTorch has it


def interpolate(
    x: Array,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Array:
    """Resample x (N, C, L), (N, C, H, W) or (N, C, D, H, W) to ``size``, or by ``scale_factor``.

    Output o lies at (o + ½)·s - ½ among the inputs, s = 1/scale_factor (or the ratio of sizes:
    recompute_scale_factor); with align_corners at o·(I - 1)/(O - 1), so that ends meet.
    mode: "nearest" (⌊o·s⌋), "nearest-exact" (⌊(o + ½)s⌋), "linear"/"bilinear"/"trilinear" (two
    pixels an axis), "bicubic" (four), "area" (adaptive means). antialias: when shrinking,
    "bilinear" and "bicubic" weigh all pixels that an output covers.
    dx sends g back along the same weights. Raises ShapeError, ConfigError.
    Source: Keys 1981, Cubic convolution interpolation for digital image processing.
    """
    axes = x.ndim - 2
    if x.dtype != np.uint8 or mode not in ("nearest", "nearest-exact"):
        check_float("interpolate", x)
    _check_mode(x, mode, align_corners, antialias)
    out, scales = _output_size(x, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return AREA[axes](x, out)
    kind = f"{mode} antialias" if antialias else mode
    # Where the length stays, these take the pixels themselves, whatever the scale, as in PyTorch.
    unscaled = antialias or kind in ("linear", "bilinear", "trilinear")
    unscaled = unscaled or (mode == "nearest" and axes == 2)
    single = x.dtype != np.float64  # PyTorch's positions are in the type of the sums
    given = x
    for axis in range(axes - 1, -1, -1):  # the last first: later copies are of longer runs
        length, target = x.shape[2 + axis], out[axis]
        if length != target or (not unscaled and scales[axis] not in (None, 1.0)):
            rows = ROWS[kind](length, target, scales[axis], bool(align_corners), single)
            x = resample(x, *rows, 2 + axis)
    return clone(x) if x is given else x


def _check_mode(x: Array, mode: str, align_corners: bool | None, antialias: bool) -> None:
    known = ("nearest", "nearest-exact", "area", *AXES)
    if mode not in known:
        raise ConfigError(f"interpolate: mode is one of {', '.join(known)}; got {mode!r}")
    axes = AXES.get(mode)
    if x.ndim not in (3, 4, 5) or (axes is not None and axes != x.ndim - 2):
        raise ShapeError(
            f'interpolate: mode "{mode}" needs {"three to five" if axes is None else axes + 2} '
            f"axes\n  x {tuple(x.shape)} = (N, C, ...)"
        )
    if align_corners is not None and axes is None:
        raise ConfigError(
            "interpolate: align_corners can only be set with "
            f"mode linear, bilinear, bicubic or trilinear, not {mode}"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ConfigError(
            "interpolate: Anti-alias option is restricted to bilinear and bicubic modes "
            f"and requires a 4-D tensor as input, not {mode}"
        )


def _output_size(
    x: Array,
    size: int | Sequence[int] | None,
    scale_factor: float | Sequence[float] | None,
    recompute: bool | None,
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """Lengths of the result, and the scale of each axis where it counts."""
    lengths = x.shape[2:]
    if (size is None) == (scale_factor is None):
        raise ConfigError("interpolate: only one of size or scale_factor should be defined")
    if recompute and size is not None:
        raise ConfigError("interpolate: recompute_scale_factor needs scale_factor, not size")
    given: Any = size if scale_factor is None else scale_factor
    each = tuple(given) if isinstance(given, Sequence) else (given,) * len(lengths)
    if len(each) != len(lengths):
        name = "size" if scale_factor is None else "scale_factor"
        raise ConfigError(
            f"interpolate: {name} {each} needs one number for each of {len(lengths)} axes\n"
            f"  x {tuple(x.shape)}"
        )
    nothing: tuple[float | None, ...] = (None,) * len(each)
    if size is not None:
        out, scales = tuple(map(int, each)), nothing
    else:
        factors = tuple(float(f) for f in each)
        out = tuple(math.floor(n * f) for n, f in zip(lengths, factors, strict=True))
        scales = nothing if recompute else factors
    if min(out) < 1 or min(lengths) < 1:
        raise ShapeError(
            f"interpolate: from {tuple(lengths)} to {out}: lengths must be at least 1\n"
            f"  x {tuple(x.shape)}"
        )
    return out, scales


# -- the rows of the matrix ----------------------------------------------------------------------


def _step(length: int, out: int, scale: float | None, align_corners: bool, real: Any) -> Any:
    """How far apart the outputs lie among the inputs."""
    if align_corners:
        return real(length - 1) / real(out - 1) if out > 1 else real(0)
    return real(1 / scale) if scale else real(length) / real(out)


def _nearest(length: int, out: int, scale: float | None, step: Any, half: float) -> Rows:
    positions = (np.arange(out, dtype=np.float32) + np.float32(half)) * step
    index = np.minimum(np.floor(positions), length - 1).astype(np.intp)
    return index[:, None], np.ones((out, 1))


@lru_cache
def nearest_rows(length: int, out: int, scale: float | None, *_: bool) -> Rows:
    """⌊o·s⌋, in float32 as PyTorch computes it."""
    return _nearest(length, out, scale, _step(length, out, scale, False, np.float32), 0)


@lru_cache
def nearest_exact_rows(length: int, out: int, scale: float | None, *_: bool) -> Rows:
    """⌊(o + ½)·s⌋."""
    return _nearest(length, out, scale, _step(length, out, scale, False, np.float32), 0.5)


@lru_cache
def linear_rows(
    length: int, out: int, scale: float | None, align_corners: bool, single: bool
) -> Rows:
    """The two neighbours, each weighted by the distance to the other."""
    real: Any = np.float32 if single else np.float64
    step = _step(length, out, scale, align_corners, real)
    steps = np.arange(out, dtype=real)
    at = steps * step if align_corners else np.maximum((steps + real(0.5)) * step - real(0.5), 0)
    first = np.minimum(np.floor(at), length - 1)
    share = np.clip(at - first, 0, 1)
    index = np.stack([first, np.minimum(first + 1, length - 1)], 1).astype(np.intp)
    return index, np.stack([1 - share, share], 1)


@lru_cache
def cubic_rows(
    length: int, out: int, scale: float | None, align_corners: bool, single: bool
) -> Rows:
    """The four nearest by Keys' kernel; beyond the border the border's pixel counts again."""
    real: Any = np.float32 if single else np.float64
    step = _step(length, out, scale, align_corners, real)
    steps = np.arange(out, dtype=real)
    at = steps * step if align_corners else (steps + real(0.5)) * step - real(0.5)
    first = np.floor(at)
    taps = np.arange(-1, 3)
    weight = _keys((at - first)[:, None] - taps, CUBIC)
    index = np.clip(first[:, None] + taps, 0, length - 1).astype(np.intp)
    return index, weight


def _keys(distance: Any, a: float) -> Any:
    """Keys 1981, eq. 15, with slope a at distance 1."""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _triangle(distance: Any) -> Any:
    return np.maximum(1 - np.abs(distance), 0)


def _covering(
    length: int, out: int, step: float, radius: int, kernel: Callable[[Any], Any]
) -> Rows:
    """All pixels below the kernel, which is as wide as an output where that is wider."""
    wide = max(step, 1.0)
    centre = step * (np.arange(out) + 0.5)
    first = np.maximum((centre - radius * wide + 0.5).astype(np.intp), 0)
    last = np.minimum((centre + radius * wide + 0.5).astype(np.intp), length)
    index = first[:, None] + np.arange(max(int((last - first).max()), 1))
    weight = kernel((index - centre[:, None] + 0.5) / wide) * (index < last[:, None])
    return np.minimum(index, length - 1), weight / weight.sum(1, keepdims=True)


@lru_cache
def linear_antialias_rows(
    length: int, out: int, scale: float | None, align_corners: bool, single: bool
) -> Rows:
    """Weights of a triangle that covers two outputs."""
    step = float(_step(length, out, scale, align_corners, np.float64))
    return _covering(length, out, step, 1, _triangle)


@lru_cache
def cubic_antialias_rows(
    length: int, out: int, scale: float | None, align_corners: bool, single: bool
) -> Rows:
    """Weights of Keys' kernel, stretched over four outputs."""
    step = float(_step(length, out, scale, align_corners, np.float64))
    return _covering(length, out, step, 2, lambda d: _keys(d, CUBIC_ANTIALIAS))


ROWS: dict[str, Callable[..., Rows]] = {
    "nearest": nearest_rows,
    "nearest-exact": nearest_exact_rows,
    "linear": linear_rows,
    "bilinear": linear_rows,
    "trilinear": linear_rows,
    "bicubic": cubic_rows,
    "bilinear antialias": linear_antialias_rows,
    "bicubic antialias": cubic_antialias_rows,
}


# -- along one axis ------------------------------------------------------------------------------


@op
def resample(x: Array, index: Any, weight: Any, dim: int) -> Array:
    """y_o = Σ_k weight[o, k] · x[index[o, k]] along ``dim``.   x (..., I, ...) -> (..., O, ...).

    The transpose sends g back: dx_i = Σ_{o, k: index[o, k] = i} weight[o, k] · g_o.
    """
    starts = np.arange(len(index) + 1) * index.shape[1]
    entries = index.ravel().astype(np.int64, copy=False), weight.ravel().astype(x.dtype, copy=False)
    return kernels.resample(x, dim, starts, *entries)


@op
def resample_back(g: Array, index: Any, weight: Any, length: int, dim: int) -> Array:
    """The transpose of `resample`: g (..., O, ...) -> (..., length, ...)."""
    inputs = index.ravel()
    order = np.argsort(inputs, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(inputs, minlength=length))])
    outputs, shares = order // index.shape[1], weight.ravel()[order]
    return kernels.resample(g, dim, starts, outputs, shares.astype(g.dtype, copy=False))


resample.vjp(
    x=lambda g, x_shape, index, weight, dim: resample_back(g, index, weight, x_shape[dim], dim)
)
resample_back.vjp(g=lambda u, index, weight, dim: resample(u, index, weight, dim))


# -- channels and pixels -------------------------------------------------------------------------


def pixel_shuffle(x: Array, upscale_factor: int) -> Array:
    """Blocks of r² channels become r x r pixels.   x (*, C·r², H, W) -> (*, C, H·r, W·r).

    Only moves values, so g moves back: `pixel_unshuffle`.
    Raises ShapeError. Source: Shi et al. 2016, arXiv:1609.05158.
    """
    r = upscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-3] % (r * r):
        raise ShapeError(
            f"pixel_shuffle: channels must be a multiple of upscale_factor² = {r * r}\n"
            f"  x {tuple(x.shape)} = (*, C, H, W)"
        )
    *batch, c, h, w = x.shape
    n = len(batch)
    blocks = reshape(x, (*batch, c // (r * r), r, r, h, w))
    grown = permute(blocks, (*range(n + 1), n + 3, n + 1, n + 4, n + 2))
    return apart(reshape(grown, (*batch, c // (r * r), h * r, w * r)), x)


def pixel_unshuffle(x: Array, downscale_factor: int) -> Array:
    """Blocks of r x r pixels become r² channels.   x (*, C, H·r, W·r) -> (*, C·r², H, W)."""
    r = downscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-2] % r or x.shape[-1] % r:
        raise ShapeError(
            f"pixel_unshuffle: height and width must be multiples of downscale_factor {r}\n"
            f"  x {tuple(x.shape)} = (*, C, H, W)"
        )
    *batch, c, h, w = x.shape
    n = len(batch)
    blocks = reshape(x, (*batch, c, h // r, r, w // r, r))
    together = permute(blocks, (*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return apart(reshape(together, (*batch, c * r * r, h // r, w // r)), x)


def channel_shuffle(x: Array, groups: int) -> Array:
    """Deal the channels of ``groups`` groups in turn.   x (N, C, *): channel (g, i) goes to (i, g).

    Raises ShapeError (channels that do not divide). Source: Zhang et al. 2017, arXiv:1707.01083.
    """
    if x.ndim < 3 or groups < 1 or x.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle: channels must be a multiple of groups {groups}\n"
            f"  x {tuple(x.shape)} = (N, C, *)"
        )
    n, c, *rest = x.shape
    dealt = reshape(x, (n, groups, c // groups, *rest))
    return apart(reshape(permute(dealt, (0, 2, 1, *range(3, x.ndim + 1))), (n, c, *rest)), x)
