"""Losses of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..case import case, distinct, fixed, fractional, integers, joined, normal, positive, twins

# fmt: off

twins["at_least"] = lambda torch: lambda x, least: torch.clamp(x, min=least)


def apart(first: tuple[int, ...], second: tuple[int, ...]) -> Callable[..., tuple[Any, ...]]:
    """Inputs and targets whose differences keep away from 0, and from all multiples of 0.1."""

    def build(rng: np.random.Generator) -> tuple[Any, ...]:
        x, t = distinct(first, second)(rng)
        return x, np.asarray(t + 0.033)

    return build


ERRORS = {
    "mse_loss": [{}], "l1_loss": [{}],
    "smooth_l1_loss": [{}, {"beta": 0.37}, {"beta": 2.5}, {"beta": 0.0}],
    "huber_loss": [{}, {"delta": 0.37}, {"delta": 2.5}],
}
PAIRS = {
    "numbers": ((), ()), "one": ((1,), (1,)), "images": ((2, 3, 2, 3), (2, 3, 2, 3)),
    "empty": ((0, 3), (0, 3)), "target spread": ((3, 2), (2,)), "both spread": ((3, 1), (1, 2)),
    "number for target": ((3, 2), ()),
}

for _name, _settings in ERRORS.items():
    for _kw in _settings:
        for _reduction in ("mean", "sum", "none"):
            _suffix = ", ".join([_reduction, *(f"{k} {v}" for k, v in _kw.items())])
            case(_name, _suffix, apart((4, 3), (4, 3)),
                 lambda o, x, t, n=_name, r=_reduction, kw=_kw: (
                     getattr(o, n)(x, t, reduction=r, **kw)))
    for _label, _shapes in PAIRS.items():
        case(_name, _label, apart(*_shapes),
             lambda o, x, t, n=_name: getattr(o, n)(x, t, reduction="sum"))
    case(_name, "both spread, none", apart((3, 1), (1, 2)),
         lambda o, x, t, n=_name: getattr(o, n)(x, t, reduction="none"))
    case(_name, "whole numbers for target", joined(fractional((3, 2)), integers((3, 2))),
         lambda o, x, t, n=_name: getattr(o, n)(x, t), twin=_name != "huber_loss")
    if _name != "smooth_l1_loss":
        for _reduction in ("mean", "sum", "none"):
            case(_name, f"weight, {_reduction}",
                 joined(apart((4, 3), (4, 3)), positive((4, 3))),
                 lambda o, x, t, w, n=_name, r=_reduction: (
                     getattr(o, n)(x, t, reduction=r, weight=w)))

# -- likelihoods -------------------------------------------------------------------------------

for _log in (True, False):
    for _full in (True, False):
        for _reduction in ("mean", "sum", "none"):
            case("poisson_nll_loss", f"log {_log}, full {_full}, {_reduction}",
                 joined(positive((4, 3)), fixed(lambda rng: (rng.integers(0, 5, (4, 3)) + 0.0,))),
                 lambda o, x, t, log=_log, full=_full, r=_reduction: (
                     o.poisson_nll_loss(x, t, log_input=log, full=full, reduction=r)))
case("poisson_nll_loss", "eps", joined(positive((3,)), fixed(positive((3,)))),
     lambda o, x, t: o.poisson_nll_loss(x, t, log_input=False, eps=0.1))
case("poisson_nll_loss", "target differentiated", positive((3, 2), (2,)),
     lambda o, x, t: o.poisson_nll_loss(x, t))
case("poisson_nll_loss", "number", joined(positive(()), fixed(positive(()))),
     lambda o, x, t: o.poisson_nll_loss(x, t))

for _full in (True, False):
    for _reduction in ("mean", "sum", "none"):
        case("gaussian_nll_loss", f"full {_full}, {_reduction}",
             joined(normal((4, 3), (4, 3)), positive((4, 3))),
             lambda o, x, t, v, full=_full, r=_reduction: (
                 o.gaussian_nll_loss(x, t, v, full=full, reduction=r)))
for _shape in ((4,), (4, 1), (1, 3)):
    case("gaussian_nll_loss", f"var {_shape}", joined(normal((4, 3), (4, 3)), positive(_shape)),
         lambda o, x, t, v: o.gaussian_nll_loss(x, t, v))
case("gaussian_nll_loss", "var a number", normal((4, 3), (4, 3)),
     lambda o, x, t: o.gaussian_nll_loss(x, t, 0.7))
case("gaussian_nll_loss", "image variance", joined(normal((2, 3, 2, 2)), normal((2, 3, 2, 2)),
                                                   positive((2, 1, 2, 2))),
     lambda o, x, t, v: o.gaussian_nll_loss(x, t, v, eps=1e-3))
case("at_least", "above", positive((3, 2)), lambda o, x: o.at_least(x, 0.25))
