"""Losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..case import case, distinct, exactly, fixed, integers, joined, positive, twins

twins["multiclass_svm_loss"] = lambda torch: (
    lambda x, t, **kw: torch.nn.functional.multi_margin_loss(x, t, **kw) * x.shape[1]
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
}
for _label, (_build, _kw) in LOSSES.items():
    case("nll_loss", _label, _build, lambda o, x, t, kw=_kw: o.nll_loss(x, t, **kw))
for _label, (_build, _kw) in {**LOSSES, **SMOOTH}.items():
    case("cross_entropy", _label, _build, lambda o, x, t, kw=_kw: o.cross_entropy(x, t, **kw))
    if "one sample" in _label or "no samples" in _label:
        continue
    case("cross_entropy", f"{_label}, weight", joined(_build, fixed(positive((3,)))),
         lambda o, x, t, w, kw=_kw: o.cross_entropy(x, t, w, **kw))
    if _label in LOSSES:
        case("nll_loss", f"{_label}, weight", joined(_build, fixed(positive((3,)))),
             lambda o, x, t, w, kw=_kw: o.nll_loss(x, t, w, **kw))
for _p in (1, 2):
    for _label, (_build, _kw) in {
        "mean": (labelled(4, 3), {}),
        "sum": (labelled(4, 3), {"reduction": "sum", "margin": 0.55}),
        "none": (labelled(4, 3), {"reduction": "none", "margin": 0.17}),
        "one sample": (joined(distinct((3,)), exactly(2)), {}),
    }.items():
        case("multi_margin_loss", f"p {_p}, {_label}", _build,
             lambda o, x, t, p=_p, kw=_kw: o.multi_margin_loss(x, t, p=p, **kw))
    case("multi_margin_loss", f"p {_p}, weight", joined(labelled(4, 3), fixed(positive((3,)))),
         lambda o, x, t, w, p=_p: o.multi_margin_loss(x, t, p=p, weight=w))
case("multiclass_svm_loss", "mean", labelled(4, 5), lambda o, x, t: o.multiclass_svm_loss(x, t))
case("multiclass_svm_loss", "sum", labelled(4, 3),
     lambda o, x, t: o.multiclass_svm_loss(x, t, margin=0.55, reduction="sum"))
for _name in ("mse_loss", "l1_loss"):
    for _reduction in ("mean", "sum", "none"):
        case(_name, _reduction, distinct((3, 2), (3, 2)),
             lambda o, x, t, n=_name, r=_reduction: getattr(o, n)(x, t, reduction=r))
