"""Normalisation."""

from __future__ import annotations

from ..case import case, fixed, joined, normal, positive, twins

twins["batch_norm_inference"] = lambda torch: (
    lambda x, w, b, mean, var, eps: torch.nn.functional.batch_norm(x, mean, var, w, b, eps=eps)
)

# fmt: off

case("batch_norm", "training",
     joined(normal((3, 2, 2, 2), (2,), (2,)), fixed(positive((2,), (2,)))),
     lambda o, x, w, b, m, v: o.batch_norm(x, m, v, w, b, True), tolerance=8)
case("batch_norm", "training, plain", normal((4, 3)),
     lambda o, x: o.batch_norm(x, None, None, training=True, eps=0.1), tolerance=8)
case("batch_norm", "training, weight alone", normal((2, 2, 3), (2,)),
     lambda o, x, w: o.batch_norm(x, None, None, w, None, True), tolerance=8)
case("batch_norm", "evaluation",
     joined(normal((2, 2, 2, 3), (2,), (2,)), fixed(positive((2,), (2,)))),
     lambda o, x, w, b, m, v: o.batch_norm(x, m, v, w, b, False))
case("batch_norm", "evaluation, plain", joined(normal((3, 2)), fixed(positive((2,), (2,)))),
     lambda o, x, m, v: o.batch_norm(x, m, v))
case("batch_norm", "no images", joined(normal((0, 2, 3), (2,), (2,)), fixed(positive((2,), (2,)))),
     lambda o, x, w, b, m, v: o.batch_norm(x, m, v, w, b, False))
for _x in ((2, 3, 2, 2), (4, 3)):
    case("batch_norm_inference", f"{_x}",
         joined(normal(_x, (3,), (3,)), fixed(positive((3,), (3,)))),
         lambda o, x, w, b, m, v: o.batch_norm_inference(x, w, b, m, v, 0.1))
    case("batch_norm_inference", f"{_x}, plain", joined(normal(_x), fixed(positive((3,), (3,)))),
         lambda o, x, m, v: o.batch_norm_inference(x, None, None, m, v, 0.1))
case("layer_norm", "rows", normal((3, 5), (5,), (5,)),
     lambda o, x, w, b: o.layer_norm(x, (5,), w, b), tolerance=8)
case("layer_norm", "last two of three axes", normal((2, 3, 4), (3, 4), (3, 4)),
     lambda o, x, w, b: o.layer_norm(x, (3, 4), w, b), tolerance=8)
case("layer_norm", "all axes, plain", normal((3, 2)),
     lambda o, x: o.layer_norm(x, (3, 2), eps=0.1), tolerance=8)
case("layer_norm", "weight alone", normal((4, 3), (3,)),
     lambda o, x, w: o.layer_norm(x, (3,), w), tolerance=8)
case("layer_norm", "no rows", normal((0, 3), (3,), (3,)),
     lambda o, x, w, b: o.layer_norm(x, (3,), w, b))
case("group_norm", "images", normal((2, 4, 2, 3), (4,), (4,)),
     lambda o, x, w, b: o.group_norm(x, 2, w, b), tolerance=8)
case("group_norm", "one channel each, weight alone", normal((2, 3, 4), (3,)),
     lambda o, x, w: o.group_norm(x, 3, w), tolerance=8)
case("group_norm", "one group, plain", normal((3, 4)),
     lambda o, x: o.group_norm(x, 1, eps=0.1), tolerance=8)
case("group_norm", "no images", normal((0, 4, 2), (4,), (4,)),
     lambda o, x, w, b: o.group_norm(x, 2, w, b))
