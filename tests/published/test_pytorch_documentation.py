"""Examples of PyTorch's documentation (docs.pytorch.org) whose results it prints."""

import numpy as np
import pytest

import chainrule as torch
import chainrule.nn.functional as F
from chainrule import nn


def test_autograd_tutorials():
    """60 Minute Blitz, autograd: Q = 3a³ - b²; and its older version, out = 27 and 4.5."""
    a = torch.tensor([2.0, 3.0], requires_grad=True)
    b = torch.tensor([6.0, 4.0], requires_grad=True)
    Q = 3 * a**3 - b**2
    Q.backward(gradient=torch.tensor([1.0, 1.0]))
    assert a.grad.tolist() == [36, 81]
    assert b.grad.tolist() == [-12, -8]

    x = torch.ones(2, 2, requires_grad=True)
    z = (x + 2) * (x + 2) * 3
    out = z.mean()
    out.backward()
    assert out.item() == 27
    assert x.grad.tolist() == [[4.5, 4.5], [4.5, 4.5]]


def test_multi_margin_loss():
    """nn.MultiMarginLoss: 0.25 · ((1-(0.8-0.1)) + (1-(0.8-0.2)) + (1-(0.8-0.4))) = 0.325."""
    loss = nn.MultiMarginLoss()(torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([3]))
    assert loss.item() == pytest.approx(0.325)


def test_multi_label_margin_loss():
    """nn.MultiLabelMarginLoss: of labels 3 and 0, and not those after -1: 0.85."""
    x, y = torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[3, 0, -1, 1]])
    assert nn.MultiLabelMarginLoss()(x, y).item() == pytest.approx(0.85)


def test_binary_cross_entropy_with_logits():
    """nn.BCEWithLogitsLoss: 64 classes, pos_weight 1, score 1.5: -log(sigmoid(1.5)) = 0.20."""
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.ones([64]))
    loss = criterion(torch.full([10, 64], 1.5), torch.ones([10, 64], dtype=torch.float32))
    assert loss.item() == pytest.approx(0.2014, abs=5e-5)


def test_reductions():
    """torch.var and torch.std along dim 1."""
    a = torch.tensor(
        [
            [0.2035, 1.2959, 1.8101, -0.4644],
            [1.5027, -0.3270, 0.5905, 0.6538],
            [-1.5745, 1.3330, -0.5596, -0.6548],
            [0.1264, -0.5080, 1.6420, 0.1992],
        ]
    )
    var = torch.var(a, dim=1, keepdim=True)
    np.testing.assert_allclose(var, [[1.0631], [0.5590], [1.4893], [0.8258]], atol=6e-5)
    std = torch.std(a, dim=1, keepdim=True)
    np.testing.assert_allclose(std, [[1.0311], [0.7477], [1.2204], [0.9087]], atol=6e-5)


def test_gather_and_scatter():
    """torch.gather; Tensor.scatter_ with a source and with a number."""
    t = torch.tensor([[1, 2], [3, 4]])
    assert torch.gather(t, 1, torch.tensor([[0, 0], [1, 0]])).tolist() == [[1, 1], [4, 3]]
    src = torch.arange(1, 11).reshape((2, 5))
    index = torch.tensor([[0, 1, 2, 0]])
    assert torch.zeros(3, 5, dtype=src.dtype).scatter_(0, index, src).tolist() == [
        [1, 0, 0, 4, 0], [0, 2, 0, 0, 0], [0, 0, 3, 0, 0],
    ]  # fmt: skip
    index = torch.tensor([[0, 1, 2], [0, 1, 4]])
    assert torch.zeros(3, 5, dtype=src.dtype).scatter_(1, index, src).tolist() == [
        [1, 2, 3, 0, 0], [6, 7, 0, 0, 8], [0, 0, 0, 0, 0],
    ]  # fmt: skip
    two = torch.full((2, 4), 2.0).scatter_(1, torch.tensor([[2], [3]]), 1.5)
    assert two.tolist() == [[2, 2, 1.5, 2], [2, 2, 2, 1.5]]


def test_selecting_and_sorting():
    """torch.topk, torch.lerp, nn.functional.one_hot, Tensor.repeat, torch.masked_select."""
    values, indices = torch.topk(torch.arange(1.0, 6.0), 3)
    assert (values.tolist(), indices.tolist()) == ([5, 4, 3], [4, 3, 2])
    start, end = torch.arange(1.0, 5.0), torch.empty(4).fill_(10)
    assert torch.lerp(start, end, 0.5).tolist() == [5.5, 6, 6.5, 7]
    assert F.one_hot(torch.arange(0, 5) % 3).tolist() == [
        [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0],
    ]  # fmt: skip
    x = torch.tensor([1, 2, 3])
    assert x.repeat(4, 2).tolist() == [[1, 2, 3, 1, 2, 3]] * 4
    assert x.repeat(4, 2, 1).size() == (4, 2, 3)
    assert torch.nonzero(torch.tensor([1, 1, 1, 0, 1])).tolist() == [[0], [1], [2], [4]]


def test_shapes():
    """torch.flatten, torch.split, torch.cat, torch.squeeze, nn.Flatten, nn.Unflatten."""
    t = torch.tensor([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    assert torch.flatten(t, start_dim=1).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    parts = torch.split(torch.arange(10).reshape(5, 2), [1, 4])
    assert [p.tolist() for p in parts] == [[[0, 1]], [[2, 3], [4, 5], [6, 7], [8, 9]]]
    x = torch.zeros(2, 1, 2, 1, 2)
    assert torch.squeeze(x).size() == (2, 2, 2)
    assert torch.squeeze(x, 0).size() == (2, 1, 2, 1, 2)
    assert torch.squeeze(x, (1, 2, 3)).size() == (2, 2, 2)
    assert nn.Flatten(0, 2)(torch.randn(32, 1, 5, 5)).size() == (160, 5)
    assert nn.Unflatten(1, (2, 5, 5))(torch.randn(2, 50)).size() == (2, 2, 5, 5)


def test_type_promotion():
    """Tensor attributes, torch.dtype: float32 with int64 arrays, with numbers, with 0-d tensors."""
    floats, integers = torch.ones(1), torch.ones(1, dtype=torch.int64)
    doubles = torch.ones(1, dtype=torch.float64)
    assert (floats + integers).dtype == torch.float32
    assert (integers + 1.5).dtype == torch.float32
    assert (floats + torch.tensor(1.5, dtype=torch.float64)).dtype == torch.float32
    assert (floats + doubles).dtype == torch.float64
    assert torch.add(integers, torch.ones((), dtype=torch.uint8)).dtype == torch.int64
