"""Reading images between their pixels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from chainrule import ops
from chainrule.tensor import Tensor

__all__ = ["affine_grid", "grid_sample"]


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Where the pixels of a result of ``size`` lie after an affine map, for `grid_sample`.

    theta (N, 2, 3), size (N, C, H, W) -> (N, H, W, 2); (N, 3, 4), (N, C, D, H, W) likewise.
    Raises ShapeError. Source: Jaderberg et al. 2015, arXiv:1506.02025.
    """
    if align_corners is None:
        _warn_of_corners("affine_grid")
    return ops.affine_grid(theta, size, align_corners)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Read images at the points of ``grid``, (x, y) from -1 to 1 across the image.

    input (N, C, H, W), grid (N, OH, OW, 2) -> (N, C, OH, OW); volumes with (N, OD, OH, OW, 3).
    mode "bilinear", "nearest", or for images "bicubic"; padding_mode "zeros", "border" or
    "reflection". Raises ShapeError, ConfigError.
    Source: Jaderberg et al. 2015, arXiv:1506.02025.
    """
    if align_corners is None:
        _warn_of_corners("grid_sample")
    return ops.grid_sample(input, grid, mode, padding_mode, align_corners)


def _warn_of_corners(name: str) -> None:
    warnings.warn(
        f"Default {name} behavior has changed to align_corners=False since 1.3.0. Please specify "
        f"align_corners=True if the old behavior is desired. See the documentation of {name}.",
        stacklevel=3,
    )
