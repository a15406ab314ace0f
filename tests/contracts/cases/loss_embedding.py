"""Losses of pairs and triplets, and the distances they are made of."""

from __future__ import annotations

from ..case import case, distinct, exactly, fixed, joined, normal

# fmt: off

for _label, _shapes, _kw in (
    ("rows", ((3, 4), (3, 4)), {}),
    ("dim 0", ((3, 4), (3, 4)), {"dim": 0}),
    ("dim -1", ((2, 3, 4), (2, 3, 4)), {"dim": -1}),
    ("images, large eps", ((2, 3, 2, 2), (2, 3, 2, 2)), {"eps": 1e-3}),
    ("vectors", ((4,), (4,)), {"dim": 0}),
    ("spread", ((3, 4), (1, 4)), {}),
    ("all pairs", ((3, 1, 4), (1, 2, 4)), {"dim": -1}),
    ("fewer axes", ((4,), (3, 4)), {}),
    ("of length one", ((3, 1), (3, 1)), {}),
):
    case("cosine_similarity", _label, normal(*_shapes),
         lambda o, a, b, kw=_kw: o.cosine_similarity(a, b, **kw))
for _label, _shapes, _kw in (
    ("rows", ((3, 4), (3, 4)), {}),
    ("p 1", ((3, 4), (3, 4)), {"p": 1.0}),
    ("p 3", ((3, 4), (3, 4)), {"p": 3.0}),
    ("p 1.5, eps", ((3, 4), (3, 4)), {"p": 1.5, "eps": 1e-3}),
    ("p inf", ((3, 4), (3, 4)), {"p": float("inf")}),
    ("keepdim", ((3, 4), (3, 4)), {"keepdim": True}),
    ("vectors", ((4,), (4,)), {}),
    ("spread", ((3, 4), (4,)), {}),
    ("three axes", ((2, 3, 4), (2, 1, 4)), {}),
):
    case("pairwise_distance", _label, distinct(*_shapes),
         lambda o, a, b, kw=_kw: o.pairwise_distance(a, b, **kw))

SIGNS = [1, -1, -1, 1]
for _reduction in ("mean", "sum", "none"):
    case("cosine_embedding_loss", _reduction, joined(normal((4, 3), (4, 3)), exactly(SIGNS)),
         lambda o, a, b, y, r=_reduction: o.cosine_embedding_loss(a, b, y, reduction=r))
    case("hinge_embedding_loss", _reduction, joined(distinct((4,)), exactly(SIGNS)),
         lambda o, x, y, r=_reduction: o.hinge_embedding_loss(x, y, reduction=r))
    case("margin_ranking_loss", _reduction, joined(distinct((4,), (4,)), exactly(SIGNS)),
         lambda o, a, b, y, r=_reduction: o.margin_ranking_loss(a, b, y, reduction=r))
    for _name in ("triplet_margin_loss", "triplet_margin_with_distance_loss"):
        for _swap in (False, True):
            case(_name, f"{_reduction}, swap {_swap}", normal((4, 3), (4, 3), (4, 3)),
                 lambda o, a, p, n, f=_name, r=_reduction, s=_swap: (
                     getattr(o, f)(a, p, n, reduction=r, swap=s)))
case("cosine_embedding_loss", "margin", joined(normal((4, 3), (4, 3)), exactly(SIGNS)),
     lambda o, a, b, y: o.cosine_embedding_loss(a, b, y, margin=-0.4))
case("cosine_embedding_loss", "one pair", joined(normal((3,), (3,)), exactly(-1)),
     lambda o, a, b, y: o.cosine_embedding_loss(a, b, y, margin=-0.9))
case("cosine_embedding_loss", "one against many, other labels",
     joined(normal((3, 2), (1, 2)), fixed(exactly([1.0, 0.0, -1.0]))),
     lambda o, a, b, y: o.cosine_embedding_loss(a, b, y, reduction="none"))
case("hinge_embedding_loss", "margin, images, other labels",
     joined(distinct((2, 2, 3)), fixed(lambda rng: (rng.integers(-1, 2, (2, 2, 3)) + 0.0,))),
     lambda o, x, y: o.hinge_embedding_loss(x, y, margin=0.35))
case("hinge_embedding_loss", "spread", joined(distinct((3, 2)), exactly([1, -1])),
     lambda o, x, y: o.hinge_embedding_loss(x, y, reduction="sum"))
case("margin_ranking_loss", "margin, spread",
     joined(distinct((3, 1), (1, 2)), fixed(exactly([[1.0, -1.0]]))),
     lambda o, a, b, y: o.margin_ranking_loss(a, b, y, margin=0.35))
case("margin_ranking_loss", "numbers", joined(distinct((), ()), exactly(-1)),
     lambda o, a, b, y: o.margin_ranking_loss(a, b, y, margin=2.05))
case("triplet_margin_loss", "margin, p, eps", normal((4, 3), (4, 3), (4, 3)),
     lambda o, a, p, n: o.triplet_margin_loss(a, p, n, margin=0.3, p=3, eps=1e-3))
case("triplet_margin_loss", "one triplet", normal((3,), (3,), (3,)),
     lambda o, a, p, n: o.triplet_margin_loss(a, p, n, margin=9.0))
case("triplet_margin_loss", "maps", normal((2, 4, 3), (2, 4, 3), (1, 4, 3)),
     lambda o, a, p, n: o.triplet_margin_loss(a, p, n, reduction="none"))
case("triplet_margin_with_distance_loss", "L1, margin", normal((4, 3), (4, 3), (4, 3)),
     lambda o, a, p, n: o.triplet_margin_with_distance_loss(
         a, p, n, distance_function=lambda u, v: abs(u - v).sum(-1), margin=3.0))
