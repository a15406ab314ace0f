"""Padding, encoding: what arranges values."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import ops
from chainrule.errors import ConfigError
from chainrule.tensor import Tensor

__all__ = ["one_hot", "pad"]


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Surround with a constant (0 unless ``value``); negative widths crop.

    pad: (before, after) pairs from the last axis backwards: (left, right, top, bottom).
    Raises ConfigError for another mode than "constant", ShapeError.
    """
    if mode != "constant":
        raise ConfigError(f'pad: mode {mode!r} is not supported; only "constant" is')
    return ops.pad(input, pad, 0.0 if value is None else value)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the class, 0 elsewhere: class numbers (*) -> int64 (*, C); C: the largest + 1."""
    return ops.one_hot(tensor, num_classes)
