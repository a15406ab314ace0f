"""Activations and softmax."""

from __future__ import annotations

from ..case import case, fixed, joined, normal, twins

twins["relu_backward"] = lambda torch: lambda g, y: torch.ops.aten.threshold_backward(g, y, 0)

# fmt: off

UNARY = {"relu": normal, "leaky_relu": normal, "sigmoid": normal, "tanh": normal}
for _name, _values in UNARY.items():
    for _label, _shape in {"matrix": (3, 5), "0-d": (), "one": (1, 1), "empty": (2, 0)}.items():
        case(_name, _label, _values(_shape), lambda o, x, n=_name: getattr(o, n)(x))
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
