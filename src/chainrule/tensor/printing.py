"""How tensors print: ``tensor([[1.0000, 2.5000]], grad_fn=<MulBackward>)``, as PyTorch's do.

All numbers of a tensor have one width and as many digits, so that columns line up; large
tensors show only their edges. What the values do not tell is said after them: the size (of
empty and of shortened tensors), a dtype that is not the default, where the values came from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.errors import ConfigError
from chainrule.ops.dtypes import get_default_dtype


@dataclass(frozen=True)
class Options:
    """precision: digits after the point. threshold: elements from which only ``edgeitems`` at
    each end of an axis are shown. linewidth: characters in a line. sci_mode: 1.0000e+00 instead
    of 1.0000 (None: where numbers are very large, very small, or far apart)."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PROFILES = {
    "default": Options(),
    "short": Options(precision=2, edgeitems=2),
    "full": Options(threshold=math.inf),
}

_options = Options()


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None,
    linewidth: int | None = None, profile: str | None = None, sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """How tensors print from now on; see `Options`. profile: "default", "short" or "full"."""
    global _options
    if profile is not None:
        if profile not in PROFILES:
            raise ConfigError(
                f"set_printoptions: profile must be one of {', '.join(PROFILES)}, got {profile!r}"
            )
        _options = PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems,
             "linewidth": linewidth}  # fmt: skip
    changes: Any = {name: value for name, value in given.items() if value is not None}
    _options = replace(_options, sci_mode=sci_mode, **changes)


def describe(array: np.ndarray[Any, Any], node: Any, requires_grad: bool) -> str:
    """The text of a tensor with these values, made by ``node``."""
    shortened = array.size > _options.threshold
    after = []
    if array.size == 0:
        text = "[]"
        if array.ndim != 1:
            after.append(f"size={array.shape}")
    else:
        shown = _edges(array) if shortened else array
        text = _nested(array, _Numbers(shown), len("tensor("), shortened)
    usual = (get_default_dtype(), np.dtype(np.int64), np.dtype(np.bool_))
    if array.dtype not in usual or (array.size == 0 and array.dtype != get_default_dtype()):
        after.append(f"dtype={array.dtype}")
    if node is not None:
        after.append(f"grad_fn={node!r}")
    elif requires_grad:
        after.append("requires_grad=True")
    if shortened:
        after.append(f"size={array.shape}")
    return _with_remarks("tensor(" + text, after)


def _with_remarks(text: str, remarks: list[str]) -> str:
    """``text`` and what follows it, on the same line where there is room."""
    width = len(text) - text.rfind("\n") - 1
    for remark in remarks:
        room = width + len(remark) + 3 <= _options.linewidth
        text += (", " if room else ",\n" + " " * len("tensor(")) + remark
        width = width + len(remark) + 2 if room else len("tensor(") + len(remark)
    return text + ")"


def _edges(array: Any) -> Any:
    """What is shown of a large array: the first and last entries of every axis."""
    n = _options.edgeitems
    for axis, length in enumerate(array.shape):
        if length > 2 * n:
            keep = np.r_[0:n, length - n : length]
            array = np.take(array, keep, axis)
    return array


class _Numbers:
    """How the numbers of one tensor are written: all alike."""

    def __init__(self, values: Any) -> None:
        self.is_float = values.dtype.kind == "f"
        self.is_whole, self.is_scientific = True, False
        if not self.is_float:
            self.width = max((len(str(v)) for v in values.ravel().tolist()), default=1)
            return
        telling = values[np.isfinite(values) & (values != 0)]
        if telling.size:
            magnitudes = np.abs(telling.astype(np.float64))
            largest, smallest = float(magnitudes.max()), float(magnitudes.min())
            self.is_whole = bool((magnitudes == np.ceil(magnitudes)).all())
            far = largest / smallest > 1000.0 or largest > 1.0e8
            self.is_scientific = far if self.is_whole else far or smallest < 1.0e-4
        if _options.sci_mode is not None:
            self.is_scientific = _options.sci_mode
        self.width = max((len(self._digits(float(v))) for v in telling), default=1)

    def _digits(self, value: float) -> str:
        if not self.is_float:
            return str(value)
        if not math.isfinite(value):
            return str(value)
        if self.is_scientific:
            return f"{value:.{_options.precision}e}"
        if self.is_whole:
            return f"{value:.0f}."
        return f"{value:.{_options.precision}f}"

    def text(self, value: Any) -> str:
        """One number, as wide as all."""
        return self._digits(value).rjust(self.width)


def _nested(array: Any, numbers: _Numbers, indent: int, shortened: bool) -> str:
    """The brackets of ``array``, whose first stands ``indent`` characters into its line."""
    if array.ndim == 0:
        return numbers.text(array.item())
    n, length = _options.edgeitems, array.shape[0]
    dots = shortened and length > 2 * n
    indices = [*range(n), *range(length - n, length)] if dots else range(length)
    if array.ndim == 1:
        items = [numbers.text(array[i].item()) for i in indices]
        if dots:
            items.insert(n, " ...")
        return _row(items, numbers.width, indent)
    parts = [_nested(array[i], numbers, indent + 1, shortened) for i in indices]
    if dots:
        parts.insert(n, "...")
    between = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
    return "[" + between.join(parts) + "]"


def _row(items: list[str], width: int, indent: int) -> str:
    """The numbers of one axis, in as many lines as they need."""
    per_line = max(1, (_options.linewidth - indent) // (width + 2))
    lines = [items[i : i + per_line] for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"
