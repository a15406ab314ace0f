"""Making a batch of items: equal parts of the items are stacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.ops import stack
from chainrule.tensor import Tensor
from chainrule.tensor.creation import as_tensor, tensor


def default_convert(data: Any) -> Any:
    """Arrays become tensors, also inside dicts and sequences; all else stays."""
    if isinstance(data, np.ndarray | np.generic) and data.dtype.kind in "buif":
        return as_tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, Sequence) and not isinstance(data, str | bytes | Tensor):
        return [default_convert(value) for value in data]
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of items: tensors, arrays and numbers are stacked along a new first axis.

    Floats become float64 and integers int64, as in PyTorch; items that are dicts, tuples or
    lists are stacked entry by entry; texts are listed.
    Raises ShapeError (entries of different shapes or lengths), DTypeError (what cannot be
    stacked).
    """
    first = batch[0]
    if isinstance(first, Tensor | np.ndarray):
        shapes = sorted({tuple(item.shape) for item in batch})
        if len(shapes) > 1:
            raise ShapeError(
                f"default_collate: cannot stack items of different shapes {shapes[:4]}; make them "
                "equal in the dataset, or pass a collate_fn"
            )
        return stack([as_tensor(item) for item in batch], 0)
    if isinstance(first, bool | np.bool_):
        return tensor([bool(item) for item in batch])
    if isinstance(first, float):
        return tensor(batch, dtype=np.float64)
    if isinstance(first, int):
        return tensor(batch, dtype=np.int64)
    if isinstance(first, np.generic):
        return as_tensor(np.asarray(batch))
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, Sequence):
        if len({len(item) for item in batch}) > 1:
            raise ShapeError("default_collate: the items of a batch differ in length")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise DTypeError(
        f"default_collate: cannot make a batch of {type(first).__name__}; items are tensors, "
        "arrays, numbers, texts, or dicts, tuples and lists of these; or pass a collate_fn"
    )
