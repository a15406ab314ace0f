"""Adam and AdamW: steps scaled by running moments of the gradient."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from chainrule.optim.optimizer import Array, Group, Optimizer, Params, require
from chainrule.tensor import Tensor


class Adam(Optimizer):
    """Adaptive moments.

        g ← g + λw                             λ = weight_decay
        m ← β₁m + (1 - β₁)g                    running mean of the gradient
        v ← β₂v + (1 - β₂)g²                   and of its square; both start at 0,
        m̂ = m/(1 - β₁ᵗ),  v̂ = v/(1 - β₂ᵗ)      which m̂ and v̂ make up for at step t
        w ← w - η m̂/(√v̂ + ε)                   η = lr

    amsgrad: v̂ uses the largest v so far. maximize: climb instead, g ← -g at first.
    Raises ConfigError (negative settings, betas outside 0..1).
    Source: Kingma & Ba 2015, arXiv:1412.6980, algorithm 1; Reddi et al. 2018 (amsgrad).
    """

    decoupled: ClassVar[bool] = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        for name in ("lr", "eps", "weight_decay"):
            require(group[name] >= 0, self, f"{name} must not be negative", group[name])
        betas = group["betas"]
        fits = len(betas) == 2 and all(0 <= b < 1 for b in betas)
        require(fits, self, "betas must be two numbers in [0, 1)", betas)

    def _update(self, w: Array, g: Array, state: dict[str, Any], group: Group) -> None:
        if not state:
            names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")[: 3 if group["amsgrad"] else 2]
            state["step"] = 0
            state.update({name: Tensor(np.zeros_like(w)) for name in names})
        state["step"] = t = int(state["step"]) + 1
        m, v = state["exp_avg"].array, state["exp_avg_sq"].array
        lr, eps, decay = group["lr"], group["eps"], group["weight_decay"]
        beta1, beta2 = group["betas"]
        scratch = self._scratch(w)
        if group["maximize"]:
            g = -g
        if decay and self.decoupled:
            w *= 1 - lr * decay
        elif decay:
            g = g + w * decay
        m *= beta1
        np.multiply(g, 1 - beta1, out=scratch)
        m += scratch
        v *= beta2
        np.multiply(g, g, out=scratch)
        scratch *= 1 - beta2
        v += scratch
        if group["amsgrad"]:
            v = np.maximum(v, state["max_exp_avg_sq"].array, out=state["max_exp_avg_sq"].array)
        # m̂/(√v̂ + ε) = c₂/c₁ · m/(√v + c₂ε) with c₁ = 1 - β₁ᵗ and c₂ = √(1 - β₂ᵗ): fewer passes
        c1, c2 = 1 - beta1**t, math.sqrt(1 - beta2**t)
        np.sqrt(v, out=scratch)
        scratch += c2 * eps
        np.divide(m, scratch, out=scratch)
        scratch *= lr * c2 / c1
        w -= scratch


class AdamW(Adam):
    """Adam with weight decay apart from the moments: w ← (1 - ηλ)w, then Adam's step on g.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
