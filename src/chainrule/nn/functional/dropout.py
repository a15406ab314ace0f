"""Dropout."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from chainrule import ops
from chainrule.autograd.change import change
from chainrule.errors import ShapeError
from chainrule.random import Generator
from chainrule.tensor import Tensor

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
    "stochastic_depth",
]


def _dropped(function: Callable[..., Any], input: Tensor, inplace: bool, *settings: Any) -> Tensor:
    """The function of input; with inplace, put where input was.

    settings: p, training and so on. What drops nothing changes nothing, and others' saved values
    stay valid.
    """
    changes = inplace and settings[0] != 0 and settings[1]
    y: Tensor = change(input, function, *settings) if changes else function(input, *settings)
    return y


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each element with probability p and scale the rest by 1/(1 - p), in training.

    y = x · m / (1 - p), m ~ Bernoulli(1 - p), so E[y] = x; in evaluation, y = x.
    Raises ConfigError (p outside 0..1). Source: Srivastava et al. 2014, JMLR 15(56).
    """
    return _dropped(ops.dropout, input, inplace, p, training, generator)


def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Dropout of whole channels (N, C, L) or (C, L): each channel as one element of `dropout`.

    Raises ConfigError (p outside 0..1), ShapeError. Source: Tompson et al. 2014,
    arXiv:1411.4280.
    """
    if input.ndim not in (2, 3):
        raise ShapeError(
            f"dropout1d: expects two or three axes\n  input {tuple(input.shape)} = (N, C, L)"
        )
    function = ops.feature_dropout if input.ndim == 3 else _without_batch
    return _dropped(function, input, inplace, p, training, generator)


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Dropout of whole channels (N, C, H, W): each channel as one element of `dropout`.

    Three axes are taken as (N, C, L), with a warning, as in PyTorch. Errors as `dropout1d`.
    """
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3-D input to dropout2d and assuming that channel-wise 1-D "
            "dropout behavior is desired - input is interpreted as shape (N, C, L), where C is "
            "the channel dim. Please use dropout1d instead.",
            stacklevel=2,
        )
    elif input.ndim != 4:
        _warn_of_axes("dropout2d", input, 4)
    return _dropped(ops.feature_dropout, input, inplace, p, training, generator)


def dropout3d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Dropout of whole channels (N, C, D, H, W) or (C, D, H, W). Errors as `dropout1d`."""
    if input.ndim not in (4, 5):
        _warn_of_axes("dropout3d", input, 5)
    function = ops.feature_dropout if input.ndim == 5 else _without_batch
    return _dropped(function, input, inplace, p, training, generator)


def _without_batch(x: Tensor, *settings: Any) -> Tensor:
    """Dropout of the channels (C, *) of one sample."""
    y: Tensor = ops.squeeze(ops.feature_dropout(ops.unsqueeze(x, 0), *settings), 0)
    return y


def _warn_of_axes(name: str, input: Tensor, ndim: int) -> None:
    warnings.warn(
        f"{name}: Received a {input.ndim}-D input to {name}, which is deprecated; it expects "
        f"{ndim} axes.",
        stacklevel=3,
    )


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Dropout for `selu`: dropped elements become its floor, and mean and variance are kept.

    Raises ConfigError (p outside 0..1). Source: Klambauer et al. 2017, arXiv:1706.02515.
    """
    return _dropped(ops.alpha_dropout, input, inplace, p, training, generator)


def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """`alpha_dropout` of whole channels (N, C, *)."""
    return _dropped(ops.feature_alpha_dropout, input, inplace, p, training, generator)


def stochastic_depth(
    input: Tensor,
    p: float,
    mode: str,
    training: bool = True,
    generator: Generator | None = None,
) -> Tensor:
    """Drop a residual branch as a whole with probability p, in training; else scale by 1/(1 - p).

    input (N, *); mode "row": each sample for itself, "batch": all together. E[y] = x.
    As in torchvision.ops. Raises ConfigError. Source: Huang et al. 2016, arXiv:1603.09382.
    """
    return ops.stochastic_depth(input, p, mode, training, generator)
