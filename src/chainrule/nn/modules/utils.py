"""Sizes as layers written for PyTorch make them of one number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any


def _ntuple(n: int) -> Callable[[Any], tuple[Any, ...]]:
    """The function that makes n equal sizes of one, and a tuple of any others."""
    return lambda x: tuple(x) if isinstance(x, Iterable) else tuple(repeat(x, n))


_single, _pair, _triple, _quadruple = (_ntuple(n) for n in (1, 2, 3, 4))
