"""Matrix products."""

from __future__ import annotations

from ..case import case, normal

# fmt: off

PRODUCTS = {
    "matrices": ((2, 3), (3, 4)),
    "vectors": ((3,), (3,)),
    "matrix vector": ((2, 3), (3,)),
    "vector matrix": ((3,), (3, 2)),
    "batch": ((2, 2, 3), (2, 3, 2)),
    "batch broadcast": ((3, 1, 2, 3), (2, 3, 1)),
    "batch vector": ((2, 2, 3), (3,)),
    "vector batch": ((3,), (2, 3, 2)),
    "no terms": ((2, 0), (0, 3)),
    "no rows": ((0, 2), (2, 3)),
}
for _label, (_a, _b) in PRODUCTS.items():
    case("matmul", _label, normal(_a, _b), lambda o, a, b: o.matmul(a, b))
case("linear", "rows", normal((3, 4), (2, 4), (2,)), lambda o, x, w, b: o.linear(x, w, b))
case("linear", "no bias", normal((3, 4), (2, 4)), lambda o, x, w: o.linear(x, w))
case("linear", "vector", normal((4,), (2, 4), (2,)), lambda o, x, w, b: o.linear(x, w, b))
case("linear", "batch", normal((2, 3, 4), (1, 4), (1,)), lambda o, x, w, b: o.linear(x, w, b))
case("linear", "empty", normal((0, 4), (2, 4), (2,)), lambda o, x, w, b: o.linear(x, w, b))

case("bilinear", "plain", normal((3, 2), (3, 4), (5, 2, 4), (5,)),
     lambda o, a, b, w, c: o.bilinear(a, b, w, c))
case("bilinear", "no bias, more axes", normal((2, 1, 3), (2, 1, 2), (2, 3, 2)),
     lambda o, a, b, w: o.bilinear(a, b, w))
case("bilinear", "vectors", normal((2,), (3,), (2, 2, 3), (2,)),
     lambda o, a, b, w, c: o.bilinear(a, b, w, c))
case("bilinear", "no rows", normal((0, 2), (0, 3), (4, 2, 3)),
     lambda o, a, b, w: o.bilinear(a, b, w))
case("bilinear", "itself", normal((3, 2), (2, 2, 2)), lambda o, a, w: o.bilinear(a, a, w))
