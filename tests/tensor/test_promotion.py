"""Dtype rules, compared with PyTorch's for every pair of dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.errors import DTypeError

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
NUMBERS = {"True": True, "2": 2, "2.5": 2.5}
RANKS = {"tensor": (2, 1), "0-d": ()}

OPERATIONS = {
    "add": lambda o, a, b: a + b,
    "mul": lambda o, a, b: a * b,
    "div": lambda o, a, b: a / b,
    "pow": lambda o, a, b: a**b,
    "lt": lambda o, a, b: a < b,
}


def value(world: Any, dtype: str, shape: tuple[int, ...]) -> Any:
    """Ones, in either world (``world.ones`` and ``world.float32`` are in both)."""
    return world.ones(shape, dtype=getattr(world, dtype))


def outcome(f: Any) -> str:
    """The name of the result's dtype, or that it was refused."""
    try:
        return str(f().dtype).removeprefix("torch.")
    except (RuntimeError, TypeError, NotImplementedError):
        return "refused"


@pytest.mark.parity
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("ranks", ["tensor tensor", "tensor 0-d", "0-d tensor", "0-d 0-d"])
def test_pairs_of_dtypes_meet_as_in_pytorch(operation: str, ranks: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    f = OPERATIONS[operation]
    left, right = (RANKS[r] for r in ranks.split())
    wrong = {}
    for a in DTYPES:
        for b in DTYPES:
            ours = outcome(lambda a=a, b=b: f(cr, value(cr, a, left), value(cr, b, right)))
            t = value(torch, a, left), value(torch, b, right)
            theirs = outcome(lambda t=t: f(torch, *t))
            if ours != theirs:
                wrong[a, b] = (ours, theirs)
    assert wrong == {}


@pytest.mark.parity
@pytest.mark.parametrize("operation", OPERATIONS)
def test_numbers_meet_tensors_as_in_pytorch(operation: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    f = OPERATIONS[operation]
    wrong = {}
    for shape in RANKS.values():
        for dtype in DTYPES[1:] if operation == "pow" else DTYPES:
            for name, number in NUMBERS.items():
                for swap in (False, True):

                    def run(
                        world: Any, d: str = dtype, s: Any = shape, n: Any = number, w: bool = swap
                    ) -> Any:
                        t = value(world, d, s)
                        return f(world, n, t) if w else f(world, t, n)

                    ours, theirs = outcome(lambda r=run: r(cr)), outcome(lambda r=run: r(torch))
                    if ours != theirs:
                        wrong[dtype, shape, name, swap] = (ours, theirs)
    assert wrong == {}


@pytest.mark.parity
@pytest.mark.parametrize("name", ["maximum", "minimum", "where", "cat", "eq"])
def test_functions_promote_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")

    def call(world: Any, a: Any, b: Any) -> Any:
        if name == "where":
            return world.where(a > 0, a, b)
        return world.cat([a, b]) if name == "cat" else getattr(world, name)(a, b)

    wrong = {}
    for a in DTYPES:
        for b in DTYPES:
            results = [
                outcome(lambda w=w, a=a, b=b: call(w, value(w, a, (2,)), value(w, b, (2,))))
                for w in (cr, torch)
            ]
            if results[0] != results[1]:
                wrong[a, b] = results
    assert wrong == {}


@pytest.mark.parity
def test_promote_types_is_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    for a in DTYPES:
        for b in DTYPES:
            ours = cr.promote_types(getattr(cr, a), getattr(cr, b)).name
            theirs = torch.promote_types(getattr(torch, a), getattr(torch, b))
            assert ours == str(theirs).removeprefix("torch."), (a, b)


@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.int64(2), np.float16(2)])
@pytest.mark.parametrize("dtype", [cr.float32, cr.float16])
def test_numpy_scalars_do_not_widen(number: Any, dtype: Any) -> None:
    x = cr.ones(3, dtype=dtype, requires_grad=True)
    for y in (x * number, number * x, x + number, x / number, x - number, x.clamp(number)):
        assert isinstance(y, cr.Tensor)
        assert y.dtype == dtype
    (x * number).sum().backward()
    assert x.grad.dtype == dtype


def test_gradients_come_back_in_the_dtype_of_each_input() -> None:
    a = cr.ones(2, 3, dtype=cr.float32, requires_grad=True)
    b = cr.ones(3, dtype=cr.float64, requires_grad=True)
    c = cr.ones((), dtype=cr.float16, requires_grad=True)
    y = a * b * c
    assert y.dtype == cr.float64
    y.sum().backward()
    assert [t.grad.dtype for t in (a, b, c)] == [t.dtype for t in (a, b, c)]


def test_wide_0d_tensor_does_not_widen() -> None:
    x = cr.ones(2, requires_grad=True)
    y = x * cr.tensor(2.0, dtype=cr.float64)
    assert y.dtype == cr.float32
    y.sum().backward()
    assert x.grad.dtype == cr.float32


def test_integers_become_the_default_float_where_a_float_results() -> None:
    x = cr.arange(1, 4)
    for y in (x.exp(), x.sqrt(), x.sigmoid(), x / 2, x.log(), x.sin()):
        assert y.dtype == cr.float32
    cr.set_default_dtype(cr.float64)
    try:
        assert x.exp().dtype == cr.float64
        assert cr.tensor([1.5]).dtype == cr.float64
        assert cr.zeros(2).dtype == cr.float64
    finally:
        cr.set_default_dtype(cr.float32)


def test_default_dtype_must_be_a_float() -> None:
    with pytest.raises(DTypeError, match="expects a float dtype, got int64"):
        cr.set_default_dtype(cr.int64)


@pytest.mark.parametrize("name", ["matmul", "linear"])
def test_products_do_not_promote(name: str) -> None:
    with pytest.raises(DTypeError, match=f"{name}: .*float32.*float64.*convert"):
        getattr(ops, name)(cr.ones(2, 2), cr.ones(2, 2).double())


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x + "1",
        lambda x: x * [1, 2],
        lambda x: cr.maximum(x, object()),
        lambda x: x + 1j,
        lambda x: x + np.ones(2, complex),
    ],
)
def test_what_is_no_number_is_refused(f: Any) -> None:
    with pytest.raises(DTypeError, match=r"expects arrays, tensors or numbers|not supported"):
        f(cr.ones(2))


def test_means_need_floats() -> None:
    x = cr.arange(3)
    for f in (cr.mean, cr.var, cr.std):
        with pytest.raises(DTypeError, match=r"expects a float tensor, got int64; .*\.float\(\)"):
            f(x)


def test_in_place_results_must_fit() -> None:
    with pytest.raises(DTypeError, match="a result of float32 cannot be stored in int64"):
        cr.arange(3).add_(0.5)
    counts = cr.zeros(2, dtype=cr.uint8)
    counts += cr.tensor([1, 2])
    assert counts.dtype == cr.uint8 and counts.tolist() == [1, 2]
    half = cr.zeros(2, dtype=cr.float16)
    half += cr.ones(2)
    assert half.dtype == cr.float16
