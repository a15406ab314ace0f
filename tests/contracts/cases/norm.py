"""Normalisation."""

from __future__ import annotations

from ..case import case, distinct, fixed, joined, normal, positive, twins

twins["batch_norm_inference"] = lambda torch: (
    lambda x, w, b, mean, var, eps: torch.nn.functional.batch_norm(x, mean, var, w, b, eps=eps)
)
twins["weight_norm"] = lambda torch: torch._weight_norm

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
for _x in ((2, 3, 4), (1, 2, 3, 1), (3, 2, 1, 2, 2)):
    case("instance_norm", f"{_x}", normal(_x, (_x[1],), (_x[1],)),
         lambda o, x, w, b: o.instance_norm(x, None, None, w, b), tolerance=8)
case("instance_norm", "plain", normal((2, 3, 4)),
     lambda o, x: o.instance_norm(x, eps=0.1), tolerance=8)
case("instance_norm", "training, weight alone, statistics, momentum",
     joined(normal((2, 2, 5), (2,)), fixed(positive((2,), (2,)))),
     lambda o, x, w, m, v: o.instance_norm(x, m, v, w, None, True, 0.3), tolerance=8)
case("instance_norm", "running statistics",
     joined(normal((2, 2, 5), (2,), (2,)), fixed(positive((2,), (2,)))),
     lambda o, x, w, b, m, v: o.instance_norm(x, m, v, w, b, use_input_stats=False))
case("instance_norm", "running statistics, without positions",
     joined(normal((3, 2)), fixed(positive((2,), (2,)))),
     lambda o, x, m, v: o.instance_norm(x, m, v, use_input_stats=False))
case("instance_norm", "no images", normal((0, 2, 3), (2,), (2,)),
     lambda o, x, w, b: o.instance_norm(x, None, None, w, b), twin=False)
case("batch_norm", "volumes", normal((2, 2, 3, 1, 2), (2,), (2,)),
     lambda o, x, w, b: o.batch_norm(x, None, None, w, b, True), tolerance=8)
case("rms_norm", "rows", normal((3, 5), (5,)), lambda o, x, w: o.rms_norm(x, (5,), w))
case("rms_norm", "last two of three axes, eps", normal((2, 3, 4), (3, 4)),
     lambda o, x, w: o.rms_norm(x, (3, 4), w, 0.1))
case("rms_norm", "all axes, plain", normal((3, 2)), lambda o, x: o.rms_norm(x, (3, 2)))
case("rms_norm", "rows of one", normal((4, 1), (1,)), lambda o, x, w: o.rms_norm(x, (1,), w, 0.5))
case("rms_norm", "no rows", normal((0, 3), (3,)), lambda o, x, w: o.rms_norm(x, (3,), w))
for _x in ((2, 5, 3), (1, 4, 2, 3), (2, 3, 2, 1, 2)):
    for _size in (1, 2, 3, 8):
        case("local_response_norm", f"{_x} size {_size}", normal(_x),
             lambda o, x, n=_size: o.local_response_norm(x, n, 0.9))
case("local_response_norm", "the paper's", normal((2, 7, 2, 2)),
     lambda o, x: o.local_response_norm(x, 5, 5e-4, 0.75, 2.0))
case("local_response_norm", "another power", normal((2, 4, 3)),
     lambda o, x: o.local_response_norm(x, 3, alpha=2.0, beta=1.5, k=0.5))
case("local_response_norm", "no images", normal((0, 4, 3)),
     lambda o, x: o.local_response_norm(x, 3))
for _before, _after in ((0, 0), (1, 1), (2, 1), (0, 3), (5, 5)):
    case("channel_window_sum", f"{_before} {_after}", normal((2, 4, 3)),
         lambda o, x, b=_before, a=_after: o.channel_window_sum(x, b, a), twin=False)
for _p in (2.0, 1.0, 3.0, 0.5, float("inf")):
    case("normalize", f"p {_p}", distinct((3, 4)),
         lambda o, x, p=_p: o.normalize(x, p), twice=_p != 0.5)
case("normalize", "dim", normal((2, 3, 2)), lambda o, x: o.normalize(x, dim=-1))
case("normalize", "two dims, eps", normal((2, 3, 2)),
     lambda o, x: o.normalize(x, dim=(0, 2), eps=0.5))
case("normalize", "a vector, shorter than eps", normal((3,)),
     lambda o, x: o.normalize(x, dim=0, eps=50.0))
case("normalize", "nothing", normal((2, 0)), lambda o, x: o.normalize(x, dim=0))
for _dim, _g in ((0, (3, 1, 1)), (1, (1, 2, 1)), (2, (1, 1, 4)), (-2, (1, 2, 1)), (-1, ())):
    case("weight_norm", f"dim {_dim}", normal((3, 2, 4), _g),
         lambda o, v, g, d=_dim: o.weight_norm(v, g, d))
    case("norm_except_dim", f"dim {_dim}", normal((3, 2, 4)),
         lambda o, v, d=_dim: o.norm_except_dim(v, 2, d))
case("weight_norm", "a matrix, dim left out", normal((3, 2), (3, 1)),
     lambda o, v, g: o.weight_norm(v, g))
case("weight_norm", "a vector", normal((4,), (4,)), lambda o, v, g: o.weight_norm(v, g, 0))
case("norm_except_dim", "a vector", normal((4,)), lambda o, v: o.norm_except_dim(v, 2, 0))
case("norm_except_dim", "another power", normal((3, 4)), lambda o, v: o.norm_except_dim(v, 1, 1))
