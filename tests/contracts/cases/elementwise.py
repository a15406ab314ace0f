"""Arithmetic, comparison, powers, selection; expanding and summing back."""

from __future__ import annotations

import numpy as np

from ..case import (
    Fixed,
    booleans,
    case,
    distinct,
    exactly,
    fixed,
    fractional,
    integers,
    joined,
    normal,
    positive,
    twins,
)

twins["cast"] = lambda torch: lambda x, dtype: x.to(getattr(torch, np.dtype(dtype).name))
twins["expand"] = lambda torch: lambda x, shape: x.expand(shape)
twins["sum_to"] = lambda torch: lambda x, shape: x.sum_to_size(shape)

# fmt: off

PAIRS = {  # two arguments that broadcast
    "same": ((2, 3), (2, 3)),
    "right row": ((2, 3), (3,)),
    "left column": ((2, 1), (2, 3)),
    "both sides": ((3, 1, 2), (4, 1)),
    "right 0-d": ((2, 3), ()),
    "left 0-d": ((), (2, 3)),
    "size one": ((1,), (1, 1)),
    "empty": ((0, 3), (1, 3)),
}
for _label, (_a, _b) in PAIRS.items():
    case("add", _label, normal(_a, _b), lambda o, a, b: o.add(a, b))
    case("sub", _label, normal(_a, _b), lambda o, a, b: o.sub(a, b))
    case("mul", _label, normal(_a, _b), lambda o, a, b: o.mul(a, b))
    case("div", _label, joined(normal(_a), positive(_b)), lambda o, a, b: o.div(a, b))
    case("maximum", _label, distinct(_a, _b), lambda o, a, b: o.maximum(a, b))
    case("minimum", _label, distinct(_a, _b), lambda o, a, b: o.minimum(a, b))
    case("pow", _label, joined(positive(_a), normal(_b)), lambda o, a, b: o.pow(a, b))
case("add", "alpha", normal((2, 3), (3,)), lambda o, a, b: o.add(a, b, alpha=-2))
case("sub", "alpha", normal((2, 3), (3,)), lambda o, a, b: o.sub(a, b, alpha=0.5))
case("add", "number", normal((2, 3)), lambda o, x: o.add(x, 2.5))
case("mul", "with itself", normal((2, 3)), lambda o, x: o.mul(x, x))
case("sub", "with itself", normal((2,)), lambda o, x: o.sub(x, x))
case("div", "number", normal((3,)), lambda o, x: o.div(x, 4))
case("maximum", "tie", exactly([1.0, 2.0], [1.0, 3.0]), lambda o, a, b: o.maximum(a, b),
     twice=False)
for _n in (0, 1, 2, 3, -1, 0.5, -2.5):
    case("pow", f"to {_n}", positive((2, 3)), lambda o, x, n=_n: o.pow(x, n))
case("pow", "negative base", normal((5,)), lambda o, x: o.pow(x, 3))
case("pow", "zero base", exactly([0.0, 2.0]), lambda o, x: o.pow(x, 2))
case(
    "pow", "exponents of zero base",
    lambda rng: (np.array([0.0, 0.0, 2.0]), Fixed(np.array([2.0, 3.0, 0.0]))),
    lambda o, a, b: o.pow(a, b), twice=False,
)
case("sign", "NaN", fixed(exactly([float("nan"), -0.0, 2.0])), lambda o, x: o.sign(x))
case("abs", "NaN", fixed(exactly([float("nan"), -0.0, 2.0])), lambda o, x: o.abs(x))
for _name in ("sign", "square"):
    case(_name, "booleans", booleans((3,)), lambda o, x, n=_name: getattr(o, n)(x))
for _name, _wrap in (("floor_divide", fixed), ("remainder", joined)):
    case(
        _name, "broadcast", joined(_wrap(fractional((4, 3))), fixed(integers((3,), low=1, high=4))),
        lambda o, a, b, n=_name: getattr(o, n)(a, b),
    )
    case(
        _name, "negative divisor",
        joined(_wrap(fractional((4,))), fixed(integers((4,), low=-3, high=0))),
        lambda o, a, b, n=_name: getattr(o, n)(a, b),
    )
    case(
        _name, "integers", joined(integers((9,)), integers((9,), low=1)),
        lambda o, a, b, n=_name: getattr(o, n)(a, b),
    )
case(
    "remainder", "both inputs",
    lambda rng: (np.array([5.3, -2.7, 7.1]), np.array([2.0, 2.2, -3.1])),
    lambda o, a, b: o.remainder(a, b),
)
case("clamp", "both", distinct((3, 4)), lambda o, x: o.clamp(x, -0.3, 0.3))
case("clamp", "min", distinct((3, 4)), lambda o, x: o.clamp(x, min=-0.1))
case("clamp", "max", distinct((3, 4)), lambda o, x: o.clamp(x, max=0.1))
case("clamp", "tensor bounds", distinct((2, 3), (3,), (2, 1)),
     lambda o, x, a, b: o.clamp(x, a, b))
case("clamp", "empty", normal((0,)), lambda o, x: o.clamp(x, -1.0, 1.0))
case("where", "same", joined(booleans((2, 3)), normal((2, 3), (2, 3))),
     lambda o, c, a, b: o.where(c, a, b))
case("where", "broadcast", joined(booleans((2, 1)), normal((3,), ())),
     lambda o, c, a, b: o.where(c, a, b))
case("where", "number", joined(booleans((4,)), normal((4,))), lambda o, c, a: o.where(c, a, 0.0))

case("lerp", "number", normal((2, 3), (3,)), lambda o, a, b: o.lerp(a, b, 0.3))
case("lerp", "tensor", normal((2, 3), (2, 3), (2, 3)), lambda o, a, b, w: o.lerp(a, b, w))
case("addcmul", "broadcast", normal((2, 3), (3,), (2, 1)),
     lambda o, x, a, b: o.addcmul(x, a, b, value=0.5))
case("addcdiv", "broadcast", joined(normal((2, 3), (3,)), positive((2, 1))),
     lambda o, x, a, b: o.addcdiv(x, a, b, value=-2))

UNARY = {
    "neg": normal, "abs": normal, "sign": normal, "exp": normal, "expm1": normal,
    "log": positive, "log1p": positive, "sqrt": positive, "rsqrt": positive,
    "reciprocal": positive, "square": normal, "sin": normal, "cos": normal, "clone": normal,
    "zeros_like": normal, "floor": fractional, "ceil": fractional, "round": fractional,
}
for _name, _values in UNARY.items():
    for _label, _shape in {"matrix": (3, 5), "0-d": (), "one": (1, 1), "empty": (2, 0)}.items():
        case(_name, _label, _values(_shape), lambda o, x, n=_name: getattr(o, n)(x))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    case(_name, "integers", integers((4, 5), (5,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
    case(_name, "floats", normal((4, 1), (5,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
for _name in ("logical_and", "logical_or", "logical_xor"):
    case(_name, "mixed", joined(integers((3, 4), low=0, high=2), normal((4,))),
         lambda o, a, b, n=_name: getattr(o, n)(a, b))
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    case(_name, "integers", integers((3, 4), (4,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
    case(_name, "booleans", booleans((3, 4), (4,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
case("bitwise_not", "integers", integers((3,)), lambda o, x: o.bitwise_not(x))
case("bitwise_not", "booleans", booleans((3,)), lambda o, x: o.bitwise_not(x))
case("logical_not", "integers", integers((6,)), lambda o, x: o.logical_not(x))
for _name in ("isnan", "isinf", "isfinite"):
    case(_name, "special values", exactly([0.0, np.nan, np.inf, -np.inf, 1e300]),
         lambda o, x, n=_name: getattr(o, n)(x))

case("isclose", "special values", exactly([1.0, np.nan, np.inf, 1], [1.000001, np.nan, np.inf, 2]),
     lambda o, a, b: o.isclose(a, b), half=False)
case("isclose", "tolerances", normal((4, 1), (5,)),
     lambda o, a, b: o.isclose(a, b, rtol=0.1, atol=0.5, equal_nan=True))

case("cast", "to double", normal((2, 3)), lambda o, x: o.cast(x, np.float64))
case("cast", "to single", fixed(normal((2, 3))), lambda o, x: o.cast(x, np.float32))
case("cast", "to integers", fixed(fractional((5,))), lambda o, x: o.cast(x, np.int64))
case("expand", "columns", normal((2, 1)), lambda o, x: o.expand(x, (2, 4)))
case("expand", "leading", normal((3,)), lambda o, x: o.expand(x, (2, 2, 3)))
case("expand", "keep", normal((2, 1, 3)), lambda o, x: o.expand(x, (4, -1, 2, -1)))
case("expand", "0-d", normal(()), lambda o, x: o.expand(x, (2, 2)))
case("expand", "to empty", normal((1, 3)), lambda o, x: o.expand(x, (0, 3)))
case("sum_to", "leading and inner", normal((2, 3, 4)), lambda o, x: o.sum_to(x, (3, 1)))
case("sum_to", "0-d", normal((2, 3)), lambda o, x: o.sum_to(x, ()))
case("sum_to", "same", normal((2, 3)), lambda o, x: o.sum_to(x, (2, 3)))
for _decimals in (1, -1):
    case("round", f"{_decimals} decimals", lambda rng: (rng.integers(-40, 40, (3, 4)) + 0.23,),
         lambda o, x, d=_decimals: o.round(x, decimals=d))
