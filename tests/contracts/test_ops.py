"""What every op must satisfy, run over sample calls of all of them (`cases`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.autograd import gradcheck, gradgradcheck
from tests.parts import part

from . import cases  # noqa: F401  fills CASES
from .case import CASES, Case, Fixed, outputs, public_names, torch_names

every_case = pytest.mark.parametrize("case", CASES, ids=str)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning"),  # PyTorch's
    pytest.mark.filterwarnings("ignore:Using a target size:UserWarning"),
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning"),
]

PATTERN = 0.6180339887498949


def pattern(y: Any) -> np.ndarray:
    """A fixed upstream gradient for ``y`` without symmetry."""
    n = int(np.prod(y.shape, dtype=int))
    return (0.5 + np.modf(np.arange(1, n + 1) * PATTERN)[0]).reshape(tuple(y.shape))


def weighted_sum(results: tuple[Any, ...]) -> Any:
    """The results that need gradients, reduced to one number; None if there is none."""
    total = None
    for y in results:
        if y.requires_grad:
            term = (y * cr.from_numpy(pattern(y).astype(y.dtype))).sum()
            total = term if total is None else total + term
    return total


def gradients(case: Case, tensors: list[Any]) -> list[np.ndarray | None]:
    """dL/dx of each input for the fixed upstream gradient."""
    return results_and_gradients(case, tensors)[1]


def results_and_gradients(
    case: Case, tensors: list[Any]
) -> tuple[tuple[Any, ...], list[np.ndarray | None]]:
    results = case(*tensors)
    loss = weighted_sum(results)
    if loss is not None:
        loss.backward()
    return results, [None if t.grad is None else t.grad.array for t in tensors]


def test_every_public_function_and_every_op_has_a_case() -> None:
    covered = {case.op for case in CASES}
    public = public_names() - {"Op", "op", "registry"} - {"allclose", "equal"}  # a plain bool
    assert public - covered == set()
    assert set(ops.registry) - covered == set()


def test_each_case_exercises_the_op_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    called: set[str] = set()

    def spied(op: Any) -> Any:
        forward = op.forward

        def spy(*args: Any) -> Any:
            called.add(op.name)
            return forward(*args)

        return spy

    for op in ops.registry.values():
        monkeypatch.setattr(op, "forward", spied(op))
    reached = set()
    for case in CASES:
        called.clear()
        case(*case.arrays())
        if case.op in called:
            reached.add(case.op)
    assert set(ops.registry) - reached == set()


@every_case
def test_vjp_matches_central_differences(case: Case) -> None:
    tensors = case.tensors()
    if any(t.requires_grad for t in tensors):
        assert gradcheck(case, tensors, eps=1e-5, atol=1e-7, rtol=1e-6)


@every_case
def test_second_derivative_matches_differences_of_the_first(case: Case) -> None:
    """Along one direction of each tensor, to which all its elements contribute."""
    tensors = case.tensors()
    if case.twice and any(t.requires_grad for t in tensors):
        assert gradgradcheck(case, tensors, eps=1e-5, atol=1e-6, rtol=1e-5, fast_mode=True)


@every_case
def test_arrays_in_arrays_out(case: Case) -> None:
    plain = case(*case.arrays())
    recorded = case(*case.tensors())
    for a, t in zip(plain, recorded, strict=True):
        assert isinstance(a, np.ndarray | np.generic)
        assert isinstance(t, cr.Tensor)
        assert a.dtype == t.dtype
        np.testing.assert_array_equal(a, t.detach().array)


@every_case
def test_inputs_are_not_changed(case: Case) -> None:
    moves = case.op in ("batch_norm", "instance_norm") and "training" in case.label  # statistics
    tensors, before = case.tensors(), case.arrays()
    gradients(case, tensors)
    for t, b in zip(tensors, before, strict=True):
        if t.requires_grad or not moves:
            np.testing.assert_array_equal(t.array, b)


@every_case
def test_dtype_is_kept(case: Case) -> None:
    wide = case(*case.tensors())
    for dtype in (np.float32, np.float16) if case.half else (np.float32,):
        with part(dtype.__name__):
            tensors = case.tensors(dtype)
            narrow, grads = results_and_gradients(case, tensors)
            for y, z in zip(wide, narrow, strict=True):
                if y.dtype == np.float64 and case.op not in ("cast", "float_power"):
                    assert z.dtype == dtype
            for t, g in zip(tensors, grads, strict=True):
                if g is not None:
                    assert (g.dtype, g.shape) == (t.dtype, t.array.shape)


@every_case
def test_detect_anomaly_is_silent_where_all_is_finite(case: Case) -> None:
    """No op makes an infinity on its way to a finite result, and blames one that is not there."""
    tensors = case.tensors()
    gathered = (g for g in gradients(case, tensors) if g is not None)
    results = [*tensors, *case(*tensors), *gathered]
    if all(np.isfinite(y.array if isinstance(y, cr.Tensor) else y).all() for y in results):
        tensors = case.tensors()
        with cr.autograd.detect_anomaly():
            gradients(case, tensors)


def strided(a: np.ndarray) -> np.ndarray:
    """Every other element of a larger array, backwards: gaps and negative strides."""
    big = np.full([2 * n for n in a.shape], 7).astype(a.dtype)
    view = big[(*(slice(None, None, -2) for _ in a.shape), ...)]
    view[...] = a
    return view


def axes_reversed(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="F")


def channels_last(a: np.ndarray) -> np.ndarray:
    if a.ndim != 4:
        return np.array(a, order="F")
    return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@every_case
def test_memory_layout_does_not_matter(case: Case) -> None:
    for dtype in (np.float64, np.float32):
        expected = run_in_layout(case, dtype, in_order)
        images = any(a.ndim == 4 for a in case.arrays())
        for layout in (strided, axes_reversed, channels_last)[: 3 if images else 2]:
            with part(f"{dtype.__name__}, {layout.__name__}"):
                tolerance = 1e-12 if dtype == np.float64 else 1e-5 * case.tolerance
                assert_same(run_in_layout(case, dtype, layout), expected, tolerance)


Results = list[np.ndarray | None]


def in_order(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="C")


def run_in_layout(case: Case, dtype: Any, layout: Callable[..., np.ndarray]) -> Results:
    """Values and gradients."""
    tensors = case.tensors(dtype)
    for t in tensors:
        t.data = layout(t.array)
    values, grads = results_and_gradients(case, tensors)
    return [*(y.array for y in values), *grads]


def assert_same(results: Results, expected: Results, tolerance: float) -> None:
    for a, b in zip(results, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# -- parity ----------------------------------------------------------------------------------------


def torch_run(case: Case, dtype: Any) -> tuple[list[Any], list[Any]]:
    """Values and gradients of the same expression in PyTorch."""
    import torch

    inputs = []
    for a in case.inputs(dtype):
        t = torch.tensor(a.array if isinstance(a, Fixed) else a)
        wanted = t.is_floating_point() and not isinstance(a, Fixed)
        inputs.append(t.requires_grad_(wanted))
    values = outputs(case.expression(torch_names(), *inputs))
    total = 0
    for y in values:
        if y.requires_grad:
            total = total + (y * torch.tensor(pattern(y).astype(_numpy_name(y)))).sum()
    if not isinstance(total, int):
        total.backward()
    return [y.detach().numpy() for y in values], [
        None if t.grad is None else t.grad.numpy() for t in inputs
    ]


def _numpy_name(y: Any) -> str:
    return str(y.dtype).removeprefix("torch.")


@pytest.mark.parity
@pytest.mark.parametrize("case", [case for case in CASES if case.twin], ids=str)
def test_matches_pytorch(case: Case) -> None:
    pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    for dtype in (np.float64, np.float32):
        with part(dtype.__name__):
            check_pytorch(case, dtype)


def check_pytorch(case: Case, dtype: Any) -> None:
    tolerance = 1e-11 if dtype == np.float64 else 4e-6 * case.tolerance
    tensors = case.tensors(dtype)
    values, grads = results_and_gradients(case, tensors)
    torch_values, torch_grads = torch_run(case, dtype)
    for ours, theirs in zip(values, torch_values, strict=True):
        assert ours.array.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        _close(ours.array, theirs, tolerance)
    for ours, theirs in zip(grads, torch_grads, strict=True):
        if ours is None or theirs is None:  # a zero gradient may be given as None
            for g in (ours, theirs):
                assert g is None or not np.any(g)
        else:
            assert ours.dtype == theirs.dtype
            _close(ours, theirs, tolerance)


def _close(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> None:
    if theirs.dtype.kind == "f":
        if theirs.dtype == np.float32:  # of integers, in a run of float64
            tolerance = max(tolerance, 4e-6)
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(ours, theirs)
