"""Reshaping, joining, indexing, gathering."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import booleans, case, exactly, joined, normal, twins


def torch_index_put(torch: Any) -> Any:
    def index_put(x: Any, index: Any, value: Any) -> Any:
        y = x.clone()
        y[index] = value
        return y

    return index_put


def torch_add_at(torch: Any) -> Any:
    def add_at(g: Any, index: Any, shape: Any) -> Any:
        y = torch.zeros(shape, dtype=g.dtype)
        grid = torch.arange(y.numel()).reshape(shape)[index]
        return y.reshape(-1).index_add(0, grid.reshape(-1), g.reshape(-1)).reshape(shape)

    return add_at


twins["getitem"] = lambda torch: lambda x, index: x[index]
twins["index_put"] = torch_index_put
twins["add_at"] = torch_add_at

# fmt: off

case("reshape", "rows", normal((2, 6)), lambda o, x: o.reshape(x, (3, 4)))
case("reshape", "unknown", normal((2, 6)), lambda o, x: o.reshape(x, (-1, 2)))
case("reshape", "to 0-d", normal((1, 1)), lambda o, x: o.reshape(x, ()))
case("reshape", "empty", normal((0, 4)), lambda o, x: o.reshape(x, (2, 0)))
case("permute", "three", normal((2, 3, 4)), lambda o, x: o.permute(x, (2, 0, 1)))
case("permute", "negative", normal((2, 3, 4)), lambda o, x: o.permute(x, (-1, 0, -2)))
case("transpose", "negative", normal((2, 3, 4)), lambda o, x: o.transpose(x, 0, -1))
case("transpose", "empty", normal((2, 0)), lambda o, x: o.transpose(x, 0, 1))
case("flatten", "from one", normal((2, 3, 4)), lambda o, x: o.flatten(x, 1))
case("flatten", "middle", normal((2, 3, 2, 2)), lambda o, x: o.flatten(x, 1, -2))
case("flatten", "0-d", normal(()), lambda o, x: o.flatten(x))
case("flatten", "empty", normal((0, 3, 2)), lambda o, x: o.flatten(x, 1))
case("squeeze", "all", normal((1, 3, 1)), lambda o, x: o.squeeze(x))
case("squeeze", "one", normal((1, 3, 1)), lambda o, x: o.squeeze(x, -1))
case("squeeze", "several", normal((1, 3, 1)), lambda o, x: o.squeeze(x, (0, 1)))
case("unsqueeze", "front", normal((2, 3)), lambda o, x: o.unsqueeze(x, 0))
case("unsqueeze", "back", normal((2, 3)), lambda o, x: o.unsqueeze(x, -1))
case("flip", "two", normal((2, 3, 4)), lambda o, x: o.flip(x, (0, 2)))
case("flip", "negative", normal((2, 3)), lambda o, x: o.flip(x, (-1,)))
case("cat", "rows", normal((2, 3), (1, 3), (0, 3)), lambda o, a, b, c: o.cat((a, b, c), 0))
case("cat", "columns", normal((2, 3), (2, 1)), lambda o, a, b: o.cat([a, b], -1))
case("cat", "channels", normal((2, 3, 2, 2), (2, 1, 2, 2)), lambda o, a, b: o.cat((a, b), 1))
case("cat", "one twice", normal((2, 3)), lambda o, a: o.cat((a, a), 0))
case("cat", "with nothing", normal((0,), (2, 3, 1), (0,)), lambda o, *xs: o.cat(xs, 1))
case("tril", "booleans", booleans((3, 4)), lambda o, x: o.tril(x, 1))
case("triu", "booleans", booleans((3, 4)), lambda o, x: o.triu(x, -1))
case("cat", "alone", normal((2, 3)), lambda o, a: o.cat((a,), 0))
case("stack", "front", normal((2, 3), (2, 3)), lambda o, a, b: o.stack((a, b)))
case("stack", "back", normal((2,), (2,), (2,)), lambda o, a, b, c: o.stack((a, b, c), -1))
case("stack", "0-d", normal((), ()), lambda o, a, b: o.stack((a, b)))
case("split", "size", normal((5, 2)), lambda o, x: o.split(x, 2))
case("split", "sections", normal((2, 5)), lambda o, x: o.split(x, [1, 4], -1))
case("split", "empty", normal((0, 2)), lambda o, x: o.split(x, 2))
case("chunk", "uneven", normal((7,)), lambda o, x: o.chunk(x, 3))
case("chunk", "too many", normal((2, 2)), lambda o, x: o.chunk(x, 5, 1))
case("chunk", "empty", normal((0,)), lambda o, x: o.chunk(x, 3))
case("unbind", "rows", normal((3, 2)), lambda o, x: o.unbind(x))
case("unbind", "columns", normal((2, 3)), lambda o, x: o.unbind(x, -1))
case("narrow", "middle", normal((5, 2)), lambda o, x: o.narrow(x, 0, 1, 3))
case("narrow", "negative axis", normal((2, 5)), lambda o, x: o.narrow(x, -1, 2, 2))

INDICES = {
    "integer": 1,
    "negative": -1,
    "slice": slice(None, None, 2),
    "ellipsis": (..., 0),
    "new axis": (None, slice(1, 3), None, 2),
    "several": (slice(None), slice(1, 3), 1),
}
for _label, _index in INDICES.items():
    case("getitem", _label, normal((3, 4, 4)), lambda o, x, i=_index: o.getitem(x, i))
    case("index_put", _label, joined(normal((3, 4, 4)), normal((1,))),
         lambda o, x, v, i=_index: o.index_put(x, i, v))
case("getitem", "one element", normal((3, 4)), lambda o, x: o.getitem(x, (1, 2)))
case("getitem", "gather rows", joined(normal((4, 2)), exactly([0, 3, 0])),
     lambda o, x, i: o.getitem(x, i))
case("getitem", "mask", joined(normal((2, 3)), exactly([[True, False, True], [False] * 3])),
     lambda o, x, i: o.getitem(x, i))
case("getitem", "rows and columns", normal((4, 3)),
     lambda o, x: o.getitem(x, ([0, 1, 3, 1], [2, 0, 1, 0])))
case("index_put", "rows", joined(normal((4, 2)), exactly([0, 3]), normal((2, 2))),
     lambda o, x, i, v: o.index_put(x, i, v))
case("index_put", "mask", joined(normal((2, 3)), exactly([[True, False, True], [False] * 3]),
     normal(())), lambda o, x, i, v: o.index_put(x, i, v))
case("add_at", "rows twice", joined(normal((3, 2)), exactly([0, 3, 0])),
     lambda o, g, i: o.add_at(g, i, (4, 2)))
case("add_at", "slice", normal((2, 2)), lambda o, g: o.add_at(g, slice(1, 3), (4, 2)))
case("gather", "columns", joined(normal((2, 3)), exactly([[0, 2, 2, 1], [1, 1, 0, 2]])),
     lambda o, x, i: o.gather(x, 1, i))
case("gather", "fewer columns", joined(normal((3, 4)), exactly([[0, 2], [1, 1]])),
     lambda o, x, i: o.gather(x, 0, i))
case("gather", "empty", joined(normal((2, 3)), exactly(np.zeros((2, 0), np.int64))),
     lambda o, x, i: o.gather(x, -1, i))
case("scatter", "columns", joined(normal((2, 4), (2, 3)), exactly([[0, 3, 2], [1, 3, 0]])),
     lambda o, x, s, i: o.scatter(x, 1, i, s))
case("scatter", "fewer rows", joined(normal((3, 3), (2, 4)), exactly([[0, 2], [1, 0]])),
     lambda o, x, s, i: o.scatter(x, -1, i, s), twin=False)  # PyTorch: no gradient of s
case("scatter", "number", joined(normal((2, 3)), exactly([[0], [2]])),
     lambda o, x, i: o.scatter(x, 1, i, 1.5))
case("scatter_add", "columns", joined(normal((2, 4), (2, 3)), exactly([[0, 2, 2], [1, 1, 0]])),
     lambda o, x, s, i: o.scatter_add(x, 1, i, s))
case("scatter_add", "rows", joined(normal((2, 3), (2, 2)), exactly([[0, 1], [1, 1]])),
     lambda o, x, s, i: o.scatter_add(x, 0, i, s))
case("index_select", "rows", joined(normal((3, 2)), exactly([2, 0, 2])),
     lambda o, x, i: o.index_select(x, 0, i))
case("index_select", "last axis", joined(normal((2, 2, 3)), exactly([1])),
     lambda o, x, i: o.index_select(x, -1, i))
case("masked_select", "same", joined(normal((2, 3)), booleans((2, 3))),
     lambda o, x, m: o.masked_select(x, m))
case("masked_select", "broadcast", joined(normal((2, 1)), exactly([True, False, True])),
     lambda o, x, m: o.masked_select(x, m))
for _name in ("tril", "triu"):
    case(_name, "square", normal((3, 3)), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "batch", normal((2, 2, 4)), lambda o, x, n=_name: getattr(o, n)(x, 1))
    case(_name, "below", normal((4, 3)), lambda o, x, n=_name: getattr(o, n)(x, -2))
case("nonzero", "matrix", exactly([[0.0, 2.0], [-1.0, 0.0]]), lambda o, x: o.nonzero(x))
case("nonzero", "booleans", booleans((5,)), lambda o, x: o.nonzero(x))
case("one_hot", "classes", exactly([2, 0, 1]), lambda o, t: o.one_hot(t, 4))
case("one_hot", "to the largest", exactly([[2, 0], [1, 1]]), lambda o, t: o.one_hot(t))
case("broadcast_to", "columns", normal((2, 1)), lambda o, x: o.broadcast_to(x, (3, 2, 2)))
case("tile", "both axes", normal((2, 3)), lambda o, x: o.tile(x, (2, 2)))
case("tile", "new axis", normal((2, 1)), lambda o, x: o.tile(x, (2, 1, 3)))
case("tile", "last axis", normal((2, 2)), lambda o, x: o.tile(x, (3,)))
