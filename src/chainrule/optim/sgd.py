"""Stochastic gradient descent."""

from __future__ import annotations

import numpy as np

from chainrule import kernels
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

    def _update(self, params: list[Tensor], group: Group) -> None:
        if not group["momentum"]:
            self._descend(params, None, group)
            return
        fresh = [p for p in params if self._buffer(p) is None]
        for p in fresh:
            self.state.setdefault(p, {})["momentum_buffer"] = Tensor(np.zeros_like(p.array))
        if fresh and group["dampening"]:  # v = g at first: there is nothing to dampen yet
            self._descend(fresh, self._buffers(fresh), {**group, "dampening": 0})
            params = [p for p in params if p not in set(fresh)]
        self._descend(params, self._buffers(params), group)

    def _descend(self, params: list[Tensor], buffers: list[Array] | None, group: Group) -> None:
        settings = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")
        grads = [p.grad.array for p in params]
        rule = [group[name] for name in settings]
        kernels.sgd_step([p.array for p in params], grads, buffers, *rule)

    def _buffer(self, p: Tensor) -> Tensor | None:
        return self.state.get(p, {}).get("momentum_buffer")

    def _buffers(self, params: list[Tensor]) -> list[Array]:
        return [self.state[p]["momentum_buffer"].array for p in params]
