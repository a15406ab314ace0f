"""Sums, means, extrema and norms over axes."""

from __future__ import annotations

from ..case import booleans, case, distinct, exactly, integers, normal

# fmt: off

case("cumsum", "columns", normal((2, 3)), lambda o, x: o.cumsum(x, 1))
case("cumsum", "rows", normal((3, 2, 2)), lambda o, x: o.cumsum(x, dim=-3))
case("cumsum", "0-d", normal(()), lambda o, x: o.cumsum(x, 0))
case("cumsum", "booleans", booleans((5,)), lambda o, x: o.cumsum(x, 0))
REDUCED = {
    "all": ((2, 3, 4), {}),
    "one": ((2, 3, 4), {"dim": 1}),
    "negative": ((2, 3, 4), {"dim": -1, "keepdim": True}),
    "several": ((2, 3, 4), {"dim": (0, -1)}),
    "several kept": ((2, 3, 4), {"dim": (2, 0), "keepdim": True}),
    "0-d": ((), {}),
    "size one": ((1, 1), {"dim": 0}),
}
for _label, (_shape, _kw) in REDUCED.items():
    for _name in ("sum", "mean", "amax", "amin", "any", "all"):
        case(_name, _label, distinct(_shape),
             lambda o, x, n=_name, kw=_kw: getattr(o, n)(x, **kw))
    case("logsumexp", _label, normal(_shape),
         lambda o, x, kw=_kw: o.logsumexp(x, **({"dim": tuple(range(x.ndim))} | kw)))
    if _label not in ("0-d", "size one"):
        for _name in ("var", "std"):
            case(_name, _label, normal(_shape),
                 lambda o, x, n=_name, kw=_kw: getattr(o, n)(x, **kw))
for _name in ("sum", "any", "all"):
    case(_name, "empty all", normal((0, 3)), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "empty axis", normal((2, 0, 3)), lambda o, x, n=_name: getattr(o, n)(x, dim=1))
for _name in ("mean", "amax", "logsumexp"):
    case(_name, "of nothing", normal((0, 3)), lambda o, x, n=_name: getattr(o, n)(x, dim=1))
case("logsumexp", "empty axis", normal((2, 0)), lambda o, x: o.logsumexp(x, dim=1))
case("sum", "integers", integers((2, 3)), lambda o, x: o.sum(x, 0))
case("sum", "booleans", booleans((2, 3)), lambda o, x: o.sum(x))
case("mean", "empty all", normal((0, 3)), lambda o, x: o.mean(x), twice=False)  # NaN
case("var", "biased", normal((3, 4)), lambda o, x: o.var(x, 1, unbiased=False))
case("var", "correction", normal((3, 4)), lambda o, x: o.var(x, dim=(0, 1), correction=2))
case("std", "biased", normal((3, 4)), lambda o, x: o.std(x, 0, unbiased=False, keepdim=True))
case("amax", "ties", exactly([[1.0, 1.0, 0.0]]), lambda o, x: o.amax(x, 1), twice=False)
case("logsumexp", "large", lambda rng: (rng.normal(1000, 1, (2, 3)),),
     lambda o, x: o.logsumexp(x, 1), half=False)
for _p in (1, 2, 3, float("inf")):
    case("norm", f"p {_p}", distinct((3, 4)), lambda o, x, p=_p: o.norm(x, p))
    case("norm", f"p {_p}, rows", distinct((3, 4)),
         lambda o, x, p=_p: o.norm(x, p, dim=-1, keepdim=True))
case("norm", "empty", normal((0, 2)), lambda o, x: o.norm(x))
for _name in ("argmax", "argmin"):
    case(_name, "all", distinct((3, 4)), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "axis", distinct((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, 0))
    case(_name, "kept", distinct((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, -1, True))
    case(_name, "first of ties", exactly([2, 7, 7, 2]), lambda o, x, n=_name: getattr(o, n)(x))
for _p in (0, 0.5, 1.5, -1, float("-inf"), "fro", None):
    case("norm", f"p {_p}, columns", normal((3, 4)),
         lambda o, x, p=_p: o.norm(x, p, 0) if p is not None else o.norm(x, dim=0))

for _p in (2, 1, 3.0, float("inf")):
    for _dim in (0, -1):
        case("renorm", f"p {_p} dim {_dim}", normal((3, 2, 4)),
             lambda o, x, p=_p, d=_dim: o.renorm(x, p, d, 1.5))
case("renorm", "all smaller", normal((2, 3)), lambda o, x: o.renorm(x, p=2, dim=1, maxnorm=9.0))
