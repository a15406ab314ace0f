"""Images of another size."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import ops
from chainrule.tensor import Tensor

__all__ = [
    "channel_shuffle",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

Lengths = int | Sequence[int]
Scales = float | Sequence[float]


def interpolate(
    input: Tensor,
    size: Lengths | None = None,
    scale_factor: Scales | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resample (N, C, L), (N, C, H, W) or (N, C, D, H, W) to a size, or by a factor.

    mode: "nearest", "nearest-exact", "linear" (lines), "bilinear" and "bicubic" (images),
    "trilinear" (volumes) or "area". align_corners: the ends of input and result meet.
    recompute_scale_factor: the ratio of whole sizes counts, not the factor. antialias: shrink
    over all pixels ("bilinear", "bicubic"). Raises ShapeError, ConfigError.
    """
    return ops.interpolate(
        input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias
    )


def upsample(
    input: Tensor,
    size: Lengths | None = None,
    scale_factor: Scales | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """As `interpolate`, an older name."""
    return ops.interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor, size: Lengths | None = None, scale_factor: Scales | None = None
) -> Tensor:
    """`interpolate` to the nearest pixel, an older name."""
    return ops.interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(
    input: Tensor, size: Lengths | None = None, scale_factor: Scales | None = None
) -> Tensor:
    """`interpolate` bilinearly with align_corners, an older name."""
    return ops.interpolate(input, size, scale_factor, "bilinear", True)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Blocks of r² channels become r x r pixels: (*, C·r², H, W) -> (*, C, H·r, W·r).

    Raises ShapeError. Source: Shi et al. 2016, arXiv:1609.05158.
    """
    return ops.pixel_shuffle(input, upscale_factor)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Blocks of r x r pixels become r² channels: (*, C, H·r, W·r) -> (*, C·r², H, W)."""
    return ops.pixel_unshuffle(input, downscale_factor)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Deal the channels of the groups in turn: (N, C, *). Source: Zhang et al. 2017."""
    return ops.channel_shuffle(input, groups)
