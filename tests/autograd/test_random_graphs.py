"""Random programs of many ops, run here and in PyTorch: values, gradients, second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr

pytestmark = pytest.mark.parity

STEPS: list[Callable[..., Any]] = [  # every one takes and gives (3, 4)
    lambda o, a, b, k: a + b,
    lambda o, a, b, k: a - 0.5 * b,
    lambda o, a, b, k: a * b,
    lambda o, a, b, k: a / (b * b + 1),
    lambda o, a, b, k: o.tanh(a),
    lambda o, a, b, k: o.sin(a) + o.cos(b),
    lambda o, a, b, k: o.exp(-a * a),
    lambda o, a, b, k: o.sigmoid(a) * b,
    lambda o, a, b, k: o.softmax(a, 1),
    lambda o, a, b, k: (a @ b.T) @ b * 0.1,
    lambda o, a, b, k: a.T.reshape(3, 4),
    lambda o, a, b, k: a.sum(0, keepdim=True) * b * 0.1,
    lambda o, a, b, k: a - a.mean(1, keepdim=True),
    lambda o, a, b, k: o.cat([a[:k], b[k:]], 0),
    lambda o, a, b, k: o.stack([a[:, k], b[:, 0], a[:, 0], b[:, k]], 1),
    lambda o, a, b, k: a[[k, 0, k]] + b[k],
    lambda o, a, b, k: o.where(a > b, a, b * 2),
    lambda o, a, b, k: a.expand(2, 3, 4)[0] + b.unsqueeze(0).squeeze(0),
    lambda o, a, b, k: o.maximum(a, b) * a,
    lambda o, a, b, k: o.log(a * a + 1.5) + o.sqrt(b * b + 0.5),
    lambda o, a, b, k: o.logsumexp(a, 1).reshape(3, 1) + b * 0.3,
    lambda o, a, b, k: a.clone().permute(1, 0).permute(1, 0).flatten().reshape(3, 4),
]


def program(seed: int) -> list[tuple[int, int, int, int]]:
    """Which steps, on which earlier results: (step, first, second, constant)."""
    rng = np.random.default_rng(seed)
    return [
        (int(rng.integers(len(STEPS))), int(rng.integers(n)), int(rng.integers(n)),
         int(rng.integers(1, 3)))
        for n in range(3, 15)
    ]  # fmt: skip


def run(o: Any, grad: Any, make: Any, seed: int) -> list[Any]:
    """The loss, its gradients, and the gradients of their squared norm."""
    rng = np.random.default_rng(seed)
    leaves = [make(rng.standard_normal((3, 4)) * 0.7) for _ in range(3)]
    results = list(leaves)
    for step, i, j, k in program(seed):
        results.append(STEPS[step](o, results[i], results[j], k))
    loss = sum((y * (n + 1)).mean() for n, y in enumerate(results))
    first = grad(loss, leaves, create_graph=True)
    penalty = sum((g * g).sum() for g in first)
    second = grad(penalty, leaves, retain_graph=True, allow_unused=True)
    (loss * 0.5 + penalty).backward()  # the same once more, into .grad
    return [loss, *first, *second, *(x.grad for x in leaves)]


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_match_pytorch(seed: int) -> None:
    torch = pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    ours = run(cr, cr.autograd.grad, lambda a: cr.tensor(a, requires_grad=True), seed)
    theirs = run(torch, torch.autograd.grad, lambda a: torch.tensor(a, requires_grad=True), seed)
    for a, b in zip(ours, theirs, strict=True):
        if a is None or b is None:
            assert all(g is None or not g.detach().numpy().any() for g in (a, b))
        else:
            np.testing.assert_allclose(a.detach().array, b.detach().numpy(), rtol=1e-8, atol=1e-9)
