"""Reading and writing by index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr

INDICES: dict[str, Any] = {
    "integer": lambda o: 1,
    "negative": lambda o: -1,
    "pair": lambda o: (1, 2),
    "all three": lambda o: (1, 2, 3),
    "slice": lambda o: slice(1, 3),
    "open slice": lambda o: slice(None),
    "step": lambda o: (slice(None, None, 2), slice(0, 4, 3)),
    "beyond": lambda o: slice(1, 99),
    "nothing": lambda o: slice(2, 2),
    "ellipsis": lambda o: (..., 1),
    "ellipsis alone": lambda o: ...,
    "new axes": lambda o: (None, 1, None, ..., None),
    "list": lambda o: [0, 2, 0],
    "tensor": lambda o: o.tensor([0, 2, 0]),
    "0-d tensor": lambda o: o.tensor(1),
    "matrix of integers": lambda o: o.tensor([[0, 1], [2, 2]]),
    "two tensors": lambda o: (o.tensor([0, 1, 2]), o.tensor([3, 3, 0])),
    "tensors that broadcast": lambda o: (o.tensor([[0], [1]]), o.tensor([[0, 3]])),
    "tensor and slice": lambda o: (slice(None), o.tensor([1, 1]), slice(0, 2)),
    "tensors apart": lambda o: (o.tensor([0, 1]), slice(None), o.tensor([1, 4])),
    "mask": lambda o: o.tensor([True, False, True]),
    "full mask": lambda o: o.arange(60).reshape(3, 4, 5) % 7 == 0,
    "empty mask": lambda o: o.tensor([False, False, False]),
    "mask of an axis": lambda o: (slice(None), o.tensor([True, False, False, True])),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", INDICES)
def test_indexing_matches_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")

    def run(o: Any) -> list[Any]:
        x = o.arange(60).reshape(3, 4, 5) * 1.0
        x.requires_grad_()
        y = x[INDICES[name](o)]
        (y * y).sum().backward()
        z = x.detach().clone()
        z[INDICES[name](o)] = -7.0
        return [y.detach().numpy(), x.grad.numpy(), z.numpy()]

    for ours, theirs in zip(run(cr), run(torch), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(ours, theirs)


VIEWS = {
    "one element of a vector": (6, lambda x: x[2]),
    "one element of a matrix": ((2, 3), lambda x: x[1, 2]),
    "row": ((2, 3), lambda x: x[1]),
    "slice": ((2, 3), lambda x: x[:, 1:]),
    "reshape": ((2, 3), lambda x: x.reshape(3, 2)),
    "view": ((2, 3), lambda x: x.view(-1)),
    "transpose": ((2, 3), lambda x: x.T),
    "permute": ((2, 3), lambda x: x.permute(1, 0)),
    "squeeze": ((2, 1, 3), lambda x: x.squeeze(1)),
    "unsqueeze": ((2, 3), lambda x: x.unsqueeze(0)),
    "unbind": ((2, 3), lambda x: x.unbind(0)[1]),
    "split": ((4,), lambda x: x.split(2)[1]),
    "iteration": ((4,), lambda x: list(x)[3]),
    "detach": ((4,), lambda x: x.detach()),
    "data": ((4,), lambda x: x.data),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory(name: str) -> None:
    shape, view = VIEWS[name]
    x = cr.zeros(shape)
    v = view(x)
    v.fill_(5)
    assert (x == 5).sum().item() == v.numel()
    x.fill_(3)
    assert (v == 3).all()


def test_fancy_indexing_copies() -> None:
    x = cr.zeros(4)
    y = x[cr.tensor([0, 1])]
    y.fill_(1)
    assert x.sum().item() == 0


def test_augmented_assignment_through_an_index() -> None:
    x = cr.zeros(2, 3)
    x[0] += 1
    x[:, 1] *= 5
    x[1, 2] -= 4
    np.testing.assert_array_equal(x.array, [[1, 5, 1], [0, 0, -4]])


def test_an_ellipsis_for_no_axis_does_not_part_arrays() -> None:
    x = cr.arange(24).reshape(2, 3, 4)
    rows, columns = cr.tensor([0, 2]), cr.tensor([1, 3])
    np.testing.assert_array_equal(x[:, rows, ..., columns].array, x.array[:, [0, 2], [1, 3]])
    x[:, rows, ..., columns] = cr.tensor([[-1, -2]])
    np.testing.assert_array_equal(x.array[:, [0, 2], [1, 3]], [[-1, -2], [-1, -2]])
    y = cr.arange(16).reshape(2, 2, 2, 2)[rows[:1], ..., rows[:1]]
    assert y.shape == (1, 2, 2)


def test_setitem_broadcasts_and_converts() -> None:
    x = cr.zeros(2, 3)
    x[:] = cr.tensor([1, 2, 3])
    x[1] = np.array([4.0, 5.0, 6.0])
    x[0, 0] = cr.tensor(9.0)
    x[0, 1] = cr.tensor([[8.0]])
    np.testing.assert_array_equal(x.array, [[9, 8, 3], [4, 5, 6]])


def test_setitem_of_a_shape_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="could not broadcast"):
        cr.zeros(2, 3)[0] = cr.ones(2)
    with pytest.raises(ValueError):
        cr.zeros(2, 3)[0, 0] = cr.ones(2)


def test_index_out_of_range() -> None:
    x = cr.zeros(2, 3)
    for index in (5, (0, 3), (0, 0, 0)):
        with pytest.raises(IndexError):
            x[index]
    with pytest.raises(IndexError):
        cr.ones(2, requires_grad=True)[7]


def test_a_tensor_indexes_a_list() -> None:
    assert ["a", "b", "c"][cr.tensor(2)] == "c"
    with pytest.raises(TypeError, match="only an integer tensor of one element"):
        ["a"][cr.tensor(0.0)]
