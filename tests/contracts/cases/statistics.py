"""Products, running reductions, reductions without NaN, pairs, differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import (
    booleans,
    case,
    distinct,
    exactly,
    fixed,
    integers,
    joined,
    normal,
    positive,
    twins,
)

twins["product"] = lambda torch: lambda x, dim, keepdim: torch.prod(x, dim, keepdim)
twins["running_product"] = lambda torch: torch.cumprod

# fmt: off


def with_zeros(number: int) -> Any:
    """A matrix with that many zeros in its second row."""
    def build(rng: np.random.Generator) -> tuple[Any, ...]:
        x = rng.uniform(0.5, 2, (3, 4))
        x[1, 1 : 1 + number] = 0
        return (x,)

    return build


for _name in ("prod", "cumprod"):
    case(_name, "columns", positive((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, 1))
    case(_name, "rows", positive((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, dim=-2))
    case(_name, "0-d", normal(()), lambda o, x, n=_name: getattr(o, n)(x, 0))
    case(_name, "integers", integers((2, 3)), lambda o, x, n=_name: getattr(o, n)(x, 0))
    case(_name, "booleans", booleans((2, 3)), lambda o, x, n=_name: getattr(o, n)(x, 1))
    for _zeros in (1, 2):
        case(_name, f"{_zeros} zeros", with_zeros(_zeros),
             lambda o, x, n=_name: getattr(o, n)(x, 1))
case("prod", "all", positive((3, 4)), lambda o, x: o.prod(x))
case("prod", "kept", positive((3, 4)), lambda o, x: o.prod(x, 1, True))
case("prod", "nothing", normal((0, 3)), lambda o, x: o.prod(x, 0))
case("product", "columns", positive((3, 4)), lambda o, x: o.product(x, 1, False))
case("running_product", "columns", positive((3, 4)), lambda o, x: o.running_product(x, 1))
case("logcumsumexp", "columns", normal((3, 4)), lambda o, x: o.logcumsumexp(x, 1))
case("logcumsumexp", "rows", normal((3, 4)), lambda o, x: o.logcumsumexp(x, dim=-2))
case("logcumsumexp", "large", lambda rng: (rng.normal(1000, 1, (2, 3)),),
     lambda o, x: o.logcumsumexp(x, 1), half=False, twice=False)
case("logcumsumexp", "0-d", normal(()), lambda o, x: o.logcumsumexp(x, 0))
NANS = fixed(exactly([[2.0, np.nan, 1.0], [1.0, 4.0, 3.0], [np.nan] * 3]))
for _label, _kw in {"all": {}, "one": {"dim": 1}, "two": {"dim": (0, 1), "keepdim": True}}.items():
    for _name in ("nansum", "nanmean"):
        case(_name, _label, normal((3, 4)), lambda o, x, n=_name, kw=_kw: getattr(o, n)(x, **kw))
        case(_name, f"{_label}, NaN", NANS, lambda o, x, n=_name, kw=_kw: getattr(o, n)(x, **kw))
for _name in ("var_mean", "std_mean"):
    case(_name, "all", normal((3, 4)), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "biased", normal((3, 4)),
         lambda o, x, n=_name: getattr(o, n)(x, 1, unbiased=False, keepdim=True))
    case(_name, "corrected", normal((3, 4)),
         lambda o, x, n=_name: getattr(o, n)(x, dim=(0, 1), correction=2))
case("aminmax", "all", distinct((3, 4)), lambda o, x: o.aminmax(x))
case("aminmax", "kept", distinct((3, 4)), lambda o, x: o.aminmax(x, dim=1, keepdim=True))
case("count_nonzero", "all", exactly([[0.0, 1.0], [2.0, 0.0]]), lambda o, x: o.count_nonzero(x))
case("count_nonzero", "axis", booleans((3, 4)), lambda o, x: o.count_nonzero(x, 1))
case("count_nonzero", "axes", booleans((3, 4)), lambda o, x: o.count_nonzero(x, dim=(0, 1)))
for _label, (_shape, _kw) in {
    "last": ((3, 4), {}), "rows": ((3, 4), {"dim": 0}), "twice": ((5,), {"n": 2}),
    "too short": ((1,), {}), "too often": ((3,), {"n": 4}),
}.items():
    case("diff", _label, normal(_shape), lambda o, x, kw=_kw: o.diff(x, **kw))
case("diff", "with ends", normal((3,), (1,), (2,)),
     lambda o, x, a, b: o.diff(x, prepend=a, append=b))
case("diff", "booleans", booleans((6,)), lambda o, x: o.diff(x))
for _name in ("trapezoid", "cumulative_trapezoid"):
    case(_name, "dx", normal((3, 4)), lambda o, y, n=_name: getattr(o, n)(y, dx=0.5, dim=0))
    case(_name, "x", normal((3, 4), (4,)), lambda o, y, x, n=_name: getattr(o, n)(y, x))
    case(_name, "x of each", normal((3, 4), (3, 4)),
         lambda o, y, x, n=_name: getattr(o, n)(y, x, dim=1))
for _label, _shape in {"matrix": (3, 5), "vector": (5,)}.items():
    case("cov", _label, normal(_shape), lambda o, x: o.cov(x))
    case("corrcoef", _label, normal(_shape), lambda o, x: o.corrcoef(x),
         twice=False, tolerance=4)
case("cov", "biased", normal((3, 5)), lambda o, x: o.cov(x, correction=0))
case("cov", "weights", joined(normal((3, 5)), exactly([1, 2, 1, 3, 1]), fixed(positive((5,)))),
     lambda o, x, f, a: o.cov(x, fweights=f, aweights=a), tolerance=4)
case("cov", "frequencies", joined(normal((3, 5)), exactly([1, 2, 1, 3, 1])),
     lambda o, x, f: o.cov(x, fweights=f))
case("cov", "of whole numbers", joined(exactly([[0, 1, 2], [2, 1, 0]]), fixed(positive((3,)))),
     lambda o, x, a: o.cov(x, aweights=a))
