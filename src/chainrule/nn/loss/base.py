"""What the loss modules share: how they reduce, and weights."""

from __future__ import annotations

from chainrule.nn.functional.arguments import reduction_of
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


class Loss(Module):
    """A loss with a reduction: "mean", "sum" or "none".

    size_average and reduce are PyTorch's older way to say it, and override ``reduction``.
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.reduction = reduction_of(reduction, size_average, reduce)


class WeightedLoss(Loss):
    """A loss with weights, a buffer: they are in the state_dict."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
