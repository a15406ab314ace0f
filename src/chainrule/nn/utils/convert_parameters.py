"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from chainrule import ops
from chainrule.errors import DTypeError, ShapeError
from chainrule.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters in one vector (Σ numel,), in order."""
    return ops.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let the parameters show the elements of a vector, in order; they share its memory.

    Raises DTypeError unless ``vec`` is a Tensor, ShapeError if it has too few elements.
    """
    if not isinstance(vec, Tensor):
        raise DTypeError(f"vector_to_parameters: vec must be a Tensor, got {type(vec).__name__}")
    parameters = list(parameters)
    needed = sum(p.numel() for p in parameters)
    if vec.numel() < needed:
        raise ShapeError(
            f"vector_to_parameters: vec has {vec.numel()} elements, the parameters {needed}"
        )
    start = 0
    for p in parameters:
        p.data = vec[start : start + p.numel()].view_as(p).data
        start += p.numel()
