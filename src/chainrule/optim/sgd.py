"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.optim.optimizer import Array, Group, Optimizer, Params, require
from chainrule.tensor import Tensor


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

        g ← g + λw                      λ = weight_decay
        v ← μv + (1 - τ)g               μ = momentum, τ = dampening; at first v = g
        g ← g + μv if nesterov, else v  (without momentum: g)
        w ← w - ηg                      η = lr

    maximize: climb instead, g ← -g at first.
    Raises ConfigError (negative settings; nesterov without momentum or with dampening).
    Source: Sutskever et al. 2013, On the importance of initialization and momentum.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            require(group[name] >= 0, self, f"{name} must not be negative", group[name])
        if group["nesterov"]:
            both = {k: group[k] for k in ("momentum", "dampening")}
            fits = group["momentum"] > 0 and group["dampening"] == 0
            require(fits, self, "nesterov needs momentum and no dampening", both)

    def _update(self, w: Array, g: Array, state: dict[str, Any], group: Group) -> None:
        lr, mu, decay = group["lr"], group["momentum"], group["weight_decay"]
        scratch = self._scratch(w)
        if group["maximize"]:
            g = -g
        if decay:
            g = np.add(g, np.multiply(w, decay, out=scratch), out=scratch)
        if mu:
            v = state.get("momentum_buffer")
            if v is None:
                v = state["momentum_buffer"] = Tensor(g.copy())
            else:
                v.array *= mu
                v.array += g * (1 - group["dampening"]) if group["dampening"] else g
            g = g + v.array * mu if group["nesterov"] else v.array
        w -= np.multiply(g, lr, out=scratch)
