"""Support vector machines."""

from __future__ import annotations

from typing import Any

from ..case import case, distinct, exactly, fixed, integers, joined, positive, twins
from .loss_classification import labelled

# fmt: off

def _weston_watkins(torch: Any) -> Any:
    multi_margin_loss = torch.nn.functional.multi_margin_loss
    return lambda x, t, **kw: multi_margin_loss(x, t, **kw) * x.shape[-1]


def _reduced(losses, reduction="mean"):
    return losses if reduction == "none" else getattr(losses, reduction)()


def _crammer_singer(torch):
    def loss(x, t, margin=1.0, p=1, reduction="mean"):
        own = torch.nn.functional.one_hot(t, x.shape[-1]).bool()
        worst = x.masked_fill(own, -torch.inf).amax(-1)
        gap = margin + worst - x.gather(-1, t.unsqueeze(-1)).squeeze(-1)
        return _reduced(gap.clamp(min=0) ** p, reduction)

    return loss


def _one_vs_all(torch):
    def loss(x, t, margin=1.0, p=1, reduction="mean"):
        signs = 2 * torch.nn.functional.one_hot(t, x.shape[-1]) - 1
        return _reduced(((margin - signs * x).clamp(min=0) ** p).sum(-1), reduction)

    return loss


def _hinge(power):
    def make(torch):
        def loss(x, y, margin=1.0, reduction="mean"):
            return _reduced((margin - y * x).clamp(min=0) ** power, reduction)

        return loss

    return make


twins["multiclass_svm_loss"] = _weston_watkins
twins["crammer_singer_loss"] = _crammer_singer
twins["one_vs_all_svm_loss"] = _one_vs_all
twins["hinge_loss"] = _hinge(1)
twins["squared_hinge_loss"] = _hinge(2)

SETTINGS = {
    "mean": (labelled(4, 3), {}),
    "sum": (labelled(4, 3), {"reduction": "sum", "margin": 0.55}),
    "none": (labelled(4, 3), {"reduction": "none", "margin": 0.17}),
    "one sample": (joined(distinct((3,)), exactly(2)), {}),
    "one sample, none": (joined(distinct((3,)), exactly(2)), {"reduction": "none"}),
    "no samples": (labelled(0, 3), {"reduction": "sum"}),
    "one class": (labelled(3, 1), {"reduction": "none"}),
    "many classes": (labelled(2, 17), {"margin": 0.85}),
}
for _p in (1, 2):
    for _label, (_build, _kw) in SETTINGS.items():
        for _name in (
            "multi_margin_loss", "multiclass_svm_loss", "crammer_singer_loss",
            "one_vs_all_svm_loss",
        ):
            case(_name, f"p {_p}, {_label}", _build,
                 lambda o, x, t, n=_name, p=_p, kw=_kw: getattr(o, n)(x, t, p=p, **kw),
                 twin=_label != "no samples")  # where PyTorch returns memory it did not set
    for _reduction in ("mean", "sum", "none"):
        case("multi_margin_loss", f"p {_p}, weight, {_reduction}",
             joined(labelled(4, 3), fixed(positive((3,)))),
             lambda o, x, t, w, p=_p, r=_reduction: (
                 o.multi_margin_loss(x, t, p=p, weight=w, reduction=r)))
case("multi_margin_loss", "one sample, target of one", joined(distinct((3,)), exactly([1])),
     lambda o, x, t: o.multi_margin_loss(x, t))

# -- binary ------------------------------------------------------------------------------------

for _name in ("hinge_loss", "squared_hinge_loss"):
    for _reduction in ("mean", "sum", "none"):
        case(_name, _reduction, joined(distinct((5,)), exactly([1, -1, -1, 1, 1])),
             lambda o, x, y, n=_name, r=_reduction: getattr(o, n)(x, y, reduction=r))
    case(_name, "margin", joined(distinct((2, 2)), fixed(exactly([[1.0, -1.0], [-1.0, 1.0]]))),
         lambda o, x, y, n=_name: getattr(o, n)(x, y, margin=0.35))
    case(_name, "number", joined(distinct(()), exactly(-1)),
         lambda o, x, y, n=_name: getattr(o, n)(x, y))
    case(_name, "empty", joined(distinct((0,)), integers((0,))),
         lambda o, x, y, n=_name: getattr(o, n)(x, y, reduction="sum"))

# -- several classes hold at once --------------------------------------------------------------

for _reduction in ("mean", "sum", "none"):
    case("multilabel_margin_loss", _reduction,
         joined(distinct((3, 4)), exactly([[3, 0, -1, 1], [-1, 0, 1, 2], [1, 2, 0, 3]])),
         lambda o, x, t, r=_reduction: o.multilabel_margin_loss(x, t, reduction=r))
    case("multilabel_margin_loss", f"one sample, {_reduction}",
         joined(distinct((4,)), exactly([2, 0, -1, -1])),
         lambda o, x, t, r=_reduction: o.multilabel_margin_loss(x, t, reduction=r))
case("multilabel_margin_loss", "a class twice", joined(distinct((1, 3)), exactly([[1, 1, -1]])),
     lambda o, x, t: o.multilabel_margin_loss(x, t))
case("multilabel_margin_loss", "number", joined(distinct(()), exactly(0)),
     lambda o, x, t: o.multilabel_margin_loss(x, t))
