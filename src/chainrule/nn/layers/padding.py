"""Padding layers: `F.pad` with widths that are known beforehand.

``padding``: an int for all sides, or (left, right), (left, right, top, bottom),
(left, right, top, bottom, front, back); negative widths crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from chainrule.errors import ConfigError, ShapeError
from chainrule.nn import functional as F
from chainrule.nn.functional.arguments import Size
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    axes: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: Size) -> None:
        super().__init__()
        widths = tuple(padding) if isinstance(padding, Sequence) else (padding,) * (2 * self.axes)
        if len(widths) != 2 * self.axes:
            raise ConfigError(
                f"{type(self).__name__}: padding must be an int or {2 * self.axes} of them, "
                f"got {padding}"
            )
        self.padding = widths

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (self.axes + 1, self.axes + 2):
            raise ShapeError(
                f"{type(self).__name__}: expects {self.axes + 1} or {self.axes + 2} axes\n"
                f"  x {tuple(input.shape)}"
            )
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ReflectionPad1d(_Pad):
    """Mirror the ends: a b c -> c b a b c b a. input (N, C, L) or (C, L)."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Mirror the edges, whose pixels are not repeated. input (N, C, H, W) or (C, H, W)."""

    axes, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Mirror the faces, which are not repeated. input (N, C, D, H, W) or (C, D, H, W)."""

    axes, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Repeat the ends: a b c -> a a a b c c c. input (N, C, L) or (C, L)."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Repeat the edges. input (N, C, H, W) or (C, H, W)."""

    axes, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Repeat the faces. input (N, C, D, H, W) or (C, D, H, W)."""

    axes, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """Go on at the other end: a b c -> b c a b c a b. input (N, C, L) or (C, L)."""

    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    """Go on at the opposite edge. input (N, C, H, W) or (C, H, W)."""

    axes, mode = 2, "circular"


class CircularPad3d(_Pad):
    """Go on at the opposite face. input (N, C, D, H, W) or (C, D, H, W)."""

    axes, mode = 3, "circular"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Size, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Surround the last axis with one value."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """Surround the last two axes with one value."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """Surround the last three axes with one value."""

    axes = 3


class ZeroPad1d(ConstantPad1d):
    """Surround the last axis with zeros."""

    def __init__(self, padding: Size) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Surround the last two axes with zeros."""

    def __init__(self, padding: Size) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Surround the last three axes with zeros."""

    def __init__(self, padding: Size) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"
