"""Penalties on the size of weights."""

from __future__ import annotations

from ..case import case, distinct, normal, twins

# fmt: off

twins["elastic_net"] = lambda torch: (
    lambda x, alpha=1.0, beta=1.0: alpha * x.abs().sum() + beta * (x * x).sum()
)

for _label, _shape in (
    ("matrix", (3, 4)), ("filters", (2, 3, 3, 3)), ("number", ()), ("empty", (0, 2)), ("one", (1,)),
):
    case("elastic_net", _label, normal(_shape), lambda o, x: o.elastic_net(x, 0.3, 0.7))
case("elastic_net", "defaults", distinct((3, 4)), lambda o, x: o.elastic_net(x))
case("elastic_net", "L1", normal((3, 4)), lambda o, x: o.elastic_net(x, 0.3, 0.0))
case("elastic_net", "L2", normal((3, 4)), lambda o, x: o.elastic_net(x, 0.0, 0.7))
case("elastic_net", "neither", normal((3, 4)), lambda o, x: o.elastic_net(x, 0.0, 0.0))
case("elastic_net", "of two", normal((3, 4), (2,)),
     lambda o, x, y: o.elastic_net(x, alpha=0.5) + o.elastic_net(y, beta=0.25))
