"""Losses of yes-or-no questions."""

from __future__ import annotations

import numpy as np

from ..case import (
    case,
    exactly,
    fixed,
    joined,
    normal,
    positive,
    twins,
)  # fmt: skip

# fmt: off

twins["log1p_exp"] = lambda torch: lambda x: -torch.nn.functional.logsigmoid(-x)


def probabilities(*shapes):
    """Numbers between 0.05 and 0.95."""
    return lambda rng: tuple(np.asarray(rng.uniform(0.05, 0.95, s)) for s in shapes)


def answers(shape):
    """0 or 1, as floats that are not differentiated."""
    return fixed(lambda rng: (np.asarray(rng.integers(0, 2, shape), float),))


def signs(shape):
    """1 or -1, as floats that are not differentiated."""
    return fixed(lambda rng: (np.asarray(2.0 * rng.integers(0, 2, shape) - 1),))


SHAPES = {"number": (), "one": (1,), "column": (5, 1), "images": (2, 3, 2, 3)}
BCE = {"binary_cross_entropy": probabilities, "binary_cross_entropy_with_logits": normal}

for _name, _values in BCE.items():
    for _reduction in ("mean", "sum", "none"):
        case(
            _name,
            _reduction,
            joined(_values((4, 3)), answers((4, 3))),
            lambda o, x, t, n=_name, r=_reduction: getattr(o, n)(x, t, reduction=r),
        )
        case(
            _name,
            f"soft labels, differentiated, {_reduction}",
            joined(_values((3, 2)), probabilities((3, 2))),
            lambda o, x, t, n=_name, r=_reduction: getattr(o, n)(x, t, reduction=r),
        )
        case(
            _name,
            f"weight, {_reduction}",
            joined(_values((4, 3)), answers((4, 3)), fixed(positive((4, 3)))),
            lambda o, x, t, w, n=_name, r=_reduction: getattr(o, n)(x, t, w, reduction=r),
        )
    for _shape in ((), (3,), (4, 1), (1, 1)):
        case(
            _name,
            f"weight {_shape}",
            joined(_values((4, 3)), answers((4, 3)), fixed(positive(_shape))),
            lambda o, x, t, w, n=_name: getattr(o, n)(x, t, weight=w),
        )
    case(
        _name,
        "weight, differentiated",
        joined(_values((4, 3)), answers((4, 3)), positive((3,))),
        lambda o, x, t, w, n=_name: getattr(o, n)(x, t, weight=w),
        twin=False,
    )
    for _label, _shape in SHAPES.items():
        case(
            _name,
            _label,
            joined(_values(_shape), answers(_shape)),
            lambda o, x, t, n=_name: getattr(o, n)(x, t),
        )
    case(
        _name,
        "empty",
        joined(_values((0, 3)), answers((0, 3))),
        lambda o, x, t, n=_name: getattr(o, n)(x, t, reduction="sum"),
    )

for _shape in ((4, 3), (3,), (1,), (4, 1), ()):
    for _reduction in ("mean", "sum", "none"):
        case(
            "binary_cross_entropy_with_logits",
            f"pos_weight {_shape}, {_reduction}",
            joined(normal((4, 3)), probabilities((4, 3)), fixed(positive(_shape))),
            lambda o, x, t, w, r=_reduction: o.binary_cross_entropy_with_logits(
                x, t, pos_weight=w, reduction=r
            ),
        )
case(
    "binary_cross_entropy_with_logits",
    "weight, pos_weight",
    joined(normal((4, 3)), answers((4, 3)), fixed(positive((4, 1), (3,)))),
    lambda o, x, t, w, p: o.binary_cross_entropy_with_logits(x, t, w, pos_weight=p),
)
case(
    "binary_cross_entropy_with_logits",
    "pos_weight, differentiated",
    joined(normal((4, 3)), probabilities((4, 3)), positive((3,))),
    lambda o, x, t, w: o.binary_cross_entropy_with_logits(x, t, pos_weight=w),
    twin=False,
)
case("log1p_exp", "2d", normal((3, 4)), lambda o, x: o.log1p_exp(x))
case("log1p_exp", "far out", exactly([-90.0, -30.0, 30.0, 90.0]), lambda o, x: o.log1p_exp(x))

# -- labels +1 and -1, and several labels a sample ---------------------------------------------

for _reduction in ("mean", "sum", "none"):
    case(
        "soft_margin_loss",
        _reduction,
        joined(normal((4, 3)), signs((4, 3))),
        lambda o, x, y, r=_reduction: o.soft_margin_loss(x, y, reduction=r),
    )
    case(
        "multilabel_soft_margin_loss",
        _reduction,
        joined(normal((4, 3)), answers((4, 3))),
        lambda o, x, t, r=_reduction: o.multilabel_soft_margin_loss(x, t, reduction=r),
    )
    case(
        "multilabel_soft_margin_loss",
        f"weight, {_reduction}",
        joined(normal((4, 3)), answers((4, 3)), positive((3,))),
        lambda o, x, t, w, r=_reduction: o.multilabel_soft_margin_loss(x, t, weight=w, reduction=r),
    )
for _label, _shape in SHAPES.items():
    case(
        "soft_margin_loss",
        _label,
        joined(normal(_shape), signs(_shape)),
        lambda o, x, y: o.soft_margin_loss(x, y),
    )
case(
    "soft_margin_loss",
    "differentiated by the label",
    normal((3, 2), (3, 2)),
    lambda o, x, y: o.soft_margin_loss(x, y),
    twin=False,
)  # PyTorch refuses
case(
    "soft_margin_loss",
    "spread",
    joined(normal((3, 2)), signs((2,))),
    lambda o, x, y: o.soft_margin_loss(x, y, reduction="sum"),
)
case(
    "multilabel_soft_margin_loss",
    "one sample",
    joined(normal((3,)), answers((3,))),
    lambda o, x, t: o.multilabel_soft_margin_loss(x, t),
)
case(
    "multilabel_soft_margin_loss",
    "three axes, labels differentiated",
    joined(normal((2, 2, 3)), probabilities((2, 2, 3))),
    lambda o, x, t: o.multilabel_soft_margin_loss(x, t, reduction="none"),
)
