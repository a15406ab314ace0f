"""Losses of class scores and of distributions over classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..case import case, distinct, exactly, fixed, integers, joined, normal, positive, twins

twins["kl_div_of_log"] = lambda torch: (
    lambda x, t: torch.nn.functional.kl_div(x, t, reduction="none", log_target=True)
)

# fmt: off

def labelled(n: int, classes: int, *rest: int) -> Callable[..., tuple[Any, ...]]:
    """Scores (n, classes, *rest) without kinks of the hinge, and labels (n, *rest)."""
    return joined(distinct((n, classes, *rest)), integers((n, *rest), low=0, high=classes))


LOSSES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "mean": (labelled(4, 3), {}),
    "sum": (labelled(4, 3), {"reduction": "sum"}),
    "none": (labelled(4, 3), {"reduction": "none"}),
    "images": (labelled(2, 3, 2, 2), {}),
    "columns, none": (labelled(2, 3, 2), {"reduction": "none"}),
    "one sample": (joined(distinct((3,)), exactly(2)), {}),
    "ignore": (joined(distinct((4, 3)), exactly([0, -100, 2, 1])), {}),
    "ignore a class": (joined(distinct((4, 3)), exactly([0, 2, 2, 1])), {"ignore_index": 2}),
    "ignore, sum": (
        joined(distinct((3, 3)), exactly([0, 7, 2])),
        {"ignore_index": 7, "reduction": "sum"},
    ),
    "no samples": (labelled(0, 3), {"reduction": "sum"}),
    "one sample, none": (joined(distinct((3,)), exactly(0)), {"reduction": "none"}),
    "one sample, ignored": (joined(distinct((3,)), exactly(-100)), {"reduction": "sum"}),
    "one class": (labelled(3, 1), {}),
    "one sample, two axes": (labelled(1, 4), {"reduction": "none"}),
    "volumes": (labelled(2, 3, 2, 1, 2), {}),
    "all ignored, sum": (
        joined(distinct((2, 3)), exactly([-100, -100])),
        {"reduction": "sum"},
    ),
}
SMOOTH: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "smoothing": (labelled(4, 3), {"label_smoothing": 0.2}),
    "smoothing, none": (labelled(2, 3, 2), {"label_smoothing": 0.3, "reduction": "none"}),
    "smoothing, ignore": (
        joined(distinct((4, 3)), exactly([0, -100, 2, 1])),
        {"label_smoothing": 0.2},
    ),
    "distribution": (joined(distinct((4, 3)), fixed(positive((4, 3)))), {}),
    "distribution of images": (
        joined(distinct((2, 3, 2)), fixed(positive((2, 3, 2)))),
        {"reduction": "none"},
    ),
    "distribution, smoothing": (
        joined(distinct((4, 3)), fixed(positive((4, 3)))),
        {"label_smoothing": 0.1},
    ),
    "distribution, differentiated": (
        joined(distinct((2, 3)), positive((2, 3))),
        {"reduction": "sum"},
    ),
    "distribution, one sample": (joined(distinct((3,)), fixed(positive((3,)))), {}),
    "distribution, smoothing, sum": (
        joined(distinct((2, 3, 2, 2)), fixed(positive((2, 3, 2, 2)))),
        {"label_smoothing": 0.4, "reduction": "sum"},
    ),
    "smoothing of one": (labelled(4, 3), {"label_smoothing": 1.0}),
    "smoothing, images, ignore": (
        joined(distinct((2, 3, 2)), exactly([[0, 1], [1, 2]])),
        {"label_smoothing": 0.2, "ignore_index": 1, "reduction": "sum"},
    ),
    "smoothing, one sample": (joined(distinct((3,)), exactly(2)), {"label_smoothing": 0.2}),
}
for _label, (_build, _kw) in LOSSES.items():
    case("nll_loss", _label, _build, lambda o, x, t, kw=_kw: o.nll_loss(x, t, **kw))
for _label, (_build, _kw) in {**LOSSES, **SMOOTH}.items():
    case("cross_entropy", _label, _build, lambda o, x, t, kw=_kw: o.cross_entropy(x, t, **kw))
    if _label in ("one class", "one sample, two axes"):
        continue
    case("cross_entropy", f"{_label}, weight", joined(_build, fixed(positive((3,)))),
         lambda o, x, t, w, kw=_kw: o.cross_entropy(x, t, w, **kw))
    if _label in LOSSES:
        case("nll_loss", f"{_label}, weight", joined(_build, fixed(positive((3,)))),
             lambda o, x, t, w, kw=_kw: o.nll_loss(x, t, w, **kw))
for _name in ("cross_entropy", "nll_loss"):  # PyTorch cannot differentiate it
    case(_name, "one sample, target of one", joined(distinct((3,)), exactly([1])),
         lambda o, x, t, n=_name: getattr(o, n)(x, t, reduction="none"), twin=False)

# -- Kullback-Leibler divergence ---------------------------------------------------------------

for _reduction in ("mean", "sum", "none", "batchmean"):
    for _log in (False, True):
        case("kl_div", f"{_reduction}, log target {_log}",
             joined(normal((4, 3)), (normal if _log else positive)((4, 3))),
             lambda o, x, t, r=_reduction, log=_log: o.kl_div(x, t, reduction=r, log_target=log))
for _label, _x, _t in (
    ("numbers", (), ()), ("empty", (0, 3), (0, 3)), ("spread", (2, 3), (3,)),
    ("images", (2, 3, 2, 2), (2, 3, 2, 2)), ("one", (1,), (1,)),
):
    case("kl_div", _label, joined(normal(_x), positive(_t)),
         lambda o, x, t: o.kl_div(x, t, reduction="sum"))
case("kl_div", "number, batchmean", joined(normal(()), positive(())),
     lambda o, x, t: o.kl_div(x, t, reduction="batchmean"))
case("kl_div", "impossible classes",
     joined(normal((2, 3)), fixed(exactly([[0.0, 0.4, 0.6], [1, 0, 0]]))),
     lambda o, x, t: o.kl_div(x, t, reduction="batchmean"))
case("kl_div_of_log", "none", joined(normal((2, 3)), normal((2, 3))),
     lambda o, x, t: o.kl_div_of_log(x, t))
