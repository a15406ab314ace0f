"""Dropout."""

from __future__ import annotations

import chainrule as cr

from ..case import case, normal

# fmt: off

for _p in (0.0, 0.4, 1.0):
    case("dropout", f"p {_p}", normal((3, 4)),
         lambda o, x, p=_p: o.dropout(x, p, True, cr.Generator(3)), twin=False)
case("dropout", "evaluation", normal((3, 4)), lambda o, x: o.dropout(x, 0.5, False))
