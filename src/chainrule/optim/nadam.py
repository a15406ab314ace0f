"""NAdam: Adam with Nesterov's momentum."""

from __future__ import annotations

import math

from chainrule import kernels
from chainrule.ops.dtypes import get_default_dtype
from chainrule.optim.adam import MOMENTS, Betas
from chainrule.optim.optimizer import Group, Params, Rate, plain
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor


class NAdam(Rule):
    """Adam whose mean looks a step ahead.

        g ← g + λw                                        λ = weight_decay
        m ← β₁m + (1 - β₁)g,  v ← β₂v + (1 - β₂)g²        both start at 0
        μₜ = β₁(1 - 0.96^(tψ)/2)                          ψ = momentum_decay, at step t
        m̂ = μₜ₊₁ m/(1 - Π μ₁..ₜ₊₁) + (1 - μₜ) g/(1 - Π μ₁..ₜ),  v̂ = v/(1 - β₂ᵗ)
        w ← w - η m̂/(√v̂ + ε)                              η = lr

    decoupled_weight_decay: w ← (1 - ηλ)w at first, as in AdamW, and g without λw.
    maximize: climb instead, g ← -g at first. foreach: one pass over memory does that.
    The product Π μ is kept in the default dtype, as PyTorch keeps it.
    Raises ConfigError (negative settings, betas outside 0..1).
    Source: Dozat 2016, Incorporating Nesterov momentum into Adam, algorithm 2.
    """

    per_element = MOMENTS
    not_negative = ("lr", "eps", "weight_decay", "momentum_decay")

    def __init__(
        self,
        params: Params,
        lr: Rate = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, params: list[Tensor], group: Group) -> None:
        scalar = get_default_dtype().type
        lr, decay = group["lr"], group["weight_decay"]
        beta1, beta2 = map(plain, group["betas"])
        decoupled = group["decoupled_weight_decay"]
        for (steps, before), together in self._alike(params, step=0, mu_product=1.0):
            t = int(steps) + 1
            mu, mu_next = (_momentum(beta1, group["momentum_decay"], n) for n in (t, t + 1))
            product = float(scalar(before) * scalar(mu))
            self._note(together, step=t, mu_product=product)
            root = math.sqrt(1 - beta2**t)  # m̂/(√v̂ + ε) = root m̂/(√v + root ε)
            self._run(
                kernels.moments_step,
                together,
                MOMENTS,
                root * lr * mu_next / (1 - product * mu_next),
                root * lr * (1 - mu) / (1 - product),
                beta1,
                beta2,
                root * group["eps"],
                0 if decoupled else decay,
                1 - lr * decay if decoupled else 1,
                True,
                group["maximize"],
            )


def _momentum(beta1: float, decay: float, step: int) -> float:
    return float(beta1 * (1 - 0.5 * 0.96 ** (step * decay)))
