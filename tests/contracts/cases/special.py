"""Functions of one or two numbers beyond the everyday ones."""

from __future__ import annotations

import numpy as np

from ..case import (
    booleans,
    case,
    exactly,
    fixed,
    fractional,
    integers,
    joined,
    normal,
    positive,
    twins,
)

# fmt: off


def inside(*shapes):  # strictly between -1 and 1
    return lambda rng: tuple(np.asarray(rng.uniform(-0.9, 0.9, s)) for s in shapes)


def shares(*shapes):  # strictly between 0 and 1
    return lambda rng: tuple(np.asarray(rng.uniform(0.1, 0.9, s)) for s in shapes)


def above_one(*shapes):
    return lambda rng: tuple(np.asarray(rng.uniform(1.1, 3, s)) for s in shapes)


UNARY = {
    "tan": inside, "asin": inside, "acos": inside, "atan": normal, "sinh": normal, "cosh": normal,
    "asinh": normal, "acosh": above_one, "atanh": inside, "deg2rad": normal, "rad2deg": normal,
    "sinc": normal, "exp2": normal, "log2": positive, "log10": positive, "logit": shares,
    "trunc": fractional, "frac": fractional, "angle": normal, "nan_to_num": normal,
    "positive": normal,
}
for _name, _values in UNARY.items():
    for _label, _shape in {"matrix": (3, 4), "0-d": (), "empty": (2, 0)}.items():
        case(_name, _label, _values(_shape), lambda o, x, n=_name: getattr(o, n)(x))
for _name in ("tan", "asinh", "atan", "sinh", "cosh", "exp2", "deg2rad", "sinc", "positive"):
    case(_name, "integers", integers((4,)), lambda o, x, n=_name: getattr(o, n)(x))
case("angle", "integers", integers((4,)), lambda o, x: o.angle(x))
case("sinc", "zero", exactly([0.0, 1.0, -0.5]), lambda o, x: o.sinc(x), twice=False)
case("logit", "eps", lambda rng: (rng.uniform(-0.2, 1.2, (3, 4)),), lambda o, x: o.logit(x, 0.1))
case("logit", "edges", fixed(exactly([0.0, 1.0, -0.5])), lambda o, x: o.logit(x))

BINARY = {
    "atan2": normal, "hypot": normal, "logaddexp": normal, "logaddexp2": normal,
    "xlogy": positive, "copysign": normal, "fmax": normal, "fmin": normal,
}
for _name, _values in BINARY.items():
    case(_name, "matrix", _values((3, 4), (3, 4)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
    case(_name, "broadcast", _values((3, 1), (4,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
    case(_name, "0-d", _values((), ()), lambda o, a, b, n=_name: getattr(o, n)(a, b))
case("logaddexp", "infinite", fixed(exactly([np.inf, -np.inf, 1.0], [np.inf, -np.inf, -np.inf])),
     lambda o, a, b: o.logaddexp(a, b))
case("xlogy", "zero", exactly([0.0, 0.0, 2.0], [3.0, 0.5, 0.1]), lambda o, a, b: o.xlogy(a, b))
case("xlogy", "nothing", fixed(exactly([0.0, 0.0, 0.0], [0.0, -1.0, np.nan])),
     lambda o, a, b: o.xlogy(a, b))
case("copysign", "number", normal((4,)), lambda o, a: o.copysign(a, -1.0))
case("copysign", "integers", integers((4,), (4,)), lambda o, a, b: o.copysign(a, b))
case("fmax", "NaN", fixed(exactly([np.nan, 1.0, np.nan], [2.0, np.nan, np.nan])),
     lambda o, a, b: o.fmax(a, b))
case("fmin", "NaN", fixed(exactly([np.nan, 1.0, np.nan], [2.0, np.nan, np.nan])),
     lambda o, a, b: o.fmin(a, b))


def quotients(*shapes):  # whose quotients keep away from whole numbers
    def build(rng):
        b = rng.uniform(0.7, 1.3, shapes[1]) * np.where(rng.random(shapes[1]) < 0.5, -1, 1)
        return (rng.integers(-3, 4, shapes[0]) + 0.5) * b, b

    return build


case("fmod", "matrix", quotients((3, 4), (3, 4)), lambda o, a, b: o.fmod(a, b))
case("fmod", "number", fractional((3, 4)), lambda o, a: o.fmod(a, 1))
case("fmod", "integers", joined(integers((6,)), integers((6,), low=1)),
     lambda o, a, b: o.fmod(a, b))
case("float_power", "matrix", positive((3, 4), (3, 4)),
     lambda o, a, b: o.float_power(a, b) * a.sum())
case("float_power", "integers", integers((4,), low=1), lambda o, a: o.float_power(a, 2) > 3)
case("ldexp", "integers", joined(normal((3, 4)), integers((4,), low=0)),
     lambda o, a, b: o.ldexp(a, b), half=False)  # with 2^b in float32
case("frexp", "matrix", normal((3, 4)), lambda o, x: o.frexp(x))
case("frexp", "zero", fixed(exactly([0.0, 8.0])), lambda o, x: o.frexp(x))
case("frexp_mantissa", "matrix", normal((3, 4)), lambda o, x: o.frexp_mantissa(x))
case("frexp_exponent", "matrix", normal((3, 4)), lambda o, x: o.frexp_exponent(x))
twins["frexp_mantissa"] = lambda torch: lambda x: torch.frexp(x)[0]
twins["frexp_exponent"] = lambda torch: lambda x: torch.frexp(x)[1]
SPECIAL = exactly([0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan])
case("nan_to_num", "defaults", fixed(SPECIAL), lambda o, x: o.nan_to_num(x), half=False)
case("nan_to_num", "chosen", fixed(SPECIAL),
     lambda o, x: o.nan_to_num(x, 2.0, 3.0, neginf=-4.0))
case("heaviside", "values", fixed(exactly([-1.0, 0.0, 2.0], [5.0, 6.0, 7.0])),
     lambda o, x, v: o.heaviside(x, v))
case("heaviside", "integers", exactly([-1, 0, 2], [5, 6, 7]), lambda o, x, v: o.heaviside(x, v))
for _name in ("clamp_min", "clamp_max"):
    case(_name, "number", normal((3, 4)), lambda o, x, n=_name: getattr(o, n)(x, 0.05))
    case(_name, "tensor", normal((3, 4), (4,)), lambda o, x, m, n=_name: getattr(o, n)(x, m))
for _name in ("gcd", "lcm"):
    case(_name, "integers", integers((5,), (5,)), lambda o, a, b, n=_name: getattr(o, n)(a, b))
for _name in ("bitwise_left_shift", "bitwise_right_shift"):
    case(_name, "integers", joined(integers((5,)), integers((5,), low=0)),
         lambda o, a, b, n=_name: getattr(o, n)(a, b))
case("nextafter", "matrix", fixed(normal((3,), (3,))), lambda o, a, b: o.nextafter(a, b))
for _name in ("signbit", "isposinf", "isneginf", "isreal"):
    case(_name, "special", fixed(SPECIAL), lambda o, x, n=_name: getattr(o, n)(x))
    case(_name, "integers", integers((4,)), lambda o, x, n=_name: getattr(o, n)(x))
case("isreal", "booleans", booleans((3,)), lambda o, x: o.isreal(x))
