"""Adam and AdamW: steps scaled by running moments of the gradient."""

from __future__ import annotations

from chainrule import kernels
from chainrule.optim.optimizer import Group, Params, Rate, plain
from chainrule.optim.rule import Rule
from chainrule.tensor import Tensor

Betas = tuple[Rate, Rate]
MOMENTS = ("exp_avg", "exp_avg_sq")  # PyTorch's names
PEAK = "max_exp_avg_sq"


class Adam(Rule):
    """Adaptive moments.

        g ← g + λw                             λ = weight_decay
        m ← β₁m + (1 - β₁)g                    running mean of the gradient
        v ← β₂v + (1 - β₂)g²                   and of its square; both start at 0,
        m̂ = m/(1 - β₁ᵗ),  v̂ = v/(1 - β₂ᵗ)      which m̂ and v̂ make up for at step t
        w ← w - η m̂/(√v̂ + ε)                   η = lr

    amsgrad: v̂ uses the largest v so far. maximize: climb instead, g ← -g at first.
    decoupled_weight_decay: as `AdamW`. foreach, fused: one pass over memory does both.
    Raises ConfigError (negative settings, betas outside 0..1).
    Source: Kingma & Ba 2015, arXiv:1412.6980, algorithm 1; Reddi et al. 2018 (amsgrad).
    """

    per_element = (*MOMENTS, PEAK)
    not_negative = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _update(self, params: list[Tensor], group: Group) -> None:
        beta1, beta2 = map(plain, group["betas"])
        names = (*MOMENTS, PEAK if group["amsgrad"] else None)
        for step, together in self._count(params):
            self._run(
                kernels.adam_step,
                together,
                names,
                step,
                group["lr"],
                beta1,
                beta2,
                group["eps"],
                group["weight_decay"],
                group["decoupled_weight_decay"],
                group["maximize"],
            )


class AdamW(Adam):
    """Adam with weight decay apart from the moments: w ← (1 - ηλ)w, then Adam's step on g.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def _update(self, params: list[Tensor], group: Group) -> None:
        super()._update(params, {**group, "decoupled_weight_decay": True})
