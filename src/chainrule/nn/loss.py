"""Losses as modules; the formulas are in `chainrule.nn.functional`."""

from __future__ import annotations

from chainrule.nn import functional as F
from chainrule.nn.functional.arguments import Reduction
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

__all__ = ["CrossEntropyLoss", "L1Loss", "MSELoss", "MultiMarginLoss", "NLLLoss"]


class _Loss(Module):
    def __init__(self, weight: Tensor | None, reduction: Reduction) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """-log of the probability that softmax gives the right class: `F.cross_entropy`.

    input: scores (N, C, *); target: class numbers (N, *) or probabilities (N, C, *).
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_Loss):
    """Minus the log-probability of the right class: `F.nll_loss`.

    input: log-probabilities (N, C, *); target: class numbers (N, *).
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class MultiMarginLoss(_Loss):
    """The multiclass SVM's hinge loss: `F.multi_margin_loss`.

    input: scores (N, C); target: class numbers (N,).
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        *,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(weight, reduction)
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, self.reduction)


class L1Loss(Module):
    """Mean absolute error: `F.l1_loss`. input and target of one shape."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, self.reduction)


class MSELoss(Module):
    """Mean squared error: `F.mse_loss`. input and target of one shape."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, self.reduction)
