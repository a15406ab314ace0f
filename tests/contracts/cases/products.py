"""einsum, tensordot, outer products, sums of products, distances."""

from __future__ import annotations

import numpy as np

from ..case import case, distinct, exactly, joined, normal, positive, twins

twins["multi_dot"] = lambda torch: torch.linalg.multi_dot
twins["matrix_power"] = lambda torch: torch.linalg.matrix_power

# fmt: off

EINSUM = {
    "ij,jk->ik": ((2, 3), (3, 4)), "ij,jk": ((2, 3), (3, 4)), "ij,kj->ik": ((2, 3), (4, 3)),
    "bij,bjk->bik": ((2, 2, 3), (2, 3, 2)), "...ij,...jk->...ik": ((2, 1, 2, 3), (4, 3, 2)),
    "i,i": ((4,), (4,)), "i,j->ij": ((2,), (3,)), "ij->ji": ((2, 3),), "ij": ((2, 3),),
    "ji": ((2, 3),), "ij->": ((2, 3),), "ij->i": ((2, 3),), "ii": ((3, 3),), "ii->i": ((3, 3),),
    "iji->j": ((3, 2, 3),), "iij,j->i": ((3, 3, 2), (2,)), "...->...": ((2, 3),),
    "...i->...": ((2, 3, 4),), "i...->...": ((2, 3, 4),), "ij,ij->ij": ((2, 3), (2, 3)),
    "ij,ij->": ((2, 3), (2, 3)), "ij,k->": ((2, 3), (4,)),
    "bi,bj,ijk->bk": ((2, 3), (2, 2), (3, 2, 4)),
    "ab,bc,cd,de->ae": ((2, 3), (3, 4), (4, 2), (2, 3)),
    "bhid,bhjd->bhij": ((2, 2, 3, 2), (2, 2, 4, 2)), "nchw,kc->nkhw": ((2, 3, 2, 2), (4, 3)),
    "b...i,b...j->b...ij": ((2, 3, 2), (2, 3, 4)), "ij,jk->ik ": ((2, 0), (0, 3)),
    "i,->i": ((3,), ()), ",": ((), ()), "a...,...a->...": ((2, 3), (3, 2)),
    "ij,jj->i": ((2, 3), (3, 3)), "Ab,bA->b": ((2, 3), (3, 2)), "ij,ij->ij ": ((2, 1), (2, 3)),
    "ij,jk -> ik": ((2, 1), (3, 4)), "...,...": ((2, 3), (3,)),
}
for _equation, _shapes in EINSUM.items():
    case("einsum", _equation, normal(*_shapes), lambda o, *t, e=_equation: o.einsum(e, *t),
         twice=len(_shapes) < 4)
case("einsum", "a list", normal((2, 3), (3, 2)), lambda o, a, b: o.einsum("ij,jk->ik", [a, b]))
case("einsum", "sublists", normal((2, 3), (3, 4)),
     lambda o, a, b: o.einsum(a, [0, 1], b, [1, 2], [2, 0]))
case("einsum", "sublists, no output", normal((2, 3), (3, 4)),
     lambda o, a, b: o.einsum(a, [7, 1], b, [1, 2]))
case("einsum", "sublists, ellipsis", normal((2, 2, 3), (3, 4)),
     lambda o, a, b: o.einsum(a, [..., 1], b, [1, 2], [..., 2]))
case("tensordot", "number", normal((2, 3, 4), (3, 4, 2)), lambda o, a, b: o.tensordot(a, b, 2))
case("tensordot", "none", normal((2,), (3,)), lambda o, a, b: o.tensordot(a, b, dims=0))
case("tensordot", "lists", normal((2, 3, 4), (4, 5, 2)),
     lambda o, a, b: o.tensordot(a, b, dims=([2, 0], [0, -1])))
case("outer", "vectors", normal((2,), (3,)), lambda o, a, b: o.outer(a, b))
case("inner", "vectors", normal((3,), (3,)), lambda o, a, b: o.inner(a, b))
case("inner", "matrices", normal((2, 3), (4, 3)), lambda o, a, b: o.inner(a, b))
case("inner", "number", normal((2, 3), ()), lambda o, a, b: o.inner(a, b))
case("vdot", "vectors", normal((3,), (3,)), lambda o, a, b: o.vdot(a, b))
case("kron", "matrices", normal((2, 3), (2, 2)), lambda o, a, b: o.kron(a, b))
case("kron", "matrix and vector", normal((2, 1, 2), (3,)), lambda o, a, b: o.kron(a, b))
case("cross", "rows", normal((2, 3), (2, 3)), lambda o, a, b: o.cross(a, b, 1))
case("cross", "found", normal((3, 2), (3, 2)), lambda o, a, b: o.cross(a, b, dim=0))
case("trace", "tall", normal((4, 3)), lambda o, x: o.trace(x))
case("addmm", "bias", normal((4,), (2, 3), (3, 4)),
     lambda o, x, a, b: o.addmm(x, a, b, beta=0.5, alpha=-2))
case("addmm", "plain", normal((2, 4), (2, 3), (3, 4)), lambda o, x, a, b: o.addmm(x, a, b))
case("addmm", "beta 0", normal((2, 4), (2, 3), (3, 4)),
     lambda o, x, a, b: o.addmm(x, a, b, beta=0))
case("addmv", "scaled", normal((2,), (2, 3), (3,)),
     lambda o, x, a, b: o.addmv(x, a, b, beta=0.5, alpha=3))
case("addr", "scaled", normal((2, 3), (2,), (3,)),
     lambda o, x, a, b: o.addr(x, a, b, beta=0.5, alpha=3))
case("baddbmm", "scaled", normal((2, 2, 4), (2, 2, 3), (2, 3, 4)),
     lambda o, x, a, b: o.baddbmm(x, a, b, beta=0.5, alpha=3))
case("addbmm", "scaled", normal((2, 4), (2, 2, 3), (2, 3, 4)),
     lambda o, x, a, b: o.addbmm(x, a, b, beta=0.5, alpha=3))
case("multi_dot", "four", normal((2, 3), (3, 4), (4, 1), (1, 2)),
     lambda o, *t: o.multi_dot(t), twice=False)
case("multi_dot", "vectors at the ends", normal((3,), (3, 4), (4,)), lambda o, *t: o.multi_dot(t))
case("chain_matmul", "three", normal((2, 3), (3, 4), (4, 2)), lambda o, *t: o.chain_matmul(*t))
for _n in (0, 1, 2, 5):
    case("matrix_power", f"{_n}", lambda rng: (rng.normal(0, 0.5, (2, 3, 3)),),
         lambda o, x, n=_n: o.matrix_power(x, n), tolerance=4)
case("matrix_power", "-2", lambda rng: (rng.normal(0, 0.3, (2, 3, 3)) + 2 * np.eye(3),),
     lambda o, x: o.matrix_power(x, -2), tolerance=20, half=False)
for _p in (0, 1, 1.5, 2, 3, float("inf")):
    case("dist", f"p {_p}", normal((2, 3), (2, 3)), lambda o, a, b, p=_p: o.dist(a, b, p),
         twin=_p != 0)  # PyTorch's gradient of it raises
    _values = normal if _p == float("inf") else distinct  # no ties, no small differences
    case("cdist", f"p {_p}", _values((2, 3, 2), (2, 4, 2)),
         lambda o, a, b, p=_p: o.cdist(a, b, p), half=False, tolerance=4)
case("cdist", "batches broadcast", normal((2, 1, 3, 2), (2, 4, 2)), lambda o, a, b: o.cdist(a, b))
case("cdist", "equal rows", exactly([[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]]),
     lambda o, a, b: o.cdist(a, b), twice=False)
case("dist", "broadcast", joined(positive((3,)), normal((2, 1))), lambda o, a, b: o.dist(a, b))
