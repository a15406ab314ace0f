"""Losses of class scores and of distributions over classes."""

from __future__ import annotations

from chainrule.nn import functional as F
from chainrule.nn.loss.base import Loss, WeightedLoss
from chainrule.tensor import Tensor

__all__ = ["CrossEntropyLoss", "KLDivLoss", "NLLLoss"]


class CrossEntropyLoss(WeightedLoss):
    """-log of the probability that softmax gives the right class: `F.cross_entropy`.

    input: scores (N, C, *) or (C,); target: class numbers (N, *) or probabilities (N, C, *).
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(WeightedLoss):
    """Minus the log-probability of the right class: `F.nll_loss`.

    input: log-probabilities (N, C, *) or (C,); target: class numbers (N, *).
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class KLDivLoss(Loss):
    """The divergence of a target distribution from a predicted one: `F.kl_div`.

    input: log-probabilities; target: probabilities, or their logarithms (log_target).
    reduction: also "batchmean", the divergence proper.
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
