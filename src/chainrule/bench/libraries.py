"""chainrule and its peer behind the same names, so that a case is written once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

OURS = "chainrule"
DEFAULT = "torch"
CHANNELS_LAST = "torch channels_last"
SIDES = (OURS, DEFAULT, CHANNELS_LAST)


@dataclass(frozen=True)
class Library:
    """A library, and the memory layout in which it keeps images."""

    name: str
    nn: Any
    F: Any
    optim: Any
    inference_mode: Any
    tensor: Callable[[np.ndarray], Any]
    """Of an array, without a copy where the layout is right already."""
    place: Callable[[Any], Any]
    """A model, its weights in the library's layout."""


@cache
def why_torch_is_absent() -> str | None:
    """None where PyTorch can be imported, else the reason in one line."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:  # not installed, or a library of its own is missing
        return str(error).splitlines()[0]
    return None


def library(name: str) -> Library:
    """One side by its name."""
    return _ours() if name == OURS else _torch(name)


def layouts(dimensions: int) -> list[str]:
    """The sides that are compared on arrays of so many axes; ours alone without PyTorch."""
    if why_torch_is_absent():
        return [OURS]
    return list(SIDES) if dimensions == 4 else [OURS, DEFAULT]


def _ours() -> Library:
    import chainrule
    from chainrule import nn, optim
    from chainrule.nn import functional

    return Library(
        OURS, nn, functional, optim, chainrule.inference_mode,
        tensor=lambda array: chainrule.from_numpy(channels_last(array)),
        place=lambda model: model,
    )  # fmt: skip


def _torch(name: str) -> Library:
    import torch
    from torch import nn, optim
    from torch.nn import functional

    layout = torch.channels_last if name == CHANNELS_LAST else torch.contiguous_format

    def tensor(array: np.ndarray) -> Any:
        made = torch.from_numpy(array)
        return made.contiguous(memory_format=layout) if array.ndim == 4 else made

    return Library(
        name, nn, functional, optim, torch.inference_mode,
        tensor=tensor,
        place=lambda model: model.to(memory_format=layout),
    )  # fmt: skip


def channels_last(array: np.ndarray) -> np.ndarray:
    """The same values; images (N, C, H, W) in the memory order (N, H, W, C)."""
    if array.ndim != 4:
        return array
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
