"""Complaints of NumPy and Python about arguments, turned into errors that name the op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError, DTypeError, PlaceError, ShapeError
from chainrule.ops.axes import no_such_axis

COMPLAINTS = (ValueError, IndexError, TypeError, OverflowError, AttributeError)
"""What NumPy and Python raise where arguments do not fit."""


def refusal(
    name: str, parameters: Sequence[str], args: Sequence[Any], e: Exception
) -> Exception | None:
    """Such a complaint as an error of ours, with the op and its arguments; None if it is ours.

    None too for an error of the call itself, as for a missing argument, and for an
    AttributeError that is not about an argument.
    """
    inside = e.__traceback__ is not None and e.__traceback__.tb_next is not None
    if isinstance(e, ChainruleError) or not inside:
        return None
    if isinstance(e, np.exceptions.AxisError):
        return no_such_axis(name, e.axis, e.ndim)
    if isinstance(e, AttributeError):
        role = next((p for p, a in zip(parameters, args, strict=False) if a is e.obj), None)
        if role is None:
            return None
        return DTypeError(f"{name}: {role} must be a tensor, got {type(e.obj).__name__}")
    kind: type[ChainruleError] = DTypeError
    if isinstance(e, ValueError | IndexError):
        kind = ShapeError if isinstance(e, ValueError) else PlaceError
    arrays = [(p, getattr(a, "array", a)) for p, a in zip(parameters, args, strict=False)]
    roles = [f"{p} {a.shape} {a.dtype}" for p, a in arrays if isinstance(a, np.ndarray)]
    said = str(e).strip().splitlines() or [type(e).__name__]
    return kind("\n  ".join([f"{name}: {said[0]}", *(["; ".join(roles)] if roles else [])]))
