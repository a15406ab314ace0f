"""Adamax: Adam with the largest gradient in the place of the mean square."""

from __future__ import annotations

from chainrule import kernels
from chainrule.optim.adam import Betas
from chainrule.optim.optimizer import Group, Params, Rate, plain
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor


class Adamax(Rule):
    """Adam by the infinity norm.

        g ← g + λw                       λ = weight_decay
        m ← β₁m + (1 - β₁)g              starts at 0
        u ← max(β₂u, |g| + ε)            starts at 0
        w ← w - η/(1 - β₁ᵗ) m/u          η = lr, at step t

    maximize: climb instead, g ← -g at first. foreach: one pass over memory does that.
    Raises ConfigError (negative settings, betas outside 0..1).
    Source: Kingma & Ba 2015, arXiv:1412.6980, algorithm 2.
    """

    per_element = ("exp_avg", "exp_inf")
    not_negative = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: Rate = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _update(self, params: list[Tensor], group: Group) -> None:
        beta1, beta2 = map(plain, group["betas"])
        settings = [group[name] for name in ("eps", "weight_decay", "maximize")]
        for step, together in self._count(params):
            rate = group["lr"] / (1 - beta1**step)
            rule = (rate, beta1, beta2, *settings)
            self._run(kernels.adamax_step, together, self.per_element, *rule)
