"""Stochastic gradient descent."""

from __future__ import annotations

from chainrule import kernels
from chainrule.optim.optimizer import Group, Params, Rate, require
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor

BUFFER = "momentum_buffer"


class SGD(Rule):
    """Stochastic gradient descent, with momentum if wanted.

        g ← g + λw                      λ = weight_decay
        v ← μv + (1 - τ)g               μ = momentum, τ = dampening; at first v = g
        g ← g + μv if nesterov, else v  (without momentum: g)
        w ← w - ηg                      η = lr

    maximize: climb instead, g ← -g at first. foreach, fused: one pass over memory does both.
    The lectures' forms, where the velocity contains the rate, are `Momentum` and `Nesterov`.
    Raises ConfigError (negative settings; nesterov without momentum or with dampening).
    Source: Sutskever et al. 2013, On the importance of initialization and momentum.
    """

    per_element = (BUFFER,)
    not_negative = ("lr", "momentum", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Rate = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if group["nesterov"]:
            both = {k: group[k] for k in ("momentum", "dampening")}
            fits = group["momentum"] > 0 and group["dampening"] == 0
            require(fits, self, "nesterov needs momentum and no dampening", both)

    def _update(self, params: list[Tensor], group: Group) -> None:
        if not group["momentum"]:
            self._descend(params, group)
            return
        fresh = [p for p in params if self.state[p].get(BUFFER) is None]
        for p in fresh:
            self.state[p].pop(BUFFER, None)
        if fresh and group["dampening"]:  # v = g at first: there is nothing to dampen yet
            self._descend(fresh, {**group, "dampening": 0})
            params = [p for p in params if p not in set(fresh)]
        self._descend(params, group)

    def _descend(self, params: list[Tensor], group: Group) -> None:
        buffer = BUFFER if group["momentum"] else None
        settings = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")
        rule = [group[name] for name in settings]
        self._run(kernels.sgd_step, params, (buffer,), *rule)
