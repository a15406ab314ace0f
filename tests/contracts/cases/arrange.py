"""Rolling, rotating, stacking in several ways, diagonals, grids, repetition."""

from __future__ import annotations

import numpy as np

from ..case import case, exactly, fixed, integers, joined, normal, twins

twins["unfold_view"] = lambda torch: lambda x, *a: x.unfold(*a)
twins["diagonal_backward"] = lambda torch: (
    lambda g, shape, offset, a, b: torch.diagonal_scatter(
        torch.zeros(shape, dtype=g.dtype), g, offset, a, b
    )
)

# fmt: off

case("roll", "one axis", normal((3, 4)), lambda o, x: o.roll(x, 1, 0))
case("roll", "two axes", normal((3, 4)), lambda o, x: o.roll(x, (1, -2), (0, -1)))
case("roll", "flat", normal((3, 4)), lambda o, x: o.roll(x, 5))
case("roll", "far", normal((3,)), lambda o, x: o.roll(x, shifts=-7, dims=0))
case("roll", "empty", normal((0, 3)), lambda o, x: o.roll(x, 1))
for _k in (-1, 0, 1, 2, 3, 5):
    case("rot90", f"{_k} quarters", normal((2, 3, 4)), lambda o, x, k=_k: o.rot90(x, k, (0, 2)))
case("rot90", "default", normal((2, 3)), lambda o, x: o.rot90(x))
case("rot90", "back", normal((2, 3)), lambda o, x: o.rot90(x, 1, [1, 0]))
case("fliplr", "matrix", normal((2, 3)), lambda o, x: o.fliplr(x))
case("flipud", "matrix", normal((2, 3)), lambda o, x: o.flipud(x))
case("flipud", "vector", normal((3,)), lambda o, x: o.flipud(x))
case("movedim", "one", normal((2, 3, 4)), lambda o, x: o.movedim(x, 0, -1))
case("movedim", "two", normal((2, 3, 4, 1)), lambda o, x: o.movedim(x, (0, 3), (2, 0)))
case("unflatten", "two", normal((2, 6)), lambda o, x: o.unflatten(x, 1, (2, 3)))
case("unflatten", "unknown", normal((2, 6)), lambda o, x: o.unflatten(x, -1, (3, -1, 1)))
case("adjoint", "batch", normal((2, 3, 4)), lambda o, x: o.adjoint(x))
for _name in ("atleast_1d", "atleast_2d", "atleast_3d"):
    for _shape in ((), (3,), (2, 3), (2, 1, 3)):
        case(_name, f"{len(_shape)} axes", normal(_shape), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "several", normal((), (3,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
    case(_name, "a list", normal((), (3,)), lambda o, a, b, n=_name: getattr(o, n)([a, b]))
for _name in ("hstack", "vstack", "dstack", "column_stack"):
    case(_name, "matrices", normal((2, 3), (2, 3)),
         lambda o, a, b, n=_name: getattr(o, n)((a, b)))
    case(_name, "vectors", normal((3,), (3,)), lambda o, a, b, n=_name: getattr(o, n)([a, b]))
    case(_name, "0-d", normal((), ()), lambda o, a, b, n=_name: getattr(o, n)([a, b]))
case("vstack", "vector and matrix", normal((3,), (2, 3)), lambda o, a, b: o.vstack([a, b]))
case("column_stack", "vector and matrix", normal((2,), (2, 3)),
     lambda o, a, b: o.column_stack([a, b]))
case("tensor_split", "pieces", normal((7, 2)), lambda o, x: o.tensor_split(x, 3))
case("tensor_split", "places", normal((2, 7)), lambda o, x: o.tensor_split(x, (1, 4), dim=1))
case("tensor_split", "beyond", normal((3,)), lambda o, x: o.tensor_split(x, (2, 5, 1)))
case("tensor_split", "more than there are", normal((2,)), lambda o, x: o.tensor_split(x, 3))
case("hsplit", "matrix", normal((2, 4)), lambda o, x: o.hsplit(x, 2))
case("hsplit", "vector", normal((5,)), lambda o, x: o.hsplit(x, [1, 3]))
case("vsplit", "matrix", normal((4, 2)), lambda o, x: o.vsplit(x, 2))
case("dsplit", "places", normal((1, 2, 4)), lambda o, x: o.dsplit(x, [1]))
case("broadcast_tensors", "three", normal((3, 1), (4,), ()),
     lambda o, a, b, c: o.broadcast_tensors(a, b, c))
case("block_diag", "blocks", normal((2, 3), (1, 1), (2,), ()),
     lambda o, a, b, c, d: o.block_diag(a, b, c, d))
for _label, (_shape, _args) in {
    "main": ((3, 4), ()), "above": ((3, 4), (1,)), "below": ((4, 3), (-2,)),
    "batch": ((2, 3, 3), (0, 1, 2)), "far axes": ((3, 2, 4), (1, 0, -1)),
    "beyond": ((2, 3), (4,)),
}.items():
    case("diagonal", _label, normal(_shape), lambda o, x, a=_args: o.diagonal(x, *a))
case("diagonal_backward", "batch", normal((2, 3)),
     lambda o, g: o.diagonal_backward(g, (3, 2, 4), 1, 0, -1))
case("diag", "vector", normal((3,)), lambda o, x: o.diag(x))
case("diag", "vector above", normal((3,)), lambda o, x: o.diag(x, 1))
case("diag", "matrix", normal((3, 4)), lambda o, x: o.diag(x, -1))
case("diag_embed", "batch", normal((2, 3)), lambda o, x: o.diag_embed(x))
case("diag_embed", "axes", normal((2, 3)), lambda o, x: o.diag_embed(x, -1, 0, 2))
case("diagflat", "matrix", normal((2, 2)), lambda o, x: o.diagflat(x, 1))
case("diagflat", "0-d", normal(()), lambda o, x: o.diagflat(x))
for _indexing in ("ij", "xy"):
    case("meshgrid", _indexing, normal((3,), (2,), (4,)),
         lambda o, a, b, c, i=_indexing: o.meshgrid(a, b, c, indexing=i))
    case("meshgrid", f"{_indexing}, 0-d", normal((3,), ()),
         lambda o, a, b, i=_indexing: o.meshgrid([a, b], indexing=i))
case("meshgrid", "one", normal((3,)), lambda o, a: o.meshgrid(a, indexing="ij"))
case("cartesian_prod", "three", normal((2,), (3,), (1,)),
     lambda o, a, b, c: o.cartesian_prod(a, b, c))
case("cartesian_prod", "one", normal((2,)), lambda o, a: o.cartesian_prod(a))
case("combinations", "pairs", normal((4,)), lambda o, x: o.combinations(x))
case("combinations", "repeated", normal((3,)), lambda o, x: o.combinations(x, 3, True))
case("combinations", "too many", normal((2,)), lambda o, x: o.combinations(x, r=3))
for _kw in ({}, {"N": 3, "increasing": True}):  # PyTorch's gradient of it raises
    case("vander", f"gradient {_kw}", normal((4,)), lambda o, x, kw=_kw: o.vander(x, **kw),
         twin=False)
    case("vander", f"value {_kw}", fixed(normal((4,))), lambda o, x, kw=_kw: o.vander(x, **kw))
case("repeat_interleave", "number", normal((2, 3)), lambda o, x: o.repeat_interleave(x, 2, 1))
case("repeat_interleave", "flat", normal((2, 3)), lambda o, x: o.repeat_interleave(x, 2))
case("repeat_interleave", "each", joined(normal((3, 2)), exactly([2, 0, 1])),
     lambda o, x, r: o.repeat_interleave(x, r, dim=0))
case("repeat_interleave", "one number", joined(normal((3, 2)), exactly([2])),
     lambda o, x, r: o.repeat_interleave(x, r, dim=-1))
case("repeat_interleave", "of places", exactly([2, 0, 3]), lambda o, r: o.repeat_interleave(r))
case("repeat_interleave", "integers", integers((3,)), lambda o, x: o.repeat_interleave(x, 3))
case("unfold_view", "windows", normal((2, 7)), lambda o, x: o.unfold_view(x, 1, 3, 2))
case("unfold_view", "rows", normal((5, 2, 2)), lambda o, x: o.unfold_view(x, 0, 2, 1))
case("unfold_view", "0-d", normal(()), lambda o, x: o.unfold_view(x, 0, 1, 1))
case("constant", "numbers", normal((3,)), lambda o, x: o.constant(x, np.array([1, 2])))
twins["constant"] = lambda torch: lambda x, values: torch.tensor(values)
