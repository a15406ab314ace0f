"""Adam and AdamW: steps scaled by running moments of the gradient."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from chainrule import kernels
from chainrule.optim.optimizer import Group, Optimizer, Params, require
from chainrule.tensor import Tensor

MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")  # PyTorch's names; the last for amsgrad


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

    def _update(self, params: list[Tensor], group: Group) -> None:
        by_step: dict[int, list[Tensor]] = {}
        for p in params:
            state = self.state.setdefault(p, {})
            if not state:
                state["step"] = 0
                names = MOMENTS if group["amsgrad"] else MOMENTS[:2]
                state.update({name: Tensor(np.zeros_like(p.array)) for name in names})
            state["step"] = t = int(state["step"]) + 1
            by_step.setdefault(t, []).append(p)
        for t, together in by_step.items():
            self._descend(together, t, group)

    def _descend(self, params: list[Tensor], step: int, group: Group) -> None:
        states = [self.state[p] for p in params]
        means, squares = ([s[name].array for s in states] for name in MOMENTS[:2])
        peaks = [s[MOMENTS[2]].array for s in states] if group["amsgrad"] else None
        beta1, beta2 = group["betas"]
        kernels.adam_step(
            [p.array for p in params],
            [p.grad.array for p in params],
            means,
            squares,
            peaks,
            step,
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            self.decoupled,
            group["maximize"],
        )


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
