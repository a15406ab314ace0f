"""Rows of a table by their numbers."""

from __future__ import annotations

from typing import Any

from ..case import case, exactly, integers, joined, normal, twins

ROWS = [[0, 3, 1], [3, 3, 0]]


def torch_embedding(torch: Any) -> Any:
    def embedding(input: Any, weight: Any, padding_idx: Any = None, by_freq: bool = False) -> Any:
        return torch.nn.functional.embedding(input, weight, padding_idx, scale_grad_by_freq=by_freq)

    return embedding


twins["embedding"] = torch_embedding

# fmt: off

case("embedding", "plain", joined(exactly(ROWS), normal((4, 3))),
     lambda o, i, w: o.embedding(i, w))
case("embedding", "one", joined(exactly(2), normal((4, 3))), lambda o, i, w: o.embedding(i, w))
# Where a gradient is asked to differ from the derivative, tests/nn compares it with PyTorch's.
case("embedding", "padding unseen", joined(exactly(ROWS), normal((4, 2))),
     lambda o, i, w: o.embedding(i, w, 2))
case("embedding", "padding from the end", joined(exactly(ROWS), normal((4, 2))),
     lambda o, i, w: o.embedding(i, w, -2))
case("embedding", "each once", joined(exactly([3, 0, 1]), normal((4, 2))),
     lambda o, i, w: o.embedding(i, w, None, True))
case("embedding", "none", joined(integers((0, 2)), normal((4, 3))),
     lambda o, i, w: o.embedding(i, w))
case("embedding", "no width", joined(exactly([1, 0]), normal((4, 0))),
     lambda o, i, w: o.embedding(i, w))
