"""Making tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DTypeError, ShapeError

CALLS = {
    "tensor of floats": lambda o: o.tensor([1.5, 2.0]),
    "tensor of integers": lambda o: o.tensor([[1, 2], [3, 4]]),
    "tensor of booleans": lambda o: o.tensor([True, False]),
    "tensor mixed": lambda o: o.tensor([1, 2.5]),
    "tensor number": lambda o: o.tensor(3),
    "tensor empty": lambda o: o.tensor([]),
    "tensor dtype": lambda o: o.tensor([1, 2], dtype=o.float16),
    "tensor of array": lambda o: o.tensor(np.arange(3.0)),
    "tensor of tensors": lambda o: o.tensor([o.tensor(1.0), o.tensor(2.0)]),
    "as_tensor": lambda o: o.as_tensor([1.0, 2.0]),
    "as_tensor dtype": lambda o: o.as_tensor(np.arange(3), dtype=o.float32),
    "from_numpy": lambda o: o.from_numpy(np.arange(3, dtype=np.int16)),
    "zeros": lambda o: o.zeros(2, 3),
    "zeros tuple": lambda o: o.zeros((2, 3), dtype=o.int32),
    "zeros list": lambda o: o.zeros([2, 3]),
    "zeros 0-d": lambda o: o.zeros(()),
    "ones": lambda o: o.ones(2, dtype=o.bool),
    "full integer": lambda o: o.full((2, 2), 7),
    "full float": lambda o: o.full((2,), 0.1),
    "full bool": lambda o: o.full((2,), True),
    "full dtype": lambda o: o.full((2,), 3, dtype=o.float64),
    "eye": lambda o: o.eye(3),
    "eye wide": lambda o: o.eye(2, 3, dtype=o.int64),
    "arange end": lambda o: o.arange(5),
    "arange start": lambda o: o.arange(2, 5),
    "arange step": lambda o: o.arange(1, 10, 3),
    "arange down": lambda o: o.arange(5, 0, -2),
    "arange float": lambda o: o.arange(0, 1, 0.25),
    "arange dtype": lambda o: o.arange(3, dtype=o.float64),
    "arange empty": lambda o: o.arange(0),
    "linspace": lambda o: o.linspace(0, 1, 5),
    "linspace one": lambda o: o.linspace(3, 5, 1),
    "zeros_like": lambda o: o.zeros_like(o.ones(2, 3, dtype=o.int32)),
    "ones_like": lambda o: o.ones_like(o.zeros(2), dtype=o.float64),
    "full_like": lambda o: o.full_like(o.zeros(2), 2.5),
    "new_zeros": lambda o: o.ones(2, dtype=o.float64).new_zeros(3),
    "new_ones": lambda o: o.ones(2, dtype=o.int32).new_ones((2, 2)),
    "new_full": lambda o: o.ones(2).new_full((2,), 5),
    "new_tensor": lambda o: o.ones(2, dtype=o.float64).new_tensor([1.0, 2.0]),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", CALLS)
def test_creation_matches_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    ours, theirs = CALLS[name](cr), CALLS[name](torch).numpy()
    assert ours.dtype == theirs.dtype
    assert tuple(ours.shape) == theirs.shape
    np.testing.assert_allclose(ours.array, theirs, rtol=1e-6)


def test_tensor_copies_as_tensor_does_not() -> None:
    a = np.arange(3.0)
    assert not np.shares_memory(cr.tensor(a).array, a)
    assert np.shares_memory(cr.as_tensor(a).array, a)
    t = cr.zeros(2)
    assert cr.as_tensor(t) is t
    assert cr.as_tensor(t, dtype=cr.float64).dtype == cr.float64


def test_requires_grad_at_birth() -> None:
    for t in (cr.tensor([1.0], requires_grad=True), cr.zeros(2, requires_grad=True),
              cr.randn(2, requires_grad=True), cr.full((2,), 1.0, requires_grad=True)):  # fmt: skip
        assert t.requires_grad and t.is_leaf
    with pytest.raises(DTypeError, match="only float tensors have gradients, this is int64"):
        cr.zeros(2, dtype=cr.int64, requires_grad=True)


@pytest.mark.parametrize("data", [["a"], "text", None, [None], [1 + 2j], object()])
def test_what_is_no_number_is_refused(data: Any) -> None:
    with pytest.raises(DTypeError, match=r"tensor: cannot hold \S+ values"):
        cr.tensor(data)


def test_ragged_sequences_are_refused() -> None:
    with pytest.raises(ShapeError, match="nested sequences differ in length"):
        cr.tensor([[1, 2], [3]])


def test_from_numpy_wants_an_array() -> None:
    with pytest.raises(TypeError, match="expects a NumPy array, got list"):
        cr.from_numpy([1.0])  # type: ignore[arg-type]


def test_there_is_only_the_cpu() -> None:
    assert cr.zeros(2, device="cpu").device == cr.device("cpu")
    assert cr.zeros(2).device.type == "cpu"
    assert cr.zeros(2).to("cpu").shape == (2,)
    for f in (
        lambda: cr.zeros(2).to("cuda:0"), lambda: cr.zeros(2, device="cuda:0"),
        lambda: cr.tensor([1.0], device="cuda:0"), lambda: cr.randn(2, device="cuda:0"),
        lambda: cr.arange(2, device="cuda:0"), lambda: cr.zeros_like(cr.ones(1), device="cuda:0"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="device 'cuda:0': chainrule computes on the CPU"):
            f()


# -- from chance -------------------------------------------------------------------------------


def test_same_seed_same_numbers() -> None:
    def draw() -> list[Any]:
        cr.manual_seed(5)
        return [
            cr.rand(3), cr.randn(3), cr.randint(0, 9, (3,)), cr.randperm(5),
            cr.rand_like(cr.zeros(3)), cr.randn_like(cr.zeros(3)), cr.bernoulli(cr.full((9,), 0.5)),
            cr.zeros(3).uniform_(), cr.zeros(3).normal_(), cr.zeros(9).bernoulli_(0.5),
        ]  # fmt: skip

    for a, b in zip(draw(), draw(), strict=True):
        np.testing.assert_array_equal(a.array, b.array)


def test_a_generator_of_ones_own_leaves_the_default_alone() -> None:
    cr.manual_seed(1)
    expected = cr.rand(2).array
    cr.manual_seed(1)
    cr.rand(100, generator=cr.Generator(3))
    np.testing.assert_array_equal(cr.rand(2).array, expected)


@pytest.mark.parametrize("dtype", [cr.float16, cr.float32, cr.float64])
def test_uniform_numbers_stay_below_one(dtype: Any) -> None:
    x = cr.rand(100_000, dtype=dtype).array
    assert x.dtype == dtype
    assert x.min() >= 0 and x.max() < 1
    assert abs(x.mean(dtype=np.float64) - 0.5) < 0.01
    assert abs(x.var(dtype=np.float64) - 1 / 12) < 0.005


def test_moments_of_the_draws() -> None:
    cr.manual_seed(0)
    x = cr.zeros(50_000).normal_(3, 2).array
    assert abs(x.mean() - 3) < 0.05 and abs(x.std() - 2) < 0.05
    y = cr.zeros(50_000).uniform_(-1, 3).array
    assert y.min() >= -1 and y.max() <= 3 and abs(y.mean() - 1) < 0.05
    z = cr.bernoulli(cr.full((50_000,), 0.3)).array
    assert set(np.unique(z)) == {0, 1} and abs(z.mean() - 0.3) < 0.02
    k = cr.randint(2, 5, (10_000,)).array
    assert set(np.unique(k)) == {2, 3, 4} and k.dtype == np.int64


def test_forms_of_randint() -> None:
    assert cr.randint(3, (4,)).shape == (4,)
    assert cr.randint(high=3, size=(2, 2)).shape == (2, 2)
    assert cr.randint(5, 6, (3,)).tolist() == [5, 5, 5]


def test_randperm_is_a_permutation() -> None:
    p = cr.randperm(10)
    assert p.dtype == cr.int64 and sorted(p.tolist()) == list(range(10))


def test_random_integers_are_not_uniform_floats() -> None:
    with pytest.raises(DTypeError, match="need a float dtype, got int64"):
        cr.rand(3, dtype=cr.int64)


def test_arrays_of_the_other_byte_order_are_copied_into_this_machines():
    """Which files of other machines hold; kernels and gradients have this one's."""
    array = np.arange(3, dtype=np.float32)
    swapped = array.astype(array.dtype.newbyteorder())
    for x in (cr.tensor(swapped), cr.as_tensor(swapped)):
        assert x.dtype == np.float32 and x.numpy().dtype.isnative
        x.requires_grad_().square().sum().backward()
        assert x.grad.tolist() == [0, 2, 4]
    with pytest.raises(DTypeError, match="byte order"):
        cr.from_numpy(swapped)


def test_asarray_keeps_or_leaves_the_graph() -> None:
    """PyTorch's documentation of torch.asarray: b is a result, and what is asked for decides."""
    b = cr.tensor([1.0, 2.0], requires_grad=True) + 2
    assert cr.asarray(b).grad_fn is not None
    assert cr.asarray(b, requires_grad=True).grad_fn is not None
    without = cr.asarray(b, requires_grad=False)
    assert not without.requires_grad and without.data_ptr() == b.data_ptr()
    assert b.requires_grad
