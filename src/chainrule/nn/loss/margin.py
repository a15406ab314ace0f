"""Support vector machines. Those without PyTorch's ``size_average`` are not in PyTorch."""

from __future__ import annotations

from chainrule.errors import ConfigError, ShapeError
from chainrule.nn import functional as F
from chainrule.nn.functional.arguments import Reduction
from chainrule.nn.loss.base import Loss, WeightedLoss
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

__all__ = [
    "CrammerSingerLoss",
    "HingeLoss",
    "MultiLabelMarginLoss",
    "MultiMarginLoss",
    "MulticlassSVMLoss",
    "OneVsAllSVMLoss",
    "SquaredHingeLoss",
]


class MultiMarginLoss(WeightedLoss):
    """The multiclass SVM's hinge loss, divided by the number of classes: `F.multi_margin_loss`.

    input: scores (N, C) or (C,); target: class numbers (N,).
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ConfigError(f"MultiMarginLoss: only p = 1 and p = 2 are supported, got {p}")
        if weight is not None and weight.ndim != 1:
            raise ShapeError(
                "MultiMarginLoss: weight must hold one factor for each class, (C,), "
                f"got {tuple(weight.shape)}"
            )
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(
            input,
            target,
            p=self.p,
            margin=self.margin,
            weight=self.weight,
            reduction=self.reduction,
        )


class _SVMLoss(Module):
    def __init__(self, margin: float = 1.0, p: int = 1, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.margin = margin
        self.p = p
        self.reduction = reduction

    def extra_repr(self) -> str:
        return f"margin={self.margin}, p={self.p}"


class MulticlassSVMLoss(_SVMLoss):
    """The multiclass SVM of Weston & Watkins: `F.multiclass_svm_loss`.

    input: scores (N, C) or (C,); target: class numbers (N,).
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multiclass_svm_loss(input, target, self.margin, self.p, self.reduction)


class CrammerSingerLoss(_SVMLoss):
    """The multiclass SVM of Crammer & Singer, which counts the worst rival class:
    `F.crammer_singer_loss`.

    input: scores (N, C) or (C,); target: class numbers (N,).
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.crammer_singer_loss(input, target, self.margin, self.p, self.reduction)


class OneVsAllSVMLoss(_SVMLoss):
    """One binary SVM a class, side by side: `F.one_vs_all_svm_loss`.

    input: scores (N, C) or (C,); target: class numbers (N,).
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.one_vs_all_svm_loss(input, target, self.margin, self.p, self.reduction)


class _BinarySVMLoss(Module):
    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.margin = margin
        self.reduction = reduction

    def extra_repr(self) -> str:
        return f"margin={self.margin}"


class HingeLoss(_BinarySVMLoss):
    """The binary SVM: `F.hinge_loss`. Scores and labels ±1, of one shape."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_loss(input, target, self.margin, self.reduction)


class SquaredHingeLoss(_BinarySVMLoss):
    """The binary L2-SVM: `F.squared_hinge_loss`. Scores and labels ±1, of one shape."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.squared_hinge_loss(input, target, self.margin, self.reduction)


class MultiLabelMarginLoss(Loss):
    """Hinges between the classes that hold and the others: `F.multilabel_margin_loss`.

    input: scores (N, C) or (C,); target: class numbers, -1 after the last, of the same shape.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)
