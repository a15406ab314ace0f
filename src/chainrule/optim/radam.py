"""RAdam: Adam that waits until it knows the gradient's variance."""

from __future__ import annotations

import math

from chainrule import kernels
from chainrule.optim.adam import MOMENTS, Betas
from chainrule.optim.optimizer import Group, Params, Rate, plain
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor


class RAdam(Rule):
    """Adam, rectified by the variance of its own learning rate: a warm-up that sets itself.

        g ← g + λw                                     λ = weight_decay
        m ← β₁m + (1 - β₁)g,  v ← β₂v + (1 - β₂)g²     both start at 0
        m̂ = m/(1 - β₁ᵗ)                                at step t
        ρ∞ = 2/(1 - β₂) - 1,  ρ = ρ∞ - 2tβ₂ᵗ/(1 - β₂ᵗ)
        r = √((ρ - 4)(ρ - 2)ρ∞ / ((ρ∞ - 4)(ρ∞ - 2)ρ))
        w ← w - η r m̂ √(1 - β₂ᵗ)/(√v + ε) if ρ > 5, else w ← w - η m̂        η = lr

    decoupled_weight_decay: w ← (1 - ηλ)w at first, as in AdamW, and g without λw.
    maximize: climb instead, g ← -g at first. foreach: one pass over memory does that.
    Raises ConfigError (negative settings, betas outside 0..1).
    Source: Liu et al. 2020, arXiv:1908.03265, algorithm 2.
    """

    per_element = MOMENTS
    not_negative = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, params: list[Tensor], group: Group) -> None:
        lr, decay = group["lr"], group["weight_decay"]
        beta1, beta2 = map(plain, group["betas"])
        decoupled = group["decoupled_weight_decay"]
        for step, together in self._count(params):
            rectified = _rectification(beta2, step)
            factor = 1.0 if rectified is None else rectified * math.sqrt(1 - beta2**step)
            self._run(
                kernels.moments_step,
                together,
                MOMENTS,
                lr * factor / (1 - beta1**step),
                0.0,
                beta1,
                beta2,
                group["eps"],
                0 if decoupled else decay,
                1 - lr * decay if decoupled else 1,
                rectified is not None,
                group["maximize"],
            )


def _rectification(beta2: float, step: int) -> float | None:
    """r, or None where there are too few gradients to know their variance."""
    most = 2 / (1 - beta2) - 1
    length = most - 2 * step * beta2**step / (1 - beta2**step)
    if length <= 5:
        return None
    return math.sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length))
