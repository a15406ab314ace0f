"""NumPy in and out, DLPack both ways."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import GraphError


def test_from_numpy_shares_memory_both_ways() -> None:
    a = np.zeros((2, 3), np.float32)
    t = cr.from_numpy(a)
    a[0, 0] = 1
    assert t[0, 0].item() == 1
    t.add_(1)
    assert a[1, 1] == 1
    assert np.shares_memory(t.numpy(), a)


def test_any_strides_are_taken_as_they_are() -> None:
    a = np.arange(12.0).reshape(3, 4)[::-1, ::2].T
    t = cr.from_numpy(a)
    assert np.shares_memory(t.array, a)
    assert t.stride() == (2, -4)
    assert not t.is_contiguous()
    np.testing.assert_array_equal((t * 2).array, a * 2)


def test_asarray_does_not_copy() -> None:
    t = cr.ones(3)
    assert np.shares_memory(np.asarray(t), t.array)
    assert not np.shares_memory(np.array(t), t.array)
    assert np.asarray(t, np.float64).dtype == np.float64
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(ValueError, match="copy"):
            np.asarray(t, np.float64, copy=False)


def test_numpy_functions_take_tensors() -> None:
    t = cr.arange(4).float()
    assert np.linalg.norm(t) == pytest.approx(14**0.5)
    np.testing.assert_allclose(np.exp(t), np.exp(t.array))
    np.testing.assert_array_equal(np.stack([t, t]), np.stack([t.array] * 2))


def test_what_requires_grad_is_not_handed_out_silently() -> None:
    x = cr.ones(2, requires_grad=True)
    for convert in (lambda: x.numpy(), lambda: np.asarray(x), lambda: (x * 2).numpy(),
                    lambda: np.from_dlpack(x)):  # fmt: skip
        with pytest.raises(GraphError, match=r"requires grad.*use \.detach\(\)\.numpy\(\)"):
            convert()
    assert np.shares_memory(x.detach().numpy(), x.array)


@pytest.mark.parametrize(
    ("name", "f"),
    [
        ("add", lambda a, b: a + b),
        ("sub", lambda a, b: a - b),
        ("mul", lambda a, b: a * b),
        ("div", lambda a, b: a / b),
        ("pow", lambda a, b: a**b),
        ("floor_divide", lambda a, b: a // b),
        ("remainder", lambda a, b: a % b),
        ("matmul", lambda a, b: a @ b),
        ("lt", lambda a, b: a < b),
        ("eq", lambda a, b: a == b),
    ],
)
@pytest.mark.parametrize("other", [np.array([[2.0, 3.0], [1.0, 4.0]]), "tensor"])
def test_array_and_tensor_give_a_tensor(name: str, f: Any, other: Any) -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    b = cr.from_numpy(values) if isinstance(other, str) else other
    t = cr.from_numpy(values + 1)
    plain = np.asarray(b)
    for mixed, expected in ((f(t, b), f(values + 1, plain)), (f(b, t), f(plain, values + 1))):
        assert isinstance(mixed, cr.Tensor)
        np.testing.assert_allclose(mixed.array, expected)


def test_array_times_tensor_is_differentiated() -> None:
    x = cr.ones(2, dtype=cr.float64, requires_grad=True)
    a = np.array([2.0, 3.0])
    (a * x + x * a + a / x - x).sum().backward()
    np.testing.assert_array_equal(x.grad.array, 2 * a - a - 1)


@pytest.mark.parametrize("number", [2, 2.5, np.float64(2.5), np.int64(2)])
def test_numbers_on_either_side(number: Any) -> None:
    x = cr.tensor([1.0, 4.0])
    for ours, theirs in (
        (number - x, number - x.array), (number / x, number / x.array),
        (number**x, number**x.array),
        (number // x, number // x.array), (number % x, number % x.array),
    ):  # fmt: skip
        assert isinstance(ours, cr.Tensor) and ours.dtype == cr.float32
        np.testing.assert_allclose(ours.array, theirs, rtol=1e-6)


# -- DLPack ------------------------------------------------------------------------------------


def test_numpy_dlpack_both_ways() -> None:
    t = cr.arange(6).float().reshape(2, 3)
    a = np.from_dlpack(t)
    assert np.shares_memory(a, t.array)
    b = np.arange(6.0).reshape(2, 3).T
    u = cr.from_dlpack(b)
    assert np.shares_memory(u.array, b)
    np.testing.assert_array_equal(u.array, b)


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool"])
def test_torch_dlpack_both_ways(dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    ours = cr.ones(2, 3, dtype=getattr(cr, dtype))
    theirs = torch.from_dlpack(ours)
    assert theirs.dtype == getattr(torch, dtype)
    theirs.zero_()
    assert not ours.array.any(), "memory is shared"
    back = cr.from_dlpack(torch.ones(2, 3, dtype=getattr(torch, dtype)).T)
    assert back.shape == (3, 2) and back.dtype == getattr(cr, dtype)
    assert back.array.all()


def test_read_only_memory_is_copied_for_dlpack() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    exported = np.from_dlpack(cr.from_numpy(a))
    np.testing.assert_array_equal(exported, a)


@pytest.mark.parametrize("home", [b"chainrule.tensor.tensor", b"chainrule.tensor"])
def test_a_pickle_names_the_room_or_the_file_of_the_class(home: bytes) -> None:
    kept = pickle.dumps(cr.tensor([1.0, 2.0], requires_grad=True), protocol=0)
    assert kept.count(b"chainrule.tensor.tensor") == 2  # the class, and what makes one of it
    again = pickle.loads(kept.replace(b"chainrule.tensor.tensor", home))
    assert type(again) is cr.Tensor and again.requires_grad and again.tolist() == [1.0, 2.0]
