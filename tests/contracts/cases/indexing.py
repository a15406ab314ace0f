"""Reading and writing by number and by mask, along one axis or the flattened array."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import booleans, case, distinct, exactly, integers, joined, normal, positive, twins


def torch_overwrite(torch: Any) -> Any:
    def overwrite(x: Any, part: Any, at: Any, source: Any) -> Any:
        flat, values = x.reshape(-1).clone(), part.reshape(-1)
        flat[torch.as_tensor(at)] = values if source is None else values[torch.as_tensor(source)]
        return flat.reshape(x.shape)

    return overwrite


def torch_multiply_at(torch: Any) -> Any:
    def multiply_at(x: Any, src: Any, at: Any) -> Any:
        (index,) = at
        return x.scatter_reduce(0, torch.as_tensor(index), src, "prod")

    return multiply_at


def method(name: str) -> Any:
    """PyTorch's method of that name as a function."""
    return lambda torch: lambda x, *args, **kw: getattr(x, name)(*args, **kw)


twins["overwrite"] = torch_overwrite
twins["multiply_at"] = torch_multiply_at
twins["fill"] = lambda torch: lambda x, v: torch.zeros_like(x).copy_(v) + 0 * x
for _name in ("put", "index_reduce"):
    twins[_name] = method(_name)

# fmt: off

case("fill", "number", normal((2, 3), ()), lambda o, x, v: o.fill(x, v))
case("fill", "row", normal((2, 3), (3,)), lambda o, x, v: o.fill(x, v))
case("fill", "empty", normal((0, 3), (3,)), lambda o, x, v: o.fill(x, v))
case("take", "matrix", joined(normal((3, 4)), exactly([[0, 11], [-1, 5]])),
     lambda o, x, i: o.take(x, i))
case("take", "twice", joined(normal((3,)), exactly([1, 1, 0])), lambda o, x, i: o.take(x, i))
case("take", "0-d", joined(normal(()), exactly([0, 0])), lambda o, x, i: o.take(x, i))
case("overwrite", "all of a part", normal((3, 4), (2,)),
     lambda o, x, p: o.overwrite(x, p, np.array([3, 7]), None))
case("overwrite", "some of a part", normal((3, 4), (2, 3)),
     lambda o, x, p: o.overwrite(x, p, np.array([3, 7, 0]), np.array([5, 0, 2])))
case("put", "numbers", joined(normal((3, 4), (2,)), exactly([3, 7])),
     lambda o, x, s, i: o.put(x, i, s))
case("put", "accumulate", joined(normal((3, 4), (3,)), exactly([3, 7, 3])),
     lambda o, x, s, i: o.put(x, i, s, accumulate=True))
case("select", "middle", normal((2, 3, 4)), lambda o, x: o.select(x, 1, 2))
case("select", "negative", normal((2, 3, 4)), lambda o, x: o.select(x, -1, -2))
case("take_along_dim", "same", joined(normal((3, 4)), exactly([[0, 2], [1, 1], [3, 3]])),
     lambda o, x, i: o.take_along_dim(x, i, 1))
case("take_along_dim", "broadcast", joined(normal((3, 4)), exactly([[0, 2, 2]])),
     lambda o, x, i: o.take_along_dim(x, i, dim=1))
case("take_along_dim", "broadcast x", joined(normal((1, 4)), exactly([[0, 2], [3, 3]])),
     lambda o, x, i: o.take_along_dim(x, i, -1))
case("take_along_dim", "flat", joined(normal((3, 4)), exactly([[0, 11], [4, 4]])),
     lambda o, x, i: o.take_along_dim(x, i))
case("index_add", "rows", joined(normal((3, 2), (3, 2)), exactly([0, 2, 0])),
     lambda o, x, s, i: o.index_add(x, 0, i, s))
case("index_add", "columns, alpha", joined(normal((2, 3), (2, 2)), exactly([2, 1])),
     lambda o, x, s, i: o.index_add(x, -1, i, s, alpha=-2.5))
case("index_add", "none", joined(normal((2, 3), (2, 0)), exactly(np.zeros(0, np.int64))),
     lambda o, x, s, i: o.index_add(x, 1, i, s))
case("index_copy", "rows", joined(normal((3, 2), (2, 2)), exactly([2, 0])),
     lambda o, x, s, i: o.index_copy(x, 0, i, s))
case("index_copy", "columns", joined(normal((2, 4), (2, 2)), exactly([1, 3])),
     lambda o, x, s, i: o.index_copy(x, 1, i, s))
case("index_fill", "columns", joined(normal((2, 4)), exactly([1, 3])),
     lambda o, x, i: o.index_fill(x, 1, i, -2.0))
case("index_fill", "rows", joined(normal((3, 2), ()), exactly([2, 2])),
     lambda o, x, v, i: o.index_fill(x, 0, i, v))
case("select_scatter", "row", normal((3, 4), (4,)), lambda o, x, s: o.select_scatter(x, s, 0, 1))
case("select_scatter", "column", normal((3, 4), (3,)),
     lambda o, x, s: o.select_scatter(x, s, -1, -2))
case("slice_scatter", "rows", normal((5, 2), (2, 2)),
     lambda o, x, s: o.slice_scatter(x, s, 0, 1, 5, 2))
case("slice_scatter", "all", normal((2, 3), (2, 3)), lambda o, x, s: o.slice_scatter(x, s, 1))
case("diagonal_scatter", "main", normal((3, 4), (3,)), lambda o, x, s: o.diagonal_scatter(x, s))
case("diagonal_scatter", "batch", normal((3, 2, 4), (2, 3)),
     lambda o, x, s: o.diagonal_scatter(x, s, 1, 0, -1))
case("masked_fill", "same", joined(normal((2, 3)), booleans((2, 3))),
     lambda o, x, m: o.masked_fill(x, m, 1.5))
case("masked_fill", "broadcast", joined(normal((2, 3)), booleans((2, 1))),
     lambda o, x, m: o.masked_fill(x, m, -float("inf")), twice=False)
case("masked_fill", "0-d value", joined(normal((2, 3), ()), booleans((3,))),
     lambda o, x, v, m: o.masked_fill(x, m, v))
case("masked_fill", "integers", joined(integers((2, 3)), booleans((2, 3))),
     lambda o, x, m: o.masked_fill(x, m, 7))
case("masked_scatter", "same", joined(normal((2, 3), (7,)), booleans((2, 3))),
     lambda o, x, s, m: o.masked_scatter(x, m, s))
case("masked_scatter", "broadcast", joined(normal((2, 3), (2, 2)), exactly([True, False, True])),
     lambda o, x, s, m: o.masked_scatter(x, m, s))
case("argwhere", "matrix", exactly([[0.0, 2.0], [-1.0, 0.0]]), lambda o, x: o.argwhere(x))
case("argwhere", "0-d", exactly(3.0), lambda o, x: o.argwhere(x))
case("nonzero", "tuple", exactly([[0.0, 2.0], [-1.0, 0.0]]),
     lambda o, x: o.nonzero(x, as_tuple=True))
case("nonzero_indices", "matrix", exactly([[0.0, 2.0], [-1.0, 0.0]]),
     lambda o, x: o.nonzero_indices(x))
twins["nonzero_indices"] = lambda torch: torch.nonzero
case("scatter", "add", joined(normal((2, 4), (2, 3)), exactly([[0, 2, 2], [1, 1, 0]])),
     lambda o, x, s, i: o.scatter(x, 1, i, s, reduce="add"), twin=False)  # its gradient raises
case("scatter", "multiply", joined(normal((2, 4)), exactly([[0, 2], [1, 3]])),
     lambda o, x, i: o.scatter(x, 1, i, value=2.5, reduce="multiply"), twin=False)
case("scatter", "value", joined(normal((2, 4)), exactly([[0, 2], [1, 3]])),
     lambda o, x, i: o.scatter(x, 1, i, value=2.5))
for _reduce in ("sum", "prod", "mean", "amax", "amin"):
    for _self in (True, False):
        case("scatter_reduce", f"{_reduce}, {'with' if _self else 'without'} self",
             joined(distinct((3, 4), (3, 3)), exactly([[0, 2, 2], [1, 1, 1], [3, 0, 3]])),
             lambda o, x, s, i, r=_reduce, w=_self:
                 o.scatter_reduce(x, 1, i, s, r, include_self=w))
    case("scatter_reduce", f"{_reduce}, fewer rows", 
         joined(distinct((3, 4), (2, 2)), exactly([[0, 2], [1, 1]])),
         lambda o, x, s, i, r=_reduce: o.scatter_reduce(x, 0, i, s, reduce=r))
for _reduce in ("prod", "mean", "amax", "amin"):
    for _self in (True, False):
        case("index_reduce", f"{_reduce}, {'with' if _self else 'without'} self",
             joined(distinct((4, 2), (3, 2)), exactly([0, 2, 2])),
             lambda o, x, s, i, r=_reduce, w=_self: o.index_reduce(x, 0, i, s, r, include_self=w))
case("index_reduce", "sum", joined(normal((4, 2), (3, 2)), exactly([0, 2, 2])),
     lambda o, x, s, i: o.index_reduce(x, 0, i, s, "sum"), twin=False)
case("multiply_at", "twice", joined(positive((4,), (3,)), exactly([1, 1, 3])),
     lambda o, x, s, i: o.multiply_at(x, s, (np.asarray(i),)))
case("multiply_at", "one zero", exactly([2.0, 0.0, 3.0], [4.0, 5.0, 0.0], [1, 1, 2]),
     lambda o, x, s, i: o.multiply_at(x, s, (np.asarray(i),)), twice=False)
case("scatter_reduce", "integers", joined(integers((4,), (3,)), exactly([1, 1, 3])),
     lambda o, x, s, i: o.scatter_reduce(x, 0, i, s, "amax"))
