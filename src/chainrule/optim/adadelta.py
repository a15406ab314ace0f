"""Adadelta: steps in the units of the weights."""

from __future__ import annotations

from chainrule import kernels
from chainrule.optim.optimizer import Group, Params, Rate, require
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor


class Adadelta(Rule):
    """Steps as long as recent steps were, relative to recent gradients.

        g ← g + λw                      λ = weight_decay
        v ← ρv + (1 - ρ)g²              running mean of squared gradients
        δ = √(u + ε)/√(v + ε) g
        u ← ρu + (1 - ρ)δ²              and of squared steps; both start at 0
        w ← w - ηδ                      η = lr

    maximize: climb instead, g ← -g at first. foreach: one pass over memory does that.
    Raises ConfigError (negative settings, rho outside 0..1).
    Source: Zeiler 2012, arXiv:1212.5701, algorithm 1.
    """

    per_element = ("square_avg", "acc_delta")
    not_negative = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: Rate = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        require(0 <= group["rho"] <= 1, self, "rho must be in [0, 1]", group["rho"])

    def _update(self, params: list[Tensor], group: Group) -> None:
        settings = [group[name] for name in ("lr", "rho", "eps", "weight_decay", "maximize")]
        for _, together in self._count(params):
            self._run(kernels.adadelta_step, together, self.per_element, *settings)
