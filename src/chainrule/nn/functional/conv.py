"""Convolution."""

from __future__ import annotations

from typing import Literal

from chainrule import ops
from chainrule.nn.functional.arguments import Size
from chainrule.tensor import Tensor

__all__ = ["conv2d"]


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | Literal["same", "valid"] = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate images with filters (the filter is not flipped).

    y[n, o, i, j] = b[o] + Σ_{c, u, v} W[o, c, u, v] · x[n, c, i·s + u·d - p, j·s + v·d - p]

    input x (N, C, H, W) or (C, H, W); weight W (O, C/groups, KH, KW); bias b (O,) or None.
    stride, padding, dilation: pixels, int or (vertical, horizontal); padding "same" keeps
    the size (stride 1), "valid" pads nothing.
    Returns (N, O, ⌊(H + 2p - d(KH-1) - 1)/s⌋ + 1, the same for W).
    Raises ShapeError (channels disagree, window larger than the padded image), DTypeError.
    Source: Dumoulin & Visin 2016, arXiv:1603.07285.
    """
    return ops.conv2d(input, weight, bias, stride, padding, dilation, groups)
