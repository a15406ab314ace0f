"""What arguments may be."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

from chainrule.tensor import Tensor

Size = int | Sequence[int]
Reduction = Literal["mean", "sum", "none"]


def reduction_of(reduction: str, size_average: bool | None, reduce: bool | None) -> Any:
    """The reduction that PyTorch's two older arguments ask for, if either is given.

    size_average (True unless given): the mean, else the sum; reduce=False: neither.
    """
    if size_average is None and reduce is None:
        return reduction
    if reduce is not None and not reduce:
        meant = "none"
    else:
        meant = "mean" if size_average is None or size_average else "sum"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{meant}' instead.",
        stacklevel=3,
    )
    return meant


def warn_of_broadcasting(name: str, input: Tensor, target: Tensor) -> None:
    """Warn where a target of another shape broadcasts: (N,) against (N, 1) gives (N, N)."""
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size {tuple(target.shape)} that is different to the input size "
            f"{tuple(input.shape)} in {name}: they broadcast, which is likely to give "
            "incorrect results. Please ensure they have the same size.",
            stacklevel=3,
        )
