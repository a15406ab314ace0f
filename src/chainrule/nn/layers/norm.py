"""Batch normalisation layers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from chainrule.creation import ones, zeros
from chainrule.errors import ShapeError
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor


class _BatchNorm(Module):
    """Normalise each channel over the batch, then scale and shift: `F.batch_norm`.

    Training uses the statistics of the batch and lets the running ones follow them by
    ``momentum`` (None: their plain average over all batches); evaluation uses the running
    ones. affine: learn a weight (starts at 1) and, with ``bias``, a bias (starts at 0) per
    channel.
    """

    axes: ClassVar[tuple[int, ...]]
    layout: ClassVar[str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        n = (num_features,)
        self.register_parameter(
            "weight", Parameter(ones(n, device=device, dtype=dtype)) if affine else None
        )
        shift = affine and bias
        self.register_parameter(
            "bias", Parameter(zeros(n, device=device, dtype=dtype)) if shift else None
        )
        tracked = track_running_stats
        self.register_buffer(
            "running_mean", zeros(n, device=device, dtype=dtype) if tracked else None
        )
        self.register_buffer(
            "running_var", ones(n, device=device, dtype=dtype) if tracked else None
        )
        self.register_buffer(
            "num_batches_tracked", zeros((), device=device, dtype=np.int64) if tracked else None
        )

    def reset_running_stats(self) -> None:
        """Forget the statistics of all batches seen."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Start anew: statistics forgotten, weight 1, bias 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.axes:
            raise ShapeError(
                f"{type(self).__name__}: expects {self.layout}, x is {tuple(input.shape)}"
            )
        weight, bias, mean, var = self._members("weight", "bias", "running_mean", "running_var")
        training = self.training or mean is None
        momentum = self.momentum
        if self.training and mean is not None:
            seen = self.num_batches_tracked.array
            seen += 1
            if momentum is None:
                momentum = 1 / int(seen)
        return F.batch_norm(input, mean, var, weight, bias, training, momentum or 0.0, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    __doc__ = f"{_BatchNorm.__doc__}\n    input (N, C) or (N, C, L), C = num_features.\n    "
    axes = (2, 3)
    layout = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    __doc__ = f"{_BatchNorm.__doc__}\n    input (N, C, H, W), C = num_features.\n    "
    axes = (4,)
    layout = "(N, C, H, W)"
