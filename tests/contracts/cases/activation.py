"""Activations and softmax."""

from __future__ import annotations

import numpy as np

import chainrule as cr

from ..case import case, distinct, exactly, fixed, joined, normal, twins

twins["relu_backward"] = lambda torch: lambda g, y: torch.ops.aten.threshold_backward(g, y, 0)

# PyTorch's own takes 1/6 from float32, for float64 too.
twins["hardsigmoid"] = lambda torch: lambda x: torch.nn.functional.relu6(x + 3) / 6

# fmt: off

def _bent(x):
    """Away from the kinks at ±3, ±1, ±0.5 and 6 of the functions made of lines."""
    kinks = np.array([-3, -1, -0.5, 0, 0.5, 1, 3, 6.0])
    distance = x[..., None] - kinks
    return np.where(np.abs(distance).min(-1) < 0.02, x + 0.06, x)


def lines(shape):
    return lambda rng: (np.asarray(_bent(3 * rng.standard_normal(shape))),)


CURVES = {name: normal for name in ("elu", "selu", "gelu", "silu", "softplus", "mish",
          "logsigmoid", "softsign", "tanhshrink", "erf", "erfc")}
LINES = {name: lines for name in ("hardtanh", "relu6", "hardsigmoid", "hardswish", "hardshrink",
         "softshrink", "celu")}
UNARY = CURVES | LINES | {"relu": normal, "leaky_relu": normal, "sigmoid": normal, "tanh": normal}
for _name, _values in UNARY.items():
    for _label, _shape in {"matrix": (3, 5), "0-d": (), "one": (1, 1), "empty": (2, 0)}.items():
        case(_name, _label, _values(_shape), lambda o, x, n=_name: getattr(o, n)(x))
for _label, _shape in {"matrix": (3, 5), "0-d": (), "one": (1, 1), "empty": (2, 0)}.items():
    case("erfinv", _label, lambda rng, s=_shape: (np.asarray(rng.uniform(-0.95, 0.95, s)),),
         lambda o, x: o.erfinv(x))
case("erfinv", "edges", fixed(exactly([-1.0, -1.5, float("nan"), 0.0, 1.0, 2.0])),
     lambda o, x: o.erfinv(x))
case("leaky_relu", "slope", normal((3, 5)), lambda o, x: o.leaky_relu(x, 0.2))
case("relu_backward", "matrix", joined(normal((3, 4)), fixed(normal((3, 4)))),
     lambda o, g, y: o.relu_backward(g, y))

for _name in ("softmax", "log_softmax"):
    for _label, (_shape, _dim) in {
        "rows": ((3, 4), 1), "negative": ((2, 3, 2), -2), "size one": ((2, 1), 1),
        "empty": ((0, 3), 1), "first": ((3, 2), 0),
    }.items():
        case(_name, _label, normal(_shape), lambda o, x, n=_name, d=_dim: getattr(o, n)(x, d))
    case(_name, "large", lambda rng: (rng.normal(1000, 2, (2, 3)),),
         lambda o, x, n=_name: getattr(o, n)(x, 1), half=False)

case("gelu", "by tanh", normal((3, 5)), lambda o, x: o.gelu(x, approximate="tanh"))
case("elu", "alpha", normal((3, 5)), lambda o, x: o.elu(x, 0.3))
case("celu", "alpha", normal((3, 5)), lambda o, x: o.celu(x, 0.25))
case("softplus", "settings", normal((3, 5)), lambda o, x: o.softplus(x, 2.0, 1.5))
case("hardtanh", "settings", lines((3, 5)), lambda o, x: o.hardtanh(x, -0.5, 3.0))
case("hardshrink", "settings", lines((3, 5)), lambda o, x: o.hardshrink(x, 1.0))
case("softshrink", "settings", lines((3, 5)), lambda o, x: o.softshrink(x, 1.0))
case("softshrink", "zero", lines((3, 5)), lambda o, x: o.softshrink(x, 0.0))
for _label, _shape in {"matrix": (3, 5), "0-d": (), "empty": (2, 0)}.items():
    case("threshold", _label, lines(_shape), lambda o, x: o.threshold(x, 0.5, 20.0))
case("threshold", "NaN", fixed(exactly([float("nan"), 0.5, 2.0])),
     lambda o, x: o.threshold(x, 0.5, 20.0))
for _name in ("gelu", "silu", "elu", "selu", "celu", "softplus", "mish", "hardswish", "logsigmoid",
              "softsign", "tanhshrink", "leaky_relu", "hardtanh", "erf", "erfc"):
    case(_name, "far out", exactly([[-1e4, -300.0, -90.0, -20.5], [20.5, 90.0, 300.0, 1e4]]),
         lambda o, x, n=_name: getattr(o, n)(x), twice=False, half=False)
case("gelu", "by tanh, far out", exactly([-1e4, -300.0, -20.5, 20.5, 1e4]),
     lambda o, x: o.gelu(x, approximate="tanh"), half=False)

for _label, (_x, _weight) in {
    "images": ((2, 3, 2, 2), (3,)), "one": ((2, 3, 2), (1,)), "0-d weight": ((2, 3), ()),
    "rows": ((2, 3), (3,)), "line": ((4,), (1,)), "0-d": ((), (1,)), "empty": ((0, 3, 2), (3,)),
}.items():
    case("prelu", _label, normal(_x, _weight), lambda o, x, w: o.prelu(x, w))
case("rrelu", "evaluation", normal((3, 4)), lambda o, x: o.rrelu(x, 0.2, 0.4))
case("rrelu", "training, one slope", normal((3, 4)), lambda o, x: o.rrelu(x, 0.25, 0.25, True))
case("rrelu", "training", normal((3, 4)),
     lambda o, x: o.rrelu(x, 0.2, 0.4, True, cr.Generator(3)), twin=False)

for _label, (_shape, _dim) in {
    "rows": ((3, 4), -1), "channels": ((2, 6, 2, 2), 1), "line": ((6,), 0), "empty": ((0, 2), 1),
}.items():
    case("glu", _label, normal(_shape), lambda o, x, d=_dim: o.glu(x, d))
twins["maxout"] = lambda torch: lambda x, k, dim=1: x.unflatten(dim, (-1, k)).max(dim + 1).values
for _label, (_shape, _pieces, _dim) in {
    "images": ((2, 6, 2, 2), 3, 1), "rows": ((3, 4), 2, 1), "first": ((4, 3), 4, 0),
    "one piece": ((2, 3), 1, 1), "empty": ((0, 4), 2, 1),
}.items():
    case("maxout", _label, distinct(_shape),
         lambda o, x, k=_pieces, d=_dim: o.maxout(x, k, d))

for _label, (_shape, _dim) in {"rows": ((3, 4), 1), "images": ((2, 3, 2), -2)}.items():
    case("softmin", _label, normal(_shape), lambda o, x, d=_dim: o.softmin(x, d))
    case("gumbel_softmax", _label, normal(_shape),
         lambda o, x, d=_dim: o.gumbel_softmax(x, 0.7, False, d, cr.Generator(3)), twin=False)
# Its gradient is not its slope, on purpose: see tests/ops/test_special_values.py.
case("gumbel_softmax", "hard", fixed(normal((3, 4))),
     lambda o, x: o.gumbel_softmax(x, 0.7, True, 1, cr.Generator(3)), twin=False)
case("straight_through_max", "rows", fixed(normal((3, 4))),
     lambda o, y: o.straight_through_max(y, 1), twin=False)
