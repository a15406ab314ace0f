"""Volumes (films) as images: what makes a 3-d convolution of a 2-d one."""

import numpy as np

from chainrule.kernels.geometry import conv_output_size, tap_slices
from chainrule.kernels.reference.precision import half_in_single

__all__ = ["add_frames", "gather_frames"]


def gather_frames(
    x: np.ndarray, taps: int, stride: int, padding: int, dilation: int, groups: int
) -> np.ndarray:
    """At each place of a window along depth, the frames that it sees, as channels of one image.

    y[n·OD + i, (k·taps + t)·C/groups + c] = x[n, k·C/groups + c, i·stride + t·dilation - padding]

    x (N, C, D, H, W) -> (N·OD, groups·taps·C/groups, H, W) in channels-last memory, OD the
    places of the window; frames beyond the ends are zeros. With dilation 0 all taps see the same
    frame. Of one tap at every frame, a view where memory allows.
    """
    images, channels, depth, height, width = x.shape
    source = x.transpose(0, 2, 3, 4, 1)
    if (taps, stride, padding) == (1, 1, 0):
        frames = source.reshape(images * depth, height, width, channels)
        return frames.transpose(0, 3, 1, 2)
    each = channels // groups
    source = source.reshape(images, depth, height, width, groups, each)
    places = conv_output_size(depth, taps, stride, padding, dilation)
    y = np.zeros((images, places, height, width, groups, taps, each), x.dtype)
    for tap in range(taps):
        at, seen = tap_slices(depth, places, stride, padding, dilation, tap)
        y[:, at, :, :, :, tap] = source[:, seen]
    return y.reshape(images * places, height, width, taps * channels).transpose(0, 3, 1, 2)


@half_in_single
def add_frames(
    g: np.ndarray,
    x_shape: tuple[int, ...],
    taps: int,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
) -> np.ndarray:
    """Transpose of gather_frames: each frame receives the sum over the windows that see it.

    g (N·OD, groups·taps·C/groups, H, W) -> x_shape (N, C, D, H, W) in channels-last memory. Of
    one tap at every frame, a view where memory allows.
    """
    images, channels, depth, height, width = x_shape
    g = g.transpose(0, 2, 3, 1)
    if (taps, stride, padding) == (1, 1, 0):
        return g.reshape(images, depth, height, width, channels).transpose(0, 4, 1, 2, 3)
    each = channels // groups
    places = conv_output_size(depth, taps, stride, padding, dilation)
    seen_by = g.reshape(images, places, height, width, groups, taps, each)
    dx = np.zeros((images, depth, height, width, groups, each), g.dtype)
    for tap in range(taps):
        at, seen = tap_slices(depth, places, stride, padding, dilation, tap)
        dx[:, seen] += seen_by[:, at, :, :, :, tap]
    return dx.reshape(images, depth, height, width, channels).transpose(0, 4, 1, 2, 3)
