"""Adagrad: steps scaled by all squared gradients so far."""

from __future__ import annotations

from chainrule import kernels
from chainrule.optim.optimizer import Group, Params, Rate
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor


class Adagrad(Rule):
    """Adaptive gradients.

        g ← g + λw                    λ = weight_decay
        s ← s + g²                    at first s = initial_accumulator_value
        η' = η/(1 + (t - 1)δ)         η = lr, δ = lr_decay, at step t = 1, 2, ...
        w ← w - η' g/(√s + ε)

    s only grows, so steps only become smaller. maximize: climb instead, g ← -g at first.
    foreach, fused: one pass over memory does both. Raises ConfigError (negative settings).
    Source: Duchi, Hazan & Singer 2011, Adaptive subgradient methods, JMLR 12.
    """

    per_element = ("sum",)
    not_negative = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for p in self._params():  # parameters of groups to come get theirs with their first step
            self._begin(p)

    def _begin(self, p: Tensor) -> None:
        self.state[p].setdefault("step", 0)
        self._remembered([p], "sum", self.defaults["initial_accumulator_value"])

    def _update(self, params: list[Tensor], group: Group) -> None:
        for p in params:
            if "sum" not in self.state[p]:
                self._begin(p)
        for step, together in self._count(params):
            rate = group["lr"] / (1 + (step - 1) * group["lr_decay"])
            settings = (group[name] for name in ("eps", "weight_decay", "maximize"))
            self._run(kernels.adagrad_step, together, self.per_element, rate, *settings)
