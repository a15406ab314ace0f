"""``out=``: results that go into tensors which exist already."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ConfigError, DTypeError, GraphError, ShapeError
from chainrule.ops.dtypes import can_store


def written(name: str, result: Any, out: Any) -> Any:
    """``out``, after the result of the function ``name`` was copied into it.

    Several results go into a tuple of as many. ``out`` has the result's shape, or is empty and
    takes it; its dtype stays, and must be of no lower kind. As in PyTorch nothing is recorded.
    Raises GraphError (an argument needs a gradient), ShapeError, DTypeError and ConfigError.
    """
    if isinstance(result, tuple | list):
        if not isinstance(out, tuple | list) or len(out) != len(result):
            raise ConfigError(f"{name}: out= must be {len(result)} tensors, one for each result")
        parts = [written(name, r, o) for r, o in zip(result, out, strict=True)]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    if not hasattr(out, "shape"):
        raise ConfigError(f"{name}: out= must be a tensor, got {type(out).__name__}")
    if getattr(result, "requires_grad", False):
        raise GraphError(
            f"{name}: no gradient can flow through out=, but an argument requires one; use the "
            "result instead, or chainrule.no_grad()"
        )
    if not can_store(result.dtype, out.dtype):
        raise DTypeError(f"{name}: a result of {result.dtype} cannot go into out= of {out.dtype}")
    if out.shape == result.shape:
        if isinstance(out, np.ndarray):
            np.copyto(out, result, casting="unsafe")
        else:
            out.copy_(result)
    elif 0 in out.shape and not isinstance(out, np.ndarray):
        out.data = result.to(out.dtype)
    else:
        raise ShapeError(
            f"{name}: out= has shape {tuple(out.shape)}, the result {tuple(result.shape)}; "
            "make it with that shape, or empty: chainrule.empty(0)"
        )
    return out
