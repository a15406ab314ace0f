"""Gradient checks: compare the graph's gradients with finite differences.

The central difference (f(x+h) - f(x-h)) / 2h errs by O(h²) plus rounding of order ε/h; in
float64 with h = 1e-6 that leaves about 1e-9. So the check needs float64 inputs.
Source: CS231n, Neural Networks Part 3: gradient checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from chainrule.autograd.engine import grad
from chainrule.autograd.graph import Variable
from chainrule.autograd.mode import enable_grad, no_grad
from chainrule.errors import DTypeError, GraphError


class GradcheckError(GraphError):
    """Analytic and numerical gradient disagree; the message says where and by how much."""


def numerical_gradient(
    f: Callable[[], float], x: np.ndarray[Any, Any], eps: float = 1e-6
) -> np.ndarray[Any, Any]:
    """df/dx by central differences; ``x`` is changed in place for each and restored.

    f: takes nothing, returns a number computed from x's current values. 2·x.size calls.
    """
    gradient = np.empty(x.shape, np.float64)
    for index in np.ndindex(x.shape):
        before = x[index]
        x[index] = before + eps
        above = f()
        x[index] = before - eps
        below = f()
        x[index] = before
        gradient[index] = (above - below) / (2 * eps)
    return gradient


def _outputs(result: Any) -> list[Any]:
    results = [result] if isinstance(result, Variable) else list(result)
    return [r for r in results if isinstance(r, Variable) and r.array.dtype.kind == "f"]


def _inputs(inputs: Any) -> tuple[list[Any], list[int]]:
    given = [inputs] if isinstance(inputs, Variable) else list(inputs)
    checked = [i for i, v in enumerate(given) if isinstance(v, Variable) and v.requires_grad]
    if not checked:
        raise GraphError("gradcheck: no input requires grad; nothing to check")
    for i in checked:
        if given[i].array.dtype != np.float64:
            raise DTypeError(
                f"gradcheck: input {i} is {given[i].array.dtype}; finite differences need "
                "float64 (convert with .double())"
            )
    return given, checked


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether func's gradients agree with central differences: |a - n| ≤ atol + rtol·|n|.

    func: takes ``inputs``, returns a tensor or several. Each output is reduced to a number
    with a fixed pattern of weights, so that errors cannot cancel.
    Raises GradcheckError naming input, index, both values and their relative error (or
    returns False with raise_exception=False); DTypeError for inputs other than float64.
    """
    given, checked = _inputs(inputs)

    def weighted(k: int, weights: Any) -> float:
        with no_grad():
            return float(np.sum(_outputs(func(*given))[k].array * weights))

    outputs = _outputs(func(*given))
    for k, y in enumerate(outputs):
        weights = _pattern(y.array.shape)
        analytic = _gradients(y, [given[i] for i in checked], weights)
        for i, a in zip(checked, analytic, strict=True):
            numeric = numerical_gradient(partial(weighted, k, weights), given[i].array, eps)
            message = _compare(a, numeric, atol, rtol, f"output {k}, input {i}")
            if message:
                if raise_exception:
                    raise GradcheckError(f"gradcheck: {message}")
                return False
    return True


def _gradients(y: Any, inputs: list[Any], weights: np.ndarray[Any, Any]) -> list[Any]:
    """What the graph says; zeros where it says that y does not depend on an input."""
    if not y.requires_grad:
        return [np.zeros_like(v.array) for v in inputs]
    seed = Variable.of(weights.astype(y.array.dtype))
    grads = grad(y, inputs, seed, retain_graph=True, materialize_grads=True)
    return [g.array for g in grads]


def _pattern(shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """Fixed weights between 0.5 and 1.5 without symmetry."""
    n = int(np.prod(shape, dtype=np.int64))
    return (0.5 + np.modf(np.arange(1, n + 1) * 0.6180339887498949)[0]).reshape(shape)


def _compare(
    analytic: np.ndarray[Any, Any], numeric: np.ndarray[Any, Any], atol: float, rtol: float,
    where: str,
) -> str | None:  # fmt: skip
    if analytic.shape != numeric.shape:
        return f"{where}: the gradient has shape {analytic.shape}, the input {numeric.shape}"
    error = np.abs(analytic - numeric)
    bad = ~(error <= atol + rtol * np.abs(numeric))
    if not bad.any():
        return None
    worst = np.unravel_index(int(np.argmax(np.where(bad, error, -1))), error.shape)
    a, n = float(analytic[worst]), float(numeric[worst])
    relative = abs(a - n) / max(abs(a), abs(n), 1e-300)
    at = tuple(int(i) for i in worst)
    return (
        f"{where}, index {at}: analytic {a:.10g}, numerical {n:.10g}, "
        f"relative error {relative:.2g}; {int(bad.sum())} of {bad.size} elements disagree"
    )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the second derivatives agree with differences of the first.

    The first derivatives depend on ``inputs`` and on the upstream gradients; both are checked.
    """
    given, checked = _inputs(inputs)
    seeds = []
    for y in _outputs(func(*given)):
        if y.requires_grad:
            seed = Variable.of(_pattern(y.array.shape))
            seed.requires_grad = True
            seeds.append(seed)

    def first_derivatives(*args: Any) -> tuple[Any, ...]:
        with enable_grad():  # the numerical side needs it too
            outputs = [y for y in _outputs(func(*args[: len(given)])) if y.requires_grad]
            return grad(
                outputs, [args[i] for i in checked], args[len(given) :],
                create_graph=True, materialize_grads=True,
            )  # fmt: skip

    return not seeds or gradcheck(
        first_derivatives, [*given, *seeds], eps, atol, rtol, raise_exception
    )
