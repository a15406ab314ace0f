"""Dropout."""

from __future__ import annotations

import chainrule as cr

from ..case import case, normal

# fmt: off

for _p in (0.0, 0.4, 1.0):
    case("dropout", f"p {_p}", normal((3, 4)),
         lambda o, x, p=_p: o.dropout(x, p, True, cr.Generator(3)), twin=False)
case("dropout", "evaluation", normal((3, 4)), lambda o, x: o.dropout(x, 0.5, False))

for _p in (0.0, 0.4, 1.0):
    for _label, _shape in {"images": (3, 4, 2, 2), "rows": (5, 4), "no images": (0, 2, 3)}.items():
        for _name in ("alpha_dropout", "feature_dropout", "feature_alpha_dropout"):
            case(_name, f"p {_p}, {_label}", normal(_shape),
                 lambda o, x, n=_name, p=_p: getattr(o, n)(x, p, True, cr.Generator(3)),
                 twin=False)
        for _mode in ("row", "batch"):
            case("stochastic_depth", f"p {_p}, {_label}, {_mode}", normal(_shape),
                 lambda o, x, p=_p, m=_mode: o.stochastic_depth(x, p, m, True, cr.Generator(3)),
                 twin=False)
for _name in ("alpha_dropout", "feature_dropout", "feature_alpha_dropout"):
    case(_name, "evaluation", normal((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, 0.5, False))
    case(_name, "p 1 beside PyTorch", normal((3, 4)),
         lambda o, x, n=_name: getattr(o, n)(x, 1.0, True))
case("stochastic_depth", "evaluation", normal((3, 4)),
     lambda o, x: o.stochastic_depth(x, 0.5, "row", False), twin=False)
