"""The exponential of a matrix."""

from __future__ import annotations

from ..case import case, normal

for _x in ((3, 3), (2, 2, 2), (1, 1), (0, 2, 2), (2, 0, 0)):
    case("matrix_exp", f"{_x}", normal(_x), lambda o, x: o.matrix_exp(x), tolerance=8)
case("matrix_exp", "far from 0", normal((3, 3)), lambda o, x: o.matrix_exp(x * 4.0 - x.mT * 4.0),
     tolerance=40)  # fmt: skip
