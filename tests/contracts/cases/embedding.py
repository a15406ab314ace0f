"""Rows of a table by their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import case, exactly, integers, joined, normal, twins

ROWS = [[0, 3, 1], [3, 3, 0]]


def torch_embedding(torch: Any) -> Any:
    def embedding(input: Any, weight: Any, padding_idx: Any = None, by_freq: bool = False) -> Any:
        return torch.nn.functional.embedding(input, weight, padding_idx, scale_grad_by_freq=by_freq)

    return embedding


def torch_embedding_bag(torch: Any) -> Any:
    def embedding_bag(
        input: Any, weight: Any, offsets: Any = None, mode: str = "mean", by_freq: bool = False,
        *more: Any,
    ) -> Any:  # fmt: skip
        how = (None, 2.0, by_freq, mode, False, *more)
        return torch.nn.functional.embedding_bag(input, weight, offsets, *how)

    return embedding_bag


twins["embedding"] = torch_embedding
twins["embedding_bag"] = torch_embedding_bag

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

for _mode in ("sum", "mean", "max"):
    case("embedding_bag", f"{_mode}, rows", joined(exactly([[0, 3], [1, 1]]), normal((4, 3))),
         lambda o, i, w, m=_mode: o.embedding_bag(i, w, None, m))
    case("embedding_bag", f"{_mode}, offsets, empty bags",
         joined(joined(exactly([0, 3, 1, 2, 2]), normal((4, 3))), exactly([0, 0, 2, 5])),
         lambda o, i, w, f, m=_mode: o.embedding_bag(i, w, f, m))
    case("embedding_bag", f"{_mode}, last offset",
         joined(joined(exactly([0, 3, 1, 2]), normal((4, 3))), exactly([0, 1, 4])),
         lambda o, i, w, f, m=_mode: o.embedding_bag(i, w, f, m, include_last_offset=True),
         twin=False)
    case("embedding_bag", f"{_mode}, padding unseen",
         joined(exactly([[0, 3], [1, 1]]), normal((4, 3))),
         lambda o, i, w, m=_mode: o.embedding_bag(i, w, None, m, False, None, False, 2))
case("embedding_bag", "factors", joined(exactly([[0, 3], [1, 1]]), normal((4, 3), (2, 2))),
     lambda o, i, w, p: o.embedding_bag(i, w, None, "sum", False, p))
case("embedding_bag", "no members", joined(exactly(np.zeros((2, 0), np.int64)), normal((4, 3))),
     lambda o, i, w: o.embedding_bag(i, w, None, "max"), twin=False)
