"""Padding: a constant, or values of the image itself, around it.

All widths are (before, after) pairs from the last axis backwards, as in PyTorch:
(left, right, top, bottom) for images. Padding with a constant is cropped again by its VJP.
Padding with the image's own values copies them, and a copy's gradient sums: the padding is
folded back onto the pixels that it came from (`edge_fold`, whose own VJP is `edge_pad`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.op import op

__all__ = ["pad"]

Array = Any
Pair = tuple[int, int]
Mode = Literal["reflect", "replicate", "circular"]
MODES = ("constant", "reflect", "replicate", "circular")


def pad(x: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Array:
    """Surround x with values; a negative width crops instead.

    mode, for a row a b c padded by two: "constant" v v a b c v v (v: ``value``, or 0) along
    any axes; "reflect" c b a b c b a, "replicate" a a a b c c c, "circular" b c a b c a b,
    along the last one, two or three axes of x (C, *) or (N, C, *).
    The gradient of a value that was copied is the sum over its copies.
    Raises ShapeError (widths and axes disagree, wider than the mode allows), ConfigError.
    """
    widths = tuple(pad)
    if len(widths) % 2:
        raise ShapeError(f"pad: expects (before, after) pairs, got {widths}\n  x {tuple(x.shape)}")
    if mode == "constant":
        return constant_pad(x, widths, 0.0 if value is None else value)
    _check_edges(x.shape, widths, mode, value)
    wider = tuple(max(w, 0) for w in widths)
    if wider == widths:
        return edge_pad(x, widths, mode)
    crop = tuple(min(w, 0) for w in widths)
    if mode == "circular":  # what is left goes round
        x = constant_pad(x, crop)
        _check_edges(x.shape, wider, mode, None)
        return edge_pad(x, wider, mode)
    return constant_pad(edge_pad(x, wider, mode), crop)


def _check_edges(shape: Sequence[int], widths: Sequence[int], mode: str, value: Any) -> None:
    if mode not in MODES:
        raise ConfigError(f"pad: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if value is not None:
        raise ConfigError(f'pad: mode "{mode}" takes no value; only "constant" does')
    axes = len(widths) // 2
    if not 1 <= axes <= 3 or len(shape) not in (axes + 1, axes + 2):
        raise ShapeError(
            f'pad: mode "{mode}" pads the last 1, 2 or 3 axes of (C, *) or (N, C, *), so it takes '
            f"2, 4 or 6 widths, got {tuple(widths)}\n  x {tuple(shape)}"
        )
    for i in range(axes):
        size, widest = shape[-1 - i], max(widths[2 * i : 2 * i + 2])
        most = {"reflect": size - 1, "circular": size}.get(mode, widest if size else 0)
        if widest > max(most, 0):
            raise ShapeError(
                f'pad: mode "{mode}" can pad at most {max(most, 0)} along an axis of {size}, '
                f"got {widest}\n  x {tuple(shape)}; pad {tuple(widths)}"
            )


@op
def constant_pad(x: Array, pad: Sequence[int], value: float = 0.0) -> Array:
    """Surround with one value along the last axes; a negative width crops. dx: g cropped."""
    if len(pad) > 2 * x.ndim:
        raise ShapeError(
            f"pad: expects (before, after) pairs for at most {x.ndim} axes, got {tuple(pad)}\n"
            f"  x {x.shape}"
        )
    widths = [(0, 0)] * (x.ndim - len(pad) // 2)
    widths += [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    crop = tuple(
        slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True)
    )
    if any(s.stop < s.start for s in crop):
        raise ShapeError(f"pad: {tuple(pad)} crops away more than there is\n  x {x.shape}")
    kept = x[crop]
    before = [max(a, 0) for a, _ in widths]
    after = [max(b, 0) for _, b in widths]
    sides = [sum(n) for n in zip(before, kept.shape, after, strict=True)]
    y = np.full_like(x, value, shape=sides)  # in x's memory order
    y[tuple(slice(a, a + n) for a, n in zip(before, kept.shape, strict=True))] = kept
    return y


constant_pad.vjp(x=lambda g, pad: constant_pad(g, tuple(-p for p in pad)))


@op
def edge_pad(x: Array, pad: Sequence[int], mode: Mode) -> Array:
    """Surround with values of x itself; see `pad`. No width is negative. dx = edge_fold(g)."""
    sides, middle = list(x.shape), [slice(None)] * x.ndim
    for axis, before, after in _padded_axes(x.ndim, pad):
        sides[axis] += before + after
        middle[axis] = slice(before, before + x.shape[axis])
    y = np.empty_like(x, shape=sides)  # in x's memory order
    y[tuple(middle)] = x
    for axis, before, after in _padded_axes(x.ndim, pad):  # the next axis finds this one padded
        size = x.shape[axis]
        left, right = _copied(size, before, after, mode)
        _part(y, axis, 0, before)[...] = _edge(y, axis, before, left, mode)
        _part(y, axis, before + size, sides[axis])[...] = _edge(y, axis, before, right, mode)
    return y


@op
def edge_fold(g: Array, pad: Sequence[int], mode: Mode) -> Array:
    """Add each padded value to where it came from: the transpose of `edge_pad`.

    The axis that was padded last goes first: what is in a corner comes home in two steps.
    """
    for axis, before, after in reversed(_padded_axes(g.ndim, pad)):
        padded, total = g, g.shape[axis]
        size = total - before - after
        g = _part(padded, axis, before, before + size).copy(order="K")
        left, right = _copied(size, before, after, mode)
        _add_to_edge(g, axis, left, _part(padded, axis, 0, before), mode)
        _add_to_edge(g, axis, right, _part(padded, axis, before + size, total), mode)
    return g


edge_pad.vjp(x=lambda g, pad, mode: edge_fold(g, pad, mode))
edge_fold.vjp(g=lambda u, pad, mode: edge_pad(u, pad, mode))


def _padded_axes(ndim: int, pad: Sequence[int]) -> list[tuple[int, int, int]]:
    """(axis, before, after) of the axes with padding, the last one first."""
    pairs = zip(pad[::2], pad[1::2], strict=True)
    return [(ndim - 1 - i, a, b) for i, (a, b) in enumerate(pairs) if a or b]


def _copied(size: int, before: int, after: int, mode: Mode) -> tuple[Pair, Pair]:
    """Which entries (from, to) of an axis are copied before it, and which behind it."""
    if mode == "reflect":
        return (1, 1 + before), (size - 1 - after, size - 1)
    if mode == "circular":
        return (size - before, size), (0, after)
    return (0, 1), (size - 1, size)


def _part(x: Array, axis: int, start: int, stop: int) -> Array:
    return x[(*(slice(None),) * axis, slice(start, stop))]


def _edge(y: Array, axis: int, before: int, copied: Pair, mode: Mode) -> Array:
    """What stands beside the image in y, where the image begins at ``before``."""
    part = _part(y, axis, before + copied[0], before + copied[1])
    return np.flip(part, axis) if mode == "reflect" else part


def _add_to_edge(dx: Array, axis: int, copied: Pair, g: Array, mode: Mode) -> None:
    part = _part(dx, axis, *copied)
    if mode == "replicate":
        part += g.sum(axis, keepdims=True)
    else:
        part += np.flip(g, axis) if mode == "reflect" else g
