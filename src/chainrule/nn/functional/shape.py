"""Padding, encoding: what arranges values."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import ops
from chainrule.tensor import Tensor

__all__ = ["one_hot", "pad"]


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Surround with values; negative widths crop.

    pad: (before, after) pairs from the last axis backwards: (left, right, top, bottom).
    mode, for a row a b c padded by two: "constant" v v a b c v v (v: ``value``, or 0);
    "reflect" c b a b c b a; "replicate" a a a b c c c; "circular" b c a b c a b. All but
    "constant" pad the last 1, 2 or 3 axes of (C, *) or (N, C, *).
    Raises ShapeError (widths and axes disagree, wider than the mode allows), ConfigError.
    """
    return ops.pad(input, pad, mode, value)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the class, 0 elsewhere: class numbers (*) -> int64 (*, C); C: the largest + 1."""
    return ops.one_hot(tensor, num_classes)
