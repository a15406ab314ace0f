"""Half precision: float16 arguments are computed in float32 and rounded once, at the end."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from chainrule.kernels.epilogue import Epilogue

__all__ = ["half_in_single"]

P = ParamSpec("P")
R = TypeVar("R")


def half_in_single(kernel: Callable[P, R]) -> Callable[P, R]:
    """Give a kernel float32 for its float16 arguments and round its float32 results back.

    A sum over a window or a batch would lose most of float16's 11 bits otherwise.
    """

    @wraps(kernel)
    def rounded_once(*args: P.args, **kwargs: P.kwargs) -> R:
        if not any(_is_half(value) for value in (*args, *kwargs.values())):
            return kernel(*args, **kwargs)
        wide_args = [_to_single(value) for value in args]
        wide_kwargs = {name: _to_single(value) for name, value in kwargs.items()}
        result: Any = kernel(*wide_args, **wide_kwargs)
        if isinstance(result, tuple):
            return tuple(_to_half(value) for value in result)  # type: ignore[return-value]
        rounded: R = _to_half(result)
        return rounded

    return rounded_once


def _is_half(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float16


def _to_single(value: Any) -> Any:
    if isinstance(value, Epilogue):
        return Epilogue(*map(_to_single, value))
    return value.astype(np.float32) if _is_half(value) else value


def _to_half(value: Any) -> Any:
    single = isinstance(value, np.ndarray | np.generic) and value.dtype == np.float32
    return value.astype(np.float16) if single else value
