"""Deformable convolution."""

from __future__ import annotations

from chainrule import ops
from chainrule.nn.functional.arguments import Size
from chainrule.tensor import Tensor

__all__ = ["deform_conv2d"]


def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """Convolution whose taps read the image at learned places, as torchvision.ops has it.

    input (N, C, H, W); offset (N, 2·G·KH·KW, OH, OW): for each of G groups of channels and each
    tap how far it moves down and right; mask (N, G·KH·KW, OH, OW) weighs the taps (v2) or None;
    weight (O, C/groups, KH, KW). Returns (N, O, OH, OW). Raises ShapeError, ConfigError.
    Source: Dai et al. 2017, arXiv:1703.06211; Zhu et al. 2019, arXiv:1811.11168.
    """
    return ops.deform_conv2d(input, offset, weight, bias, stride, padding, dilation, mask)
